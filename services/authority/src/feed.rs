//! The status feeds: one per environment, published after each durable change, served by long poll.
//!
//! The feed is projected from rows at start (a new epoch each time) and follows the journal afterwards (`follow.rs`). A
//! change is pushed by waking the pollers; whoever missed it asks by sequence number. What gateways acknowledge is kept.

pub(crate) mod crls;

mod follow;
mod place;

pub(crate) use follow::Follower;
pub(crate) use place::Place;

use crate::issuance::hierarchy::{Hierarchy, Trust};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_inventory::{Store, StoreFault};
use touchmark_journal::Scope;
use touchmark_projections::{anchor, feed_state};
use touchmark_status::{
    Anchor, AnchorRole, Change, FeedFault, FeedSigner, FeedWriter, Position, StalenessClass, feed_file_entry,
};

/// Deltas kept for gateways that lag; one that lags more fetches a snapshot.
const DELTAS_MAX: usize = 1024;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The feed.
    #[error(transparent)]
    Feed(#[from] FeedFault),
    /// No such environment.
    #[error("no environment `{0}`")]
    Unknown(EnvironmentName),
    /// It is recorded, and the feed has not followed yet.
    #[error("the feed does not say yet what is recorded")]
    Behind,
}

struct Feed {
    writer: FeedWriter,
    deltas: VecDeque<(u64, Vec<u8>)>,
}

/// What a gateway said it has in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Feed position.
    pub position: Position,
    /// By the gateway's clock.
    pub at: Timestamp,
    /// When it was heard here.
    pub heard: Instant,
    /// Sessions ended since the feed's epoch began.
    pub sessions_closed_total: u64,
}

/// What gateways said of themselves. Only holders of a service certificate get here.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) applied: BTreeMap<Name, Applied>,
    /// Polls that were refused for the gateway's certificate.
    pub(crate) refused: BTreeMap<Name, RefusedPoll>,
}

/// One environment's feed and its listeners.
pub(crate) struct EnvironmentFeed {
    inner: Mutex<Feed>,
    news: watch::Sender<Position>,
    reports: watch::Sender<Reports>,
    /// Gateways that polled in this epoch. Only holders of a service certificate get here.
    seen: Mutex<BTreeMap<Name, Seen>>,
    /// Gateways that were declared not to run and have not asked since; also those whose absence has ended by itself.
    away: Mutex<BTreeSet<Name>>,
    ending: watch::Receiver<bool>,
}

/// A gateway's last poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// By our clock, for people.
    pub at: Timestamp,
    /// The same, where no clock can be set.
    pub since: Instant,
    /// What it said about itself.
    pub class: Option<StalenessClass>,
}

/// A gateway's last poll that was refused, since one that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedPoll {
    /// By our clock, for people.
    pub at: Timestamp,
    /// The same, where no clock can be set.
    pub since: Instant,
    /// It said that it serves nobody.
    pub cut_off: bool,
}

/// All feeds.
pub(crate) struct Feeds {
    signer: FeedSigner,
    feeds: Mutex<HashMap<EnvironmentName, Arc<EnvironmentFeed>>>,
    epoch: u64,
    started: Instant,
    ending: watch::Sender<bool>,
}

impl Feeds {
    /// Projects every environment's feed from the rows.
    ///
    /// # Errors
    /// [`PublishFault`] when rows cannot be read.
    pub(crate) fn load(
        signer: FeedSigner,
        epoch: u64,
        hierarchy: &Hierarchy,
        store: &dyn Store,
        now: Timestamp,
        kept_from: Timestamp,
    ) -> Result<Self, PublishFault> {
        let ending = watch::channel(false).0;
        let feeds = Self { signer, feeds: Mutex::default(), epoch, started: Instant::now(), ending };
        for trust in hierarchy.all() {
            feeds.open(&trust, store, now, kept_from)?;
        }
        Ok(feeds)
    }

