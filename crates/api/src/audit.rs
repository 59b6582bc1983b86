//! Decisions, the decision logs, and the journal's head.

use crate::page::list_query;
use crate::{Action, Proof, Verdict, Word};
use serde::{Deserialize, Serialize};
use touchmark_decisions::DecisionId;
use touchmark_identity::{EnvironmentName, Fingerprint, Name, Timestamp};

list_query! {
    /// `GET /v1/decisions`: newest first, whichever gateway decided.
    DecisionQuery {
        /// Only this device.
        device: Name,
        /// Only from this moment on.
        since: Timestamp,
        verdict: Verdict,
    }
    const LIMIT_DEFAULT: usize = 10_000;
    /// Each page reads the logs.
    const LIMIT_MAX: usize = 10_000;
}

/// One decision of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    #[serde(with = "crate::words::text")]
    pub id: DecisionId,
    pub at: Timestamp,
    pub gateway: Name,
    /// About whom; `null` where nobody was proven.
    pub device: Option<Name>,
    /// SHA-256 of the certificate; `null` where none was proven.
    pub certificate: Option<Fingerprint>,
    pub action: Word<Action>,
    /// Topic, filter or path.
    pub resource: Option<String>,
    pub verdict: Word<Verdict>,
    /// Stable reason code of a denial; empty on an allow.
    pub reason: String,
    /// Policy version that decided.
    pub policy: Option<String>,
    /// Rule that decided; `null` where none matched.
    pub rule: Option<String>,
    pub proof: Option<Word<Proof>>,
    /// TLS version, cipher suite and group.
    pub tls: Option<String>,
    /// How many, where strangers, or acts of one device beyond what is written one by one, are counted together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// `POST /v1/decisions`: leaves of a gateway's decision log, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesUpload {
    /// Index of the first frame's leaf.
    pub first_leaf: u64,
    /// Frames, base64 (RFC 4648 §4), at most 1 MiB together.
    pub frames: Vec<String>,
    /// The log's newest signed head, once its leaves were all sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// The answer to [`FramesUpload`]: what is durable on the authority's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FramesAccepted {
    /// Frames (log leaves) of this gateway that the authority holds: the index of the next one.
    pub next_leaf: u64,
    /// Last signed head of the gateway's log that was verified against them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// `GET /v1/log`: the journal's newest signed head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// First line of its checkpoints.
    pub origin: String,
    /// Verifier key.
    pub vkey: String,
    /// Leaves.
    pub size: u64,
    /// The signed note.
    pub checkpoint: String,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of the program.
    pub version: String,
    /// Serial prefix octet in force.
    pub incarnation: u8,
    /// Journal entries.
    pub journal: u64,
    /// Leaves in the newest signed head.
    pub log_size: u64,
    /// Environments.
    pub environments: Vec<EnvironmentName>,
    /// Gateways.
    pub gateways: Vec<crate::Gateway>,
}
