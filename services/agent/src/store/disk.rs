//! The files on disk: one folder (0700) of one environment, written through `touchmark-durable`.
//!
//! A key is opened without following a link, and its permissions are those of the file that was opened, not of
//! one that stood there a moment before.

use super::directory::{Directory, DirectoryFault, FILE_OCTETS_MAX, FileName};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use touchmark_durable::{Mode, WriteFault, create_dir_durable, rename_durable, sync, write_atomic};
use touchmark_identity::{EnvironmentName, Secret};

/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Permission bits with which somebody else than the owner may write.
const WRITABLE: u32 = 0o022;
/// Longest key file: what is written has under 1 KiB.
const KEY_OCTETS_MAX: usize = 16 * 1024;

/// One environment's folder.
#[derive(Debug)]
pub struct DiskDirectory {
    path: PathBuf,
}

impl DiskDirectory {
    /// Opens, or makes, the environment's folder below `state`, and clears away what a crash left half written.
    ///
    /// # Errors
    /// [`DirectoryFault`].
    pub fn open(state: &Path, environment: &EnvironmentName) -> Result<Self, DirectoryFault> {
        let path = state.join(environment.as_str());
        // Links are not followed: a folder elsewhere is somebody else's.
        let found = fs::symlink_metadata(&path);
        if found.is_ok_and(|found| !found.file_type().is_dir()) {
            return Err(DirectoryFault::NotAFile { name: path.display().to_string() });
        }
        let directory = Self::at(path)?;
        private(state)?;
        Ok(directory)
    }

    /// The same for a folder that bears no environment's name: where its operator put it, on another disk perhaps.
    ///
    /// # Errors
    /// [`DirectoryFault`].
    pub fn at(path: PathBuf) -> Result<Self, DirectoryFault> {
        create_dir_durable(&path, Mode::Private0600).map_err(fault)?;
        private(&path)?;
        let directory = Self { path };
        directory.clear_temporary_files()?;
        Ok(directory)
    }

    /// The path of one file, for the operator's commands.
    pub fn path(&self, name: FileName) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// The atomic writer's leftovers may hold a key that never came into force.
    fn clear_temporary_files(&self) -> Result<(), DirectoryFault> {
        for entry in fs::read_dir(&self.path).map_err(system("list", &self.path))? {
            let entry = entry.map_err(system("list", &self.path))?;
            let name = entry.file_name();
            let ours = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp"));
            let ours =
                ours.is_some_and(|name| FileName::ALL.iter().any(|file| name.starts_with(file.as_str())));
            if ours {
                fs::remove_file(entry.path()).map_err(system("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

impl Directory for DiskDirectory {
    fn read(&self, name: FileName) -> Result<Option<Secret<Vec<u8>>>, DirectoryFault> {
        let path = self.path(name);
        let mut file = match open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // ELOOP: the name is a symbolic link.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(DirectoryFault::NotAFile { name: path.display().to_string() });
            }
            Err(error) => return Err(system("open", &path)(error)),
        };
        let metadata = file.metadata().map_err(system("look at", &path))?;
        if !metadata.is_file() {
            return Err(DirectoryFault::NotAFile { name: path.display().to_string() });
        }
        let mode = metadata.permissions().mode() & 0o777;
        if name.is_key() && mode & OTHERS != 0 {
            return Err(DirectoryFault::Exposed { name: path.display().to_string(), mode });
        }
        let most = if name.is_key() { KEY_OCTETS_MAX } else { FILE_OCTETS_MAX };
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if length > most {
            return Err(DirectoryFault::TooLarge { name: path.display().to_string() });
        }
        // Of the right size at once: a growing buffer would leave copies of a key behind.
        let mut bytes = vec![0; length];
        let read = file.read_exact(&mut bytes).map_err(system("read", &path));
        let bytes = Secret::new(bytes);
        read.map(|()| Some(bytes))
    }

    fn replace(&mut self, name: FileName, bytes: &[u8]) -> Result<(), DirectoryFault> {
        write_atomic(&self.path(name), bytes, name.mode()).map_err(fault)
    }

    fn rename(&mut self, from: FileName, to: FileName) -> Result<(), DirectoryFault> {
        rename_durable(&self.path(from), &self.path(to)).map_err(fault)
    }

    fn remove(&mut self, name: FileName) -> Result<(), DirectoryFault> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => sync::directory(&self.path).map_err(fault),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(system("remove", &path)(error)),
        }
    }
}

fn private(folder: &Path) -> Result<(), DirectoryFault> {
    match others_may_write(folder) {
        Some(why) => Err(DirectoryFault::Open { name: folder.display().to_string(), why }),
        None => Ok(()),
    }
}

/// Why a folder of keys is not private, if it is not: whoever may write it may put another key in the place of ours, and
/// whoever may rename it another folder.
pub fn others_may_write(folder: &Path) -> Option<String> {
    // One that is not there yet is made private.
    let mode = fs::metadata(folder).ok()?.permissions().mode() & 0o7777;
    (mode & WRITABLE != 0).then(|| format!("others may write it (permissions {mode:03o}): chmod 700 it"))
}

/// Not through a link; and no waiting for the writer of a pipe that somebody put there.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn system(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DirectoryFault {
    move |source| DirectoryFault::System { act, name: path.display().to_string(), source }
}

fn fault(WriteFault { act, path, source }: WriteFault) -> DirectoryFault {
    DirectoryFault::System { act, name: path.display().to_string(), source }
}
