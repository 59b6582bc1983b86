//! Revocations by set. Whoever asks for one names whose certificates die; the store finds them inside the
//! transaction and writes them into the event, so that none that comes meanwhile is missed.

use crate::cbor::{octets, opt_octets, text};
use crate::event::{IdentityKind, RevokedCertificate};
use minicbor::{Decode, Encode};
use touchmark_identity::{CertificateId, DeviceId, Name, RevocationReason};

/// An operator or service.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartyName {
    /// Operator or service.
    #[n(0)]
    pub kind: IdentityKind,
    #[cbor(n(1), with = "text")]
    pub name: Name,
}

/// See [`crate::Event::HolderRevoked`]. Exactly one of `device` and `party` is there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HolderRevoked {
    #[cbor(n(0), with = "opt_octets")]
    pub device: Option<DeviceId>,
    /// The operator or service.
    #[n(1)]
    pub party: Option<PartyName>,
    /// What is dead by it: everything of the holder that was alive. Written by the store.
    #[n(2)]
    pub certificates: Vec<RevokedCertificate>,
    /// CRLReason (RFC 5280 §5.3.1).
    #[cbor(n(3), with = "text")]
    pub reason: RevocationReason,
}

/// See [`crate::Event::CertificateRevoked`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateRevoked {
    /// The one that was named.
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    /// What is dead by it: that one, and the successors that were given on its word and never proven. Written by
    /// the store.
    #[n(1)]
    pub certificates: Vec<RevokedCertificate>,
    /// CRLReason (RFC 5280 §5.3.1).
    #[cbor(n(2), with = "text")]
    pub reason: RevocationReason,
}
