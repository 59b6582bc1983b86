//! The authority: CA, RA, status, inventory and journal behind four ports.
//!
//! `start` wires the parts once, visibly; handlers in `http` reach use cases, use cases reach the pure core and
//! the store. Order of every effect: durable first, then feed, CRL and answers. Async lives only here.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

pub mod audit;
mod config;
mod containment;
mod entropy;
mod feed;
mod http;
mod issuance;
mod keys;
mod operators;
mod start;
mod steady_time;
mod store;

pub use audit::log_rebuild::{RebuildFault, rebuild_log};
pub use config::AuthorityConfig;
pub use http::{Route as ApiRoute, routes as api_routes};
pub use keys::VaultFault;
pub use start::{Authority, StartFault, start};
pub use store::SqliteStore;

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests;
