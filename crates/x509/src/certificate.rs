//! An X.509 certificate as read from untrusted bytes (RFC 5280 §4.1): owned, cheap to clone, every part decoded once.
//!
//! In: DER or PEM. Out: [`Certificate`], or [`BadCertificate`]. Reading says nothing about trust: signatures,
//! dates and rights are for [`crate::path`]; how ours must look is for [`crate::lint`].

mod read;
#[cfg(test)]
mod tests;

use crate::distinguished_name::same_name;
pub use crate::extensions::BadExtension;
use crate::extensions::Extensions;
use crate::key::{BadKey, BadSignatureAlgorithm, PublicKey, SignatureAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::net::IpAddr;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use touchmark_identity::{BadSerial, BadSpiffeId, Fingerprint, SerialNumber, SpiffeId, SpkiHash, Validity};

/// Largest certificate: ours have under 1 KiB, makers' birth certificates under 4 KiB.
pub const CERTIFICATE_OCTETS_MAX: usize = 64 * 1024;
/// Most certificates in one PEM text: a set of anchors or a chain.
pub const PEM_CERTIFICATES_MAX: usize = 64;

/// keyUsage bit: digitalSignature (0).
pub const DIGITAL_SIGNATURE: u16 = 1;
/// keyUsage bit: keyCertSign (5).
pub const KEY_CERT_SIGN: u16 = 1 << 5;
/// keyUsage bit: cRLSign (6).
pub const CRL_SIGN: u16 = 1 << 6;

/// What a key may be used for at the other end of a protocol (RFC 5280 §4.2.1.12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExtendedKeyUsage {
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-serverAuth.
    ServerAuth,
    /// Another purpose, as dotted object identifier.
    Other(String),
}

impl ExtendedKeyUsage {
    const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
    const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

    /// From a dotted object identifier.
    pub fn from_oid(oid: &str) -> Self {
        match oid {
            Self::CLIENT_AUTH => Self::ClientAuth,
            Self::SERVER_AUTH => Self::ServerAuth,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The dotted object identifier.
    pub fn oid(&self) -> &str {
        match self {
            Self::ClientAuth => Self::CLIENT_AUTH,
            Self::ServerAuth => Self::SERVER_AUTH,
            Self::Other(oid) => oid,
        }
    }
}

/// Why bytes are not a certificate that this product reads. Whoever sent them must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// More than [`CERTIFICATE_OCTETS_MAX`].
    #[error("a certificate has at most 65536 octets, this one has {octets}")]
    TooLarge {
        /// Length as given.
        octets: usize,
    },
    /// Not DER, or not the structure of a certificate.
    #[error("not a certificate: {part} is malformed")]
    Malformed {
        /// The first part that could not be read.
        part: &'static str,
    },
    /// Not version 3.
    #[error("a certificate must have version 3")]
    Version,
    /// The serial number breaks RFC 5280.
    #[error("the certificate's serial number: {0}")]
    Serial(BadSerial),
    /// Dates before 1970, or an end that is not after the beginning.
    #[error("the certificate's validity is not a span of time")]
    Validity,
    /// Signed with an algorithm that is weak, unknown or wrongly parametrised.
    #[error("the certificate is signed with {0}")]
    SignatureAlgorithm(BadSignatureAlgorithm),
    /// The signed and the unsigned algorithm identifier differ.
    #[error("the certificate names two different signature algorithms")]
    AlgorithmMismatch,
    /// The public key is refused.
    #[error("the certificate's public key: {0}")]
    Key(BadKey),
    /// An extension is refused.
    #[error(transparent)]
    Extension(#[from] BadExtension),
    /// A PEM text is broken, holds no certificate, or more than [`PEM_CERTIFICATES_MAX`].
    #[error("expected 1 to 64 certificates in PEM")]
    Pem,
    /// An identity was asked of a certificate without exactly one URI.
    #[error("an identity needs exactly one URI in the certificate, this one has {count}")]
    UriCount {
        /// URIs in its subjectAltName.
        count: usize,
    },
    /// The one URI is no identity.
    #[error("the certificate's URI: {0}")]
    Identity(BadSpiffeId),
}

/// One certificate. Equal when the bytes are.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Vec<u8>,
    tbs_der: Vec<u8>,
    issuer_der: Vec<u8>,
    subject_der: Vec<u8>,
    signature: Vec<u8>,
    signature_algorithm: SignatureAlgorithm,
    serial: SerialNumber,
    validity: Validity,
    date_forms: [DateForm; 2],
    common_names: Vec<String>,
    subject_serial_numbers: Vec<String>,
    public_key: PublicKey,
    fingerprint: Fingerprint,
    extensions: Extensions,
    unknown_critical: Vec<String>,
}

/// How a date was written (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateForm {
    /// UTCTime: 1950 to 2049.
    Utc,
    /// GeneralizedTime: 2050 and later.
    Generalized,
}

