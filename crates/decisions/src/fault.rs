//! Why octets are not a frame. The log that handed them out is damaged, newer than this reader, or not a log.

/// A frame is read wholly or not at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Longer than any frame.
    #[error("a frame has at most {max} octets, this one has {octets}", max = crate::FRAME_OCTETS_MAX)]
    TooLarge {
        /// Length as given.
        octets: usize,
    },
    /// The reader must be upgraded: the gateway writes a newer format.
    #[error("frame version {0} is not known here")]
    UnknownVersion(u64),
    /// The octets end inside a record.
    #[error("the frame is cut short")]
    CutShort,
    /// A frame exists to hold records.
    #[error("the frame holds no record")]
    Empty,
    /// A field holds what that field cannot.
    #[error("not a frame: {0}")]
    Malformed(&'static str),
    /// The same records have another spelling, the only one that a gateway writes.
    #[error("the frame is not in the one form that gateways write")]
    NotCanonical,
}
