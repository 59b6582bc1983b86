//! The light half of the policy decision point: what may be asked, how topics match, what was decided and why.
//!
//! In: an attempt of one connected device. Out: a [`Permit`] that forwarding consumes, or a [`Denial`] with a
//! stable reason. The rules of one device lie in a [`DecisionTable`], made once when it connects.
//! No policy language, certificate, socket or clock may live here. Topics: MQTT 5.0 §4.7.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod access;
mod action;
mod decision;
mod fault;
mod filter;
mod levels;
mod pattern;
mod reason;
mod rule;
mod subject;
mod table;
mod topic;
mod update;

pub use access::Access;
pub use action::Action;
pub use decision::{Decision, Denial, Permit};
pub use fault::PolicyInputFault;
pub use filter::TopicFilter;
pub use pattern::TopicPattern;
pub use reason::{DenyReason, UnknownDenyReason};
pub use rule::{Effect, PolicyVersion, RuleId};
pub use subject::Subject;
pub use table::{DecisionTable, Reach, TableRule, TopicReach, UpdateReach};
pub use topic::Topic;
pub use update::{UpdatePath, UpdatePattern};
