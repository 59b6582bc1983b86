//! A transparency log as a directory: `checkpoint` and `tile/...` as C2SP tlog-tiles serves them.
//!
//! In: leaf bytes, a signer, a directory. Out: durable tiles, signed checkpoints, proofs, audits.
//! What a leaf means is the caller's affair; so is the private key's file. Blocking I/O, no thread.
//! Any static file server over this directory is a C2SP log.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
mod disk;
mod edge;
mod fault;
mod files;
mod log;
mod reader;
mod rebuild;
#[cfg(test)]
mod sandbox;
mod signer;

pub use audit::{AuditFault, AuditReport, WitnessFinding, audit_dir};
pub use fault::TileLogFault;
pub use files::CHECKPOINT_FILE;
pub use log::{PENDING_OCTETS_MAX, TileLog};
pub use reader::{READ_ENTRIES_MAX, TileReader};
pub use rebuild::rebuild;
pub use signer::{BadSeed, NoteSigner};
