//! Cedar is the language of all rules, for devices and for operators; it is also the oracle of our tests.
//!
//! In: policy texts. Out: a [`CompiledPolicy`] that turns one device into a small [`touchmark_policy::DecisionTable`],
//! and an [`OperatorPolicy`] that answers per request. All faults of a text are reported at once, with the fix.
//! No Cedar type leaves this crate; no file is read here (the starter texts are built in).
//! The language: <https://docs.cedarpolicy.com>, version 4.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod bundle;
mod compile;
mod entities;
mod fault;
mod lint;
mod mutation;
mod operator;
mod oracle;
mod read;
mod rule;
mod schema;
mod specialise;
mod statement;
mod topics;

pub use bundle::{BadBundle, PolicyBundle};
pub use compile::CompiledPolicy;
pub use fault::{PolicyFault, PolicyFaults};
pub use operator::{OperatorDenial, OperatorPermit, OperatorPolicy, OperatorRequest};
pub use oracle::Verdict;
pub use schema::{device_schema, operator_schema};
