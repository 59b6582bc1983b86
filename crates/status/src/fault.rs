//! Why a feed message was refused. The variant says whether to fetch a snapshot, to page someone, or to give up.

use crate::message::Position;
use touchmark_identity::Timestamp;

/// A refused message changes nothing: the set stays as it was, and grows stale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedFault {
    /// Ask again with a snapshot: messages between the two positions are missing.
    #[error("the feed is at {have} and the message continues from elsewhere: {got}; fetch a snapshot")]
    Gap {
        /// The last position that was applied.
        have: Position,
        /// The position of the refused message.
        got: Position,
    },
    /// Ask again with a snapshot: the message continues another history than the one that was applied.
    #[error("the message at {at} does not continue the history that was applied; fetch a snapshot")]
    BrokenChain {
        /// The position of the refused message.
        at: Position,
    },
    /// Nobody need act if it was a repeat; otherwise somebody replays, or the authority was set back.
    #[error("the message is at {got}, before {have}")]
    Older {
        /// The last position that was applied, or the floor that was kept beside the feed.
        have: Position,
        /// The position of the refused message.
        got: Position,
    },
    /// The operator must compare clocks: the message was issued later than now.
    #[error("issued at {issued_at}, but it is only {now} here: one of the two clocks is wrong")]
    FromTheFuture {
        /// The authority's clock.
        issued_at: Timestamp,
        /// The clock here.
        now: Timestamp,
    },
    /// The operator must check the configured feed key, or somebody altered the bytes.
    #[error("the signature is not by the configured feed key over these bytes")]
    WrongSignature,
    /// The operator must check which authority this feed comes from.
    #[error("the feed is for environment `{got}`, not for the one configured here")]
    WrongEnvironment {
        /// The environment named in the message.
        got: String,
    },
    /// The operator must upgrade this side: the authority writes a newer format.
    #[error("feed format version {0} is not known here")]
    UnknownVersion(u64),
    /// A snapshot was needed and another message came.
    #[error("a feed begins with a snapshot")]
    NotASnapshot,
    /// The stored feed holds nothing.
    #[error("the stored feed is empty")]
    EmptyFile,
    /// The bytes are not a message: cut short, longer than stated, out of order or not in shortest form.
    #[error("not a feed message: {0}")]
    Malformed(&'static str),
    /// Over a limit that is named in this crate.
    #[error("over the limit of a feed message: {0}")]
    TooLarge(&'static str),
    /// The operator must provide a usable key.
    #[error("not an Ed25519 key")]
    BadKey,
}
