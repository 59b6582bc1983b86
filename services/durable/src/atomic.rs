//! Atomic replacement: readers and crashes see the old file or the new one, never a mixture.
//!
//! Order: temporary file in the same directory, made with its final mode -> write -> fsync -> rename
//! -> fsync of the directory. A crash before the rename leaves the old file and perhaps a
//! `.<name>.<number>.tmp`, which nobody reads; a crash after it leaves the new file, or after a power
//! cut the old one, until the directory is synced.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::directory::named;
use crate::fault::WriteFault;
use crate::mode::Mode;
use crate::sync;

/// Crashed runs may have left temporary files; after this many in one place something else is wrong.
const TEMPORARY_NAMES_MAX: u32 = 10_000;
static TEMPORARY_NAMES: AtomicU32 = AtomicU32::new(0);

/// Replaces or creates one file. When this returns, the new bytes are on disk under their name.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteFault> {
    write_atomic_all([(path, bytes)], mode)
}

/// Like [`write_atomic`] for many files, with one fsync for each directory instead of each file.
///
/// The files are atomic one by one, not together: a crash, or an error on the way, may leave any
/// subset of them replaced.
pub fn write_atomic_all<P: AsRef<Path>, B: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (P, B)>,
    mode: Mode,
) -> Result<(), WriteFault> {
    let mut directories = BTreeSet::new();
    for (path, bytes) in files {
        let path = path.as_ref();
        let directory = parent(path);
        let (temporary, file) = create_temporary(path, directory, mode)?;
        let replaced = fill(&file, &temporary, bytes.as_ref(), mode).and_then(|()| {
            sync::file(&file, &temporary);
            fs::rename(&temporary, path).map_err(WriteFault::new("replace", path))
        });
        if let Err(fault) = replaced {
            // A full disk must not stay full of our leftovers. If this fails too, the first error says more.
            let _ = fs::remove_file(&temporary);
            return Err(fault);
        }
        if !directories.contains(directory) {
            directories.insert(directory.to_owned());
        }
    }
    directories.iter().try_for_each(|directory| sync::directory(directory))
}

/// Renames a file within one directory; when this returns, the new name is on disk.
pub fn rename_durable(from: &Path, to: &Path) -> Result<(), WriteFault> {
    fs::rename(from, to).map_err(WriteFault::new("rename to", to))?;
    sync::directory(parent(to))
}

/// Removes a file; when this returns, its name is gone from the disk. One that is not there is no fault.
pub fn remove_durable(path: &Path) -> Result<(), WriteFault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WriteFault::new("remove", path)(error)),
        _ => sync::directory(parent(path)),
    }
}

fn fill(mut file: &File, temporary: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteFault> {
    if mode == Mode::Public0644 {
        // The umask may have taken away what a web server needs. Private files only ever get less.
        file.set_permissions(Permissions::from_mode(mode.file_bits()))
            .map_err(WriteFault::new("set permissions of", temporary))?;
    }
    file.write_all(bytes).map_err(WriteFault::new("write", temporary))
}

/// `create_new` follows no symbolic link and takes no file that somebody else prepared.
fn create_temporary(path: &Path, directory: &Path, mode: Mode) -> Result<(PathBuf, File), WriteFault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut tries = 0;
    loop {
        let number = TEMPORARY_NAMES.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(mode.file_bits()).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TEMPORARY_NAMES_MAX => {
                tries += 1;
            }
            Err(error) => return Err(WriteFault::new("create", &temporary)(error)),
        }
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    named(path.parent().unwrap_or(Path::new("/")))
}

/// [`write_atomic`], if the file does not hold these bytes already: a disk without space is no fault then.
pub fn write_changed(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteFault> {
    match std::fs::read(path) {
        Ok(held) if held == bytes => Ok(()),
        _ => write_atomic(path, bytes, mode),
    }
}

/// The Unix second in a file that is written once: `now_s`, where there is none or it cannot be read.
///
/// # Errors
/// [`WriteFault`], as [`write_atomic`].
pub fn first_second(path: &Path, now_s: u64) -> Result<u64, WriteFault> {
    let held = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    match held {
        Some(second) => Ok(second),
        None => write_atomic(path, format!("{now_s}\n").as_bytes(), Mode::Public0644).map(|()| now_s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("since");
        assert_eq!(first_second(&file, 7).unwrap(), 7);
        assert_eq!(first_second(&file, 8).unwrap(), 7);
        fs::write(&file, "not a number").unwrap();
        assert_eq!(
            first_second(&file, 9).unwrap(),
            9,
            "what cannot be read demands nothing of what is older"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "9\n");
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_with_the_wanted_mode_and_nothing_is_left_over() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        for (bytes, mode) in [(b"old".as_slice(), Mode::Public0644), (b"new", Mode::Private0600)] {
            write_atomic(&path, bytes, mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode.file_bits());
        }
        assert_eq!(names(home.path()), ["file"]);
    }

    #[test]
    fn an_error_keeps_the_old_file_and_leaves_no_temporary_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("directory in the way");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"new", Mode::Private0600).is_err());
        assert_eq!(names(home.path()), ["directory in the way"]);
        assert!(write_atomic(&home.path().join("missing/file"), b"", Mode::Private0600).is_err());
    }

    #[test]
    fn leftovers_of_a_crash_are_stepped_over() {
        let home = tempfile::tempdir().unwrap();
        let next = TEMPORARY_NAMES.load(Ordering::Relaxed);
        for number in next..next + 50 {
            fs::write(home.path().join(format!(".file.{}-{number}.tmp", std::process::id())), b"old")
                .unwrap();
        }
        write_atomic(&home.path().join("file"), b"new", Mode::Private0600).unwrap();
        assert_eq!(fs::read(home.path().join("file")).unwrap(), b"new");
    }

    #[test]
    fn many_files_in_several_directories_are_written() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        let files = [("one", "1"), ("a/two", "2"), ("a/three", "3")];
        write_atomic_all(files.map(|(name, text)| (home.path().join(name), text)), Mode::Public0644).unwrap();
        for (name, text) in files {
            assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), text, "{name}");
        }
        rename_durable(&home.path().join("one"), &home.path().join("four")).unwrap();
        assert_eq!(names(home.path()), ["a", "four"]);
    }

    #[test]
    fn a_file_that_holds_the_bytes_is_left_alone() {
        use std::os::unix::fs::MetadataExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ports.json");
        let inode = |bytes: &[u8]| {
            write_changed(&path, bytes, Mode::Private0600).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            std::fs::metadata(&path).unwrap().ino()
        };
        let first = inode(b"one");
        assert_eq!(inode(b"one"), first, "the same bytes, the same file");
        for other in [&b"two"[..], b"on", b"", b"one "] {
            inode(other);
        }
        // A folder without the file, as on the first start.
        std::fs::remove_file(&path).unwrap();
        inode(b"one");
    }
}
