//! One device: the agent's lifecycle and key store, a clock that may be wrong, and power that may go.

use super::chance::Chance;
use super::scenario::Skew;
use core::time::Duration;
use touchmark_agent::lifecycle::{BACKOFF_MAX, BACKOFF_MIN, Lifecycle, Rules, ServerMoment, Start};
use touchmark_agent::store::{CredentialStore, Directory, FileName, MemoryDirectory, Mishap, StoreFault};
use touchmark_identity::{EnvironmentName, Fingerprint, Name, Timestamp, Validity};
use touchmark_x509::Certificate;

/// When this agent was built: some days before it is switched on.
const BUILT_BEFORE: Duration = Duration::from_secs(20 * 86_400);

/// The pair in force, as the store was last seen to hold it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    octets: [Option<Vec<u8>>; 2],
    pub(super) fingerprint: Fingerprint,
    pub(super) validity: Validity,
}

/// What a look at the store shows.
pub(super) enum Look {
    /// The same as last time.
    Unchanged,
    /// There is no pair, and never was one.
    Nothing,
    /// Another pair than last time, whole.
    Another(Held),
    /// Not a whole pair.
    Broken(StoreFault),
    /// There was one, and it is gone.
    Gone,
}

/// One device.
pub(super) struct Device {
    pub(super) name: Name,
    pub(super) password: String,
    pub(super) store: CredentialStore<MemoryDirectory>,
    /// `None` while it has no power.
    pub(super) lifecycle: Option<Lifecycle>,
    /// Starts so far: what was under way before the last one is void.
    pub(super) boot: u32,
    pub(super) held: Option<Held>,
    /// Nobody promised that it stays fresh: it is banned, copied, or switched off for too long.
    pub(super) excused: bool,
    /// When the authority first heard that it wants a successor of the pair in force.
    pub(super) asked_at: Option<Timestamp>,
    /// Answers since the last start; `None` once the clock is corrected.
    pub(super) round_trips: Option<u32>,
    seed: [u8; 16],
    skew: Skew,
    booted_at: Timestamp,
    next_mishap: Option<usize>,
}

impl Device {
    pub(super) fn new(
        name: Name,
        password: String,
        skew: Skew,
        directory: MemoryDirectory,
        seed: [u8; 16],
    ) -> Self {
        Self {
            store: CredentialStore::new(directory, name.clone()),
            name,
            password,
            lifecycle: None,
            boot: 0,
            held: None,
            excused: false,
            asked_at: None,
            round_trips: None,
            seed,
            skew,
            booted_at: Timestamp::from_unix_s(0),
            next_mishap: None,
        }
    }

    /// What its clock shows.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        match self.skew {
            Skew::None => now,
            Skew::Since1970 => Timestamp::from_unix_s(0).plus(now.since(self.booted_at)),
            Skew::Ahead(by) => now.plus(by),
            Skew::Behind(by) => Timestamp::from_unix_s(0).plus(now.since(Timestamp::from_unix_s(0).plus(by))),
        }
    }

    pub(super) fn is_skewed(&self) -> bool {
        self.skew != Skew::None
    }

    /// The power goes: whatever was under way is lost, and what was written stays.
    pub(super) fn power_off(&mut self) {
        self.lifecycle = None;
        self.boot += 1;
    }

    /// The power comes, and the agent takes up what it finds.
    pub(super) fn power_on(
        &mut self,
        environment: &EnvironmentName,
        root: &Certificate,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        self.boot += 1;
        self.booted_at = now;
        self.store.directory_mut().power_on();
        let stored = self.store.load()?;
        let built_ms = super::Scenario::start().since(Timestamp::from_unix_s(0)).saturating_sub(BUILT_BEFORE);
        let rules = Rules {
            identity: self.name.clone(),
            environment: environment.clone(),
            start: Start::Token,
            pinned: vec![root.clone()],
            built_at: Timestamp::from_unix_s(0).plus(built_ms),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        };
        self.round_trips = (self.is_skewed() && stored.current.is_some()).then_some(0);
        self.lifecycle = Some(Lifecycle::resume(rules, stored, self.seed, self.clock(now)));
        Ok(())
    }

    /// Draws the next write that goes wrong, once the last one is behind.
    pub(super) fn plan_mishap(&mut self, per_mille: u32, chance: &mut Chance) {
        let writes = self.store.directory().writes();
        if per_mille == 0 || self.next_mishap.is_some_and(|at| at >= writes) {
            return;
        }
        // Evenly over twice the mean distance.
        let distance = usize::try_from(chance.below(2000 / u64::from(per_mille))).unwrap_or(0);
        let which = usize::try_from(chance.below(Mishap::ALL.len() as u64)).unwrap_or(0);
        self.next_mishap = Some(writes + distance);
        self.store.directory_mut().mishap_at(writes + distance, Mishap::ALL[which]);
    }

    /// Whether it takes the server's certificate, which is valid within `server`. The transport's rule (ADR 0011).
    pub(super) fn believes(&self, server: Validity, now: Timestamp) -> bool {
        let Some(lifecycle) = &self.lifecycle else { return false };
        let (best, earliest) = match lifecycle.server_moment(self.clock(now)) {
            ServerMoment::At(now) => (now, now),
            ServerMoment::AtOrAfter { now, floor } => (now, floor),
        };
        server.contains(best) || earliest.max(server.not_before()) <= server.not_after()
    }

    /// Holds what the store would start with against what it held last.
    pub(super) fn look(&self) -> Look {
        let read = |name| {
            let octets = self.store.directory().read(name).expect("the folder in memory can be read");
            octets.map(|octets| octets.expose().clone())
        };
        let octets = [FileName::Key, FileName::Chain].map(read);
        if self.held.as_ref().is_some_and(|held| held.octets == octets) {
            return Look::Unchanged;
        }
        // As a start at this very moment would find it.
        let mut copy = CredentialStore::new(self.store.directory().clone_files(), self.name.clone());
        match copy.load().map(|stored| stored.current) {
            Err(fault) => Look::Broken(fault),
            Ok(None) if self.held.is_some() => Look::Gone,
            Ok(None) => Look::Nothing,
            Ok(Some(chain)) => {
                let leaf = chain.leaf();
                Look::Another(Held { octets, fingerprint: leaf.fingerprint(), validity: leaf.validity() })
            }
        }
    }
}
