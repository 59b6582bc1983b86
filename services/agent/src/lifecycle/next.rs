//! What is next, from what is held: the half of the state machine that chooses effects.
//!
//! Order: the successor's next step, what must be remembered, the operator's commands, the server's wishes, rest.
//! A step that failed waits for its pause; nothing else does.

use super::backoff::{DAY, PauseBounds};
use super::{Call, Effect, FirstProof, HookEvent, Lifecycle, Stage, Standing, Start, Write};
use core::time::Duration;
use touchmark_enrol::renewal::due_at;
use touchmark_identity::{Timestamp, Validity};

/// Longest rest: a clock that was set meanwhile is noticed after it.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// Shortest rest: whatever is wrong, the device's processor is not kept busy by it.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// How often a server is asked for its window, if it does not say how often (as in RFC 9773 §4.3.2).
const HINT_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
const HINT_EVERY_MIN: Duration = Duration::from_secs(60);
/// After a start the first question comes within this, by seed: a site that gets its power back has many devices.
const FIRST_HINT_WITHIN: Duration = Duration::from_secs(15 * 60);
/// A new pair stays for at least this, or a tenth of its life.
const REST_MAX: Duration = Duration::from_secs(60 * 60);
/// The last part of a life in which failures are worth an alarm.
const EXPIRING_PART: u32 = 6;
/// A floor that rose by less is not worth a write to flash memory.
const FLOOR_STEP: Duration = DAY;
/// What an effect may take; a clock that shows more was set.
const EFFECT_TIME: Duration = Duration::from_secs(120);

impl Lifecycle {
    pub(super) fn next(&mut self) -> Effect {
        let now = self.watch.now();
        self.watch.expect(EFFECT_TIME);
        self.warn_of_expiry(now);
        if self.memory.retry_at.is_none_or(|at| at <= now)
            && let Some(effect) = self.next_of_successor(now)
        {
            return effect;
        }
        if self.memory.floor.since(self.disk.floor) >= FLOOR_STEP {
            self.disk.state = false;
        }
        if self.disk.not_before <= now {
            // State before anchors: a followed anchor without its word is not believed after a power cut.
            if !self.disk.state {
                return Effect::Write(Write::KeepState(Box::new(self.memory.clone())));
            }
            if !self.disk.anchors {
                return Effect::Write(Write::KeepAnchors(self.anchors.to_vec()));
            }
        }
        // After a start it runs again, if it was cut off. Should it end the agent each time, what is above was done.
        if let Some(event) = self.hooks.front() {
            return Effect::RunHooks(*event);
        }
        if self.next_hint_at().is_some_and(|at| at <= now) {
            return Effect::Call(Call::Hint);
        }
        let rest = self.next_at(now).since(now).clamp(WAIT_MIN, WAIT_MAX);
        self.watch.expect(rest);
        Effect::Wait { until: self.watch.clock_at(now.plus(rest)) }
    }

    /// The successor's next step; `None` while there is none, and none is due.
    fn next_of_successor(&self, now: Timestamp) -> Option<Effect> {
        // Only the server can tell a device whose clock lost its time whether a renewal is due.
        let lost_in_time = self.watch.is_in_doubt() && self.current.is_some();
        match &self.stage {
            Stage::Absent if !self.is_due(now) && !lost_in_time => None,
            Stage::Absent | Stage::Requested { .. } if !self.this_life.anchors_asked => {
                Some(Effect::Call(Call::Anchors))
            }
            Stage::Absent if !self.is_due(now) => None,
            Stage::Absent => Some(Effect::Write(Write::MakeSuccessor)),
            Stage::Requested { .. } => self.question().map(Effect::Call),
            Stage::Delivered { chain } => Some(Effect::Write(Write::KeepSuccessor(chain.clone()))),
            Stage::Kept { .. } => Some(Effect::Call(Call::Confirm)),
            Stage::Confirmed { chain } => Some(Effect::Write(Write::Swap { key: chain.key() })),
            Stage::Abandoned => Some(Effect::Write(Write::DropSuccessor)),
        }
    }

