//! What this gateway trusts now: anchors and policy of the last verified feed, and what is known against peers.
//!
//! In: verified feed messages. Out: judgements of paths (in the handshake) and of peers (at each act that opens
//! something). Without a feed there is nothing to trust with, and everyone is refused. No lock is held over an await.

mod basis;
mod cache;
mod path_check;
mod peer;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use basis::TrustBasis;
pub(crate) use path_check::{DevicePaths, PathIdentity};
pub(crate) use peer::{Holder, TrustedPeer};

use arc_swap::ArcSwapOption;
use cache::PathCache;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;
use time::FeedTime;
use touchmark_decisions::FeedPosition;
use touchmark_identity::{EnvironmentName, Timestamp};
use touchmark_listen::Clock;
use touchmark_policy::PolicyVersion;
use touchmark_status::{Effect, FeedFault, FeedVerifier, Freshness, Position, StalenessClass, StatusSet};

/// A message of this length may hold many entries: it is read beside the set in use, not under its lock.
const LARGE_MESSAGE_OCTETS: usize = 64 * 1024;

/// Everything the feed says, in the two forms in which it is asked.
pub(crate) struct Trust {
    environment: EnvironmentName,
    verifier: FeedVerifier,
    staleness: StalenessClass,
    /// Changes with each message; asked in constant time.
    status: RwLock<Option<StatusSet>>,
    /// Changes with anchors and policy only.
    basis: ArcSwapOption<TrustBasis>,
    paths: PathCache,
    time: FeedTime,
    /// What the authority signs has the smaller s from here on; nothing is known before it is set.
    low_s_since: OnceLock<Timestamp>,
    /// The machine's own clock, once there is one.
    machine: OnceLock<Clock>,
    /// Time was taken back since it was last asked.
    took_time_back: AtomicBool,
    /// The authority refuses this gateway's certificate: the feed held is the last one that it gave.
    cut_off: AtomicBool,
}

impl Trust {
    pub(crate) fn new(
        environment: EnvironmentName,
        verifier: FeedVerifier,
        staleness: StalenessClass,
    ) -> Self {
        Self {
            environment,
            verifier,
            staleness,
            status: RwLock::new(None),
            basis: ArcSwapOption::empty(),
            paths: PathCache::default(),
            time: FeedTime::default(),
            low_s_since: OnceLock::new(),
            machine: OnceLock::new(),
            took_time_back: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
        }
    }

    pub(crate) fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    pub(crate) fn staleness(&self) -> StalenessClass {
        self.staleness
    }

    pub(crate) fn verifier(&self) -> &FeedVerifier {
        &self.verifier
    }

    /// Sets from when on what the authority signs has the smaller s; once.
    pub(crate) fn low_s_from(&self, since: Timestamp) {
        let _ = self.low_s_since.set(since);
    }

    fn low_s_since(&self) -> Timestamp {
        self.low_s_since.get().copied().unwrap_or(Timestamp::MAX)
    }

    /// The machine's clock, held at what the feed says about the time. Everything is judged by this one.
    pub(crate) fn clock(self: &Arc<Self>, machine: Clock) -> Clock {
        let trust = Arc::clone(self);
        // One clock for one trust: a second one is as good as the first.
        let _ = self.machine.set(machine.clone());
        Clock::new(move || trust.time.correct(machine.now(), Instant::now()))
    }

    /// Where the feed stands; `None` without one.
    pub(crate) fn position(&self) -> Option<Position> {
        self.read().as_ref().map(StatusSet::position)
    }

    /// The same for the decision log.
    pub(crate) fn feed_position(&self) -> Option<FeedPosition> {
        self.position().map(|Position { epoch, seq }| FeedPosition { epoch, seq })
    }

    /// The policy in force.
    pub(crate) fn policy_version(&self) -> Option<PolicyVersion> {
        self.basis.load().as_ref().and_then(|basis| basis.policy.as_ref().map(|policy| policy.version()))
    }

    /// What the age of the feed demands; `None` without a feed.
    pub(crate) fn freshness(&self, now: Timestamp) -> Option<Freshness> {
        self.read().as_ref().map(|status| self.freshness_of(status, now))
    }

    /// In every class a feed that the authority does not continue is too old: its age weighs a lost link, and this is
    /// the authority's own word.
    fn freshness_of(&self, status: &StatusSet, now: Timestamp) -> Freshness {
        if self.is_cut_off() { Freshness::CutSessions } else { self.staleness.verdict(status.age(now)) }
    }

