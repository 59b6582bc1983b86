//! The data directory belongs to one process: taken before anything in it is read or changed, given back by the
//! system when the process ends, however it ends.

use super::StartFault;
use std::fs::{File, TryLockError};
use std::path::Path;
use touchmark_durable::{Mode, create_dir_durable};

const LOCK_FILE: &str = ".lock";

/// Held while the authority runs.
#[derive(Debug)]
pub(crate) struct DataLock(#[expect(dead_code, reason = "held, not read")] File);

impl DataLock {
    /// Takes the directory, making it if it is new.
    ///
    /// # Errors
    /// [`StartFault::InUse`] when a running process has it.
    pub(crate) fn take(data: &Path) -> Result<Self, StartFault> {
        create_dir_durable(data, Mode::Private0600)?;
        let path = data.join(LOCK_FILE);
        // Never truncated and never removed: a lock is on the file that is there, not on its name.
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| StartFault::Lock { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StartFault::InUse(data.to_owned())),
            Err(TryLockError::Error(source)) => Err(StartFault::Lock { path, source }),
        }
    }
}
