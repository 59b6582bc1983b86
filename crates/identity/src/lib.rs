//! The words of the field as types: names, identifiers, times, serial numbers, reasons.
//!
//! Every value here was parsed once, at the edge, and cannot be held invalid afterwards.
//! Nothing here knows a protocol, a key or a table.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod actor;
mod hash;
mod host;
mod id;
mod name;
mod permission;
mod printable;
mod reason;
mod secret;
mod serial;
mod spiffe;
#[cfg(feature = "serde")]
mod text;
mod timestamp;
mod validity;

pub use actor::{Actor, ActorKind, BadActor};
pub use hash::{BadHash, Fingerprint, SpkiHash};
pub use host::{BadHostPort, HostPort, is_dns_name};
pub use id::{AuthorityVersionId, BadId, CertificateId, DeviceId, MakerId, ProfileVersionId, TokenId};
pub use name::{BadName, EnvironmentName, Name, NamePrefix, OrganisationName, TrustDomain};
pub use permission::{Permission, UnknownPermission};
pub use printable::printable;
pub use reason::{RevocationReason, UnknownReason};
pub use secret::Secret;
pub use serial::{BadSerial, Incarnation, SerialNumber};
pub use spiffe::{BadSpiffeId, PathKind, SpiffeId};
pub use timestamp::{BadTimestamp, Timestamp};
pub use validity::{BadValidity, Validity};
