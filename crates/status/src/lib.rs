//! The status feed of one environment: what is wrong now, signed and numbered. Writer and reader of one format.
//!
//! The authority holds a [`FeedWriter`] and signs snapshots, deltas and heartbeats; a gateway folds the same
//! bytes into a [`StatusSet`] and asks it about each peer. Nothing here fetches, stores or reads a clock.
//! Whatever cannot be verified is a [`FeedFault`]: no feed is never an empty feed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod canonical;
mod change;
mod enforcement;
mod fault;
mod feed_file;
mod message;
mod policy_bundle;
mod set;
mod signature;
mod staleness;
mod state;
mod writer;

pub use change::{Anchor, AnchorRole, Change, Revocation, Standing, Supersession};
pub use enforcement::{Enforcement, GatewayView, ONLINE_WITHIN};
pub use fault::FeedFault;
pub use feed_file::{feed_file_entry, open_feed_file, recover_feed_file};
pub use message::{FORMAT_VERSION, Head, MESSAGE_OCTETS_MAX, Position};
pub use policy_bundle::PolicyBundle;
pub use set::{CLOCK_AHEAD_MAX, Effect, Presented, Status, StatusSet};
pub use signature::{FeedSigner, FeedVerifier};
pub use staleness::{Freshness, StalenessClass, UnknownClass};
pub use state::State;
pub use writer::FeedWriter;
