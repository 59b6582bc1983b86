//! The journal's Merkle log: leaves that are durable as rows are integrated into tiles and covered by a signed
//! head within two seconds.
//!
//! Order of writes: rows are durable first; then tiles and the signed head; then the same head beside the rows,
//! as the floor below which no start may fall. A crash in between leaves the log ahead of its floor, never a
//! log ahead of its rows: that is a database restored from a backup, and we do not sign on it.

use crate::store::disk_reserve::has_no_space;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use touchmark_durable::Mode;
use touchmark_inventory::{LogHead, Store, StoreFault};
use touchmark_tilelog::{NoteSigner, TileLog, TileLogFault};
use touchmark_tlog::Checkpoint;

/// Leaves taken from the store at a time.
const BATCH: usize = 4096;
/// A head is signed at least this often while there are new leaves.
pub(crate) const HEAD_EVERY: Duration = Duration::from_millis(500);

/// With the log at a standstill for longer, nothing new is enrolled: it could not be proven.
const BEHIND_AFTER: Duration = Duration::from_secs(10);

/// Why the log does not advance. An operator must act.
#[derive(Debug, thiserror::Error)]
pub enum JournalLogFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The tiles.
    #[error(transparent)]
    Tiles(#[from] TileLogFault),
    /// The database was restored from a backup: signing on would show two histories.
    #[error("the log has {log} leaves and the database {rows} entries: the database is older than the log")]
    DatabaseBehind {
        /// Leaves in the log.
        log: u64,
        /// Entries in the database.
        rows: u64,
    },
    /// The stored head cannot be read.
    #[error("the stored log head is damaged: {0}")]
    Head(String),
}

impl JournalLogFault {
    /// Whether the same call may go well later. Everything else is damage: each further entry would be one more
    /// that cannot be proven, or a second history.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Store(StoreFault::Busy | StoreFault::Storage(_) | StoreFault::DiskFull) => true,
            // Space, permissions, descriptors. A failed fsync does not come here: it ended the process.
            Self::Tiles(TileLogFault::Write(_) | TileLogFault::Read { .. }) => true,
            Self::Store(StoreFault::Conflict(_) | StoreFault::Damaged(_))
            | Self::Tiles(_)
            | Self::DatabaseBehind { .. }
            | Self::Head(_) => false,
        }
    }
}

impl JournalLogFault {
    /// Whether it found no space.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Store(StoreFault::DiskFull) => true,
            Self::Tiles(TileLogFault::Write(fault)) => has_no_space(&fault.source),
            _ => false,
        }
    }
}

/// The log.
pub(crate) struct JournalLog {
    log: Mutex<TileLog>,
    store: Arc<dyn Store>,
    /// Since when it cannot advance.
    stuck: Mutex<Option<Instant>>,
}

impl JournalLog {
    /// Opens the tiles; refuses those that lie behind the head that the rows hold.
    ///
    /// # Errors
    /// [`JournalLogFault`]: the directory was restored from a backup, or tampered with.
    pub(crate) fn open(
        directory: &Path,
        signer: NoteSigner,
        store: Arc<dyn Store>,
    ) -> Result<Self, JournalLogFault> {
        let floor = match store.log_head()? {
            None => None,
            Some(head) => Some(
                touchmark_tlog::open_note(&head.note, signer.verifier_key())
                    .map_err(|fault| JournalLogFault::Head(fault.to_string()))?,
            ),
        };
        let log = TileLog::open(directory, signer, Mode::Public0644, floor.as_ref())?;
        let rows = store.journal_len()?;
        if log.size() > rows {
            return Err(JournalLogFault::DatabaseBehind { log: log.size(), rows });
        }
        Ok(Self { log: Mutex::new(log), store, stuck: Mutex::default() })
    }

    /// Integrates what is durable and signs a head over it. Gives the head's size.
    ///
    /// # Errors
    /// [`JournalLogFault`].
    pub(crate) fn integrate(&self) -> Result<u64, JournalLogFault> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let new = self.store.journal_from(log.size(), BATCH)?;
            if new.is_empty() {
                break;
            }
            let leaves: Vec<&[u8]> = new.iter().map(|stored| stored.leaf.as_slice()).collect();
            match log.append(&leaves) {
                // After a long standstill: what waits is made durable before more is taken.
                Err(TileLogFault::Backlog) => {
                    log.publish()?;
                    log.append(&leaves)?
                }
                outcome => outcome?,
            };
        }
        let from = self.store.log_head()?.map_or(0, |head| head.size);
        if log.size() > from {
            let size = log.publish()?.size;
            self.store.advance_log_head(from, LogHead { size, note: log.checkpoint_note().to_owned() })?;
        }
        Ok(log.size())
    }

    /// Notes how the last turn went.
    pub(crate) fn note(&self, advanced: bool) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        *stuck = if advanced { None } else { stuck.or_else(|| Some(Instant::now())) };
    }

    /// Whether it has been at a standstill for so long that nothing new may be enrolled.
    pub(crate) fn is_behind(&self) -> bool {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.is_some_and(|since| since.elapsed() > BEHIND_AFTER)
    }

    #[cfg(test)]
    pub(crate) fn pretend_long_standstill(&self) {
        let long_ago = Instant::now().checked_sub(BEHIND_AFTER + Duration::from_secs(1));
        *self.stuck.lock().unwrap() = long_ago;
    }

    /// The newest signed head and its note.
    pub(crate) fn head(&self) -> (Checkpoint, String) {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        (log.checkpoint().clone(), log.checkpoint_note().to_owned())
    }

    /// Verifier key, as text.
    pub(crate) fn vkey(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).verifier_key().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_inventory::{Command, MemoryStore};
    use touchmark_testkit::JournalBuilder;

    #[test]
    fn a_log_that_cannot_write_goes_on_where_it_stood_once_it_can() {
        let home = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let signer = NoteSigner::from_seed("example.org/journal", &[7; 32]).unwrap();
        let log = JournalLog::open(home.path(), signer, store.clone()).unwrap();
        let mut builder = JournalBuilder::new();
        let mut write = || {
            let entries = vec![builder.environment_created()];
            builder.move_to("another");
            let command = Command { preconditions: Vec::new(), entries };
            store.submit(command, Box::new(|done| assert!(done.is_ok())));
        };
        // A file where the directory of tiles has to be.
        std::fs::write(home.path().join("tile"), b"").unwrap();
        write();
        for _ in 0..2 {
            let fault = log.integrate().unwrap_err();
            assert!(fault.may_pass(), "{fault}");
            assert_eq!(log.head().0.size, 0);
        }
        std::fs::remove_file(home.path().join("tile")).unwrap();
        write();
        assert_eq!(log.integrate().unwrap(), 2);
        assert_eq!(log.head().0.size, 2);
        assert_eq!(store.log_head().unwrap().unwrap().size, 2);
    }

    #[test]
    fn enrolment_ends_after_a_long_standstill_only_and_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let signer = NoteSigner::from_seed("example.org/journal", &[7; 32]).unwrap();
        let log = JournalLog::open(home.path(), signer, Arc::new(MemoryStore::new())).unwrap();
        log.note(false);
        assert!(!log.is_behind());
        log.pretend_long_standstill();
        log.note(false);
        assert!(log.is_behind());
        log.note(true);
        assert!(!log.is_behind());
    }
}
