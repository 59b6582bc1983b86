//! The port below the key store: a handful of files with fixed names, each replaced whole or not at all.
//!
//! Implemented by the disk, and in memory with mishaps for tests and simulations. No file name is ever made
//! from anything that came from outside.

use std::io;
use touchmark_durable::Mode;
use touchmark_identity::Secret;

/// Longest file that is read: a chain of six or four anchors of 64 KiB at most have less.
pub const FILE_OCTETS_MAX: usize = 512 * 1024;

/// Every file there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileName {
    /// The key in force.
    Key,
    /// The chain in force, leaf first.
    Chain,
    /// The anchors in force.
    Anchors,
    /// What the lifecycle remembers.
    State,
    /// The successor's key.
    NewKey,
    /// The successor's request.
    NewRequest,
    /// The successor's chain.
    NewChain,
}

impl FileName {
    pub const ALL: [Self; 7] =
        [Self::Key, Self::Chain, Self::Anchors, Self::State, Self::NewKey, Self::NewRequest, Self::NewChain];

    /// The name on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key.pem",
            Self::Chain => "chain.pem",
            Self::Anchors => "anchors.pem",
            Self::State => "state.json",
            Self::NewKey => "key.pem.new",
            Self::NewRequest => "request.der.new",
            Self::NewChain => "chain.pem.new",
        }
    }

    /// Whether others may never read it.
    pub fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::NewKey)
    }

    /// Permissions from its first moment.
    pub fn mode(self) -> Mode {
        match self {
            Self::Key | Self::NewKey | Self::NewRequest | Self::State => Mode::Private0600,
            Self::Chain | Self::Anchors | Self::NewChain => Mode::Public0644,
        }
    }
}

/// Why a file cannot be read or changed; whoever runs the device must act.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryFault {
    /// The system refused: space, permissions, a broken disk.
    #[error("cannot {act} {name}: {source}")]
    System {
        /// What was tried.
        act: &'static str,
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link, a folder, a device: not what this program made.
    #[error("{name} is not a plain file; put a plain file there, or remove it")]
    NotAFile { name: String },
    /// A key that others can read is no secret.
    #[error(
        "{name} has the permissions {mode:03o}, so others may have read the key; make a new one, or chmod 600"
    )]
    Exposed {
        name: String,
        /// Permission bits.
        mode: u32,
    },
    /// A folder that others can write is not ours alone.
    #[error("the folder {name}: {why}; look at what lies in it before")]
    Open {
        /// Which folder.
        name: String,
        /// What others may do, and what helps.
        why: String,
    },
    /// More than [`FILE_OCTETS_MAX`].
    #[error("{name} is longer than any file of this program")]
    TooLarge { name: String },
}

/// Where the files are.
pub trait Directory {
    /// The whole file, or `None` where there is none. Keys are read only if they are plain files of ours alone.
    ///
    /// # Errors
    /// [`DirectoryFault`].
    fn read(&self, name: FileName) -> Result<Option<Secret<Vec<u8>>>, DirectoryFault>;

    /// Replaces or creates the file. A crash leaves the old file or the new one.
    ///
    /// # Errors
    /// [`DirectoryFault`]; then it is unknown which of the two is there.
    fn replace(&mut self, name: FileName, bytes: &[u8]) -> Result<(), DirectoryFault>;

    /// Renames over what is there. A crash leaves it done or not done.
    ///
    /// # Errors
    /// As [`Directory::replace`].
    fn rename(&mut self, from: FileName, to: FileName) -> Result<(), DirectoryFault>;

    /// Removes the file, if there is one.
    ///
    /// # Errors
    /// As [`Directory::replace`].
    fn remove(&mut self, name: FileName) -> Result<(), DirectoryFault>;
}
