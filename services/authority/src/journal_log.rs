//! The journal's Merkle log: leaves that are durable as rows are integrated into tiles and covered by a signed
//! head within two seconds.
//!
//! Order of writes: rows are durable first; then tiles and the signed head; then the same head beside the rows,
//! as the floor below which no start may fall. A crash in between leaves the log ahead of its floor, never a
//! log ahead of its rows: that is a database restored from a backup, and we do not sign on it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use touchmark_durable::Mode;
use touchmark_inventory::{LogHead, Store, StoreFault};
use touchmark_tilelog::{NoteSigner, TileLog, TileLogFault};
use touchmark_tlog::Checkpoint;

/// Leaves taken from the store at a time.
const BATCH: usize = 4096;
/// A head is signed at least this often while there are new leaves.
pub(crate) const HEAD_EVERY: Duration = Duration::from_millis(500);

/// Why the log does not advance. The authority must not go on: an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum JournalLogFault {
    /// The rows.
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

/// The log, and the wake-up that says there are new leaves.
pub(crate) struct JournalLog {
    log: Mutex<TileLog>,
    store: Arc<dyn Store>,
    wake: Notify,
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
        Ok(Self { log: Mutex::new(log), store, wake: Notify::new() })
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
            log.append(&leaves)?;
        }
        let from = self.store.log_head()?.map_or(0, |head| head.size);
        if log.size() > from {
            let size = log.publish()?.size;
            self.store.advance_log_head(from, LogHead { size, note: log.checkpoint_note().to_owned() })?;
        }
        Ok(log.size())
    }

    /// Says that there may be new leaves.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits for new leaves, at most `HEAD_EVERY`.
    pub(crate) async fn woken(&self) {
        // Either way it is time to look.
        let _ = tokio::time::timeout(HEAD_EVERY, self.wake.notified()).await;
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
