//! What a gateway asks of the authority: the status feed down, reports and decision logs up.

use crate::{GatewayStanding, Staleness, Word};
use core::num::NonZeroU64;
use serde::{Deserialize, Serialize};
use touchmark_identity::{EnvironmentName, Name, Timestamp};

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
    /// The gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Staleness>,
    /// The gateway was refused before, and serves nobody until it is accepted again.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub cut_off: bool,
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
    pub applied_at: Timestamp,
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

/// A gateway, as the authority knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    pub name: Name,
    pub environment: EnvironmentName,
    /// `online`: asked of late, and has all in force; `late`: asked of late, and has not; `unknown`: not heard of for 30 s, or
    /// not since the authority started; `offline`: declared so; `refused`: none of its certificates is accepted any more,
    /// and it may still serve by the feed it holds; `cut-off`: refused, and it said that it serves nobody.
    pub standing: Word<GatewayStanding>,
    /// Seconds since it showed that it holds the last answer; its feed is at most that old. `null` before it asked.
    pub feed_age_s: Option<u64>,
    /// How old its feed may be before it acts: `strict`, `standard`, `life-safety`.
    pub staleness: Option<Word<Staleness>>,
    /// Feed position in force there.
    pub applied_seq: Option<u64>,
    /// The feed's last position.
    pub feed_seq: u64,
    /// When that was in force, by the gateway's clock.
    pub applied_at: Option<Timestamp>,
    /// When it last asked for the feed.
    pub last_seen: Option<Timestamp>,
    /// The end of a declared absence; `null` when there is none, or no end.
    pub offline_until: Option<Timestamp>,
    /// Who declared it offline.
    pub offline_by: Option<Name>,
}

/// `POST /v1/gateways/{name}/offline` and `/online`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayAbsence {
    /// Its environment; the caller's own if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Seconds until it ends by itself; without an end it lasts until the gateway asks again or is declared online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<NonZeroU64>,
    /// Offline: also of a gateway that asked a moment ago.
    #[serde(default)]
    pub although_online: bool,
}
