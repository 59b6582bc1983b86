//! Directories that are still there after a crash.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::fault::WriteFault;
use crate::mode::Mode;
use crate::sync;

/// Creates a directory and its missing parents, each one durable before the next is made.
///
/// A crash leaves at most the deepest directory without its name on disk. That one exists when the
/// next run comes by, so the parent of the deepest existing directory is synced as well.
pub fn create_dir_durable(path: &Path, mode: Mode) -> Result<(), WriteFault> {
    let missing: Vec<&Path> = path.ancestors().take_while(|part| !named(part).is_dir()).collect();
    let existing = path.ancestors().nth(missing.len());
    if let Some(parent) = existing.and_then(Path::parent) {
        // Not ours to open, for instance above a container's volume: then it is not ours to sync either.
        match sync::directory(named(parent)) {
            Err(fault) if fault.source.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    for directory in missing.into_iter().rev() {
        create_one(directory, mode)?;
        if let Some(parent) = directory.parent() {
            sync::directory(named(parent))?;
        }
    }
    Ok(())
}

fn create_one(directory: &Path, mode: Mode) -> Result<(), WriteFault> {
    match DirBuilder::new().mode(mode.directory_bits()).create(directory) {
        // Somebody else made it a moment ago: all the same, as long as it is a directory.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => return Ok(()),
        other => other.map_err(WriteFault::new("create directory", directory))?,
    }
    if mode == Mode::Public0644 {
        // The umask may have taken away what a web server needs.
        fs::set_permissions(directory, Permissions::from_mode(mode.directory_bits()))
            .map_err(WriteFault::new("set permissions of", directory))?;
    }
    Ok(())
}

/// `Path::parent` of `file` is the empty path, which the system does not know as a directory.
pub(crate) fn named(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_and_a_second_call_is_fine() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("a/b/c");
        create_dir_durable(&deep, Mode::Private0600).unwrap();
        create_dir_durable(&deep, Mode::Private0600).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
        let open = home.path().join("open");
        create_dir_durable(&open, Mode::Public0644).unwrap();
        assert_eq!(fs::metadata(&open).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a"), b"").unwrap();
        assert!(create_dir_durable(&home.path().join("a/b"), Mode::Private0600).is_err());
        assert!(create_dir_durable(&home.path().join("a"), Mode::Private0600).is_err());
    }
}
