//! The port as devices meet it: real TLS, a real broker behind, and verdicts read at the far end and in the log.

mod acknowledged;
mod arrivals;
mod at_broker;
pub(crate) mod client;
mod idle;
mod journeys;
mod logic;
mod rates;
mod refused;
mod wills;
