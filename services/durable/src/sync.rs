//! fsync, and why its failure ends the process.
//!
//! When fsync fails, Linux marks the dirty pages clean and drops the error: a second fsync succeeds
//! although the bytes never reached the disk, and reads still show them from the page cache. No
//! answer built on such a file can be trusted, and retrying only hides the loss. So we stop at once;
//! the next start reads what the disk really has and recovers from there.
//! Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::fault::WriteFault;

/// fsync: the bytes and all metadata. Ends the process with `EXIT_LOST` if the disk cannot promise them.
pub fn file(file: &File, path: &Path) {
    promise(file.sync_all(), path);
}

/// fdatasync: the bytes, and the length that is needed to read them. Ends the process like [`file()`].
pub fn data(file: &File, path: &Path) {
    promise(file.sync_data(), path);
}

/// fsync of a directory: the names in it. Ends the process like [`file()`]; a directory that cannot be opened is an error.
pub fn directory(path: &Path) -> Result<(), WriteFault> {
    let directory = File::open(path).map_err(WriteFault::new("open", path))?;
    promise(directory.sync_all(), path);
    Ok(())
}

fn promise(answer: io::Result<()>, path: &Path) {
    if let Err(error) = answer {
        touchmark_logging::end_process(format_args!(
            "fsync of `{}` failed: {error}. The disk no longer keeps its promises; stopping.",
            path.display()
        ));
    }
}
