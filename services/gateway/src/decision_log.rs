//! The decision log of this gateway: records in, durable frames and signed heads out.
//!
//! One thread owns the files (`writer`); sessions hand it records over a bounded queue. Connect, subscribe and
//! update wait until their record is durable; a publish waits for a place in the queue only, unless the gateway was
//! told otherwise. A crash takes at most what was let through within 50 ms (`unwritten`), and shows. A full queue holds back the session that asks, in the order of asking. Strangers are counted beside it.

mod denials;
mod fold;
mod open;
mod ship;
mod strangers;
#[cfg(test)]
mod tests;
mod unwritten;
mod wal;
mod writer;

pub(crate) use denials::{Denials, denied_resource, resource_of};
pub(crate) use ship::ship;
pub(crate) use strangers::Strangers;

use crate::config::Ack;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot, watch};
use touchmark_decisions::{FeedPosition, Record, SessionId};
use touchmark_durable::WriteFault;
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_listen::Clock;
use touchmark_supervise::Supervisor;
use touchmark_tilelog::{BadSeed, TileLogFault};
use unwritten::Unwritten;

/// Records that may wait in memory: at 100 octets each less than a megabyte, and some ms of a full gateway's work.
const QUEUE_MAX: usize = 8_192;

/// Why the log does not open. An operator must act; nothing is allowed meanwhile.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// The Merkle log is damaged, locked, or not to be read.
    #[error(transparent)]
    Tiles(#[from] TileLogFault),
    /// No key can be made.
    #[error(transparent)]
    Seed(#[from] BadSeed),
    /// A file of the log cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the log holds something else: restore it.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The system gave no random octets or no thread.
    #[error("the system gave no {0}")]
    System(&'static str),
}

/// A record was not made durable, so what it tells about must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decision could not be recorded")]
pub(crate) struct LogUnavailable;

type Done = oneshot::Sender<Result<Option<u64>, LogUnavailable>>;

/// What the writer is asked for.
enum Order {
    Write {
        record: Record,
        since: Instant,
        done: Option<Done>,
    },
    /// A record that took no place in the queue.
    Note(Record),
    Close(oneshot::Sender<()>),
}

/// What is signed and on disk: whoever ships it follows this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) size: u64,
    pub(crate) note: String,
}

/// The way into the log; shared by all sessions.
pub(crate) struct DecisionLog {
    orders: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    healthy: Arc<AtomicBool>,
    strangers: Arc<Strangers>,
    unwritten: Arc<Unwritten>,
    ack: Ack,
    next_session: AtomicU64,
    published: watch::Receiver<Published>,
    directory: PathBuf,
    verifier_key: String,
}

/// A record that has its place in the queue.
pub(crate) struct OnItsWay(oneshot::Receiver<Result<Option<u64>, LogUnavailable>>);

impl OnItsWay {
    /// Returns when it is on disk, with its sequence number.
    pub(crate) async fn wait(self) -> Result<Option<u64>, LogUnavailable> {
        self.0.await.map_err(|_| LogUnavailable)?
    }
}

/// Who writes, and where.
pub(crate) struct LogIdentity {
    pub(crate) gateway: Name,
    pub(crate) environment: EnvironmentName,
    /// The gateway's data directory.
    pub(crate) data: PathBuf,
    pub(crate) ack: Ack,
}

impl DecisionLog {
    /// Opens the log, recovers what a crash left, opens an epoch durably, and starts the writer.
    ///
    /// The end of the writer's thread by a panic is the end of the gateway.
    pub(crate) fn start(
        identity: &LogIdentity,
        status: Option<FeedPosition>,
        clock: &Clock,
        tasks: &Supervisor,
    ) -> Result<Self, LogFault> {
        let opened = open::open(identity)?;
        let (directory, verifier_key) = (opened.directory.clone(), opened.log.verifier_key().to_string());
        let (publish, published) = watch::channel(Published {
            size: opened.log.checkpoint().size,
            note: opened.log.checkpoint_note().to_owned(),
        });
        let room = Arc::new(Semaphore::new(QUEUE_MAX));
        let healthy = Arc::new(AtomicBool::new(true));
        let strangers = Arc::new(Strangers::default());
        let unwritten = Arc::new(Unwritten::default());
        let mut writer = writer::Writer::new(
            opened,
            writer::Shared {
                room: Arc::clone(&room),
                healthy: Arc::clone(&healthy),
                strangers: Arc::clone(&strangers),
                unwritten: Arc::clone(&unwritten),
                publish,
            },
            clock.clone(),
        );
        writer.open_epoch(status)?;
        let (orders, inbox) = mpsc::channel();
        tasks.thread(writer::NAME, move || writer.run(inbox)).map_err(|_| LogFault::System("thread"))?;
        let next_session = AtomicU64::new(1);
        Ok(Self {
            orders,
            room,
            healthy,
            strangers,
            unwritten,
            ack: identity.ack,
            next_session,
            published,
            directory,
            verifier_key,
        })
    }

    /// As [`Self::start`], for tests that look at the log alone.
    #[cfg(test)]
    pub(crate) fn open(
        identity: &LogIdentity,
        status: Option<FeedPosition>,
        clock: &Clock,
    ) -> Result<Self, LogFault> {
        Self::start(identity, status, clock, &Supervisor::new())
    }

    /// Names a connection of this epoch.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns when the record is on disk, with its sequence number.
    pub(crate) async fn durable(&self, record: Record) -> Result<Option<u64>, LogUnavailable> {
        self.begin_durable(record).await?.wait().await
    }

    /// As [`Self::durable`] in two steps: after the first the record has its place, whoever waits for it or not.
    pub(crate) async fn begin_durable(&self, record: Record) -> Result<OnItsWay, LogUnavailable> {
        let (done, answer) = oneshot::channel();
        self.send(record, Some(done)).await?;
        Ok(OnItsWay(answer))
    }

    /// As [`Self::durable`], for records of one moment: they share one fsync.
    pub(crate) async fn all_durable(&self, records: Vec<Record>) -> Result<(), LogUnavailable> {
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            let (done, answer) = oneshot::channel();
            self.send(record, Some(done)).await?;
            answers.push(answer);
        }
        for answer in answers {
            answer.await.map_err(|_| LogUnavailable)??;
        }
        Ok(())
    }

    /// Returns when the record has its place in the queue; it is on disk soon.
    ///
    /// A crash takes at most what was let through within 50 ms: while the oldest record that is not on disk is older
    /// than that, and while the disk refuses, it waits for the disk.
    pub(crate) async fn queued(&self, record: Record) -> Result<(), LogUnavailable> {
        self.unwritten.admitted().await;
        if self.healthy.load(Ordering::Relaxed) {
            self.send(record, None).await
        } else {
            Box::pin(self.durable(record)).await.map(drop)
        }
    }

    /// What a publish waits for here.
    pub(crate) fn ack(&self) -> Ack {
        self.ack
    }

    /// The record of a publish: returns when the message may be passed on and acknowledged.
    pub(crate) async fn published_act(&self, record: Record) -> Result<(), LogUnavailable> {
        match self.ack {
            Ack::Queued => self.queued(record).await,
            Ack::Durable => self.durable(record).await.map(drop),
        }
    }

    /// [`Self::queued`] where there is nothing to wait for; otherwise gives the record back.
    pub(crate) fn queued_at_once(&self, record: Record) -> Option<Record> {
        if !self.healthy.load(Ordering::Relaxed) {
            return Some(record);
        }
        let since = Instant::now();
        if !self.unwritten.admits(since) {
            return Some(record);
        }
        let Ok(place) = self.room.try_acquire() else { return Some(record) };
        self.unwritten.since(since);
        match self.orders.send(Order::Write { record, since, done: None }) {
            Ok(()) => {
                place.forget();
                None
            }
            Err(mpsc::SendError(Order::Write { record, .. } | Order::Note(record))) => Some(record),
            // Only what was sent comes back.
            Err(mpsc::SendError(Order::Close(_))) => None,
        }
    }

    /// As [`Self::queued`], for records of one moment.
    pub(crate) async fn all_queued(&self, records: Vec<Record>) -> Result<(), LogUnavailable> {
        for record in records {
            self.queued(record).await?;
        }
        Ok(())
    }

    /// Notes the end of a session. Without a wait: ends are few, and must be told even while a task is cut off.
    pub(crate) fn note_end(&self, record: Record) {
        // Beyond the queue's bound at most once per session, and sessions are bounded. After the end of the log
        // nobody takes it.
        let _ = self.orders.send(Order::Note(record));
    }

    /// Counts a peer that proved nothing.
    pub(crate) fn count_stranger(&self, reason: touchmark_policy::DenyReason, now: Timestamp) {
        self.strangers.count(reason, now);
    }

    async fn send(&self, record: Record, done: Option<Done>) -> Result<(), LogUnavailable> {
        let place = self.room.acquire().await.map_err(|_| LogUnavailable)?;
        let since = Instant::now();
        self.unwritten.since(since);
        let order = Order::Write { record, since, done };
        self.orders.send(order).map_err(|_| LogUnavailable)?;
        // The writer gives the place back when it took the record.
        place.forget();
        Ok(())
    }

    /// Follows what is published.
    pub(crate) fn published(&self) -> watch::Receiver<Published> {
        self.published.clone()
    }

    /// The log's directory, for readers.
    pub(crate) fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// What others verify the log's heads with.
    pub(crate) fn verifier_key(&self) -> &str {
        &self.verifier_key
    }

    /// Writes what waits, publishes it, and marks the epoch as ended in order.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).is_ok() {
            // Bounded: a disk that hangs must not keep the process from ending.
            let _ = tokio::time::timeout(Duration::from_secs(10), closed).await;
        }
    }
}
