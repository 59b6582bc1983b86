//! The server's half of the renewal hint: which window each certificate gets, so that what was issued in one hour
//! does not come back in one hour.
//!
//! In: a validity and the certificate's draw, which is random because its serial is. Out: a window. Of two slots drawn
//! from the tenth of the life that ends at two thirds, the one with fewer renewals planned is taken ("the power of two
//! choices", Mitzenmacher 2001). Memory is bounded; a restart forgets the counts and leaves the chance.

use crate::renewal::RenewalWindow;
use core::time::Duration;
use std::collections::BTreeMap;
use touchmark_identity::{Timestamp, Validity};

/// Slots in the tenth of a life that a window is drawn from.
const SLOTS_PER_SPAN: u64 = 64;
/// Slots that are counted: two thirds of a life hold some 430, so there is room for clocks that jump.
const SLOTS_MAX: usize = 4096;

/// Where a certificate's draw comes from: octets of its fingerprint.
pub type Draw = [u8; 16];

/// The renewals planned under one profile.
#[derive(Clone, Debug)]
pub struct RenewalPlanner {
    slot_s: u64,
    planned: BTreeMap<u64, u32>,
}

impl RenewalPlanner {
    /// For certificates that live so long.
    pub fn new(lifetime: Duration) -> Self {
        let slot_s = (lifetime.as_secs() / 10 / SLOTS_PER_SPAN).max(1);
        Self { slot_s, planned: BTreeMap::new() }
    }

    /// The window of a certificate that was made just now, which is counted.
    pub fn plan(&mut self, validity: Validity, draw: Draw, now: Timestamp) -> RenewalWindow {
        let past = now.unix_s() / self.slot_s;
        self.planned = self.planned.split_off(&past);
        let span = Span::of(validity);
        let slot = self.slot(span, draw);
        if self.planned.len() < SLOTS_MAX || self.planned.contains_key(&slot) {
            let count = self.planned.entry(slot).or_default();
            *count = count.saturating_add(1);
        }
        self.window_of(span, slot)
    }

    /// The window of a certificate that was made before. It may be the other one of its two.
    pub fn window(&self, validity: Validity, draw: Draw) -> RenewalWindow {
        let span = Span::of(validity);
        self.window_of(span, self.slot(span, draw))
    }

    /// Renewals planned in the slot of a moment.
    #[cfg(test)]
    fn planned_at(&self, moment: Timestamp) -> u32 {
        self.planned.get(&(moment.unix_s() / self.slot_s)).copied().unwrap_or_default()
    }

    fn slot(&self, span: Span, draw: Draw) -> u64 {
        let first = span.start_s / self.slot_s;
        let slots = span.end_s / self.slot_s - first + 1;
        let [one, other] = halves(draw).map(|seed| first + seed % slots);
        let load = |slot| self.planned.get(&slot).copied().unwrap_or_default();
        if load(other) < load(one) { other } else { one }
    }

    fn window_of(&self, span: Span, slot: u64) -> RenewalWindow {
        let start_s = (slot * self.slot_s).max(span.start_s);
        let end_s = (slot * self.slot_s + self.slot_s - 1).clamp(start_s, span.end_s);
        let moment = Timestamp::from_unix_s;
        RenewalWindow::new(moment(start_s), moment(end_s)).expect("the end was clamped to the start")
    }
}

/// The seconds that windows lie in.
#[derive(Clone, Copy)]
struct Span {
    start_s: u64,
    end_s: u64,
}

impl Span {
    fn of(validity: Validity) -> Self {
        let life_s = validity.lifetime().as_secs();
        let end_s = validity.not_before().unix_s() + life_s / 3 * 2;
        Self { start_s: end_s - life_s / 10, end_s }
    }
}

fn halves(draw: Draw) -> [u64; 2] {
    let both = u128::from_be_bytes(draw);
    [both >> 64, both & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn life(seconds: u64) -> Validity {
        Validity::new(NOW_S, NOW_S + seconds - 1).unwrap()
    }

    /// A draw as a hash gives it: a counter spread by a multiplicative step.
    fn draw(n: u64) -> Draw {
        let step = |n: u64| {
            let mixed = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        ((u128::from(step(2 * n + 1)) << 64) | u128::from(step(2 * n + 2))).to_be_bytes()
    }

    #[test]
    fn every_window_lies_in_the_tenth_of_the_life_that_ends_at_two_thirds() {
        for seconds in [30, 120, 3600, 86_400, 30 * 86_400, 825 * 86_400] {
            let mut planner = RenewalPlanner::new(Duration::from_secs(seconds));
            for n in 0..500 {
                let validity = life(seconds);
                let window = planner.plan(validity, draw(n), Timestamp::from_unix_s(NOW_S));
                let life_s = validity.lifetime().as_secs();
                assert!(
                    window.start().unix_s() >= NOW_S + life_s / 3 * 2 - life_s / 10,
                    "{seconds}: {window}"
                );
                assert!(window.end().unix_s() <= NOW_S + life_s * 2 / 3, "{seconds}: {window}");
                let width = window.end().unix_s() - window.start().unix_s();
                assert!(width <= (seconds / 640).max(1), "{seconds}: {window}");
            }
        }
    }

    #[test]
    fn ten_thousand_certificates_of_one_second_do_not_meet_in_one_slot() {
        let mut planner = RenewalPlanner::new(Duration::from_secs(86_400));
        let now = Timestamp::from_unix_s(NOW_S);
        let windows: Vec<_> = (0..10_000).map(|n| planner.plan(life(86_400), draw(n), now)).collect();
        let fullest = windows.iter().map(|window| planner.planned_at(window.start())).max().unwrap();
        let mean = 10_000 / SLOTS_PER_SPAN;
        assert!(u64::from(fullest) <= mean + mean / 10, "{fullest} in one slot, {mean} in the mean");
    }

    #[test]
    fn the_emptier_of_two_slots_is_taken_and_asking_again_counts_nothing() {
        let mut planner = RenewalPlanner::new(Duration::from_secs(86_400));
        let now = Timestamp::from_unix_s(NOW_S);
        let first = planner.plan(life(86_400), draw(1), now);
        let second = planner.plan(life(86_400), draw(1), now);
        assert_ne!(first, second, "the first slot holds one already");
        let third = planner.plan(life(86_400), draw(1), now);
        assert_eq!(third, first, "both hold one: the first of the two again");
        let counted = planner.planned.clone();
        planner.window(life(86_400), draw(1));
        assert_eq!(planner.planned, counted);
    }

    #[test]
    fn slots_that_are_over_are_forgotten_and_no_clock_fills_the_memory() {
        let mut planner = RenewalPlanner::new(Duration::from_secs(86_400));
        planner.plan(life(86_400), draw(1), Timestamp::from_unix_s(NOW_S));
        planner.plan(life(86_400), draw(1), Timestamp::from_unix_s(NOW_S + 86_400));
        assert_eq!(planner.planned.len(), 1, "only the new one, which lies in the past of this clock");
        for n in 0..3 * SLOTS_MAX as u64 {
            let start = NOW_S + n * 1000;
            let validity = Validity::new(start, start + 86_399).unwrap();
            planner.plan(validity, draw(n), Timestamp::from_unix_s(0));
        }
        assert_eq!(planner.planned.len(), SLOTS_MAX);
    }
}
