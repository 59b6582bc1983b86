//! SUBSCRIBEs of which only a part went to the broker: its SUBACK is filled up with our refusals, in order.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use touchmark_mqtt::{Fault, PacketId, ReasonCode, Suback};

/// Such SUBSCRIBEs that may be unanswered at once: clients wait for their answers.
const MERGES_MAX: usize = 64;

/// What one SUBACK still lacks.
struct Expected {
    /// `None` where the broker answers.
    codes: Vec<Option<ReasonCode>>,
    says: Option<String>,
}

/// The answer to a whole SUBSCRIBE.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) reasons: Vec<ReasonCode>,
    pub(crate) says: Option<String>,
}

/// Shared by the two directions of one session.
#[derive(Default)]
pub(crate) struct Merges(Mutex<BTreeMap<PacketId, Expected>>);

impl Merges {
    /// Remembers the refusals. `false` when too many wait.
    pub(crate) fn expect(&self, id: PacketId, codes: Vec<Option<ReasonCode>>, says: Option<String>) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MERGES_MAX {
            return false;
        }
        waiting.insert(id, Expected { codes, says });
        true
    }

    /// The codes of the whole SUBSCRIBE and our words; `None` when nothing was left out of it.
    pub(crate) fn fill(&self, answer: &Suback<'_>) -> Result<Option<Merged>, Fault> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Expected { codes, says }) = waiting.remove(&answer.packet_id) else { return Ok(None) };
        let mut theirs = answer.reasons.iter().copied();
        let wrong = Fault::ProtocolError { what: "a SUBACK with another number of codes" };
        let merged: Option<Vec<_>> = codes.into_iter().map(|ours| ours.or_else(|| theirs.next())).collect();
        match (merged, theirs.next()) {
            (Some(reasons), None) => Ok(Some(Merged { reasons, says })),
            _ => Err(wrong),
        }
    }
}
