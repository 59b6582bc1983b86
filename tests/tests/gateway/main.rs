//! Journeys of devices through the gateway, a process of its own, to a broker behind it. Verdicts are asserted at
//! the far end, by a subscriber on the broker, and in the decision log that the authority holds.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod abuse;
mod acts;
mod at_broker;
mod growth;
mod http;
mod identities;
mod installation;
mod log;
mod outages;
mod policy;
mod revocation;
