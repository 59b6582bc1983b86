//! Every change that the writer makes to a log directory, in one place, so that a test can make each of them fail.

use std::path::Path;

#[cfg(not(test))]
use touchmark_durable::write_atomic_all;
use touchmark_durable::{Mode, WriteFault, create_dir_durable, rename_durable, write_atomic};

/// The writer's way to the disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) mode: Mode,
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

impl Disk {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    pub(crate) fn create_directory(&self, path: &Path) -> Result<(), WriteFault> {
        self.act(path, || create_dir_durable(path, self.mode))
    }

    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WriteFault> {
        self.act(path, || write_atomic(path, bytes, self.mode))
    }

    /// All of them with one fsync for each directory.
    pub(crate) fn write_all<P: AsRef<Path>, B: AsRef<[u8]>>(
        &self,
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Result<(), WriteFault> {
        #[cfg(test)]
        return files.into_iter().try_for_each(|(path, bytes)| self.write(path.as_ref(), bytes.as_ref()));
        #[cfg(not(test))]
        write_atomic_all(files, self.mode)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), WriteFault> {
        self.act(to, || rename_durable(from, to))
    }

    #[cfg(not(test))]
    fn act(&self, _path: &Path, act: impl FnOnce() -> Result<(), WriteFault>) -> Result<(), WriteFault> {
        act()
    }

    #[cfg(test)]
    fn act(&self, path: &Path, act: impl FnOnce() -> Result<(), WriteFault>) -> Result<(), WriteFault> {
        self.faults.around(path, act)
    }
}

#[cfg(test)]
pub(crate) mod faults {
    use super::*;
    use std::cell::Cell;
    use std::io;

    /// What becomes of one change.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// It is not made, and an error is reported.
        Lost,
        /// It is made, and an error is reported.
        MadeButReportedLost,
    }

    #[derive(Debug, Default)]
    pub(crate) struct Faults {
        planned: Cell<Option<(usize, Fault)>>,
        changes: Cell<usize>,
    }

    impl Faults {
        /// The change with this number from now on fails so.
        pub(crate) fn plan(&self, number: usize, fault: Fault) {
            self.planned.set(Some((self.changes.get() + number, fault)));
        }

        /// Changes so far.
        pub(crate) fn changes(&self) -> usize {
            self.changes.get()
        }

        pub(super) fn around(
            &self,
            path: &Path,
            act: impl FnOnce() -> Result<(), WriteFault>,
        ) -> Result<(), WriteFault> {
            let number = self.changes.replace(self.changes.get() + 1);
            let fault = self.planned.get().filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            if fault != Some(Fault::Lost) {
                act()?;
            }
            match fault {
                None => Ok(()),
                Some(_) => {
                    let source = io::Error::from(io::ErrorKind::StorageFull);
                    Err(WriteFault { act: "write", path: path.to_owned(), source })
                }
            }
        }
    }
}
