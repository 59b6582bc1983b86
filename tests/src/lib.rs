//! The laboratory: the product as processes of the operating system, and the programs of others beside it.
//!
//! In: the built binary. Out: addresses, operators, devices, foreign programs, and measurements of the
//! running server. Whatever a lab started ends with it. Waiting is always for a condition, never for a time.
//! No test lives here.

// A test stops at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]
// The harness of tests hands on what tests print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod agent;
mod broker;
mod cost;
mod curl;
mod der;
mod device;
mod dice;
pub mod faults;
mod flood;
mod forged;
mod holder;
mod journal;
mod lab;
mod load;
mod mqtt;
mod operator;
mod page;
mod patience;
mod program;
mod raw;
mod service;
mod thief;

pub use agent::Agent;
pub use broker::Broker;
pub use cost::{Cost, Meter};
pub use curl::{Answer, Curl};
pub use device::{Device, Enrolment, Key};
pub use dice::Dice;
pub use flood::{FLOOD_PER_S, flood};
pub use forged::{Forged, forged_requests, twin};
pub use holder::{Holder, renewal};
pub use journal::{leaves, refusal_is_recorded, renewal_refusal_is_recorded};
pub use lab::{Lab, target_directory};
pub use load::{Outcome, Shot, storm, storm_as};
pub use mqtt::{Greeted, Mqtt};
pub use operator::{Operator, device_token, environment_order, operator_token, prefix_token};
pub use page::{promised, same_as_promised};
pub use patience::{PATIENCE, until, within};
pub use program::{Program, program};
pub use raw::{Heard, plain};
pub use service::{Killer, Service};
pub use thief::{thief, tls};
