//! The store in SQLite: journal and rows in one file, written by one thread, read by many connections.
//!
//! In: commands of the inventory's port. Out: receipts for what an fsync has promised, and rows.
//! Rows change only by `inventory::project`, here as there; what a row means is not decided here.
//! Write-ahead log (WAL) with `synchronous = FULL`: a commit is one fsync of the log.

pub(crate) mod commit;
pub(crate) mod disk_reserve;

mod apply;
mod checkpoint;
mod column;
mod derived;
mod dying;
mod facts;
mod fault;
mod journal;
mod open;
mod port;
mod precondition;
mod queries;
mod readers;
mod record;
mod sightings;
#[cfg(test)]
mod tests;
mod writer;

use readers::Readers;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use touchmark_inventory::StoreFault;
use touchmark_supervise::Supervisor;
use writer::{Job, MakeRoom};

/// Jobs that may wait: some seconds of work. Past it callers are told to come again.
const QUEUE_MAX: usize = 8192;

/// See the module.
pub struct SqliteStore {
    /// `None` when it was opened to read, and while it is dropped.
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it (mode 0600, durable by name). Its directory must exist.
    ///
    /// For the one process that writes; others use [`SqliteStore::open_to_read`]. The end of its thread by a panic is the
    /// end of the service. A commit that finds the disk full is tried again while `make_room` says so.
    ///
    /// # Errors
    /// [`StoreFault::Storage`] when the file cannot be opened; [`StoreFault::Damaged`] when it is another
    /// program's, or a newer version's.
    pub fn start(path: &Path, tasks: &Supervisor, make_room: MakeRoom) -> Result<Self, StoreFault> {
        let connection = open::writer(path)?;
        let readers = Readers::of(path)?;
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let writer = tasks
            .thread(writer::NAME, move || writer::run(connection, &jobs, &make_room))
            .map_err(|error| StoreFault::Storage(format!("cannot start the writer: {error}")))?;
        Ok(Self { queue: Some(queue), writer: Some(writer), readers })
    }

    /// As [`SqliteStore::start`], for tests that look at the store alone.
    #[cfg(test)]
    pub(crate) fn open(path: &Path) -> Result<Self, StoreFault> {
        Self::start(path, &Supervisor::new(), Box::new(|| false))
    }

    /// Opens a database that there is, perhaps while its authority runs. Commands are refused.
    ///
    /// # Errors
    /// As [`SqliteStore::start`]; also [`StoreFault::Damaged`] for an older version's, which its authority
    /// brings up to date when it starts.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreFault> {
        let readers = Readers::of(path)?;
        readers.read(open::refuse_other_schema)?;
        Ok(Self { queue: None, writer: None, readers })
    }

    fn queue(&self, job: Job) {
        let Some(queue) = &self.queue else {
            return job.refuse(StoreFault::Storage("the store was opened to read".into()));
        };
        match queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.refuse(StoreFault::Busy),
            Err(TrySendError::Disconnected(job)) => job.refuse(stopped()),
        }
    }

    /// Queues a job and waits for its outcome.
    fn queue_and_wait(&self, job: impl FnOnce(writer::Told) -> Job) -> Result<(), StoreFault> {
        let (tell, told) = sync_channel(1);
        self.queue(job(tell));
        told.recv().map_err(|_| stopped())?
    }
}

fn stopped() -> StoreFault {
    StoreFault::Storage("the store stopped".into())
}

impl Drop for SqliteStore {
    /// Waits until everything that was queued is durable and answered.
    fn drop(&mut self) {
        // Readers first, so that the writer closes last and moves the log into the database.
        self.readers.close();
        self.queue = None;
        let Some(writer) = self.writer.take() else { return };
        // A callback may hold the last reference: then this is the writer's own thread, which ends after it.
        if writer.thread().id() != std::thread::current().id() {
            // It ends by a panic only inside a caller's callback, which has been reported by then.
            let _ = writer.join();
        }
    }
}
