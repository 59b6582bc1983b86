//! The issuing schedule: how many certificates a second are planned, and who comes when there are more.
//!
//! After an outage everybody is due at once. Whoever finds the second full gets a place of its own and is told when to
//! come; the place is kept for it, so the queue drains at the full rate and nobody is sent away twice. Renewals have
//! places; first enrolments have none, and wait until the renewals are through: they have nothing to lose.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use touchmark_identity::Timestamp;

/// Identities with a place: some 48 octets each in two maps. Those beyond come again and ask again.
const PLACES_MAX: usize = 262_144;
/// A place is kept so long after its time for those whose clocks or networks are slow.
const KEPT: Duration = Duration::from_secs(60);
/// Or this part of the wait, since fleets spread their return over a tenth of it (our agent does).
const KEPT_PART: u64 = 8;
/// But no longer than this.
const KEPT_MAX: Duration = Duration::from_secs(3600);
/// A clock that is set back by more starts the schedule anew: nobody waits for moments that it had already shown.
const SET_BACK: Duration = Duration::from_secs(60);
/// What may be planned at once after a quiet time.
const BURST: Duration = Duration::from_secs(1);

/// Whose a place is: octets of a hash over the identity, which the caller makes.
pub type PlaceKey = u64;

/// What the requester asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The successor of a live certificate: it lapses if it waits too long.
    Renewal,
    /// A first certificate.
    First,
}

/// The places of the seconds to come.
#[derive(Clone, Debug)]
pub struct IssueSchedule {
    /// Milliseconds that one certificate takes, times 1024.
    step: u64,
    /// First free moment, in the same unit.
    free_at: u64,
    /// When it was asked last.
    asked_at: u64,
    places: HashMap<PlaceKey, Place>,
    by_end: BTreeSet<(u64, PlaceKey)>,
}

/// A place, in the unit of [`IssueSchedule`].
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    kept_until: u64,
}

impl IssueSchedule {
    /// At most `per_second`, which is at least one.
    pub fn new(per_second: u32) -> Self {
        let step = (1000 << 10) / u64::from(per_second.max(1));
        Self { step: step.max(1), free_at: 0, asked_at: 0, places: HashMap::new(), by_end: BTreeSet::new() }
    }

    /// Lets `who` go on now, or says how long to wait.
    ///
    /// # Errors
    /// The wait, in whole seconds, at least one.
    pub fn ask(&mut self, who: PlaceKey, urgency: Urgency, now: Timestamp) -> Result<(), Duration> {
        let now = now.unix_ms() << 10;
        if now.saturating_add(units(SET_BACK)) < self.asked_at {
            self.places.clear();
            self.by_end.clear();
            self.free_at = 0;
        }
        self.asked_at = now;
        self.forget_before(now);
        if let Some(Place { at, kept_until }) = self.places.get(&who).copied() {
            if at > now {
                return Err(wait(at - now));
            }
            self.places.remove(&who);
            self.by_end.remove(&(kept_until, who));
            return Ok(());
        }
        // What was not used is not saved up for longer than a burst.
        self.free_at = self.free_at.max(now.saturating_sub(units(BURST)));
        if self.free_at <= now {
            self.free_at = self.free_at.saturating_add(self.step);
            return Ok(());
        }
        let at = self.free_at;
        if urgency == Urgency::Renewal && self.places.len() < PLACES_MAX {
            let kept = ((at - now) / KEPT_PART).clamp(units(KEPT), units(KEPT_MAX));
            let kept_until = at.saturating_add(kept);
            self.places.insert(who, Place { at, kept_until });
            self.by_end.insert((kept_until, who));
            self.free_at = self.free_at.saturating_add(self.step);
        }
        Err(wait(at - now))
    }

    /// How many hold a place.
    pub fn waiting(&self) -> usize {
        self.places.len()
    }

    fn forget_before(&mut self, moment: u64) {
        while let Some((_, who)) = self.by_end.first().filter(|(end, _)| *end < moment).copied() {
            self.by_end.pop_first();
            self.places.remove(&who);
        }
    }
}

fn units(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX >> 10) << 10
}

