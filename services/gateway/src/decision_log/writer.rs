//! The thread that owns the log's files: group commit into the write-ahead file, then leaves and signed heads.
//!
//! Records stay in `pending` until they are durable. If the disk refuses, those that somebody waits for are dropped
//! (their act is denied), the others are kept and tried again, and no sequence number is spent: the log has no gap.

use super::fold::{Ledger, Place};
use super::open::Opened;
use super::wal::{Kept, Wal};
use super::{Done, LogFault, LogUnavailable, Order, Published, Strangers, Unwritten};
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;
use tokio::sync::{Semaphore, watch};
use touchmark_decisions::{EpochOpened, FIRST_SEQUENCE, FeedPosition, FrameBuilder, Record};
use touchmark_durable::{Mode, write_atomic};
use touchmark_identity::Name;
use touchmark_listen::Clock;
use touchmark_supervise::may_panic_here;
use touchmark_tilelog::TileLog;

/// A record that nobody waits for is on disk after this long at most; 50 ms are promised.
const FLUSH_AFTER: Duration = Duration::from_millis(25);
/// Between two looks at the queue while nobody waits for what is pending: a thread that blocked on the queue would
/// be woken for each record, which costs more than the record. Whoever comes to wait waits so much longer.
const GATHER: Duration = Duration::from_millis(1);
/// A durable frame is under a signed head after this long; the authority gets it then. Each head writes the last bundle of
/// frames anew, whether it covers one frame or many.
const PUBLISH_AFTER: Duration = Duration::from_millis(400);
/// How often counters of strangers are looked at, and a disk that refused is tried again.
const TICK: Duration = Duration::from_secs(1);
/// Records of one group commit: bounds the time that the first of them waits.
const GROUP_MAX: usize = 4_096;
/// Frames that are durable but could not become leaves: beyond this the log counts as unavailable.
const UNPUBLISHED_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// The thread, as the supervisor knows it.
pub(super) const NAME: &str = "decision-log";

struct Pending {
    record: Record,
    /// Those who wait for it: several when acts were counted together.
    done: Vec<Done>,
}

/// What the writer shares with the rest of the gateway.
pub(super) struct Shared {
    pub(super) room: Arc<Semaphore>,
    pub(super) healthy: Arc<AtomicBool>,
    pub(super) strangers: Arc<Strangers>,
    pub(super) unwritten: Arc<Unwritten>,
    pub(super) publish: watch::Sender<Published>,
}

/// Everything the thread owns.
pub(super) struct Writer {
    gateway: Name,
    epoch: u32,
    next_sequence: u64,
    previous_epoch_clean: bool,
    log: TileLog,
    wal: Wal,
    clean_file: PathBuf,
    pending: Vec<Pending>,
    /// What devices have used up of being written one by one.
    ledger: Ledger,
    /// Orders that the pending records stand for.
    gathered: usize,
    /// How many somebody waits for.
    waited_for: usize,
    /// When the oldest pending record came.
    since: Option<Instant>,
    /// When the oldest frame became durable that no head covers.
    unpublished_since: Option<Instant>,
    unpublished_octets: usize,
    /// Durable frames that the tree does not hold yet, in order.
    backlog: Vec<Vec<u8>>,
    /// The last head could not be signed and stored.
    publish_fails: bool,
    retry_at: Option<Instant>,
    shared: Shared,
    clock: Clock,
}

impl Writer {
    pub(super) fn new(opened: Opened, shared: Shared, clock: Clock) -> Self {
        let Opened { gateway, epoch, previous_epoch_clean, log, wal, unpublished, directory: _, clean_file } =
            opened;
        Self {
            gateway,
            epoch,
            next_sequence: FIRST_SEQUENCE,
            previous_epoch_clean,
            log,
            wal,
            clean_file,
            pending: Vec::new(),
            ledger: Ledger::default(),
            gathered: 0,
            waited_for: 0,
            since: None,
            unpublished_since: unpublished.then(Instant::now),
            unpublished_octets: 0,
            backlog: Vec::new(),
            publish_fails: false,
            retry_at: None,
            shared,
            clock,
        }
    }

    /// Writes the first record of the epoch, durably, before any decision can follow. On a disk without space it stays
    /// the first of those that wait: nothing is allowed before it is written.
    pub(super) fn open_epoch(&mut self, status: Option<FeedPosition>) -> Result<(), LogFault> {
        let opened =
            EpochOpened { at: self.clock.now(), previous_epoch_clean: self.previous_epoch_clean, status };
        self.pending.push(Pending { record: Record::EpochOpened(opened), done: Vec::new() });
        match self.write_pending() {
            Err(LogFault::Write(error)) => {
                tracing::error!(%error, "the decision log cannot be written: everything is denied until it can");
                self.shared.healthy.store(false, Ordering::Relaxed);
                self.since = Some(Instant::now());
                self.retry_at = Some(Instant::now() + TICK);
                Ok(())
            }
            written => {
                written?;
                // Durable: what no head covers yet waits for one, as later frames do.
                self.publish_or_say();
                Ok(())
            }
        }
    }

