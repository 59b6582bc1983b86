//! What an audit says.

use core::fmt;
use std::io;

use touchmark_tlog::{BadNote, Hash};

/// The log is whole: every entry hashes up to the signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Leaves under the signed head.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed head itself. Kept by somebody else, it is the witness of the next audit.
    pub note: String,
    /// Whether a head from outside was compared.
    pub witness: WitnessFinding,
    /// Files under `tile/` that the head does not cover: of a publication under way or cut short, or
    /// not of the log at all. Nothing can be said about them.
    pub not_covered: u64,
}

/// What the outside head adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessFinding {
    /// The log contains the head of this size that the witness kept.
    Compared {
        /// Leaves under the witness's head.
        size: u64,
    },
    /// No outside head was given: an old copy or a rewritten history would not be noticed.
    NotCompared,
}

impl fmt::Display for WitnessFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compared { size } => write!(f, "contains the outside head of {size} leaves"),
            Self::NotCompared => f.write_str("not compared with an outside head"),
        }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leaves, root {}, {}", self.size, self.root.to_base64(), self.witness)
    }
}

/// The first thing that is wrong. `index` counts entries for a bundle, and hashes of its level for a hash tile.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A file of the log is gone.
    #[error("`{file}` is missing")]
    Missing {
        /// Path within the log.
        file: String,
    },
    /// A file cannot be read, or is longer than it may ever be.
    #[error("`{file}` cannot be read")]
    Unreadable {
        /// Path within the log.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The head is not one of this log, or was changed.
    #[error("`checkpoint` is refused")]
    Checkpoint(#[from] BadNote),
    /// A file is cut short, or has more in it than its name says.
    #[error("`{file}` is cut short or too long, from index {index} on")]
    Length {
        /// Path within the log.
        file: String,
        /// First place that is wrong.
        index: u64,
    },
    /// An entry was changed.
    #[error("`{file}`: entry {index} is not the one that the signed head covers")]
    Entry {
        /// Path within the log.
        file: String,
        /// Index of the entry.
        index: u64,
    },
    /// A hash was changed, or the leaves below it were.
    #[error("`{file}`: hash {index} does not follow from the entries")]
    HashTile {
        /// Path within the log.
        file: String,
        /// Index of the hash in its level.
        index: u64,
    },
    /// Entries and tiles agree with each other, but not with the signed head.
    #[error("`checkpoint`: the entries have root {computed}, the signed head says {signed}")]
    Root {
        /// Of the entries.
        computed: Hash,
        /// Of the head.
        signed: Hash,
    },
    /// The visitor objects to a leaf.
    #[error("`{file}`: entry {index}: {says}")]
    Leaf {
        /// Path within the log.
        file: String,
        /// Index of the entry.
        index: u64,
        /// The visitor's words.
        says: String,
    },
    /// The log lacks leaves that the witness has seen: this is an old copy.
    #[error("`checkpoint`: the log of {size} leaves is behind the witness, who has seen {witness}")]
    BehindWitness {
        /// Leaves of this log.
        size: u64,
        /// Leaves under the witness's head.
        witness: u64,
    },
    /// The log has another history than the witness has seen, signed with the same key: a fork.
    #[error("`checkpoint`: fork: the first {witness} leaves are not those that the witness has seen")]
    Fork {
        /// Leaves under the witness's head.
        witness: u64,
    },
    /// The witness's head is of another log.
    #[error("the outside head is of log `{found}`, this log is `{expected}`")]
    OtherWitness {
        /// This log.
        expected: String,
        /// The head's.
        found: String,
    },
}

impl AuditFault {
    /// The file at fault. `None` where the fault lies outside the log.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Missing { file }
            | Self::Unreadable { file, .. }
            | Self::Length { file, .. }
            | Self::Entry { file, .. }
            | Self::HashTile { file, .. }
            | Self::Leaf { file, .. } => Some(file),
            Self::Checkpoint(_) | Self::Root { .. } | Self::BehindWitness { .. } | Self::Fork { .. } => {
                Some(crate::files::CHECKPOINT_FILE)
            }
            Self::OtherWitness { .. } => None,
        }
    }

    /// Index of the entry, or of the hash in its level. `None` where the whole log is meant.
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Length { index, .. }
            | Self::Entry { index, .. }
            | Self::HashTile { index, .. }
            | Self::Leaf { index, .. } => Some(*index),
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Checkpoint(_)
            | Self::Root { .. }
            | Self::BehindWitness { .. }
            | Self::Fork { .. }
            | Self::OtherWitness { .. } => None,
        }
    }
}