impl Certificate {
    /// Reads one certificate that fills `der`.
    ///
    /// # Errors
    /// [`BadCertificate`], for anything that is not one DER certificate of version 3 with a key and a signature
    /// algorithm of ours.
    pub fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        read::certificate(der).map(|parts| Self(Arc::new(parts)))
    }

    /// Reads all certificates in a PEM text, in order; other sections and text between them are skipped.
    ///
    /// # Errors
    /// [`BadCertificate::Pem`] when there is none, too many, or the armour is broken; else of the first bad one.
    pub fn from_pem_many(pem: &str) -> Result<Vec<Self>, BadCertificate> {
        let mut certificates = Vec::new();
        for section in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let der = section.map_err(|_| BadCertificate::Pem)?;
            if certificates.len() == PEM_CERTIFICATES_MAX {
                return Err(BadCertificate::Pem);
            }
            certificates.push(Self::from_der(&der)?);
        }
        if certificates.is_empty() { Err(BadCertificate::Pem) } else { Ok(certificates) }
    }

    /// As PEM (RFC 7468 §5), with a final line feed.
    pub fn to_pem(&self) -> String {
        let base64 = STANDARD.encode(&self.0.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        for (place, letter) in base64.chars().enumerate() {
            if place > 0 && place % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem + "\n-----END CERTIFICATE-----\n"
    }

    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The part that is signed.
    pub fn tbs_der(&self) -> &[u8] {
        &self.0.tbs_der
    }

    /// SHA-256 of [`Certificate::der`]: a handle, never a key to deny by. An ECDSA signature (r, s) has a valid
    /// twin (r, n-s), and so a second fingerprint for the same certificate (CVE-2026-25793).
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The serial number: unique inside its issuer, never alone.
    pub fn serial(&self) -> &SerialNumber {
        &self.0.serial
    }

    /// From when to when it is valid.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// The certified key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// SHA-256 of the certified key's SubjectPublicKeyInfo.
    pub fn spki_hash(&self) -> SpkiHash {
        self.0.public_key.spki_hash()
    }

    /// The subject's distinguished name; may be an empty SEQUENCE.
    pub fn subject_der(&self) -> &[u8] {
        &self.0.subject_der
    }

    /// The issuer's distinguished name; never empty.
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.issuer_der
    }

    /// Whether subject and issuer have the same name (RFC 5280 §3.2: self-issued, as in a key roll-over).
    pub fn is_self_issued(&self) -> bool {
        same_name(&self.0.subject_der, &self.0.issuer_der)
    }

    /// Whether `issuer` has the name, and the key identifier if one is named, of this certificate's issuer. Names are
    /// compared as RFC 5280 §7.1 says.
    pub fn names_as_issuer(&self, issuer: &Self) -> bool {
        self.authority_key_id().is_none_or(|id| issuer.subject_key_id() == Some(id))
            && same_name(&issuer.0.subject_der, &self.0.issuer_der)
    }

    /// The subject's only common name, for people to read; `None` if there is none, or several.
    pub fn common_name(&self) -> Option<&str> {
        match self.0.common_names.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// subjectKeyIdentifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// keyIdentifier of authorityKeyIdentifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key_id.as_deref()
    }

    /// URIs of the subjectAltName.
    pub fn uri_sans(&self) -> &[String] {
        &self.0.extensions.names.uris
    }

    /// DNS names of the subjectAltName, as written.
    pub fn dns_sans(&self) -> &[String] {
        &self.0.extensions.names.dns
    }

    /// Addresses of the subjectAltName.
    pub fn ip_sans(&self) -> &[IpAddr] {
        &self.0.extensions.names.ips
    }

    /// serialNumber attributes of the subject: a maker's name for the hardware, never the certificate's number.
    pub fn subject_serial_numbers(&self) -> &[String] {
        &self.0.subject_serial_numbers
    }

    /// hwSerialNum of every hardwareModuleName in the subjectAltName.
    pub fn hardware_serials(&self) -> &[Vec<u8>] {
        &self.0.extensions.names.hardware_serials
    }

    /// Whether the subjectAltName holds a name of a sort that is not listed above.
    pub fn has_other_sans(&self) -> bool {
        self.0.extensions.names.other.is_some()
    }

    /// The identity: the one URI of the certificate, never its common name.
    ///
    /// # Errors
    /// [`BadCertificate::UriCount`] unless there is exactly one URI, [`BadCertificate::Identity`] if it is not ours.
    pub fn spiffe_id(&self) -> Result<SpiffeId, BadCertificate> {
        match self.uri_sans() {
            [uri] => uri.parse().map_err(BadCertificate::Identity),
            several => Err(BadCertificate::UriCount { count: several.len() }),
        }
    }

    /// basicConstraints' cA; false without the extension.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// basicConstraints' pathLenConstraint.
    pub fn path_len(&self) -> Option<u32> {
        self.0.extensions.basic_constraints.and_then(|constraints| constraints.path_len)
    }

    /// keyUsage, with bit n of RFC 5280 §4.2.1.3 at bit n; see [`DIGITAL_SIGNATURE`] and its neighbours.
    pub fn key_usage(&self) -> Option<u16> {
        self.0.extensions.key_usage
    }

    /// extKeyUsage; `None` without the extension (then any purpose is allowed), else never empty.
    pub fn extended_key_usages(&self) -> Option<&[ExtendedKeyUsage]> {
        self.0.extensions.extended_key_usages.as_deref()
    }

    /// URIs of all cRLDistributionPoints.
    pub fn crl_urls(&self) -> &[String] {
        &self.0.extensions.crl_urls
    }

    /// Scope strings of our private extension.
    pub fn scope(&self) -> &[String] {
        &self.0.extensions.scope
    }

    /// Whether nameConstraints stands there, critical or not.
    pub fn has_name_constraints(&self) -> bool {
        self.0.extensions.name_constraints
    }

    /// Critical extensions that this crate does not act on, as dotted object identifiers: no path may hold them.
    pub fn unknown_critical(&self) -> &[String] {
        &self.0.unknown_critical
    }

    /// The algorithm of the signature.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.0.signature_algorithm
    }

    /// The signature's octets: DER ECDSA-Sig-Value, raw Ed25519 or RSA.
    pub fn signature(&self) -> &[u8] {
        &self.0.signature
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// How notBefore and notAfter were written.
    pub(crate) fn date_forms(&self) -> [DateForm; 2] {
        self.0.date_forms
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.0.serial)
            .field("fingerprint", &self.0.fingerprint)
            .finish_non_exhaustive()
    }
}
