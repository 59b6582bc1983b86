//! The registration authority: who may have a certificate, who may lose one, and on whose word.
//!
//! In: proven requests, rows that the caller read, and a [`Mandate`] where a person acts. Out: an order for
//! the CA or a [`Refusal`] that says who must act; commands for the store. No key, no HTTP, no clock, no table.
//! Terms: RA (RFC 4949), token (design of this product), LDevID (IEEE 802.1AR).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod certificate;
mod confirmation;
mod containment;
mod enrol;
mod environment;
mod fault;
mod gateway;
mod holder;
mod initial;
mod issue_rate;
mod issue_schedule;
mod mandate;
mod recovery;
mod refusal;
mod renewal;
mod step;
mod suspicion;
mod token;
mod trust;

pub use admission::{Admitted, EnrolmentFacts, admit, name_asked};
pub use certificate::{RevokeCertificate, revoke_certificate};
pub use confirmation::{Proven, Witnessed, confirm, confirm_by_name, may_be_renewed, prove, take_place};
pub use containment::{
    Contain, ContainmentFault, RevokeParty, Verb, contain, reach_of, revocation_of, revoke_party,
};
pub use enrol::{Enrolled, Enrolling, Evidence, Initial, enrol};
pub use environment::{
    EnvironmentPlan, EnvironmentRefusal, Foundable, SuccessorPlan, check_environment, found_environment,
};
pub use fault::{EnrolmentFault, EstRefusal, Notice};
pub use gateway::{Declaration, DeclarationEnded, DeclareGateway, declare_gateway, gateway_returned};
pub use holder::holder_actor;
pub use initial::{
    HardwareFacts, InitialFacts, InitialRefusal, MAKERS_IN_FORCE_MAX, MakerFacts, MakerFault,
    RegisterHardware, RegisterMaker, WithdrawMaker, admit_initial, register_hardware, register_maker,
    withdraw_maker,
};
pub use issue_rate::{ISSUES_AT_ONCE, ISSUES_PART, may_issue};
pub use issue_schedule::{IssueSchedule, PlaceKey, Urgency};
pub use mandate::{Act, Mandate};
pub use recovery::burn;
pub use refusal::Refusal;
pub use renewal::{Presented, RenewalTerms, admit_renewal};
pub use step::{Memory, Moment, Next, RANDOM_OCTETS, Step, Then, Turn, World};
pub use suspicion::{Use, look_at_use, revoke_superseded, suspect_clone, was_superseded};
pub use token::{TOKEN_LIFETIME_MAX, TokenFault, TokenOrder, VoidToken, create_token, void_token};
pub use trust::{ActiveProfile, Trust, Trusts};
