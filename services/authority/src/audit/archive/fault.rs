//! Why an archive takes nothing, or gives nothing.

use std::path::PathBuf;
use touchmark_durable::WriteFault;
use touchmark_identity::Name;

/// Why frames were not taken, or an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// Reading failed.
    #[error("cannot read the decision archive {path}: {source}")]
    Read {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is kept of this gateway is not in order: it is left as it is, for an operator to look at.
    #[error("the decision archive of `{gateway}` is damaged and was set aside: {what}")]
    Damaged {
        gateway: Name,
        /// What was found.
        what: String,
    },
    /// The gateway did not say with which key it signs.
    #[error("the gateway has not registered its decision log's key")]
    NotRegistered,
    /// A gateway's log key does not change.
    #[error("the gateway's decision log has another key than the one it registered")]
    OtherKey,
    /// Frames are missing or come twice: the next one wanted is named.
    #[error("expected the frame of leaf {expected}")]
    OutOfOrder {
        /// The next leaf that is wanted.
        expected: u64,
    },
    /// Not a frame of this gateway, or not the one that follows.
    #[error("frame {leaf} is not acceptable: {what}")]
    BadFrame {
        /// Its leaf.
        leaf: u64,
        what: String,
    },
    /// The head does not cover the frames: the gateway shows two histories.
    #[error("the gateway's signed head does not match the frames it sent")]
    Fork,
    /// Not a head of this log.
    #[error("not a signed head of this gateway's log")]
    BadHead,
}