    /// Runs until it is told to close, or until the gateway is gone.
    pub(super) fn run(mut self, orders: Receiver<Order>) {
        loop {
            may_panic_here(NAME);
            match orders.recv_timeout(self.wait()) {
                Ok(Order::Write { record, since, done }) => {
                    self.take(record, since, done);
                    if let Some(closing) = self.gather(&orders) {
                        return self.close(orders, closing);
                    }
                }
                Ok(Order::Note(record)) => self.note(record),
                Ok(Order::Close(closing)) => return self.close(orders, closing),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            // While the disk refuses they stay counters, which are bounded.
            let tries = |at| self.pending.is_empty() && Instant::now() >= at;
            if self.retry_at.is_none_or(tries) {
                for refused in self.shared.strangers.take_past(self.clock.now()) {
                    self.note(Record::Refused(refused));
                }
            }
            if self.flush_is_due() {
                self.flush();
            }
            if self.unpublished_since.is_some_and(|since| since.elapsed() >= PUBLISH_AFTER) {
                self.publish_or_say();
            }
        }
    }

    /// Time until something is due.
    fn wait(&self) -> Duration {
        let flush = self.since.map(|since| match self.retry_at {
            Some(at) => at.saturating_duration_since(Instant::now()),
            None => FLUSH_AFTER.saturating_sub(since.elapsed()),
        });
        let publish = self.unpublished_since.map(|since| PUBLISH_AFTER.saturating_sub(since.elapsed()));
        [flush, publish].into_iter().flatten().fold(TICK, Duration::min)
    }

    /// Takes what comes until it is time to write.
    fn gather(&mut self, orders: &Receiver<Order>) -> Option<tokio::sync::oneshot::Sender<()>> {
        loop {
            if let Some(closing) = self.drain(orders) {
                return Some(closing);
            }
            if self.flush_is_due() || self.retry_at.is_some() {
                return None;
            }
            std::thread::sleep(GATHER);
        }
    }

    fn take(&mut self, record: Record, since: Instant, done: Option<Done>) {
        self.shared.room.add_permits(1);
        self.since.get_or_insert(since);
        self.shared.unwritten.since(since);
        self.gathered += 1;
        self.waited_for += usize::from(done.is_some());
        let record = match record {
            Record::Act(act) => {
                let next = self.pending.len();
                let pending = &mut self.pending;
                let placed = self.ledger.place(act, done.is_some(), next, move |at| {
                    pending.get_mut(at).map(|pending| &mut pending.record)
                });
                match placed {
                    Place::Own(act) => Record::Act(act),
                    Place::In(at) => {
                        if let Some(pending) = self.pending.get_mut(at) {
                            pending.done.extend(done);
                        }
                        return;
                    }
                }
            }
            record => {
                self.ledger.follow(&record);
                record
            }
        };
        self.pending.push(Pending { record, done: done.into_iter().collect() });
    }

    fn note(&mut self, record: Record) {
        self.ledger.follow(&record);
        self.gathered += 1;
        self.pending.push(Pending { record, done: Vec::new() });
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes what is there already: it shares the fsync.
    fn drain(&mut self, orders: &Receiver<Order>) -> Option<tokio::sync::oneshot::Sender<()>> {
        while self.gathered < GROUP_MAX {
            match orders.try_recv() {
                Ok(Order::Write { record, since, done }) => self.take(record, since, done),
                Ok(Order::Note(record)) => self.note(record),
                Ok(Order::Close(closing)) => return Some(closing),
                Err(_) => break,
            }
        }
        None
    }

    fn flush_is_due(&self) -> bool {
        let Some(since) = self.since else { return false };
        let rested = self.retry_at.is_none_or(|at| Instant::now() >= at);
        self.waited_for > 0 || (rested && (since.elapsed() >= FLUSH_AFTER || self.gathered >= GROUP_MAX))
    }

    fn flush(&mut self) {
        match self.write_pending() {
            Ok(()) => {
                if self.retry_at.take().is_some() {
                    self.shared.healthy.store(true, Ordering::Relaxed);
                    tracing::info!("the decision log can be written again");
                }
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    self.shared.healthy.store(false, Ordering::Relaxed);
                    tracing::error!(%error, "the decision log cannot be written: everything is denied until it can");
                }
                self.retry_at = Some(Instant::now() + TICK);
                for refused in self.pending.extract_if(.., |pending| !pending.done.is_empty()) {
                    self.ledger.refused(&refused.record);
                    for done in refused.done {
                        // Whoever no longer waits was not let through either.
                        let _ = done.send(Err(LogUnavailable));
                    }
                }
                self.ledger.begin_flush();
                (self.waited_for, self.gathered) = (0, self.pending.len());
                if self.pending.is_empty() {
                    self.since = None;
                }
            }
        }
        self.shared.unwritten.flushed(self.since);
    }

    /// Makes all pending records durable, tells those who wait, and hands the frames to the tree.
    fn write_pending(&mut self) -> Result<(), LogFault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.unpublished_octets > UNPUBLISHED_OCTETS_MAX {
            return Err(LogFault::System("space for signed heads"));
        }
        // Frames that wait for the tree come first, in it and in the write-ahead file.
        self.append_backlog()?;
        let (frames, sequences, next_sequence) = self.frames()?;
        let first = self.log.size();
        let kept: Vec<Kept> =
            frames.into_iter().zip(first..).map(|(frame, leaf)| Kept { leaf, frame }).collect();
        self.wal.write(&kept)?;
        self.next_sequence = next_sequence;
        self.unpublished_octets += kept.iter().map(|kept| kept.frame.len()).sum::<usize>();
        self.unpublished_since.get_or_insert_with(Instant::now);
        self.backlog.extend(kept.into_iter().map(|kept| kept.frame));
        // They are durable: a tree that has no room yet takes them after its next head.
        let appended = self.append_backlog();
        for (pending, sequence) in self.pending.drain(..).zip(sequences) {
            for done in pending.done {
                let _ = done.send(Ok(sequence));
            }
        }
        self.ledger.begin_flush();
        (self.since, self.waited_for, self.gathered) = (None, 0, 0);
        if let Err(error) = appended {
            tracing::warn!(%error, "durable frames of the decision log wait for a head");
        }
        Ok(())
    }

