//! The certification authority: order -> plan -> certificate, and revoked set -> CRL.
//!
//! The way to the signing key is a chain of types, none `Clone`, each made only from the one before:
//! [`IssuanceOrder`] -> [`IssuancePlan`] (linted) -> [`Unsigned`] (its intent durable, if the key lives elsewhere) ->
//! [`IssuedCertificate`] (signed, compared byte for byte) -> [`LoggedCertificate`] (durable). No protocol, no device rule.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod authority;
mod crl;
mod issue;
mod order;
mod plan;

pub use authority::{AuthorityFault, IssuingAuthority, create_issuing, create_root};
pub use crl::{CRL_LIFETIME, CrlFault, ENDED_KEPT, Fill, SignedCrl, sign_crl};
pub use issue::{IssueFault, IssuedCertificate, LoggedCertificate, Recorded, Signed, Unsigned, issue};
pub use order::{IssuanceOrder, OrderParts};
pub use plan::{IssuancePlan, PlanFault, Profile, plan};
