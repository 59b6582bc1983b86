//! The decision log's records: who did what at which gateway, what was decided, by which rule, with which proof.
//!
//! The gateway packs [`Record`]s into frames with a [`FrameBuilder`]; a frame is one leaf of its Merkle log.
//! Authority and audit read [`Frame`]s back, join acts with their sessions ([`DecisionReader`]) and check that
//! nothing is missing ([`SequenceCheck`]). No file, tree or clock is known here, and no peer's address is recorded.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod builder;
mod fault;
mod frame;
mod id;
mod octets;
mod reader;
mod record;
mod resource;
mod sequence;
mod tls;

pub use builder::{FrameBuilder, FrameFull};
pub use fault::BadFrame;
pub use frame::{FRAME_OCTETS_MAX, FRAME_VERSION, Frame};
pub use id::{BadDecisionId, DecisionId};
pub use reader::{Decision, DecisionReader, SESSIONS_MAX};
pub use record::{
    Act, AddressFamily, CloseCause, EpochOpened, FeedPosition, PolicyChanged, PresentedCertificate, Proof,
    Record, Refused, SessionClosed, SessionId, SessionOpened, Verdict,
};
pub use resource::Resource;
pub use sequence::{Continuation, FIRST_SEQUENCE, Gap, Gaps, SequenceCheck, SequenceFault};
pub use tls::Tls;
