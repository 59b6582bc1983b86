//! The one error: what was being done to which file.

use std::io;
use std::path::{Path, PathBuf};

/// A file could not be written. Whoever runs the machine must act: space, permissions, mounts.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} `{}`", path.display())]
pub struct WriteFault {
    /// What was tried, as a verb.
    pub act: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl WriteFault {
    pub(crate) fn new(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { act, path: path.to_owned(), source }
    }
}
