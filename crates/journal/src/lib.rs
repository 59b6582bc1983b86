//! The journal: everything that can happen here, as versioned bytes that never change once written.
//!
//! In: a typed [`Event`] with its [`Private`] part. Out: the public leaf bytes, which commit to the
//! private part by a salted hash, so that the part can be erased and the log still verifies.
//! This crate decides nothing and stores nothing; rows are derived from entries in `inventory`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cbor;
mod entry;
mod event;
mod gateway;
mod maker;
mod private;
mod renewal;
mod revocation;

pub use entry::{BadEntry, Draft, Entry, Envelope, LEAF_OCTETS_MAX, Salt, Scope};
pub use event::{
    AuthorityCreated, AuthorityKind, BurnCause, CertificateBurned, CertificateConfirmed, CertificateIntended,
    CertificateIssued, CertificateSuperseded, CertificatesRevoked, CrlPublished, DeviceRegistered,
    EnforcementReported, EnvironmentCreated, Event, IdentityKind, PartyRegistered, PolicyActivated,
    ProfileActivated, Reach, Refused, RevokedCertificate, Standing, StandingChanged, Started, TokenCreated,
    TokenVoided,
};
pub use gateway::GatewayDeclared;
pub use maker::{HardwarePrivate, HardwareRegistered, MakerRegistered, MakerWithdrawn};
pub use private::{CertificateBody, DevicePrivate, IntentPrivate, Private, TokenPrivate, TokenSubject};
pub use renewal::{
    CloneResponse, CloneSuspected, PartyCloneSuspected, RenewalFacts, RenewalManner, RenewalRefused,
    RenewalRules,
};
pub use revocation::{CertificateRevoked, HolderRevoked, PartyName};
