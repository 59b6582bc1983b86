//! Enrolment protocols without I/O: bytes from a stranger in, a typed [`EnrolmentRequest`] out, and back.
//!
//! A protocol's module reads its messages and writes its answers, for our server and our client alike.
//! What a request is worth is decided by the RA; no inventory, key, clock or socket is known here.
//! Standards: EST, RFC 7030 with RFC 8951.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod est;
pub mod renewal;
mod renewal_plan;
mod request;

pub use renewal::{RenewalHint, RenewalWindow};
pub use renewal_plan::{Draw, RenewalPlanner};
pub use request::{EnrolmentRequest, Intent, PresentedCredential, RequestParts, UserAgent};
