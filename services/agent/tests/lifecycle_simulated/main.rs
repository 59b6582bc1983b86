//! The lifecycle and its key store against an authority of real keys, certificates and codecs, on simulated time.
//!
//! What is simulated: the clock, the disk with its mishaps, and the network between the two. After every effect
//! the disk must hold a pair that the authority would take, as long as it ever had one.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod answers;
mod any_order;
mod authority;
mod clocks;
mod device;
mod journeys;
mod power;
mod refusals;
mod roll_over;
mod world;
