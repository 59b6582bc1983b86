//! An order: the RA's yes, with every name it decided. The request contributed only a key.

use std::net::IpAddr;
use touchmark_identity::{CertificateId, DeviceId, SpiffeId, TokenId};
use touchmark_journal::{IdentityKind, RenewalFacts, Scope};
use touchmark_x509::PublicKey;

/// What the RA decided.
#[derive(Debug)]
pub struct OrderParts {
    /// Organisation and environment.
    pub scope: Scope,
    /// The one URI name.
    pub identity: SpiffeId,
    /// What it is for; chooses the profile.
    pub kind: IdentityKind,
    /// The device, unless it is an operator's or service's.
    pub device: Option<DeviceId>,
    /// The key whose possession was proven.
    pub public_key: PublicKey,
    /// SHA-256 of the request.
    pub csr_sha256: [u8; 32],
    /// Scope strings from the inventory: `model:x200`.
    pub scope_strings: Vec<String>,
    /// Host names of a service.
    pub dns: Vec<String>,
    /// Addresses of a service.
    pub ips: Vec<IpAddr>,
    /// The token it is issued on.
    pub token: Option<TokenId>,
    /// The certificate it is to replace.
    pub replaces: Option<CertificateId>,
    /// Present where the replaced certificate's holder asks for it on that certificate's word.
    pub renewal: Option<RenewalFacts>,
    /// One more than the identity's last.
    pub generation: u64,
}

/// The RA's yes; one order makes one plan.
#[derive(Debug)]
pub struct IssuanceOrder(OrderParts);

impl IssuanceOrder {
    /// Declares that admission decided these parts. Only the RA calls it, after its rules said yes.
    pub fn admitted_unchecked(parts: OrderParts) -> Self {
        Self(parts)
    }

    /// The parts, for the plan.
    pub(crate) fn into_parts(self) -> OrderParts {
        self.0
    }

    /// The parts, to read.
    pub fn parts(&self) -> &OrderParts {
        &self.0
    }
}
