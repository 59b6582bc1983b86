//! What one device may write into the log one by one; beyond it acts of one flush that are alike become one record.
//!
//! In: records in the order of the log. Out: each as it is to be written, or the place of the pending one that it was
//! counted in. Nothing is left out: a record says how many acts it stands for. It also finds the few acts whose policy
//! has to be named, since another one took over while they were decided.

use crate::allowance::{Allowance, Terms};
use core::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::collections::{HashMap, HashSet, hash_map::RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_decisions::{Act, Record, Resource, SessionId, SessionOpened, Verdict};
use touchmark_identity::{Name, Timestamp};
use touchmark_policy::PolicyVersion;

/// Octets of acts that one device writes one by one: twelve thousand of usual length at once, and a kilobyte a second
/// for ever. Far more than devices say; at its full rate one device writes less than 90 MB a day.
const OCTETS: Terms = Terms { at_once: 512 * 1024, one_every_ms: 1 };
/// What an act takes besides its resource, with its share of a frame.
const ACT_OCTETS: usize = 16;
/// Different resources that one device writes one by one: as many at once as sightings of a certificate keep apart,
/// and one more in ten seconds.
const RESOURCES: Terms = Terms { at_once: 256, one_every_ms: 10_000 };
/// Resources that are remembered as known, twice: when the young half is full, what was not used since is forgotten.
const KNOWN_MAX: usize = 256;
/// Longest resource of acts that were counted together.
const FOLDED_OCTETS_MAX: usize = 128;
/// Devices without a session that are remembered. Beyond it those are forgotten that used up nothing, then all.
const DEVICES_MAX: usize = 16_384;
/// Kinds of acts of one session that are counted apart in one flush: actions, verdicts, rules. Beyond it acts are
/// written one by one, which a full queue holds back.
const KINDS_MAX: usize = 64;

/// What is known about the sessions of this epoch, and what their devices have used up.
#[derive(Default)]
pub(super) struct Ledger {
    sessions: HashMap<SessionId, Known, BuildHasherDefault<Spread>>,
    devices: HashMap<Name, Shared>,
    /// Policy of the last change in this epoch, and how many there were: what a reader goes by.
    policy: Option<PolicyVersion>,
    policies: u64,
    /// Counts flushes: what was pending in an earlier one takes no more.
    flush: u64,
    hasher: RandomState,
}

struct Known {
    /// Of its device.
    spent: Shared,
    policy: Option<PolicyVersion>,
    policies_before: u64,
    /// Pending records of this flush that further acts of the same kind are counted in.
    open: Vec<Open>,
    flush: u64,
}

struct Open {
    kind: Act,
    waits: bool,
    at: usize,
}

/// One of a device, with its sessions: only the writer's thread looks into it.
type Shared = Arc<Mutex<Spent>>;

struct Spent {
    octets: Allowance,
    resources: Allowance,
    /// From its first act on.
    topics: Option<Box<Topics>>,
}

/// Resources that are known.
#[derive(Default)]
struct Topics {
    /// The one that was used last; it is among the young.
    last: Option<Resource>,
    young: HashSet<u64, BuildHasherDefault<Spread>>,
    old: HashSet<u64, BuildHasherDefault<Spread>>,
}

/// A hasher for numbers that nobody outside can choose: those of sessions, and what a keyed hasher gave.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u64(self.0 ^ u64::from(*octet)));
    }

    /// Multiplies by 2^64 over the golden ratio: tables look at the low bits and at the high ones.
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What becomes of an act.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A record of its own; with further ones of its kind counted in it, if it says so.
    Own(Act),
    /// Counted in the pending record at this place.
    In(usize),
}

impl Ledger {
    /// Another flush begins: nothing is pending any more, or it stands elsewhere now.
    pub(super) fn begin_flush(&mut self) {
        self.flush += 1;
    }

    /// Takes note of everything that is no act.
    pub(super) fn follow(&mut self, record: &Record) {
        match record {
            Record::SessionOpened(opened) if opened.verdict == Verdict::Allow => self.opened(opened),
            Record::SessionClosed(closed) => drop(self.sessions.remove(&closed.session)),
            Record::PolicyChanged(changed) => {
                self.policy = Some(changed.policy);
                self.policies += 1;
            }
            _ => {}
        }
    }

    /// A session whose record was refused: it never was.
    pub(super) fn refused(&mut self, record: &Record) {
        if let Record::SessionOpened(opened) = record {
            self.sessions.remove(&opened.session);
        }
    }

