//! Nothing is missing: sequence numbers have no gap inside an epoch, epochs have none between them.
//!
//! The Merkle log proves that frames were not altered; this proves that the gateway wrote all it decided.

use crate::{DecisionId, Frame, Record};
use core::fmt;
use touchmark_identity::{Name, Timestamp};

/// The first decision of each epoch has this number.
pub const FIRST_SEQUENCE: u64 = 0;

/// How a frame continues the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// In the same epoch.
    SameEpoch,
    /// The gateway had started again.
    NewEpoch {
        /// If not clean, publishes of its last 50 ms may never have been written.
        previous_epoch_clean: bool,
    },
}

/// What a gateway's crash may have taken with it: at most the acts of 50 ms that nobody had waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first decision that may be missing: the one after the last that was kept.
    pub from: DecisionId,
    /// When the last one that was kept happened.
    pub after: Timestamp,
    /// When the gateway was started again.
    pub before: Timestamp,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "from {} on at most 50 ms of acts may be missing, between {} and {}",
            self.from, self.after, self.before
        )
    }
}

/// Finds the gaps in one gateway's log, frame by frame.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    last: Option<(u32, u64, Timestamp)>,
}

impl Gaps {
    /// The gap before this frame, if there is one. Frames come in the order of the log.
    pub fn before(&mut self, frame: &Frame) -> Option<Gap> {
        let newest = frame.records.iter().map(Record::at).max()?;
        let newest = match self.last {
            Some((epoch, _, before)) if epoch == frame.log_epoch => newest.max(before),
            _ => newest,
        };
        let last = self.last.replace((frame.log_epoch, frame.next_sequence(), newest));
        let (epoch, sequence, after) = last.filter(|(epoch, ..)| *epoch != frame.log_epoch)?;
        match frame.records.first() {
            Some(Record::EpochOpened(opened)) if !opened.previous_epoch_clean => {
                let from = DecisionId { gateway: frame.gateway.clone(), epoch, sequence };
                Some(Gap { from, after, before: opened.at })
            }
            _ => None,
        }
    }
}

/// What is missing. The check stays where it was: the frame that was wanted is wanted still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceFault {
    /// The frame is of another gateway's log.
    #[error("the frame is by gateway `{got}`, the log is of `{expected}`")]
    OtherGateway {
        /// Whose log it is.
        expected: Name,
        /// Who wrote the frame.
        got: Name,
    },
    /// Decisions are missing, or stand twice.
    #[error("expected {expected}, the frame begins with {got}")]
    Gap {
        /// The next decision.
        expected: DecisionId,
        /// The frame's first.
        got: DecisionId,
    },
    /// A whole epoch is missing, or comes back.
    #[error("epoch {got} follows epoch {have}")]
    EpochGap {
        /// The epoch before.
        have: u32,
        /// The frame's.
        got: u32,
    },
    /// An epoch begins without the record that says how the one before ended.
    #[error("epoch {epoch} does not begin with its opening record")]
    NotOpened {
        /// The frame's.
        epoch: u32,
    },
    /// An opening record inside an epoch: two processes wrote one log.
    #[error("epoch {epoch} is opened twice")]
    OpenedTwice {
        /// The frame's.
        epoch: u32,
    },
}

/// Follows one gateway's log, frame by frame.
#[derive(Clone, Debug)]
pub struct SequenceCheck {
    gateway: Name,
    /// Epoch and number of the next decision; `None` before the first frame.
    next: Option<(u32, u64)>,
}

impl SequenceCheck {
    /// From the beginning of a log: its first frame opens an epoch.
    pub fn new(gateway: Name) -> Self {
        Self { gateway, next: None }
    }

    /// From a place that was reached before.
    pub fn resume(gateway: Name, epoch: u32, next_sequence: u64) -> Self {
        Self { gateway, next: Some((epoch, next_sequence)) }
    }

    /// Epoch and number of the next decision: what to store for [`SequenceCheck::resume`].
    pub fn next(&self) -> Option<(u32, u64)> {
        self.next
    }

    /// Checks the next frame, and moves behind it if it is good.
    ///
    /// # Errors
    /// [`SequenceFault`]: something is missing before this frame, or inside it. The frame does not count.
    pub fn check(&mut self, frame: &Frame) -> Result<Continuation, SequenceFault> {
        let continuation = self.follows(frame)?;
        self.next = Some((frame.log_epoch, frame.next_sequence()));
        Ok(continuation)
    }

    fn follows(&self, frame: &Frame) -> Result<Continuation, SequenceFault> {
        if frame.gateway != self.gateway {
            return Err(SequenceFault::OtherGateway {
                expected: self.gateway.clone(),
                got: frame.gateway.clone(),
            });
        }
        let before = self.next;
        let epoch = frame.log_epoch;
        let opening = match frame.records.first() {
            Some(Record::EpochOpened(opened)) => Some(opened.previous_epoch_clean),
            _ => None,
        };
        let openings = frame.records.iter().filter(|record| matches!(record, Record::EpochOpened(_))).count();
        let same_epoch = before.is_some_and(|(have, _)| have == epoch);
        if openings > usize::from(!same_epoch && opening.is_some()) {
            return Err(SequenceFault::OpenedTwice { epoch });
        }
        match before {
            Some((have, _)) if have != epoch && have.checked_add(1) != Some(epoch) => {
                return Err(SequenceFault::EpochGap { have, got: epoch });
            }
            Some((have, next)) if have == epoch => {
                self.expect(next, frame)?;
                return Ok(Continuation::SameEpoch);
            }
            _ => {}
        }
        let previous_epoch_clean = opening.ok_or(SequenceFault::NotOpened { epoch })?;
        self.expect(FIRST_SEQUENCE, frame)?;
        Ok(Continuation::NewEpoch { previous_epoch_clean })
    }

    fn expect(&self, sequence: u64, frame: &Frame) -> Result<(), SequenceFault> {
        if frame.first_sequence == sequence {
            return Ok(());
        }
        let id = |sequence| DecisionId { gateway: self.gateway.clone(), epoch: frame.log_epoch, sequence };
        Err(SequenceFault::Gap { expected: id(sequence), got: id(frame.first_sequence) })
    }
}