    /// How a certificate is asked for; `None` when there is nothing to ask with.
    fn question(&self) -> Option<Call> {
        let dead = self.replaced || matches!(self.memory.standing, Standing::Lost { .. });
        // In turn: the maker's certificate may be registered tomorrow, the pair be taken again before it ends.
        let turn_of_the_pair = self.memory.failures.is_multiple_of(2)
            && self.proof_refused
            && matches!(self.stage, Stage::Requested { .. });
        match (&self.current, self.rules.start) {
            (Some(_), _) if !dead => Some(Call::Renew),
            (Some(_), Start::Initial) if turn_of_the_pair => Some(Call::Renew),
            (_, Start::Initial) => Some(Call::Enrol { proof: FirstProof::Initial }),
            // A refused token stays refused; the old pair may be released.
            (Some(_), Start::Token) if self.proof_refused => Some(Call::Renew),
            (_, Start::Token) => Some(Call::Enrol { proof: FirstProof::Token }),
            (Some(_), Start::None) => Some(Call::Renew),
            (None, Start::None) => None,
        }
    }

    /// Whether a first certificate is what the device is after.
    pub(super) fn asks_for_a_first_certificate(&self) -> bool {
        matches!(self.question(), Some(Call::Enrol { .. }))
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let Some(question) = self.question() else { return false };
        let replaces_a_dead_pair = matches!(question, Call::Enrol { .. });
        self.wished || replaces_a_dead_pair || self.renews_at().is_some_and(|at| at <= now)
    }

    /// When the pair in force is to be renewed, if nobody wishes otherwise.
    pub(super) fn renews_at(&self) -> Option<Timestamp> {
        let leaf = self.current.as_ref()?.leaf();
        let validity = leaf.validity();
        let window = self.memory.hint.filter(|(of, _)| *of == leaf.fingerprint()).map(|(_, window)| window);
        let due = due_at(validity, window, self.seed.place());
        Some(self.rests_until().map_or(due, |rested| due.max(rested)))
    }

    /// Whatever clocks and windows say, a new pair is not replaced at once. A clock that was set back ends the rest.
    fn rests_until(&self) -> Option<Timestamp> {
        let taken_over = self.memory.renewed?.at;
        let rest = (self.validity()?.lifetime() / 10).min(REST_MAX);
        (taken_over <= self.watch.now()).then(|| taken_over.plus(rest))
    }

    /// When something is next, but not now.
    pub(super) fn next_at(&self, now: Timestamp) -> Timestamp {
        let save = (!self.disk.state || !self.disk.anchors).then_some(self.disk.not_before);
        let moments = [self.memory.retry_at, self.renews_at(), save, self.next_hint_at()];
        let ahead = moments.into_iter().flatten().filter(|at| *at > now).min();
        ahead.unwrap_or(now.plus(DAY))
    }

    /// Asking for a window makes sense while a renewal is ahead.
    fn next_hint_at(&self) -> Option<Timestamp> {
        let at = self.this_life.next_hint_at;
        let useful = self.this_life.hints_offered
            && matches!(self.stage, Stage::Absent)
            && self.renews_at().is_some_and(|due| at < due);
        useful.then_some(at)
    }

    /// How long until the server is asked for its window again.
    pub(super) fn hint_after(&self, wanted: Option<Duration>) -> Duration {
        let least = self.validity().map_or(HINT_EVERY, |validity| validity.lifetime() / 20);
        wanted.unwrap_or(HINT_EVERY).clamp(least.clamp(HINT_EVERY_MIN, HINT_EVERY), DAY)
    }

    pub(super) fn first_hint_after(&self) -> Duration {
        let within = self.validity().map_or(FIRST_HINT_WITHIN, |validity| validity.lifetime() / 20);
        within.min(FIRST_HINT_WITHIN) * u32::from(self.seed.place()) / u32::from(u16::MAX)
    }

    fn warn_of_expiry(&mut self, now: Timestamp) {
        let Some(validity) = self.validity() else { return };
        let near = validity.not_after().since(now) < validity.lifetime() / EXPIRING_PART;
        if near && self.memory.failures > 0 && !self.this_life.warned {
            self.this_life.warned = true;
            self.hooks.push_back(HookEvent::Expiring);
        }
    }

    pub(super) fn pause_bounds(&self) -> PauseBounds {
        PauseBounds::of(&self.rules, self.validity(), self.memory.failures, self.watch.now())
    }

    fn validity(&self) -> Option<Validity> {
        self.current.as_ref().map(|chain| chain.leaf().validity())
    }
}
