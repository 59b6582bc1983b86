//! Wire types of the management API, version 1: what the authority answers and the command line prints.
//!
//! JSON over mutual TLS under `/v1`. Times are RFC 3339 in UTC, hashes lower-case hexadecimal, identifiers
//! prefixed. What is not known is `null`, and `no data` in text; it
//! is never left out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audit;
mod device;
mod environment;
mod explain;
mod feed;
mod maker;
mod page;
mod policy;
mod problem;
mod ready;
mod token;
mod words;

pub use audit::{Decision, DecisionQuery, FramesAccepted, FramesUpload, LogHead, StatusReport};
pub use device::{
    Certificate, CertificateName, Containment, ContainmentOutcome, Device, DeviceQuery, GatewayEnforcement,
    History, InEnvironment, LetIn, LetInParty, ListIn, Renewals, Whom,
};
pub use environment::{Environment, EnvironmentOrder, Profile};
pub use explain::{Candidate, Explanation, KnownIdentity, OnExpiry, Party, Revoker, Sighting};
pub use feed::{FeedAcknowledgement, FeedQuery, Gateway, GatewayAbsence, GatewayRegistration};
pub use maker::{HardwareOrder, Maker, MakerOrder, MakerWithdrawal};
pub use page::{Cursor, ListQuery, Page};
pub use policy::{Policy, PolicyDocument, PolicyEnforcement};
pub use problem::Problem;
pub use ready::{LogAddress, Pids, Ready};
pub use token::{Token, TokenInfo, TokenOrder};
pub use words::{
    Action, CertificateState, CloneResponse, EnforcementState, GatewayStanding, IdentityKind, Proof, Reach,
    RenewalManner, RevokerKind, Staleness, Standing, SubjectKind, TokenKind, TokenState, UnknownWord,
    Verdict, Word,
};

/// What people read where a question has no answer. Programs read `null`.
pub const NO_DATA: &str = "no data";

/// A value for people.
pub fn or_no_data<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| NO_DATA.to_owned(), T::to_string)
}