    /// Opens the feed of one environment.
    ///
    /// # Errors
    /// [`PublishFault`] when rows cannot be read.
    pub(crate) fn open(
        &self,
        trust: &Trust,
        store: &dyn Store,
        now: Timestamp,
        kept_from: Timestamp,
    ) -> Result<(), PublishFault> {
        let environment = &trust.environment;
        let mut writer =
            FeedWriter::new(environment.name.clone(), environment.trust_domain.clone(), self.epoch);
        let state =
            feed_state(&environment.name, trust.issuing.version(), &own_anchors(trust), store, kept_from)?;
        writer.publish(state, now, &self.signer)?;
        let (news, _) = watch::channel(writer.position());
        let here = |scope: &Scope| scope.environment.as_ref() == Some(&environment.name);
        let absences = store.gateway_absences()?.into_iter().filter(|row| here(&row.scope));
        let feed = EnvironmentFeed {
            inner: Mutex::new(Feed { writer, deltas: VecDeque::new() }),
            news,
            reports: watch::channel(Reports::default()).0,
            seen: Mutex::default(),
            away: Mutex::new(absences.map(|row| row.gateway).collect()),
            ending: self.ending.subscribe(),
        };
        lock(&self.feeds).insert(environment.name.clone(), Arc::new(feed));
        Ok(())
    }

    /// One environment's feed.
    ///
    /// # Errors
    /// [`PublishFault::Unknown`].
    pub(crate) fn of(&self, environment: &EnvironmentName) -> Result<Arc<EnvironmentFeed>, PublishFault> {
        lock(&self.feeds).get(environment).cloned().ok_or_else(|| PublishFault::Unknown(environment.clone()))
    }

    /// Signs and pushes changes. Without any, each gateway would store a delta and sync it to disk, to learn nothing.
    fn publish(
        &self,
        environment: &EnvironmentName,
        now: Timestamp,
        changes: Vec<Change>,
    ) -> Result<(), PublishFault> {
        if changes.is_empty() {
            return Ok(());
        }
        let feed = self.of(environment)?;
        let mut inner = lock(&feed.inner);
        let wire = inner.writer.publish(changes, now, &self.signer)?;
        let position = inner.writer.position();
        inner.deltas.push_back((position.seq, wire));
        if inner.deltas.len() > DELTAS_MAX {
            inner.deltas.pop_front();
        }
        drop(inner);
        feed.news.send_replace(position);
        Ok(())
    }

    /// What a gateway that holds `held` needs next: deltas, else a heartbeat; a snapshot if it cannot go on.
    ///
    /// # Errors
    /// [`PublishFault`].
    pub(crate) fn since(
        &self,
        environment: &EnvironmentName,
        held: Option<Position>,
        now: Timestamp,
    ) -> Result<Vec<u8>, PublishFault> {
        let feed = self.of(environment)?;
        let mut inner = lock(&feed.inner);
        let head = inner.writer.position();
        let first_kept = inner.deltas.front().map_or(head.seq + 1, |(seq, _)| *seq);
        let mut body = Vec::new();
        match held {
            Some(held) if held.epoch == head.epoch && held.seq <= head.seq && held.seq + 1 >= first_kept => {
                for (_, wire) in inner.deltas.iter().filter(|(seq, _)| *seq > held.seq) {
                    body.extend(feed_file_entry(wire)?);
                }
                if body.is_empty() {
                    body.extend(feed_file_entry(&inner.writer.heartbeat(now, &self.signer)?)?);
                }
            }
            _ => body.extend(feed_file_entry(&inner.writer.snapshot(now, &self.signer)?)?),
        }
        Ok(body)
    }

    /// Drops entries about certificates that ended before a moment; gives how many.
    pub(crate) fn prune(&self, kept_from: Timestamp) -> usize {
        let feeds: Vec<_> = lock(&self.feeds).values().cloned().collect();
        feeds.iter().map(|feed| lock(&feed.inner).writer.prune(kept_from)).sum()
    }

    /// How long gateways have had to ask.
    pub(crate) fn up(&self) -> Duration {
        self.started.elapsed()
    }

    /// Answers everybody who waits with what there is, now and from now on: the authority ends.
    pub(crate) fn end_waits(&self) {
        self.ending.send_replace(true);
    }

    /// The verifier that gateways are given.
    pub(crate) fn signer(&self) -> &FeedSigner {
        &self.signer
    }
}