/// Rounded up: who comes early is sent away again.
fn wait(units: u64) -> Duration {
    Duration::from_secs(units.div_ceil(1000 << 10).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const START_MS: u64 = 1_800_000_000_000;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(START_MS + ms)
    }

    #[test]
    fn a_fleet_that_comes_at_once_is_through_in_its_number_by_the_rate_and_nobody_waits_twice() {
        for (devices, rate) in [(10_000_u64, 100_u32), (10_000, 1_000), (500, 1), (3, 1), (50_000, 5_000)] {
            let mut issue_schedule = IssueSchedule::new(rate);
            let mut due: BTreeMap<u64, Vec<u64>> = BTreeMap::from([(0, (0..devices).collect())]);
            let (mut last_ms, mut sent_away) = (0, HashMap::new());
            while let Some((ms, who)) = due.pop_first() {
                for device in who {
                    match issue_schedule.ask(device, Urgency::Renewal, at(ms)) {
                        Ok(()) => last_ms = ms,
                        Err(wait) => {
                            *sent_away.entry(device).or_insert(0_u32) += 1;
                            let back = ms + u64::try_from(wait.as_millis()).unwrap();
                            due.entry(back).or_default().push(device);
                        }
                    }
                }
            }
            assert!(sent_away.values().all(|times| *times == 1), "{devices} at {rate}/s");
            let fair_ms = devices * 1000 / u64::from(rate);
            assert!(last_ms <= fair_ms * 12 / 10 + 1000, "{devices} at {rate}/s: {last_ms} ms");
            assert_eq!(issue_schedule.waiting(), 0);
        }
    }

    #[test]
    fn a_fleet_that_spreads_its_return_over_a_tenth_of_a_long_wait_keeps_its_places() {
        let (devices, rate) = (6_000_u64, 2_u32);
        let mut issue_schedule = IssueSchedule::new(rate);
        let mut due: BTreeMap<u64, Vec<u64>> = BTreeMap::from([(0, (0..devices).collect())]);
        let (mut last_ms, mut asked) = (0, 0);
        while let Some((ms, who)) = due.pop_first() {
            for device in who {
                asked += 1;
                match issue_schedule.ask(device, Urgency::Renewal, at(ms)) {
                    Ok(()) => last_ms = ms,
                    Err(wait) => {
                        let wait_ms = wait.as_secs() * 1000;
                        due.entry(ms + wait_ms + wait_ms / 10 * (device % 7) / 6).or_default().push(device);
                    }
                }
            }
        }
        assert!(asked <= 2 * devices, "{asked} requests: nobody is sent away twice");
        assert!(last_ms <= devices * 1000 / u64::from(rate) * 12 / 10, "{last_ms} ms");
    }

    #[test]
    fn no_second_is_overfull_after_the_first() {
        let mut issue_schedule = IssueSchedule::new(100);
        let mut through: BTreeMap<u64, u32> = BTreeMap::new();
        let mut due: BTreeMap<u64, Vec<u64>> = BTreeMap::from([(0, (0..5_000).collect())]);
        while let Some((ms, who)) = due.pop_first() {
            for device in who {
                match issue_schedule.ask(device, Urgency::Renewal, at(ms)) {
                    Ok(()) => *through.entry(ms / 1000).or_default() += 1,
                    Err(wait) => due.entry(ms + wait.as_secs() * 1000).or_default().push(device),
                }
            }
        }
        for (second, count) in through {
            assert!(count <= if second == 0 { 101 } else { 100 }, "second {second}: {count}");
        }
    }

    #[test]
    fn first_enrolments_wait_for_renewals_and_take_no_place() {
        let mut issue_schedule = IssueSchedule::new(10);
        for device in 0..100 {
            let _ = issue_schedule.ask(device, Urgency::Renewal, at(0));
        }
        let waiting = issue_schedule.waiting();
        let first = issue_schedule.ask(1_000_000, Urgency::First, at(0)).unwrap_err();
        assert!(first >= Duration::from_secs(8), "behind all renewals: {first:?}");
        assert_eq!(issue_schedule.waiting(), waiting, "no place is kept for it");
        let own = issue_schedule.ask(99, Urgency::Renewal, at(0)).unwrap_err();
        assert_eq!(issue_schedule.ask(99, Urgency::Renewal, at(0)), Err(own), "asking again changes nothing");
        assert_eq!(issue_schedule.ask(1_000_000, Urgency::First, at(60_000)), Ok(()), "later there is room");
    }

    #[test]
    fn a_clock_that_is_set_back_sends_nobody_away_for_long() {
        let mut issue_schedule = IssueSchedule::new(1);
        let years = 10 * 365 * 86_400_000;
        for device in 0..100 {
            let _ = issue_schedule.ask(device, Urgency::Renewal, at(years));
        }
        assert_eq!(issue_schedule.ask(99, Urgency::Renewal, at(0)), Ok(()));
        let wait = issue_schedule.ask(1_000, Urgency::First, at(0)).err().unwrap_or_default();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn places_end_and_are_bounded() {
        let mut issue_schedule = IssueSchedule::new(1);
        for device in 0..PLACES_MAX as u64 + 1000 {
            let _ = issue_schedule.ask(device, Urgency::Renewal, at(0));
        }
        assert_eq!(issue_schedule.waiting(), PLACES_MAX);
        let all_over = (PLACES_MAX as u64 + 1000 + 3601) * 1000;
        assert_eq!(issue_schedule.ask(u64::MAX, Urgency::Renewal, at(all_over)), Ok(()));
        assert_eq!(issue_schedule.waiting(), 0);
    }
}
