//! The time that everything here is judged by: never before what the authority signed.
//!
//! In: the machine's clock, and the moments at which verified messages were issued. Out: the later of the clock and
//! the newest such moment plus the time measured since it came. A clock that is set back hides neither the age of
//! the feed nor the end of a certificate or an overlap. A clock of the authority that was ahead for a while is taken
//! back when two agree on the earlier time: the authority's own word now, and the clock here.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;
use touchmark_identity::Timestamp;

/// A difference that an operator has to hear of.
const STEP_MAX: Duration = Duration::from_secs(60);
/// How far the two clocks that agree on an earlier time may lie apart.
const AGREE_WITHIN: Duration = Duration::from_secs(300);

/// What the feed says about the time.
#[derive(Default)]
pub(crate) struct FeedTime {
    newest: RwLock<Option<Heard>>,
    /// Whether the alarm was raised; it is said once for each time that the clock falls behind.
    behind: AtomicBool,
}

#[derive(Clone, Copy)]
struct Heard {
    issued_at: Timestamp,
    came: Instant,
}

impl FeedTime {
    /// Takes in when a verified message was issued.
    pub(crate) fn hear(&self, issued_at: Timestamp, came: Instant) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if newest.is_none_or(|heard| heard.issued_at < issued_at) {
            *newest = Some(Heard { issued_at, came });
        }
    }

    /// Takes in what the authority says to be now, in a heartbeat that just came, where the machine's clock says `wall`.
    /// Gives whether a later moment that it had signed was a mistake: the clock here does not know of it either.
    pub(crate) fn hear_now(&self, issued_at: Timestamp, came: Instant, wall: Timestamp) -> bool {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let Some(heard) = *newest else { return false };
        let least = heard.issued_at.plus(came.saturating_duration_since(heard.came));
        let earlier = least.since(issued_at) > AGREE_WITHIN && least.since(wall) > AGREE_WITHIN;
        let agree = issued_at.since(wall).max(wall.since(issued_at)) <= AGREE_WITHIN;
        if !(earlier && agree) {
            return false;
        }
        tracing::error!(was = %least, now = %issued_at, "the authority's clock was ahead: it and this machine agree on the earlier time, which counts from here on");
        *newest = Some(Heard { issued_at, came });
        true
    }

    /// The time, where the machine's clock says `wall` at the measured moment `at`.
    pub(crate) fn correct(&self, wall: Timestamp, at: Instant) -> Timestamp {
        let newest = *self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Heard { issued_at, came }) = newest else { return wall };
        let least = issued_at.plus(at.saturating_duration_since(came));
        let behind = least.since(wall) > STEP_MAX;
        if self.behind.load(Ordering::Relaxed) != behind
            && self.behind.swap(behind, Ordering::Relaxed) != behind
        {
            say(behind, wall, least);
        }
        wall.max(least)
    }
}

fn say(behind: bool, wall: Timestamp, least: Timestamp) {
    if behind {
        tracing::error!(clock = %wall, feed = %least, "this machine's clock is behind the authority's: the feed's time counts; set the clock");
    } else {
        tracing::info!(clock = %wall, "this machine's clock is no longer behind the authority's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_is_taken_back_when_two_agree() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let at = |seconds| Timestamp::from_unix_s(10_000_000).plus(s(seconds));
        const DAY: u64 = 86_400;
        // Name, heard before, the heartbeat, the clock here, whether it is taken back.
        let rows: &[(&str, u64, u64, u64, bool)] = &[
            ("forty days ahead, and both know", 40 * DAY, 5, 0, true),
            ("an hour ahead", 3_600, 0, 200, true),
            ("the clocks lie apart", 40 * DAY, 400, 0, false),
            ("the clock here was set back alone", DAY, DAY + 5, 0, false),
            ("an old heartbeat, the clock is right", DAY, 0, DAY, false),
            ("the clock here is ahead as well", 40 * DAY, 5, 40 * DAY, false),
            ("a few minutes are nothing", 290, 0, 0, false),
        ];
        for (name, heard, says, wall, taken_back) in rows {
            let time = FeedTime::default();
            time.hear(at(*heard), start);
            assert_eq!(time.hear_now(at(*says), start, at(*wall)), *taken_back, "{name}");
            let counts = if *taken_back { (*says).max(*wall) } else { (*heard).max(*wall) };
            assert_eq!(time.correct(at(*wall), start), at(counts), "{name}");
        }
        assert!(!FeedTime::default().hear_now(at(0), start, at(0)), "nothing was heard before");
    }

    #[test]
    fn the_later_of_the_clock_and_the_feeds_time_counts() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let at = |seconds| Timestamp::from_unix_s(1_000_000).plus(s(seconds));
        let time = FeedTime::default();
        assert_eq!(time.correct(at(5), start), at(5), "nothing heard");
        time.hear(at(100), start);
        // Name, the clock, time measured since, the time that counts, whether it is an alarm.
        let rows: &[(&str, u64, u64, u64, bool)] = &[
            ("level", 100, 0, 100, false),
            ("ahead", 500, 10, 500, false),
            ("a little behind", 90, 20, 120, false),
            ("set back: time goes on all the same", 0, 4000, 4100, true),
            ("healed", 4100, 4000, 4100, false),
        ];
        for (name, wall, since, expected, alarm) in rows {
            assert_eq!(time.correct(at(*wall), start + s(*since)), at(*expected), "{name}");
            assert_eq!(time.behind.load(Ordering::Relaxed), *alarm, "{name}");
        }
        time.hear(at(50), start + s(30));
        assert_eq!(time.correct(at(0), start + s(30)), at(130), "an older message moves nothing");
        time.hear(at(140), start + s(30));
        assert_eq!(time.correct(at(0), start + s(31)), at(141));
    }
}
