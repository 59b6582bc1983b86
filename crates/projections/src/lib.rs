//! What the journal means for what is published.
//!
//! In: events and the rows that follow from them. Out: changes of the status feed, and the CRLs to be
//! signed again. Nothing here publishes or waits;
//! whoever follows the journal by sequence number calls it for each entry, and begins again where it failed.
#![deny(clippy::wildcard_enum_match_arm)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod crls;
mod feed;

pub use crls::{CrlName, concerns_crls, crl_changes};
pub use feed::{anchor, concerns_feed, feed_changes, feed_state};
