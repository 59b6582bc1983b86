//! The codec through its public API only: golden octets, malformed tables, fragments, properties, an oracle.
#![allow(clippy::unwrap_used)]
// Golden files are read, and rewritten by TOUCHMARK_BLESS=1.
#![allow(clippy::disallowed_methods)]

mod differential;
mod fragments;
mod golden;
mod legality;
mod malformed;
mod random;
mod samples;
mod transcripts;
