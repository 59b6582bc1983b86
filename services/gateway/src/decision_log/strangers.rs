//! Peers that proved nothing: counted per reason and second, beside the queue, so that they hold back nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use touchmark_decisions::Refused;
use touchmark_identity::Timestamp;
use touchmark_policy::DenyReason;

/// Counters of the seconds that were not written yet: as many as reasons exist, times a second or two.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<(u64, DenyReason), u32>>);

impl Strangers {
    pub(crate) fn count(&self, reason: DenyReason, now: Timestamp) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry((now.unix_s(), reason)).or_default();
        *counter = counter.saturating_add(1);
    }

    /// Takes out the counters of all seconds that are over at `now`.
    pub(crate) fn take_past(&self, now: Timestamp) -> Vec<Refused> {
        self.take(|second| second < now.unix_s())
    }

    /// Takes out everything, at the end.
    pub(crate) fn take_all(&self) -> Vec<Refused> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(u64) -> bool) -> Vec<Refused> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back leaves counters in the future: they wait, or go at the end.
        let (past, rest) =
            std::mem::take(&mut *counters).into_iter().partition(|((second, _), _)| over(*second));
        *counters = rest;
        let past: BTreeMap<_, _> = past;
        past.into_iter().map(|((at_second, reason), count)| Refused { at_second, reason, count }).collect()
    }
}
