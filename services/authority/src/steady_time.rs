//! What the clock may be believed (ADR 0021): how much time has really passed, and a floor that it must not fall below.
//!
//! The anchor is the newest journal entry at the start, then it runs with the machine's monotonic clock. A clock that is
//! ahead of it is believed once it stayed there for a while; one that is behind it is not believed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use touchmark_identity::Timestamp;
use touchmark_listen::Clock;

/// A clock that is no more than this behind is taken as it is: time services correct a clock in such steps.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(60);
/// A clock that went ahead is believed after it stayed there for so long: a time service corrects a wrong one earlier.
const CONFIRMED_AFTER: Duration = Duration::from_secs(600);
/// Two looks at one clock differ by no more.
const SAME: Duration = Duration::from_secs(2);
/// 2026-11-01: no entry can be older than the program.
const RELEASED: u64 = 1_793_491_200;

/// Since when time runs from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: Timestamp,
    since: Duration,
}

impl Run {
    fn at(&self, monotonic: Duration) -> Timestamp {
        self.from.plus(monotonic.saturating_sub(self.since))
    }
}

/// The rule, without clocks.
#[derive(Debug)]
struct Judge {
    steady: Run,
    /// What the clock says instead, and since when.
    other: Option<Run>,
}

impl Judge {
    fn look(&mut self, wall: Timestamp, monotonic: Duration) {
        let steady = self.steady.at(monotonic);
        if distance(wall, steady) <= SAME {
            self.other = None;
            return;
        }
        let stays = self.other.filter(|other| distance(other.at(monotonic), wall) <= SAME);
        let other = *self.other.insert(stays.unwrap_or(Run { from: wall, since: monotonic }));
        // Behind by a lot is never believed: a start that is told to accept the clock does.
        let may = wall > steady || steady.since(wall) <= TOLERANCE;
        if may && monotonic.saturating_sub(other.since) >= CONFIRMED_AFTER {
            (self.steady, self.other) = (Run { from: wall, since: monotonic }, None);
        }
    }
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SteadyTime {
    clock: Clock,
    /// How long this process has run, by the machine's monotonic clock.
    passed: Arc<dyn Fn() -> Duration + Send + Sync>,
    judge: Arc<Mutex<Judge>>,
}

impl SteadyTime {
    /// Begins with the newest moment that is known from before, if there is one.
    pub(crate) fn begin(clock: Clock, known: Option<Timestamp>) -> Self {
        let begun = Instant::now();
        Self::begin_with(clock, move || begun.elapsed(), known)
    }

    /// The same; `passed` says how much time has really passed since some moment, and never goes back.
    pub(crate) fn begin_with(
        clock: Clock,
        passed: impl Fn() -> Duration + Send + Sync + 'static,
        known: Option<Timestamp>,
    ) -> Self {
        let now = clock.now();
        // A start that is within the tolerance behind goes on from the clock.
        let from = known.map_or(now, |known| known.min(now));
        let judge = Judge { steady: Run { from, since: passed() }, other: None };
        let steady = Self { clock, passed: Arc::new(passed), judge: Arc::new(Mutex::new(judge)) };
        steady.look();
        steady
    }

    /// Compares the clock with the time that has passed; each second.
    pub(crate) fn look(&self) {
        let (wall, monotonic) = (self.clock.now(), (self.passed)());
        self.judge.lock().unwrap_or_else(PoisonError::into_inner).look(wall, monotonic);
    }

    fn steady(&self) -> Timestamp {
        let monotonic = (self.passed)();
        self.judge.lock().unwrap_or_else(PoisonError::into_inner).steady.at(monotonic)
    }

    /// The least time that can be: what ends by time has ended when it is past.
    pub(crate) fn at_least(&self) -> Timestamp {
        self.clock.now().min(self.steady())
    }

    /// The time to sign at: the clock's, unless it is behind what is known to have passed.
    pub(crate) fn to_sign(&self) -> Timestamp {
        match self.is_behind() {
            true => self.steady(),
            false => self.clock.now(),
        }
    }

    /// [`Self::to_sign`] as a clock: by it feeds are signed and callers judged, so that a clock that went back neither
    /// takes a gateway's time back nor locks operators out.
    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::new(move || time.to_sign())
    }

    /// Whether the clock is so far behind that nothing may be issued.
    pub(crate) fn is_behind(&self) -> bool {
        self.clock.now().plus(TOLERANCE) < self.steady()
    }
}

