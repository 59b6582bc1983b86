//! Room on disk that is kept for containment: when the file system is full, revoking, starting and the log go on.
//!
//! A file of the data directory holds the room. What may wait (enrolment, decision logs) is refused while there is
//! still space; the file is given back slice by slice, so that another program that fills the disk does not take all
//! of it at once; it is made again when there is space again.

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use touchmark_durable::Mode;
use touchmark_inventory::StoreFault;

const RESERVE_FILE: &str = "disk-reserve";
/// A revocation takes some 10 KiB of database and log: enough for thousands, and for a database's log on top.
const RESERVE_OCTETS: u64 = 64 * 1024 * 1024;
/// On a small file system no more than this part of it.
const RESERVE_PART: u64 = 8;
/// As many slices as it is given back in.
const SLICES: u64 = 16;
/// Least slice: a start writes some files of its own.
const SLICE_OCTETS_MIN: u64 = 128 * 1024;

/// Slices that are free at the least when a start begins: it records itself and renews what is due.
const START_SLICES: u64 = 4;

/// Sizes for one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    reserve: u64,
    slice: u64,
    /// Below so much free space what may wait is refused.
    short: u64,
}

impl Sizes {
    fn of(total: u64) -> Self {
        let reserve = RESERVE_OCTETS.min(total / RESERVE_PART);
        Self { reserve, slice: (reserve / SLICES).max(SLICE_OCTETS_MIN), short: 2 * reserve }
    }
}

/// Whether somewhere below a fault is a disk, or the part of it that is ours, without space.
pub(crate) fn is_disk_full(fault: &(dyn Error + 'static)) -> bool {
    // Some faults keep the words of the one below and not itself.
    let full = StoreFault::DiskFull.to_string();
    std::iter::successors(Some(fault), |fault| (**fault).source()).any(|fault| {
        fault.downcast_ref::<io::Error>().is_some_and(has_no_space) || fault.to_string().contains(&full)
    })
}

/// Whether a write failed for want of space.
pub(crate) fn has_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The room of one data directory.
pub(crate) struct DiskReserve {
    directory: PathBuf,
    /// Held while the file changes.
    file: Mutex<()>,
    short: AtomicBool,
}

impl DiskReserve {
    /// Makes the file if there is room for it, and gives some back if there is none for a start.
    pub(crate) fn open(data: &Path) -> Self {
        let reserve =
            Self { directory: data.to_owned(), file: Mutex::default(), short: AtomicBool::new(false) };
        reserve.look();
        let wanted = || {
            let disk = statvfs(data).ok()?;
            let slice = Sizes::of(disk.f_blocks.saturating_mul(disk.f_frsize)).slice;
            (disk.f_bavail.saturating_mul(disk.f_frsize) < START_SLICES * slice).then_some(())
        };
        while wanted().is_some() && reserve.release() {}
        reserve
    }

    /// Whether what may wait is refused.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Looks at the disk: gives a slice back, or makes the file whole again. Each second.
    pub(crate) fn look(&self) {
        let _one = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(disk) = statvfs(&self.directory) else { return };
        let sizes = Sizes::of(disk.f_blocks.saturating_mul(disk.f_frsize));
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let held = self.held();
        let missing = sizes.reserve.saturating_sub(held);
        let short = free < sizes.short + missing;
        if self.short.swap(short, Ordering::Relaxed) != short {
            match short {
                true => tracing::error!(
                    free_kib = free / 1024,
                    "the disk is almost full: enrolment and decision logs are refused until there is space; \
                     containment goes on"
                ),
                false => tracing::info!(free_kib = free / 1024, "the disk has space again"),
            }
        }
        let outcome = if free < sizes.slice && held > 0 {
            self.shrink(held.saturating_sub(sizes.slice))
        } else if missing > 0 && !short {
            self.grow(held, sizes.reserve)
        } else {
            Ok(())
        };
        if let Err(fault) = outcome {
            tracing::warn!(%fault, "the reserve on disk could not be changed");
        }
    }

    /// Gives a slice back for a write that found no space; says whether there was one.
    pub(crate) fn release(&self) -> bool {
        self.short.store(true, Ordering::Relaxed);
        let _one = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.held();
        let total = statvfs(&self.directory).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let left = held.saturating_sub(Sizes::of(total).slice);
        let released = held > 0 && self.shrink(left).is_ok();
        if released {
            tracing::error!(left_kib = left / 1024, "the disk is full: a part of the reserve was given back");
        }
        released
    }

    fn path(&self) -> PathBuf {
        self.directory.join(RESERVE_FILE)
    }

    /// What is allocated. A file with holes holds nothing.
    fn held(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::symlink_metadata(self.path()).map_or(0, |file| file.len().min(file.blocks() * 512))
    }

    fn shrink(&self, octets: u64) -> io::Result<()> {
        File::options().write(true).open(self.path())?.set_len(octets)
    }

    fn grow(&self, held: u64, octets: u64) -> io::Result<()> {
        let mode = Mode::Private0600.file_bits();
        let mut file =
            File::options().create(true).truncate(false).write(true).mode(mode).open(self.path())?;
        match fallocate(&file, FallocateFlags::empty(), 0, octets) {
            Ok(()) => Ok(()),
            // Octets that are written take room wherever it cannot be asked for.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                io::Seek::seek(&mut file, io::SeekFrom::Start(held))?;
                io::copy(&mut io::Read::take(io::repeat(0), octets.saturating_sub(held)), &mut file)?;
                file.flush()
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fit_the_file_system() {
        let mib = 1024 * 1024;
        let rows = [
            ("large", 1024 * 1024 * mib, 64 * mib, 4 * mib, 128 * mib),
            ("a gibibyte", 1024 * mib, 64 * mib, 4 * mib, 128 * mib),
            ("small", 8 * mib, mib, 128 * 1024, 2 * mib),
            ("tiny", mib, mib / 8, 128 * 1024, mib / 4),
            ("unknown", 0, 0, 128 * 1024, 0),
        ];
        for (what, total, reserve, slice, short) in rows {
            assert_eq!(Sizes::of(total), Sizes { reserve, slice, short }, "{what}");
        }
    }

    #[test]
    fn it_is_made_given_back_in_slices_and_made_again() {
        let home = tempfile::tempdir().unwrap();
        let reserve = DiskReserve::open(home.path());
        let whole = reserve.held();
        assert!(whole > 0 && !reserve.is_short(), "the disk of this machine has space");
        let mut slices = 0;
        while reserve.release() {
            slices += 1;
            assert!(reserve.is_short() && slices <= SLICES + 1);
        }
        assert_eq!((slices, reserve.held()), (SLICES, 0));
        reserve.look();
        reserve.look();
        assert_eq!(reserve.held(), whole);
        assert!(!reserve.is_short());
    }
}