impl EnvironmentFeed {
    /// Returns when the feed is past `held`, after `wait`, or when the authority ends.
    pub(crate) async fn wait_for_news(&self, held: Position, wait: Duration) {
        let mut news = self.news.subscribe();
        let past = news.wait_for(|position| *position > held || position.epoch != held.epoch);
        // All outcomes lead to the same answer: whatever the feed has then.
        self.at_most(wait, past).await;
    }

    async fn at_most(&self, wait: Duration, condition: impl Future) {
        let mut ending = self.ending.clone();
        tokio::select! {
            _ = tokio::time::timeout(wait, condition) => {}
            // An error means that the feeds are gone, which is an end as well.
            _ = ending.wait_for(|ending| *ending) => {}
        }
    }

    /// Notes that a gateway polled.
    pub(crate) fn saw(&self, gateway: &Name, at: Timestamp, class: Option<StalenessClass>) {
        lock(&self.seen).insert(gateway.clone(), Seen { at, since: Instant::now(), class });
        if self.reports.borrow().refused.contains_key(gateway) {
            self.reports.send_modify(|reports| {
                reports.refused.remove(gateway);
            });
        }
    }

    /// Notes that a gateway polled and was refused for its certificate.
    pub(crate) fn refused(&self, gateway: &Name, at: Timestamp, cut_off: bool) {
        let poll = RefusedPoll { at, since: Instant::now(), cut_off };
        self.reports.send_modify(|reports| {
            reports.refused.insert(gateway.clone(), poll);
        });
    }

    /// Notes that a gateway was declared not to run.
    pub(crate) fn declared_away(&self, gateway: &Name) {
        lock(&self.away).insert(gateway.clone());
    }

    /// Whether a gateway that asks now was declared not to run; once for each declaration.
    pub(crate) fn is_back(&self, gateway: &Name) -> bool {
        lock(&self.away).remove(gateway)
    }

    /// The gateways that polled in this epoch, and when last.
    pub(crate) fn seen(&self) -> BTreeMap<Name, Seen> {
        lock(&self.seen).clone()
    }

    /// The feed's last position.
    pub(crate) fn position(&self) -> Position {
        *self.news.borrow()
    }

    /// Keeps a gateway's report; sessions closed add up. Says whether it was news: a position that rises.
    /// `None` for a position that this feed never had.
    pub(crate) fn acknowledge(
        &self,
        gateway: &Name,
        position: Position,
        at: Timestamp,
        sessions_closed: u64,
    ) -> Option<bool> {
        if position > *self.news.borrow() {
            return None;
        }
        let mut news = false;
        self.reports.send_modify(|Reports { applied: all, .. }| {
            let before = all.get(gateway).copied();
            news = before.is_none_or(|applied| applied.position < position);
            let sessions_closed_total =
                before.map_or(0, |applied| applied.sessions_closed_total).saturating_add(sessions_closed);
            let position = before.map_or(position, |applied| applied.position.max(position));
            // A report that is no news does not make the first one younger.
            let heard = before.filter(|_| !news).map_or_else(Instant::now, |applied| applied.heard);
            all.insert(gateway.clone(), Applied { position, at, heard, sessions_closed_total });
        });
        Some(news)
    }

    /// What the gateways have in force now.
    pub(crate) fn applied(&self) -> BTreeMap<Name, Applied> {
        self.reports.borrow().applied.clone()
    }

    /// The gateways whose last poll was refused.
    pub(crate) fn refused_polls(&self) -> BTreeMap<Name, RefusedPoll> {
        self.reports.borrow().refused.clone()
    }

    /// Returns when the reports are such, after `wait`, or when the authority ends.
    pub(crate) async fn wait_for_reports(&self, wait: Duration, are_such: impl FnMut(&Reports) -> bool) {
        let mut reports = self.reports.subscribe();
        self.at_most(wait, reports.wait_for(are_such)).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Root and issuing certificate of an environment.
fn own_anchors(trust: &Trust) -> [Anchor; 2] {
    [
        anchor(trust.root_version, AnchorRole::Root, trust.root.der()),
        anchor(trust.issuing.version(), AnchorRole::Issuing, trust.issuing.certificate().der()),
    ]
}
