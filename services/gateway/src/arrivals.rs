//! What one certificate may use up before it has a session: places to wait in, words, and records of refusals.
//!
//! Certificates against which something is known have an own, smaller account. No holder of a dead or foreign
//! credential spends what belongs to a good one, of the same device or of another. An account is found by authority
//! version and serial number: a second signature makes another fingerprint, not another account.

use crate::allowance::{Allowance, Terms};
use crate::trust::PathIdentity;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_identity::{AuthorityVersionId, SerialNumber, Timestamp};

/// Accounts remembered at once. Beyond it those are forgotten first that owe nothing.
const ACCOUNTS_MAX: usize = 4_096;

/// What is known against a certificate when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Good,
    /// It is revoked, replaced, ended, put aside, or none of a device.
    KnownBad,
}

/// The rules of one kind of account.
#[derive(Debug)]
struct Rules {
    /// Connections of one certificate that wait to become a session.
    places: usize,
    /// Connections of all certificates of this kind that wait.
    places_together: usize,
    /// Refusals that are told.
    told: Terms,
    /// Refusals that are written down one by one; further ones are counted.
    recorded: Terms,
    /// The same for all certificates of this kind together.
    recorded_together: Terms,
    /// Sessions that are opened: each leaves some 200 octets in the log.
    opened: Terms,
}

/// As many wait as may have a session. Someone who is refused once a second is told and written down for ever.
const GOOD: Rules = Rules {
    places: 32,
    places_together: usize::MAX,
    told: Terms { at_once: 50, one_every_ms: 20 },
    recorded: Terms { at_once: 50, one_every_ms: 1_000 },
    recorded_together: Terms { at_once: 10_000, one_every_ms: 5 },
    opened: Terms { at_once: 3_000, one_every_ms: 500 },
};
/// Enough to be told why each time, and for some minutes of attempts to be written down one by one. All of them together
/// take a small part of the connections and of the log, also when a whole fleet was revoked.
const KNOWN_BAD: Rules = Rules {
    places: 4,
    places_together: 1_024,
    told: Terms { at_once: 50, one_every_ms: 20 },
    recorded: Terms { at_once: 3_000, one_every_ms: 5_000 },
    recorded_together: Terms { at_once: 10_000, one_every_ms: 20 },
    // It may have become good since it came.
    opened: Terms { at_once: 3_000, one_every_ms: 500 },
};

/// Whose account.
type Key = (AuthorityVersionId, SerialNumber);

/// The accounts of all certificates.
#[derive(Debug)]
pub(crate) struct Arrivals {
    good: Accounts,
    known_bad: Accounts,
}

impl Arrivals {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { good: Accounts::new(&GOOD, now), known_bad: Accounts::new(&KNOWN_BAD, now) }
    }

    /// Gives a connection a place to wait in. `None` when its certificate has no more, or was refused so often that
    /// its words are known.
    pub(crate) fn wait(
        self: &Arc<Self>,
        identity: &PathIdentity,
        standing: Standing,
        now: Timestamp,
    ) -> Option<Waiting> {
        let key = (identity.authority_version(), identity.serial());
        self.of(standing).take_place(key, now)?;
        Some(Waiting { arrivals: Arc::clone(self), key, standing })
    }

    fn of(&self, standing: Standing) -> &Accounts {
        match standing {
            Standing::Good => &self.good,
            Standing::KnownBad => &self.known_bad,
        }
    }

    /// How many accounts are open, and how many connections wait.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let (good, bad) = (self.good.lock(), self.known_bad.lock());
        (good.by_key.len() + bad.by_key.len(), good.waiting + bad.waiting)
    }
}

/// A place among those that wait; given back when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    arrivals: Arc<Arrivals>,
    key: Key,
    standing: Standing,
}

impl Waiting {
    /// What was known against the certificate when it came.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// The account that it counts against, for what comes after the waiting.
    pub(crate) fn account(&self) -> Account {
        Account { arrivals: Arc::clone(&self.arrivals), key: self.key, standing: self.standing }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.arrivals.of(self.standing).give_place_back(&self.key);
    }
}

/// The account of one certificate.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    arrivals: Arc<Arrivals>,
    key: Key,
    standing: Standing,
}

impl Account {
    /// Takes one refusal that is told out of the account. `false` when there is none left.
    pub(crate) fn may_be_told(&self, now: Timestamp) -> bool {
        self.arrivals
            .of(self.standing)
            .spend(self.key, now, |account, rules| account.told.spend(&rules.told, 1, now))
    }

