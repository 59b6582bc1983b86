//! Tools for tests, linked into no product: a writer of entries, the check that rows equal replay, and the
//! conformance suite that every store passes.
//!
//! Everything here panics when the claim is false: it is called by tests only.
#![allow(clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod conformance;
pub mod fleet;
mod journal_builder;
pub mod replay;
pub mod walk;

pub use journal_builder::{Intent, JournalBuilder, NOT_AFTER_S, command, name};
