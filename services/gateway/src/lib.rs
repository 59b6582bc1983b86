//! The gateway: devices connect here, and nothing passes without a decision that is written down.
//!
//! In: the authority's signed status feed, devices over mutual TLS (MQTT, HTTP).
//! Out: permitted acts to a broker, an HTTP service or the built-in sink; a decision log to the authority.
//! A decision is local, from the last verified feed. No store, no CA and no enrolment may be linked here.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod admission;
mod allowance;
mod arrivals;
mod config;
mod credential;
mod decision_log;
mod fault;
mod feed;
mod http;
mod mqtt;
mod permitted;
mod rates;
mod session;
mod sink;
mod start;
mod trust;
mod uplink;
mod witness;

#[cfg(test)]
mod lab;

pub use config::{Ack, CredentialFiles, GatewayConfig, PreferredPorts, UnknownAck};
pub use fault::GatewayFault;
pub use rates::PUBLISH_RATE;
pub use start::{Gateway, GatewayReady, start};
