//! A file that only grows: bytes are appended, and promised with one fdatasync for many of them.
//!
//! A crash may leave a torn tail behind the last [`AppendFile::sync`]; the reader of the format finds
//! it by its own lengths and checksums and calls [`AppendFile::truncate`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::atomic::parent;
use crate::fault::WriteFault;
use crate::mode::Mode;
use crate::sync;

/// An open append-only file and its known length.
#[derive(Debug)]
pub struct AppendFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// A write failed and its torn bytes could not be cut off: nothing may follow them.
    torn: bool,
}

impl AppendFile {
    /// Opens a file to append to, creating it durably if it is missing.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, WriteFault> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(mode.file_bits())
            .open(path)
            .map_err(WriteFault::new("open", path))?;
        let length = file.metadata().map_err(WriteFault::new("measure", path))?.len();
        // Also when it was there: the run that made it may have died before this line.
        sync::directory(parent(path))?;
        Ok(Self { path: path.to_owned(), file, length, torn: false })
    }

    /// Appends bytes. They are in the page cache, not on disk: an answer must wait for [`AppendFile::sync`].
    ///
    /// On an error (disk full) none of the bytes stay in the file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFault> {
        let act = "append to";
        if self.torn {
            return Err(WriteFault::new(act, &self.path)(io::Error::other("an earlier write tore the file")));
        }
        if let Err(error) = self.file.write_all(bytes) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(WriteFault::new(act, &self.path)(error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// fdatasync: when this returns, everything appended so far is on disk. Aborts the process otherwise.
    pub fn sync(&self) {
        sync::data(&self.file, &self.path);
    }

    /// Cuts the file back to `length`, durably: a torn tail, or everything once it is kept elsewhere.
    pub fn truncate(&mut self, length: u64) -> Result<(), WriteFault> {
        self.file.set_len(length).map_err(WriteFault::new("truncate", &self.path))?;
        sync::file(&self.file, &self.path);
        self.length = length;
        self.torn = false;
        Ok(())
    }

    /// Length in octets, appended but perhaps not yet on disk.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_appended_across_openings_and_cut_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        for (text, length) in [("one", 3), ("two", 6)] {
            let mut file = AppendFile::open(&path, Mode::Private0600).unwrap();
            file.append(text.as_bytes()).unwrap();
            file.sync();
            assert_eq!(file.len(), length);
        }
        let mut file = AppendFile::open(&path, Mode::Private0600).unwrap();
        file.truncate(4).unwrap();
        file.append(b"!").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"onet!");
    }

    #[test]
    fn a_full_disk_is_an_error_of_the_caller() {
        let mut file = AppendFile::open(Path::new("/dev/full"), Mode::Private0600).unwrap();
        assert!(file.append(b"bytes").is_err());
        assert!(file.append(b"bytes").is_err(), "nothing may follow a torn write");
    }

    /// /dev/null cannot be synced, so it stands for a disk that breaks its promise.
    #[test]
    fn a_failed_fsync_ends_the_process() {
        if std::env::var_os("TOUCHMARK_TEST_BROKEN_DISK").is_some() {
            let file = AppendFile::open(Path::new("/dev/null"), Mode::Private0600).unwrap();
            file.sync();
            return;
        }
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "append::tests::a_failed_fsync_ends_the_process", "--nocapture"])
            .env("TOUCHMARK_TEST_BROKEN_DISK", "1")
            .output()
            .unwrap();
        assert_eq!(
            child.status.code(),
            Some(i32::from(touchmark_logging::EXIT_LOST)),
            "{}",
            String::from_utf8_lossy(&child.stderr)
        );
        assert!(String::from_utf8_lossy(&child.stderr).contains("fsync of `/dev/null` failed"));
    }
}