    fn opened(&mut self, opened: &SessionOpened) {
        if self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&opened.handle) {
            let has_sessions = |spent: &Shared| Arc::strong_count(spent) > 1;
            self.devices.retain(|_, spent| has_sessions(spent) || !locked(spent).owes_nothing(opened.at));
            if self.devices.len() >= DEVICES_MAX {
                // Sessions are bounded; what the others used up is given back to them.
                self.devices.retain(|_, spent| has_sessions(spent));
            }
        }
        let nothing = || Arc::new(Mutex::new(Spent::nothing(opened.at)));
        let known = Known {
            spent: Arc::clone(self.devices.entry(opened.handle.clone()).or_insert_with(nothing)),
            policy: opened.policy,
            policies_before: self.policies,
            open: Vec::new(),
            flush: self.flush,
        };
        self.sessions.insert(opened.session, known);
    }

    /// Where an act goes. `pending` gives the record at a place of this flush, `next` is the next free place.
    pub(super) fn place<'a>(
        &mut self,
        mut act: Act,
        waits: bool,
        next: usize,
        pending: impl FnOnce(usize) -> Option<&'a mut Record>,
    ) -> Place {
        // Every act comes after the record of its session; without it nothing is known to go by.
        let Some(known) = self.sessions.get_mut(&act.session) else { return Place::Own(act) };
        let decided_by = act.policy;
        let in_force = match known.policies_before == self.policies {
            true => known.policy,
            false => self.policy,
        };
        act.policy = decided_by.filter(|policy| Some(*policy) != in_force);
        if locked(&known.spent).takes(&act, &self.hasher) {
            return Place::Own(act);
        }
        if known.flush != self.flush {
            known.flush = self.flush;
            known.open.clear();
        }
        let is_open = |open: &Open| open.waits == waits && is_alike(&open.kind, &act, decided_by);
        let at = known.open.iter().find(|open| is_open(open)).map(|open| open.at);
        if let Some(at) = at
            && let Some(Record::Act(together)) = pending(at)
            && join(together, &act.resource)
        {
            return Place::In(at);
        }
        known.open.retain(|open| !is_open(open));
        if known.open.len() < KINDS_MAX {
            let kind = Act { policy: decided_by, ..act.clone() };
            known.open.push(Open { kind, waits, at: next });
        }
        act.resource = shortened(&act.resource);
        Place::Own(act)
    }
}

fn locked(spent: &Mutex<Spent>) -> MutexGuard<'_, Spent> {
    spent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spent {
    fn nothing(now: Timestamp) -> Self {
        Self {
            octets: Allowance::whole(&OCTETS, now),
            resources: Allowance::whole(&RESOURCES, now),
            topics: None,
        }
    }

    fn owes_nothing(&mut self, now: Timestamp) -> bool {
        self.octets.is_whole(&OCTETS, now) && self.resources.is_whole(&RESOURCES, now)
    }

    /// Whether the act is written by itself.
    fn takes(&mut self, act: &Act, hasher: &RandomState) -> bool {
        let resource = act.resource.as_str();
        let octets = resource.len().saturating_add(ACT_OCTETS);
        let topics = self.topics.get_or_insert_default();
        if topics.last.as_ref().is_some_and(|last| last.as_str() == resource) {
            return self.octets.spend(&OCTETS, octets, act.at);
        }
        let name = hasher.hash_one(resource);
        let is_known = topics.young.contains(&name) || topics.old.contains(&name);
        let takes = (is_known || self.resources.has_one(&RESOURCES, act.at))
            && self.octets.spend(&OCTETS, octets, act.at)
            && (is_known || self.resources.spend(&RESOURCES, 1, act.at));
        if takes {
            if !topics.young.contains(&name) {
                if topics.young.len() >= KNOWN_MAX {
                    topics.old = std::mem::take(&mut topics.young);
                }
                topics.young.insert(name);
            }
            topics.last = Some(act.resource.clone());
        }
        takes
    }
}

fn is_alike(kind: &Act, act: &Act, decided_by: Option<PolicyVersion>) -> bool {
    (kind.action, kind.verdict, &kind.rule, kind.policy) == (act.action, act.verdict, &act.rule, decided_by)
}

/// Counts one more act in. `false` when the record can count no more.
fn join(together: &mut Act, resource: &Resource) -> bool {
    let Some(count) = together.count.checked_add(1) else { return false };
    together.count = count;
    if !holds(together.resource.as_str(), resource.as_str()) {
        together.resource = common(together.resource.as_str(), resource.as_str());
    }
    true
}

/// Whether the resource of several stands for this one already.
fn holds(several: &str, one: &str) -> bool {
    several == one
        || several == "#"
        || several.strip_suffix('#').is_some_and(|levels| levels.ends_with('/') && one.starts_with(levels))
}

/// The first levels of both, and `#`.
fn common(one: &str, other: &str) -> Resource {
    let mut kept = 0;
    for (level, same) in one.split_inclusive('/').zip(other.split_inclusive('/')) {
        let end = kept + level.len();
        if level != same || !level.ends_with('/') || end >= FOLDED_OCTETS_MAX {
            break;
        }
        kept = end;
    }
    let levels = one.get(..kept).unwrap_or_default();
    Resource::from([levels, "#"].concat().as_str())
}

/// A resource that begins a count: a long one in its first levels.
fn shortened(resource: &Resource) -> Resource {
    match resource.as_str() {
        short if short.len() <= FOLDED_OCTETS_MAX => resource.clone(),
        long => common(long, long),
    }
}

#[cfg(test)]
mod tests;