    /// Whether the authority refuses this gateway's certificate.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Takes over whether the authority refuses this gateway's certificate; says whether that is news.
    pub(crate) fn set_cut_off(&self, is: bool) -> bool {
        self.cut_off.swap(is, Ordering::AcqRel) != is
    }

    /// Starts from a set that was verified: the stored feed.
    pub(crate) fn begin(&self, set: StatusSet) {
        let basis = TrustBasis::of(&set, None);
        self.time.hear(set.issued_at(), Instant::now());
        *self.write() = Some(set);
        self.basis.store(Some(Arc::new(basis)));
    }

    /// Folds one message in. After a fault everything is as it was.
    ///
    /// # Errors
    /// [`FeedFault`]; without a set only a snapshot that is not below `floor` begins one.
    pub(crate) fn fold(
        &self,
        wire: &[u8],
        floor: Option<Position>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, FeedFault> {
        let (came, before) = (Instant::now(), self.position());
        let effects = self.fold_in(wire, floor, now)?;
        let said = self.read().as_ref().map(|set| (set.issued_at(), set.last_issued_at()));
        if let Some((newest, last)) = said {
            self.time.hear(newest, came);
            // A heartbeat says what is now; other messages may have waited at the authority.
            let is_heartbeat = effects.is_empty() && self.position() == before;
            let wall = self.machine.get().map_or(now, Clock::now);
            if is_heartbeat && last < newest && self.time.hear_now(last, came, wall) {
                if let Some(set) = self.write().as_mut() {
                    set.take_back_time();
                }
                self.took_time_back.store(true, Ordering::Relaxed);
            }
        }
        Ok(effects)
    }

    /// Whether time was taken back since this was last asked: what the set forgot by the wrong time has to come again.
    pub(crate) fn took_time_back(&self) -> bool {
        self.took_time_back.swap(false, Ordering::Relaxed)
    }

    fn fold_in(
        &self,
        wire: &[u8],
        floor: Option<Position>,
        now: Timestamp,
    ) -> Result<Vec<Effect>, FeedFault> {
        let have =
            self.read().as_ref().map(|set| (set.position(), set.issued_at(), set.trust_domain().clone()));
        let effects = match &have {
            None => {
                let set = StatusSet::from_snapshot(wire, &self.verifier, &self.environment, floor, now)?;
                self.begin(set);
                return Ok(vec![Effect::Replaced]);
            }
            Some((position, issued_at, trust_domain)) if wire.len() > LARGE_MESSAGE_OCTETS => {
                match StatusSet::from_snapshot(wire, &self.verifier, &self.environment, Some(*position), now)
                {
                    Ok(set) if set.trust_domain() != trust_domain => {
                        return Err(FeedFault::WrongEnvironment { got: set.trust_domain().to_string() });
                    }
                    Ok(set) if set.position() == *position && set.issued_at() < *issued_at => {
                        return Err(FeedFault::Older { have: *position, got: set.position() });
                    }
                    Ok(set) => {
                        let old = self.write().replace(set);
                        // A million entries are freed outside the lock.
                        drop(old);
                        vec![Effect::Replaced]
                    }
                    Err(FeedFault::NotASnapshot) => self.apply(wire, now)?,
                    Err(fault) => return Err(fault),
                }
            }
            Some(_) => self.apply(wire, now)?,
        };
        let grounds = |effect: &Effect| {
            matches!(effect, Effect::Replaced | Effect::AnchorsChanged | Effect::PoliciesChanged)
        };
        if effects.iter().any(grounds) {
            self.renew_basis();
        }
        Ok(effects)
    }

    fn apply(&self, wire: &[u8], now: Timestamp) -> Result<Vec<Effect>, FeedFault> {
        match self.write().as_mut() {
            Some(set) => set.apply(wire, now),
            None => Err(FeedFault::NotASnapshot),
        }
    }

    /// Reads anchors and policy anew. Only the feed's task calls this, so none overtakes another.
    fn renew_basis(&self) {
        let old = self.basis.load_full();
        // Copied out, so that compiling a policy holds no lock.
        let copied = self.read().as_ref().map(basis::Sources::of);
        if let Some(sources) = copied {
            self.basis.store(Some(Arc::new(TrustBasis::from_sources(sources, old.as_deref()))));
        }
    }

    /// Forgets entries about certificates that have ended.
    pub(crate) fn prune(&self, now: Timestamp) {
        if let Some(set) = self.write().as_mut() {
            let dropped = set.prune(now);
            if dropped > 0 {
                tracing::debug!(dropped, "entries about certificates that have ended");
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<StatusSet>> {
        self.status.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<StatusSet>> {
        self.status.write().unwrap_or_else(PoisonError::into_inner)
    }
}
