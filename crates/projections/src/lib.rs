//! What the journal means for what is published.
//!
//! In: events and the rows that follow from them. Out: changes of the status feed. Nothing here publishes or waits;
//! whoever follows the journal by sequence number calls it for each entry, and begins again where it failed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod feed;

pub use feed::{anchor, concerns_feed, feed_changes, feed_state};
