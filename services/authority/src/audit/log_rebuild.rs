//! The journal's tiles, written again from the database: for an authority that is stopped and whose tiles were lost.

use crate::audit::AuditFault;
use crate::audit::journal_log::JournalLogFault;
use crate::config::{database, log, log_vkey};
use crate::start::{DataLock, StartFault};
use crate::store::SqliteStore;
use std::path::Path;
use touchmark_durable::Mode;
use touchmark_inventory::Store;
use touchmark_tilelog::rebuild;
use touchmark_tlog::{Checkpoint, VerifierKey};

/// Entries read from the database at a time.
const BATCH: usize = 4096;

/// Why the tiles stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum RebuildFault {
    /// The data directory: an authority runs on it.
    #[error(transparent)]
    Data(#[from] StartFault),
    /// There is nothing to rebuild from.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The rows, or the tiles.
    #[error(transparent)]
    Log(#[from] JournalLogFault),
}

/// Rebuilds the tiles below a data directory up to the newest signed head that is known.
///
/// # Errors
/// [`RebuildFault`]: an authority runs, or no signed head fits the journal; then nothing was written.
pub fn rebuild_log(data: &Path) -> Result<Checkpoint, RebuildFault> {
    if !database(data).exists() {
        return Err(AuditFault::NoJournal(data.to_owned()).into());
    }
    let _lock = DataLock::take(data)?;
    let key: VerifierKey = std::fs::read_to_string(log_vkey(data))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or(AuditFault::Key)?;
    let store = SqliteStore::open_to_read(&database(data)).map_err(JournalLogFault::from)?;
    let known = store.log_head().map_err(JournalLogFault::from)?;
    let leaves = |from| {
        let some = store.journal_from(from, BATCH).map_err(JournalLogFault::from)?;
        Ok::<_, JournalLogFault>(some.into_iter().map(|stored| stored.leaf).collect())
    };
    let known = known.as_ref().map(|head| head.note.as_str());
    Ok(rebuild(&log(data), Mode::Public0644, &key, known, leaves)?)
}