/// Whether an authority may start at this time; `known` is the newest moment in its journal.
///
/// # Errors
/// What is wrong with the clock, for people.
pub(crate) fn may_start(now: Timestamp, known: Option<Timestamp>) -> Result<(), String> {
    match known {
        Some(known) if now.plus(TOLERANCE) < known => Err(format!(
            "the clock of this machine says {now}, but the newest entry of the journal was made at {known}: \
             the clock is behind, or it was ahead when that entry was made"
        )),
        None if now.unix_s() < RELEASED => Err(format!(
            "the clock of this machine says {now}, which is before this program was made: certificates would be \
             dated wrongly"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_unix_s(1_800_000_000 + s)
    }

    /// What was believed after each look: of the clock's time and the monotonic one, in seconds.
    fn believed(looks: &[(u64, u64)]) -> u64 {
        let mut judge = Judge { steady: Run { from: at(0), since: Duration::ZERO }, other: None };
        let mut last = 0;
        for (wall, monotonic) in looks {
            judge.look(at(*wall), Duration::from_secs(*monotonic));
            last = *monotonic;
        }
        judge.steady.at(Duration::from_secs(last)).unix_s() - at(0).unix_s()
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of rows")]
    fn a_clock_is_believed_when_it_stays() {
        let rows: [(&str, &[(u64, u64)], u64); 7] = [
            ("as it should be", &[(1, 1), (700, 700)], 700),
            ("a jump ahead and back", &[(10, 10), (40 * DAY, 20), (40 * DAY + 60, 80), (90, 90)], 90),
            ("a jump ahead that stays", &[(DAY, 10), (DAY + 590, 600), (DAY + 600, 610)], DAY + 600),
            ("ahead, ten minutes not yet over", &[(DAY, 10), (DAY + 589, 599)], 599),
            ("ever another time ahead", &[(DAY, 10), (2 * DAY, 400), (3 * DAY, 800), (4 * DAY, 1200)], 1200),
            ("a little behind, and it stays", &[(70, 100), (670, 700)], 670),
            ("far behind, however long", &[(1000, 2000), (2000, 3000), (9000, 10_000)], 10_000),
        ];
        for (what, looks, expected) in rows {
            assert_eq!(believed(looks), expected, "{what}");
        }
    }

    #[test]
    fn what_ends_by_time_waits_for_it_and_nothing_is_signed_in_the_past() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let wall = Arc::new(AtomicU64::new(1000));
        let shown = wall.clone();
        let clock = Clock::new(move || at(shown.load(Ordering::SeqCst)));
        let steady = SteadyTime::begin(clock, Some(at(990)));
        let near = |time: Timestamp, s: u64| distance(time, at(s)) < Duration::from_secs(60);
        for (what, shows, behind, least, signs) in [
            ("in order", 1000, false, 1000, 1000),
            ("40 days ahead", 1000 + 40 * DAY, false, 1000, 1000 + 40 * DAY),
            ("back again", 1001, false, 1000, 1000),
            ("within the tolerance behind", 960, false, 960, 960),
            ("16 minutes behind", 40, true, 40, 1000),
        ] {
            wall.store(shows, Ordering::SeqCst);
            steady.look();
            assert_eq!(steady.is_behind(), behind, "{what}");
            assert!(near(steady.at_least(), least) && near(steady.to_sign(), signs), "{what}");
            assert!(near(steady.clock().now(), signs), "{what}: as a clock");
        }
    }

    #[test]
    fn a_start_is_refused_below_the_journal_and_before_the_program() {
        let rows = [
            ("the first, today", at(0), None, true),
            ("the first, in 1970", Timestamp::from_unix_s(5), None, false),
            ("the first, a year too early", Timestamp::from_unix_s(RELEASED - 365 * DAY), None, false),
            ("again, later", at(100), Some(at(0)), true),
            ("again, a little behind", at(100), Some(at(150)), true),
            ("again, far behind", at(100), Some(at(161)), false),
            ("again, in 1970", Timestamp::from_unix_s(5), Some(at(0)), false),
        ];
        for (what, now, known, good) in rows {
            let verdict = may_start(now, known);
            assert_eq!(verdict.is_ok(), good, "{what}: {verdict:?}");
            assert!(verdict.err().is_none_or(|text| text.contains("clock")), "{what}");
        }
    }
}
