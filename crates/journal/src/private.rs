//! The erasable part of an entry: what names or describes one device. The leaf keeps only its salted hash.

use crate::cbor::{octets, opt_text, text};
use crate::maker::HardwarePrivate;
use minicbor::{Decode, Encode};
use touchmark_identity::{Name, NamePrefix, SpiffeId, SpkiHash};

/// What stands beside the public event, by the event's kind.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Private {
    /// With `TokenCreated`.
    #[n(1)]
    Token(#[n(0)] TokenPrivate),
    /// With `DeviceRegistered`.
    #[n(2)]
    Device(#[n(0)] DevicePrivate),
    /// With `CertificateIntended`.
    #[n(3)]
    Intent(#[n(0)] IntentPrivate),
    /// With `CertificateIssued`.
    #[n(4)]
    Certificate(#[n(0)] CertificateBody),
    /// With `HardwareRegistered`.
    #[n(5)]
    Hardware(#[n(0)] HardwarePrivate),
}

/// Whom a token enrols.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TokenSubject {
    /// This name only.
    #[n(0)]
    Named(#[cbor(n(0), with = "text")] Name),
    /// New devices whose names start so.
    #[n(1)]
    Prefix(#[cbor(n(0), with = "text")] NamePrefix),
}

/// See [`Private::Token`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenPrivate {
    /// SHA-256 of the password.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub secret_sha256: [u8; 32],
    /// Whom it enrols.
    #[n(1)]
    pub subject: TokenSubject,
    /// Model that the device gets.
    #[cbor(n(2), with = "opt_text")]
    pub model: Option<Name>,
    /// DNS names and addresses that a service's certificate gets, as text.
    #[n(3)]
    pub hosts: Vec<String>,
}

/// See [`Private::Device`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DevicePrivate {
    /// Its name in its environment.
    #[cbor(n(0), with = "text")]
    pub name: Name,
    /// Its model.
    #[cbor(n(1), with = "opt_text")]
    pub model: Option<Name>,
    /// Who answers for it.
    #[cbor(n(2), with = "text")]
    pub owner: Name,
}

/// See [`Private::Intent`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IntentPrivate {
    /// The one URI name.
    #[cbor(n(0), with = "text")]
    pub identity: SpiffeId,
    #[cbor(n(1), with = "octets")]
    pub spki: SpkiHash,
    /// The request, so that the same one gets the same answer.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub csr_sha256: [u8; 32],
    /// TBSCertificate, DER: what will be signed, and nothing else.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub tbs: Vec<u8>,
}

/// See [`Private::Certificate`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateBody {
    /// Certificate, DER.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub der: Vec<u8>,
}