    /// Takes one session that is opened out of the account. `false` when there is none left.
    pub(crate) fn may_open(&self, now: Timestamp) -> bool {
        self.arrivals
            .of(self.standing)
            .spend(self.key, now, |account, rules| account.opened.spend(&rules.opened, 1, now))
    }

    /// Takes one refusal that is written down out of the account. `false` when it is to be counted only.
    pub(crate) fn may_be_recorded(&self, now: Timestamp) -> bool {
        let accounts = self.arrivals.of(self.standing);
        accounts.spend(self.key, now, |account, rules| account.recorded.spend(&rules.recorded, 1, now))
            && accounts.spend_together(now)
    }
}

/// Accounts of one kind.
#[derive(Debug)]
struct Accounts {
    rules: &'static Rules,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    by_key: HashMap<Key, Owed>,
    /// Accounts at which those are looked for that can be forgotten.
    crowded_at: usize,
    waiting: usize,
    recorded_together: Allowance,
}

/// What one certificate has used up.
#[derive(Debug)]
struct Owed {
    waiting: usize,
    told: Allowance,
    recorded: Allowance,
    opened: Allowance,
}

impl Accounts {
    fn new(rules: &'static Rules, now: Timestamp) -> Self {
        let recorded_together = Allowance::whole(&rules.recorded_together, now);
        Self {
            rules,
            inner: Mutex::new(Inner {
                by_key: HashMap::new(),
                crowded_at: ACCOUNTS_MAX,
                waiting: 0,
                recorded_together,
            }),
        }
    }

    fn take_place(&self, key: Key, now: Timestamp) -> Option<()> {
        let rules = self.rules;
        let mut inner = self.lock();
        let together = inner.waiting;
        let account = inner.account(key, rules, now);
        let is_heard = account.told.has_one(&rules.told, now);
        if !is_heard || account.waiting >= rules.places || together >= rules.places_together {
            return None;
        }
        account.waiting += 1;
        inner.waiting += 1;
        Some(())
    }

    fn give_place_back(&self, key: &Key) {
        let mut inner = self.lock();
        inner.waiting = inner.waiting.saturating_sub(1);
        let Some(account) = inner.by_key.get_mut(key) else { return };
        account.waiting = account.waiting.saturating_sub(1);
        if account.waiting == 0 && account.owes_nothing(self.rules) {
            inner.by_key.remove(key);
        }
    }

    fn spend(&self, key: Key, now: Timestamp, take: impl FnOnce(&mut Owed, &Rules) -> bool) -> bool {
        take(self.lock().account(key, self.rules, now), self.rules)
    }

