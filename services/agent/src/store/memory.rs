//! The files in memory, with mishaps: full disks, lost acknowledgements and power cuts at any chosen write.
//!
//! For tests and for simulations of many devices. It keeps the port's promises and no more: what was replaced
//! whole is there whole, and after a power cut nothing is written until [`MemoryDirectory::power_on`].

use super::directory::{Directory, DirectoryFault, FileName};
use std::collections::BTreeMap;
use std::io;
use touchmark_identity::Secret;

/// What goes wrong with one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Not written, and said so: a full disk.
    Lost,
    /// Written, and said that it was not.
    StoredButReportedLost,
    /// The power goes just before it.
    CutBefore,
    /// The power goes just after it.
    CutAfter,
}

impl Mishap {
    pub const ALL: [Self; 4] = [Self::Lost, Self::StoredButReportedLost, Self::CutBefore, Self::CutAfter];
}

/// A folder without a disk.
#[derive(Debug, Default)]
pub struct MemoryDirectory {
    files: BTreeMap<FileName, Vec<u8>>,
    writes: usize,
    mishap: Option<(usize, Mishap)>,
    full: bool,
    dark: bool,
}

impl MemoryDirectory {
    /// Lets the write number `write` (from 0, counted since the folder was made) go wrong.
    pub fn mishap_at(&mut self, write: usize, mishap: Mishap) {
        self.mishap = Some((write, mishap));
    }

    /// Nothing more goes wrong.
    pub fn forget_mishap(&mut self) {
        self.mishap = None;
    }

    /// Makes every write fail, or succeed again; removing and renaming need no room.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Writes so far, whatever became of them.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// Whether the power is gone.
    pub fn is_dark(&self) -> bool {
        self.dark
    }

    /// The power is back.
    pub fn power_on(&mut self) {
        self.dark = false;
    }

    /// The files as a start at this moment would find them, without mishaps.
    pub fn clone_files(&self) -> Self {
        Self { files: self.files.clone(), ..Self::default() }
    }

    /// The names that are there.
    pub fn names(&self) -> Vec<FileName> {
        self.files.keys().copied().collect()
    }

    fn change(
        &mut self,
        name: FileName,
        needs_room: bool,
        act: impl FnOnce(&mut BTreeMap<FileName, Vec<u8>>) -> io::Result<()>,
    ) -> Result<(), DirectoryFault> {
        let number = self.writes;
        self.writes += 1;
        let failed = |source: io::Error| DirectoryFault::System {
            act: "write",
            name: name.as_str().to_owned(),
            source,
        };
        let mishap = self.mishap.filter(|(at, _)| *at == number).map(|(_, mishap)| mishap);
        self.dark |= mishap == Some(Mishap::CutBefore);
        if self.dark {
            return Err(failed(io::Error::other("the power is gone")));
        }
        if mishap == Some(Mishap::Lost) || (self.full && needs_room) {
            return Err(failed(io::ErrorKind::StorageFull.into()));
        }
        act(&mut self.files).map_err(failed)?;
        self.dark = mishap == Some(Mishap::CutAfter);
        match mishap {
            Some(Mishap::StoredButReportedLost) => Err(failed(io::Error::other("no acknowledgement"))),
            Some(Mishap::CutAfter) => Err(failed(io::Error::other("the power is gone"))),
            Some(Mishap::Lost | Mishap::CutBefore) | None => Ok(()),
        }
    }
}

impl Directory for MemoryDirectory {
    fn read(&self, name: FileName) -> Result<Option<Secret<Vec<u8>>>, DirectoryFault> {
        Ok(self.files.get(&name).map(|bytes| Secret::new(bytes.clone())))
    }

    fn replace(&mut self, name: FileName, bytes: &[u8]) -> Result<(), DirectoryFault> {
        self.change(name, true, |files| {
            files.insert(name, bytes.to_vec());
            Ok(())
        })
    }

    fn rename(&mut self, from: FileName, to: FileName) -> Result<(), DirectoryFault> {
        self.change(from, false, |files| {
            let bytes = files.remove(&from).ok_or(io::ErrorKind::NotFound)?;
            files.insert(to, bytes);
            Ok(())
        })
    }

    fn remove(&mut self, name: FileName) -> Result<(), DirectoryFault> {
        self.change(name, false, |files| {
            files.remove(&name);
            Ok(())
        })
    }
}
