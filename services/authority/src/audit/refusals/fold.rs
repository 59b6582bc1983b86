//! How many journal entries refusals may cost: equal ones are added up, and strangers have one account for all of
//! them. No refusal is left out of a count.
//!
//! In: refusals, and the time since the start. Out: what is to be recorded now, each with its count.

use std::collections::BTreeMap;
use std::time::Duration;
use touchmark_identity::{DeviceId, EnvironmentName};
use touchmark_journal::{Event, Refused, RenewalRefused};

/// Distinct kinds of strangers, and as many of known parties, that are counted apart at once; what comes on top is
/// counted under [`OVERFLOW`].
const KINDS_MAX: usize = 256;

/// Between two entries of one kind: the first is recorded at the next turn, then the pause doubles.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Nobody who reads the journal waits longer for a count. A kind that was quiet for as long is new again.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Entries that strangers can cause at once, in all environments together: more than there are codes for somebody
/// without an identity, so that each mistake of a first enrolment is found under its own.
const STRANGERS_AT_ONCE: u32 = 64;

/// One more each: with the sums that makes less than 200 entries in the first hour, then 120 an hour (1.3 MB a day),
/// however many environments and codes there are.
const STRANGERS_ONE_MORE: Duration = Duration::from_secs(60);

/// Code of what was counted without its own code.
const OVERFLOW: &str = "overflow";

/// Who was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// Nobody that we gave an identity.
    Stranger,
    /// One of ours.
    Known,
    /// The device itself that wanted to renew, with its key proven: counted in its history, which also has its
    /// successes, so that it must not wait.
    Renewing,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) party: Party,
    pub(super) environment: Option<EnvironmentName>,
    pub(super) cause: String,
    pub(super) code: String,
    pub(super) device: Option<DeviceId>,
}

impl Kind {
    pub(super) fn event(&self, count: u64) -> Event {
        let code = self.code.clone();
        match self.device.filter(|_| self.party == Party::Renewing) {
            Some(device) => Event::RenewalRefused(RenewalRefused { device, code, count }),
            None => Event::Refused(Refused { code, count, device: self.device }),
        }
    }

    /// What strangers did beyond their account.
    fn strangers_rest() -> Self {
        let (cause, code) = ("admission".to_owned(), OVERFLOW.to_owned());
        Self { party: Party::Stranger, environment: None, cause, code, device: None }
    }

    /// Where it is counted if there are too many kinds.
    fn folded(self) -> Self {
        match self.party {
            Party::Stranger => Self::strangers_rest(),
            Party::Known | Party::Renewing => {
                let code = OVERFLOW.to_owned();
                Self { party: Party::Known, environment: None, code, device: None, ..self }
            }
        }
    }
}

#[derive(Debug)]
struct Tally {
    /// Not recorded yet.
    count: u64,
    /// From when on it may be recorded.
    due: Duration,
    /// From its next entry to the one after it.
    pause: Duration,
}

impl Tally {
    fn is_due(&self, now: Duration) -> bool {
        self.count > 0 && self.due <= now
    }

    fn take(&mut self, now: Duration) -> u64 {
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        std::mem::take(&mut self.count)
    }

    fn is_over(&self, now: Duration) -> bool {
        self.count == 0 && now >= self.due + PAUSE_MAX
    }
}

/// The counts that are not recorded yet, and what may be recorded when.
#[derive(Debug)]
pub(super) struct Fold {
    strangers: BTreeMap<Kind, Tally>,
    known: BTreeMap<Kind, Tally>,
    /// Entries left to strangers, and since when that number holds.
    left: u32,
    since: Duration,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            strangers: BTreeMap::new(),
            known: BTreeMap::new(),
            left: STRANGERS_AT_ONCE,
            since: Duration::ZERO,
        }
    }
}

impl Fold {
    /// Counts `count` refusals.
    pub(super) fn add(&mut self, kind: Kind, count: u64, now: Duration) {
        let kinds = match kind.party {
            Party::Stranger => &mut self.strangers,
            Party::Known | Party::Renewing => &mut self.known,
        };
        let fits = kinds.len() < KINDS_MAX || kinds.contains_key(&kind);
        let kind = if fits { kind } else { kind.folded() };
        let new = Tally { count: 0, due: now, pause: PAUSE_MIN };
        let tally = kinds.entry(kind).or_insert(new);
        tally.count = tally.count.saturating_add(count);
    }

    /// What is to be recorded at `now`.
    pub(super) fn due(&mut self, now: Duration) -> Vec<(Kind, u64)> {
        self.earn(now);
        let mut entries = Vec::new();
        for (kind, tally) in self.known.iter_mut().filter(|(_, tally)| tally.is_due(now)) {
            entries.push((kind.clone(), tally.take(now)));
        }
        self.known.retain(|kind, tally| match kind.party {
            Party::Renewing => tally.count > 0,
            Party::Known | Party::Stranger => !tally.is_over(now),
        });
        self.strangers_due(now, &mut entries);
        self.strangers.retain(|_, tally| !tally.is_over(now));
        entries
    }

    fn strangers_due(&mut self, now: Duration, entries: &mut Vec<(Kind, u64)>) {
        let rest = Kind::strangers_rest();
        let mut due: Vec<_> =
            self.strangers.iter_mut().filter(|(kind, tally)| **kind != rest && tally.is_due(now)).collect();
        // Who could have been recorded for the longest time comes first.
        due.sort_by_key(|(_, tally)| tally.due);
        let mut over: u64 = 0;
        for (kind, tally) in due {
            if let Some(left) = self.left.checked_sub(1) {
                self.left = left;
                entries.push((kind.clone(), tally.take(now)));
            } else {
                over = over.saturating_add(std::mem::take(&mut tally.count));
            }
        }
        if over > 0 {
            let new = Tally { count: 0, due: now, pause: PAUSE_MIN };
            let tally = self.strangers.entry(rest.clone()).or_insert(new);
            tally.count = tally.count.saturating_add(over);
        }
        if let Some(tally) = self.strangers.get_mut(&rest).filter(|tally| tally.is_due(now)) {
            entries.push((rest, tally.take(now)));
        }
    }

    /// Everything that is not recorded yet, whatever it costs.
    pub(super) fn all(&mut self) -> Vec<(Kind, u64)> {
        let strangers = std::mem::take(&mut self.strangers).into_iter();
        let kinds = strangers.chain(std::mem::take(&mut self.known));
        kinds.filter(|(_, tally)| tally.count > 0).map(|(kind, tally)| (kind, tally.count)).collect()
    }

    fn earn(&mut self, now: Duration) {
        while self.left < STRANGERS_AT_ONCE && now >= self.since + STRANGERS_ONE_MORE {
            self.left += 1;
            self.since += STRANGERS_ONE_MORE;
        }
        if self.left == STRANGERS_AT_ONCE {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests;
