//! The inventory: what is, derived from what happened.
//!
//! [`project`] turns one journal entry into row changes, at commit and at replay alike; no row has another
//! source. [`Store`] is the port that commits entries and rows together; [`MemoryStore`] is its first
//! implementation, with fault points. Sightings come from the decision log, not from the journal.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod change;
mod dying;
mod facts;
mod indexes;
mod memory;
mod project;
mod rows;
mod sightings;
mod store;
mod tables;

pub use change::{Change, UniqueKey};
pub use dying::{Dying, REVOKED_IN_ONE_EVENT, filled, killed, lives};
pub use facts::{Facts, Found, HolderFacts, ISSUES_READ, Query};
pub use memory::{Fault, MemoryStore};
pub use project::{Unprojectable, concerned_device, denies_keys, project};
pub use rows::{
    AuthorityRow, CertificateRow, CertificateState, CrlRow, DeniedKeyRow, DeviceRow, EnforcementRow,
    EnvironmentRow, GatewayAbsenceRow, HardwareRow, IdentityRow, IssueRow, MakerRow, PartyRow, PolicyRow,
    ProfileRow, RenewalRow, SightingRow, TokenRow,
};
pub use sightings::{FOLDED_MIN, RESOURCE_OCTETS_MAX, RESOURCES_MAX, Seen, Sightings};
pub use store::{
    Command, CommitDone, Conflict, DeviceFilter, Holder, LogHead, Precondition, Receipt, Store, StoreFault,
    StoredEntry,
};
pub use tables::Tables;
