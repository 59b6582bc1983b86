//! A fleet on simulated time: thousands of device agents against one authority, from one seed.
//!
//! In: a [`Scenario`]. Out: an [`Outcome`]: numbers, and every [`Violation`] of the named invariants. The agents'
//! `Lifecycle` and key store, the RA, the CA and the store in memory are the product's own, with real keys, requests
//! and certificates; the network, the clocks, the power and the server's speed are simulated. No thread, no socket, no
//! clock: events happen in the order of their time, and the same seed gives the same run. docs/simulation.md tells more.

mod authority;
mod chance;
mod device;
mod invariant;
mod judgement;
mod network;
mod run;
mod scenario;
mod server;
mod summary;
mod timeline;

pub use invariant::{Invariant, Violation};
pub use run::Fleet;
pub use scenario::{Chances, Driver, Happening, Scenario, Skew};
pub use summary::{DeviceEnd, Outcome, Requests, Summary};
