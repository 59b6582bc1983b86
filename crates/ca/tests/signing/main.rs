//! What is planned, signed and refused, through the crate's public functions.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod authority;
mod authority_certificates;
mod crl;
mod fixtures;
mod golden;
mod issue;
mod plan;
mod plan_refusals;
