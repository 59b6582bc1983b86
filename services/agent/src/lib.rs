//! The device agent: keeps a device's identity fresh, in every environment that it belongs to.
//!
//! [`lifecycle`] decides and does no I/O; [`store`] keeps keys and certificates through power cuts; `transport`
//! asks the authority; the daemon joins them, and a socket serves the applications on the device.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

pub mod cli;
pub mod config;
pub mod daemon;
pub mod hooks;
pub mod lifecycle;
mod log;
pub mod performer;
pub mod socket;
pub mod store;
pub mod transport;
mod watched;
