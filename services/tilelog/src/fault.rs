//! What can go wrong with a log directory, grouped by who must act.

use std::io;
use std::path::PathBuf;

use touchmark_durable::WriteFault;
use touchmark_tlog::{BadNote, ProofFault};

/// Why the log does not open, grow or answer.
#[derive(Debug, thiserror::Error)]
pub enum TileLogFault {
    /// Whoever runs the machine must act: space, permissions, mounts. The same call may be tried again.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// Like [`TileLogFault::Write`], on the way in.
    #[error("cannot read `{file}` of the log")]
    Read {
        /// Path within the log.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has this log open.
    #[error("the log `{}` is open in another process", directory.display())]
    Locked {
        /// The log.
        directory: PathBuf,
    },
    /// There are tiles but no checkpoint. Starting over would fork the log: restore the file.
    #[error("the log has tiles but its checkpoint is gone")]
    CheckpointMissing,
    /// The checkpoint on disk was not signed by our key, or was damaged. Restore it.
    #[error("the log's `{file}` is refused")]
    Checkpoint {
        /// `checkpoint`, or the one that a crash left half published.
        file: &'static str,
        #[source]
        source: BadNote,
    },
    /// A file contradicts the signed checkpoint. Restore it, and run the audit to find what else is wrong.
    #[error("`{file}` of the log is damaged: {says}")]
    Damaged {
        /// Path within the log.
        file: String,
        /// What is wrong with it.
        says: &'static str,
    },
    /// The log is older than a head that the caller has seen: an old copy was restored. Never sign on it.
    #[error("the log has {disk} leaves, but a head of {floor} leaves is known: it is an old copy")]
    BehindFloor {
        /// Leaves on disk.
        disk: u64,
        /// Leaves under the known head.
        floor: u64,
    },
    /// The log has another history than a head that the caller has seen. Never sign on it.
    #[error("the log contradicts the known head of {floor} leaves")]
    ForkedFromFloor {
        /// Leaves under the known head.
        floor: u64,
    },
    /// The caller mixed up two logs.
    #[error("the known head is of log `{found}`, this log is `{expected}`")]
    OtherLog {
        /// This log.
        expected: String,
        /// The head's.
        found: String,
    },
    /// The caller must split or shorten a leaf. Nothing was appended.
    #[error("leaf {position} has {octets} octets, more than 65535")]
    LeafTooLong {
        /// Its position in the call.
        position: usize,
        /// Its length.
        octets: usize,
    },
    /// The caller must publish before it appends more. Nothing was appended.
    #[error("too many octets wait to be published")]
    Backlog,
    /// The caller asked for entries that are not published, or for too many at once.
    #[error("entries {first}..{end} are not available: {size} are published, at most {at_once} at once")]
    Unavailable {
        /// First wanted.
        first: u64,
        /// Behind the last wanted.
        end: u64,
        /// Published leaves.
        size: u64,
        /// Limit of one call.
        at_once: u64,
    },
    /// A proof cannot be made for these numbers.
    #[error("no proof can be made")]
    Proof(#[from] ProofFault),
}
