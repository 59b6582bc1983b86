//! How many denials one peer may write into the log: a device with a valid certificate must not fill the disk.
//!
//! In: moments. Out: whether there is room. A session beyond its rate ends; a device whose CONNECTs are refused
//! beyond it is not asked what it wants. What is cut short stands in the log once, or in the counters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use touchmark_decisions::Resource;
use touchmark_identity::{Name, Timestamp};

/// Denials of one session, or refused sessions of one device, in a second; as many may come at once.
const PER_SECOND: u64 = 50;
/// One denial; a millisecond gives back `PER_SECOND` of it.
const ONE: u64 = 1_000;
/// Devices remembered at once. Beyond it those are forgotten first that have their whole allowance again.
const DEVICES_MAX: usize = 4_096;
/// Longest text of a denied act in the log: a device chooses it freely.
const DENIED_OCTETS_MAX: usize = 128;

/// The allowance of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denials {
    left: u64,
    at: Timestamp,
}

impl Denials {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { left: PER_SECOND * ONE, at: now }
    }

    /// Takes a number of denials out of the allowance. `false` when there is not so much.
    pub(crate) fn spend(&mut self, denials: usize, now: Timestamp) -> bool {
        self.refill(now);
        let wanted = u64::try_from(denials).unwrap_or(u64::MAX).saturating_mul(ONE);
        let left = self.left.checked_sub(wanted);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add(passed.saturating_mul(PER_SECOND)).min(PER_SECOND * ONE);
        self.at = now;
    }
}

/// The allowances of devices whose sessions were refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Name, Denials>>);

impl Refusals {
    /// Whether one more refusal of this device may be written.
    pub(crate) fn has_room(&self, handle: &Name, now: Timestamp) -> bool {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        devices.get_mut(handle).is_none_or(|denials| {
            denials.refill(now);
            denials.left >= ONE
        })
    }

    /// A session of this device was refused.
    pub(crate) fn count(&self, handle: &Name, now: Timestamp) {
        let mut devices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if devices.len() >= DEVICES_MAX && !devices.contains_key(handle) {
            devices.retain(|_, denials| {
                denials.refill(now);
                denials.left < PER_SECOND * ONE
            });
            if devices.len() >= DEVICES_MAX {
                devices.clear();
            }
        }
        devices.entry(handle.clone()).or_insert_with(|| Denials::new(now)).spend(1, now);
    }
}

/// What a denied act was about, cut short.
pub(crate) fn denied_resource(text: &str) -> Resource {
    const MARK: &str = "…";
    if text.len() <= DENIED_OCTETS_MAX {
        return Resource::from(text);
    }
    let kept = text.floor_char_boundary(DENIED_OCTETS_MAX - MARK.len());
    let (kept, _) = text.split_at_checked(kept).unwrap_or_default();
    Resource::from([kept, MARK].concat().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_with_time() {
        let start = Timestamp::from_unix_s(1_700_000_000);
        let after = |ms| start.plus(Duration::from_millis(ms));
        let mut denials = Denials::new(start);
        assert!((0..50).all(|_| denials.spend(1, start)));
        assert!(!denials.spend(1, after(19)) && denials.spend(1, after(40)), "one in 20 ms");
        assert!(!denials.spend(51, after(100_000)), "never more than at once");
        assert!(denials.spend(50, after(200_000)));

        let refusals = Refusals::default();
        let pump: Name = "pump-01".parse().unwrap();
        (0..50).for_each(|_| refusals.count(&pump, start));
        assert!(!refusals.has_room(&pump, start) && refusals.has_room(&pump, after(20)));
        assert!(refusals.has_room(&"pump-02".parse().unwrap(), start), "each device has its own");
        for n in 0..10_000 {
            refusals.count(&format!("d{n}").parse().unwrap(), start);
        }
        assert!(refusals.0.lock().unwrap().len() <= DEVICES_MAX);
    }

    #[test]
    fn a_denied_text_is_cut_at_a_character() {
        let rows = [
            ("at the limit", "a".repeat(128), 128),
            ("over", "a".repeat(129), 128),
            ("ä", "ä".repeat(99), 127),
        ];
        for (name, text, octets) in rows {
            assert_eq!(denied_resource(&text).as_str().len(), octets, "{name}");
        }
    }
}
