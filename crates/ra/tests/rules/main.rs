//! The RA's rules through its public functions: rows in, order or refusal or command out.
#![allow(clippy::unwrap_used)]

mod admission;
mod containment;
mod environment;
mod initial;
mod issue_rate;
mod renewal;
mod rows;
mod succession;
mod token;