    /// Makes leaves of the frames that wait: all of them, or none.
    fn append_backlog(&mut self) -> Result<(), LogFault> {
        if !self.backlog.is_empty() {
            self.log.append(&self.backlog)?;
            self.backlog.clear();
        }
        Ok(())
    }

    /// Frames over the pending records, the number of each record, and the next number.
    fn frames(&self) -> Result<Packed, LogFault> {
        let start = |sequence| FrameBuilder::new(self.gateway.clone(), self.epoch, sequence);
        let (mut frames, mut sequences) = (Vec::new(), Vec::with_capacity(self.pending.len()));
        let mut builder = start(self.next_sequence);
        for pending in &self.pending {
            let sequence = match builder.push(&pending.record) {
                Ok(sequence) => sequence,
                Err(_) => {
                    let next = builder.next_sequence();
                    frames.push(std::mem::replace(&mut builder, start(next)).finish());
                    builder.push(&pending.record).map_err(|_| LogFault::System("room in an empty frame"))?
                }
            };
            sequences.push(sequence);
        }
        let next_sequence = builder.next_sequence();
        frames.push(builder.finish());
        Ok((frames, sequences, next_sequence))
    }

    /// Makes leaves of the frames and signs a head. A crash before the file is cleared leaves frames in both
    /// places: their index tells.
    fn publish(&mut self) -> Result<(), LogFault> {
        self.log.publish()?;
        if !self.backlog.is_empty() {
            self.append_backlog()?;
            self.log.publish()?;
        }
        self.unpublished_since = None;
        self.unpublished_octets = 0;
        let published =
            Published { size: self.log.checkpoint().size, note: self.log.checkpoint_note().to_owned() };
        self.shared.publish.send_replace(published);
        self.wal.clear()?;
        Ok(())
    }

    fn publish_or_say(&mut self) {
        match self.publish() {
            Ok(()) if self.publish_fails => {
                self.publish_fails = false;
                tracing::info!("the decision log's head can be signed and stored again");
            }
            Ok(()) => {}
            Err(error) => {
                if !self.publish_fails {
                    tracing::error!(%error, "the decision log's head cannot be signed and stored; trying again");
                    self.publish_fails = true;
                }
                // The frames are durable; the next try is one period away.
                self.unpublished_since = Some(Instant::now());
            }
        }
    }

    /// Whoever held the log is gone: keep what is there, but this was no end in order.
    fn finish(mut self) {
        self.flush();
        self.publish_or_say();
    }

    fn close(mut self, orders: Receiver<Order>, closing: tokio::sync::oneshot::Sender<()>) {
        let refused = self.shared.strangers.take_all();
        self.pending.extend(
            refused.into_iter().map(|refused| Pending { record: Record::Refused(refused), done: Vec::new() }),
        );
        let ended = self.write_pending().and_then(|()| self.publish()).and_then(|()| {
            let epoch = self.epoch.to_string();
            Ok(write_atomic(&self.clean_file, epoch.as_bytes(), Mode::Private0600)?)
        });
        if let Err(error) = ended {
            tracing::error!(%error, "the decision log's epoch does not end in order");
        }
        // Nothing more is taken, and the lock of the log is free, before anyone hears that it is closed.
        drop((orders, self));
        let _ = closing.send(());
    }
}

type Packed = (Vec<Vec<u8>>, Vec<Option<u64>>, u64);

#[cfg(test)]
mod tests;