    fn spend_together(&self, now: Timestamp) -> bool {
        self.lock().recorded_together.spend(&self.rules.recorded_together, 1, now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    fn owes_nothing(&self, rules: &Rules) -> bool {
        self.told.was_whole(&rules.told)
            && self.recorded.was_whole(&rules.recorded)
            && self.opened.was_whole(&rules.opened)
    }
}

impl Inner {
    fn account(&mut self, key: Key, rules: &Rules, now: Timestamp) -> &mut Owed {
        if self.by_key.len() >= self.crowded_at && !self.by_key.contains_key(&key) {
            self.by_key.retain(|_, owed| {
                let told = owed.told.is_whole(&rules.told, now);
                let recorded = owed.recorded.is_whole(&rules.recorded, now);
                owed.waiting > 0 || !(told && recorded && owed.opened.is_whole(&rules.opened, now))
            });
            if self.by_key.len() >= ACCOUNTS_MAX {
                // Those who wait stay, and connections are bounded. What the others owe is bounded together.
                self.by_key.retain(|_, owed| owed.waiting > 0);
            }
            self.crowded_at = ACCOUNTS_MAX.max(self.by_key.len() * 2);
        }
        self.by_key.entry(key).or_insert_with(|| Owed {
            waiting: 0,
            told: Allowance::whole(&rules.told, now),
            recorded: Allowance::whole(&rules.recorded, now),
            opened: Allowance::whole(&rules.opened, now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;
    use core::time::Duration;
    use touchmark_status::StalenessClass;

    fn arrivals(lab: &Lab) -> Arc<Arrivals> {
        Arc::new(Arrivals::new(lab.now()))
    }

    fn identity(lab: &Lab, name: &str) -> Arc<PathIdentity> {
        let trust = lab.trust(StalenessClass::Standard);
        trust.identity_of(lab.device(name).certificate.der(), lab.now()).unwrap()
    }

    #[test]
    fn a_certificate_waits_in_its_own_places_and_gives_them_back() {
        let lab = Lab::new();
        let (arrivals, now) = (arrivals(&lab), lab.now());
        let (old, new) = (identity(&lab, "pump-01"), identity(&lab, "pump-01"));
        for (standing, places) in [(Standing::Good, 32), (Standing::KnownBad, 4)] {
            let held: Vec<_> = (0..places).map(|_| arrivals.wait(&old, standing, now).unwrap()).collect();
            assert!(arrivals.wait(&old, standing, now).is_none(), "{standing:?}");
            assert!(arrivals.wait(&new, standing, now).is_some(), "{standing:?}: another of the same device");
            drop(held);
            assert_eq!(arrivals.held(), (0, 0), "{standing:?}: nothing is owed, nothing is kept");
        }
    }

    #[test]
    fn refusals_of_one_are_told_and_recorded_at_nobody_elses_cost() {
        let lab = Lab::new();
        let (arrivals, now) = (arrivals(&lab), lab.now());
        let after = |ms| now.plus(Duration::from_millis(ms));
        let (old, new) = (identity(&lab, "pump-01"), identity(&lab, "pump-01"));
        let bad = arrivals.wait(&old, Standing::KnownBad, now).unwrap().account();
        assert_eq!((0..99).filter(|_| bad.may_be_told(now)).count(), 50);
        assert!(arrivals.wait(&old, Standing::KnownBad, now).is_none(), "its words are known");
        assert!(arrivals.wait(&old, Standing::KnownBad, after(20)).is_some(), "and told again later");
        assert_eq!((0..9_999).filter(|_| bad.may_be_recorded(now)).count(), 3_000);
        assert!(!bad.may_be_recorded(after(4_999)) && bad.may_be_recorded(after(5_000)));
        let good = arrivals.wait(&new, Standing::Good, now).unwrap().account();
        assert_eq!((0..99).filter(|_| good.may_be_told(now)).count(), 50);
        assert_eq!((0..99).filter(|_| good.may_be_recorded(now)).count(), 50);
    }

    #[test]
    fn a_certificate_opens_so_many_sessions_and_one_in_half_a_second_after_that() {
        let lab = Lab::new();
        let (arrivals, now) = (arrivals(&lab), lab.now());
        let one = arrivals.wait(&identity(&lab, "pump-01"), Standing::Good, now).unwrap().account();
        assert_eq!((0..9_000).filter(|_| one.may_open(now)).count(), 3_000);
        let later = |ms| now.plus(Duration::from_millis(ms));
        assert!(!one.may_open(later(499)) && one.may_open(later(500)) && !one.may_open(later(501)));
        let other = arrivals.wait(&identity(&lab, "pump-01"), Standing::Good, now).unwrap().account();
        assert!(other.may_open(now), "another certificate of the same device");
    }

    #[test]
    fn a_fleet_that_was_revoked_leaves_room_and_memory() {
        let lab = Lab::new();
        let (arrivals, now) = (arrivals(&lab), lab.now());
        let key = |n: u64| {
            let serial = SerialNumber::try_from([&[1; 9][..], &n.to_be_bytes()].concat().as_slice()).unwrap();
            (crate::lab::version(1), serial)
        };
        let waiting = (0..3_000).filter(|n| arrivals.known_bad.take_place(key(*n), now).is_some()).count();
        assert_eq!(waiting, 1_024);
        let mut recorded = 0;
        for n in 0..20_000 {
            let account =
                Account { arrivals: Arc::clone(&arrivals), key: key(n), standing: Standing::KnownBad };
            recorded += usize::from(account.may_be_recorded(now));
        }
        assert_eq!(recorded, 10_000, "all of them together");
        assert!(arrivals.held().0 <= ACCOUNTS_MAX, "{:?}", arrivals.held());
        assert_eq!(arrivals.held().1, 1_024, "those who wait are not forgotten");
        let good = identity(&lab, "pump-01");
        assert!(arrivals.wait(&good, Standing::Good, now).unwrap().account().may_be_recorded(now));
    }
}
