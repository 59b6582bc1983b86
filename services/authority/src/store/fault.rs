//! What SQLite reports, told apart by who must act: refuse one command, report a fault, or stop at once.

use rusqlite::ffi;
use touchmark_inventory::{Conflict, StoreFault};

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// This command only; nothing of it stays.
    Refused(StoreFault),
    /// The database: nothing of the whole batch can be answered.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // A key that is taken already: `UniqueKey` of the inventory.
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Self::Refused(StoreFault::Damaged(error.to_string()))
            }
            _ => Self::Broken(error),
        }
    }
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        Self::Refused(fault)
    }
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(conflict.into())
    }
}

/// A read that failed, or a store that cannot be opened.
pub(super) fn storage(error: rusqlite::Error) -> StoreFault {
    if is_disk_full(&error) { StoreFault::DiskFull } else { StoreFault::Storage(error.to_string()) }
}

/// Whether nothing was written for want of space.
pub(super) fn is_disk_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|failure| failure.extended_code);
    // The shared memory beside the log is a file, too.
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE))
}

/// After a failed fsync the page cache shows bytes that the disk never got, and the next fsync succeeds: no
/// answer may be built on this file, so the process ends. The next start reads what the disk has.
pub(super) fn end_if_promise_is_broken(error: &rusqlite::Error) {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return };
    // The plain code is SQLite's word for an I/O error that it cannot place: it may have been an fsync.
    if matches!(
        failure.extended_code,
        ffi::SQLITE_IOERR | ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC
    ) {
        touchmark_logging::end_process(format_args!(
            "the store: {error}. The disk no longer keeps its promises; stopping."
        ));
    }
}
