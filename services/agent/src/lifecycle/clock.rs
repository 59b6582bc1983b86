//! A clock that may be wrong, and what is made of it (ADR 0011).
//!
//! In: readings of the device's clock, and times that an authenticated server stated. Out: the best guess at now,
//! never before the floor. Corrections live in this process only; the floor is remembered, and only rises.

use core::time::Duration;
use touchmark_identity::Timestamp;

/// The server's Date has whole seconds, and an answer takes its time: less is no correction.
const TOLERANCE: Duration = Duration::from_secs(5);
/// An effect takes at most so long beyond its own time; a clock that moved further was set.
const JUMP: Duration = Duration::from_secs(300);

/// The clock's readings, corrected.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    floor: Timestamp,
    clock: Timestamp,
    /// The clock shows at most this (and [`JUMP`]) at the next reading, unless it is set.
    expected: Timestamp,
    correction: Option<Correction>,
}

/// When the clock showed `clock`, it was `time`.
#[derive(Clone, Copy, Debug)]
struct Correction {
    clock: Timestamp,
    time: Timestamp,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Nothing better was known: it is the floor or later, and time goes on from there.
    Floor,
    /// A server that proved who it is.
    Server,
}

impl Watch {
    pub(super) fn start(floor: Timestamp, clock: Timestamp) -> Self {
        let mut watch = Self { floor, clock, expected: clock, correction: None };
        watch.correction = watch.going_on_from_floor(clock);
        watch
    }

    /// Takes a reading. A clock that was set makes every correction void.
    pub(super) fn tick(&mut self, clock: Timestamp) {
        let set = clock.plus(JUMP) < self.clock || clock > self.expected.plus(JUMP);
        let kept = self.correction.filter(|correction| match correction.source {
            Source::Server => !set,
            Source::Floor => !set && clock < self.floor,
        });
        self.correction = kept.or_else(|| self.going_on_from_floor(clock));
        (self.clock, self.expected) = (clock, clock);
    }

    /// The next reading comes when this much time has passed.
    pub(super) fn expect(&mut self, wait: Duration) {
        self.expected = self.clock.plus(wait);
    }

    /// The best guess at the time of the last reading.
    pub(super) fn now(&self) -> Timestamp {
        self.at(self.clock)
    }

    /// The best guess at the time at which the clock shows `clock`.
    pub(super) fn at(&self, clock: Timestamp) -> Timestamp {
        let time = match self.correction {
            Some(correction) => correction.time.plus(clock.since(correction.clock)),
            None => clock,
        };
        time.max(self.floor)
    }

    /// What the clock will show at `time`.
    pub(super) fn clock_at(&self, time: Timestamp) -> Timestamp {
        self.clock.plus(time.since(self.now()))
    }

    /// Nothing but the floor is known.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.correction.is_some_and(|correction| correction.source == Source::Floor)
    }

    /// A server that proved who it is says that it is now `time`. Earlier than the floor it cannot be.
    pub(super) fn correct(&mut self, time: Timestamp) {
        if time.plus(TOLERANCE) < self.floor {
            return;
        }
        let apart = self.clock.since(time).max(time.since(self.clock));
        self.correction = if apart <= TOLERANCE && self.clock >= self.floor {
            None
        } else {
            Some(Correction { clock: self.clock, time, source: Source::Server })
        };
    }

    /// Certainly not before `time`.
    pub(super) fn raise_floor(&mut self, time: Timestamp) {
        self.floor = self.floor.max(time);
        self.correction = self.correction.or_else(|| self.going_on_from_floor(self.clock));
    }

    pub(super) fn floor(&self) -> Timestamp {
        self.floor
    }

    fn going_on_from_floor(&self, clock: Timestamp) -> Option<Correction> {
        (clock < self.floor).then_some(Correction { clock, time: self.floor, source: Source::Floor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_unix_s(s)
    }

    /// Some day in 2023, as the floor.
    const FLOOR: u64 = 1_700_000_000;

    #[test]
    fn a_clock_before_the_floor_goes_on_from_the_floor_until_something_better_is_known() {
        let mut watch = Watch::start(at(FLOOR), at(100));
        assert_eq!(watch.now(), at(FLOOR));
        assert!(watch.is_in_doubt());
        watch.expect(Duration::from_secs(60));
        watch.tick(at(160));
        assert_eq!(watch.now(), at(FLOOR + 60), "time goes on");
        assert_eq!(watch.clock_at(at(FLOOR + 100)), at(200));
        watch.correct(at(FLOOR + 5000));
        assert_eq!((watch.now(), watch.is_in_doubt()), (at(FLOOR + 5000), false));
        watch.tick(at(161));
        assert_eq!(watch.now(), at(FLOOR + 5001));
        // NTP came.
        watch.tick(at(FLOOR + 6000));
        assert_eq!(watch.now(), at(FLOOR + 6000), "a clock that was set is believed");
    }

    #[test]
    fn a_server_corrects_a_clock_far_ahead_until_the_clock_is_set() {
        let mut watch = Watch::start(at(FLOOR), at(FLOOR + 315_000_000));
        assert!(!watch.is_in_doubt(), "nothing speaks against it yet");
        watch.correct(at(FLOOR + 50));
        assert_eq!(watch.now(), at(FLOOR + 50));
        watch.tick(at(FLOOR + 100));
        assert_eq!(watch.now(), at(FLOOR + 100));
    }

    #[test]
    fn a_long_wait_is_no_jump_and_a_clock_set_back_is_one() {
        let mut watch = Watch::start(at(FLOOR), at(FLOOR));
        watch.correct(at(FLOOR + 1000));
        watch.expect(Duration::from_secs(3600));
        watch.tick(at(FLOOR + 3600));
        assert_eq!(watch.now(), at(FLOOR + 4600), "waited as long as expected");
        watch.tick(at(FLOOR + 2000));
        assert_eq!(watch.now(), at(FLOOR + 2000), "set back: the correction is void");
    }

    #[test]
    fn no_server_moves_the_time_before_the_floor() {
        let mut watch = Watch::start(at(FLOOR), at(FLOOR + 10));
        watch.correct(at(FLOOR - 1000));
        assert_eq!(watch.now(), at(FLOOR + 10));
        watch.raise_floor(at(FLOOR + 500));
        assert_eq!(watch.now(), at(FLOOR + 500));
        watch.raise_floor(at(FLOOR));
        assert_eq!(watch.floor(), at(FLOOR + 500), "a floor only rises");
    }
}
