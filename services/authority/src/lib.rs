//! The authority: CA, RA, status, inventory and journal behind four ports.
//!
//! `start` wires the parts once, visibly; handlers in `http` reach use cases, use cases reach the pure core and
//! the store. Order of every effect: durable first, then feed, CRL and answers. Async lives only here.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod archive;
pub mod audit;
mod bootstrap;
mod clones;
mod commit;
mod config;
mod confirmation;
mod containment;
mod crls;
mod disk_reserve;
#[cfg(feature = "faults")]
mod early_answer;
mod enrolment;
mod entropy;
mod environments;
mod explain;
mod feed;
mod gateways;
mod hierarchy;
mod http;
mod issuance;
mod journal_log;
mod keyed_lock;
mod keys;
mod let_in;
mod log_rebuild;
mod makers;
mod operators;
mod pacing;
mod policies;
mod ports;
mod presented;
mod reading;
mod recovery;
mod refusals;
mod renewal;
mod renewal_hints;
mod sightings;
mod start;
mod steady_time;
mod store;
mod tokens;
mod upkeep;
mod views;

pub use config::AuthorityConfig;
pub use http::addresses as api_addresses;
pub use keys::VaultFault;
pub use log_rebuild::{RebuildFault, rebuild_log};
pub use start::{Authority, StartFault, start};
pub use store::SqliteStore;

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests;
