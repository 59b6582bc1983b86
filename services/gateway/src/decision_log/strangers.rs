//! Peers that proved nothing: counted per reason and second, beside the queue, so that they hold back nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use touchmark_decisions::Refused;
use touchmark_identity::Timestamp;
use touchmark_policy::DenyReason;

/// Counters kept at once. Beyond it a second shares the last counter of its reason: a disk may refuse for days.
const COUNTERS_MAX: usize = 1_024;

/// Counters of the seconds that were not written yet: as many as reasons exist, times a second or two.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<(u64, DenyReason), u32>>);

impl Strangers {
    pub(crate) fn count(&self, reason: DenyReason, now: Timestamp) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this_second = (now.unix_s(), reason);
        let full = counters.len() >= COUNTERS_MAX && !counters.contains_key(&this_second);
        let shared = full.then(|| counters.keys().rev().find(|(_, of)| *of == reason).copied()).flatten();
        // A reason that was never counted gets its place: there are few reasons.
        let counter = counters.entry(shared.unwrap_or(this_second)).or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn counters_are_bounded_and_no_peer_is_lost() {
        let (strangers, start) = (Strangers::default(), Timestamp::from_unix_s(1_700_000_000));
        for second in 0..10_000 {
            strangers.count(DenyReason::Plaintext, start.plus(Duration::from_secs(second)));
        }
        strangers.count(DenyReason::BadPath, start);
        let taken = strangers.take_all();
        assert!(taken.len() <= COUNTERS_MAX + 1, "{}", taken.len());
        assert_eq!(taken.iter().map(|refused| refused.count).sum::<u32>(), 10_001);
    }
}
