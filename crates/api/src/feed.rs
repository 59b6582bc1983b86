//! What a gateway asks of the authority: the status feed down, reports and decision logs up.

use serde::{Deserialize, Serialize};

/// `GET /v1/feed`: long poll. The body is a feed file: length-prefixed signed messages.
///
/// With the head that the gateway holds, the answer is the deltas after it (or a heartbeat when `wait_ms`
/// passes); without one, or when the authority cannot continue from it, a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedQuery {
    /// Epoch held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Sequence number held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Milliseconds to wait for news (0..=30000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// `POST /v1/feed/acknowledgement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedAcknowledgement {
    /// Feed epoch.
    pub epoch: u64,
    /// Highest sequence number in force.
    pub seq: u64,
    /// By the gateway's clock.
    pub applied_at: String,
    /// Sessions that it ended for the changes since its last acknowledgement.
    pub sessions_closed: u64,
}

/// `POST /v1/gateways/self`: the gateway says which keys it signs with; `GET` returns what it needs to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRegistration {
    /// Verifier key of its decision log (C2SP signed note).
    pub decision_log_vkey: String,
}
