//! PKCS#10 requests from devices (RFC 2986): read, then proven, then held against what will be issued.
//!
//! In: untrusted DER. Out: [`Csr`], which only [`UnprovenCsr::prove_possession`] makes. A request contributes a
//! key and nothing else; what it asks for is kept, so that a wrong wish is refused in words and not silently dropped.
//! Which wishes pass is judged in `csr/judge.rs`.

mod judge;
#[cfg(test)]
mod tests;

pub use crate::distinguished_name::Attribute;
pub use judge::{Form, Granted};

use crate::certificate::{BadExtension, ExtendedKeyUsage};
use crate::der::{BIT_STRING, INTEGER, OID, SEQUENCE, SET};
use crate::distinguished_name::{DistinguishedName, text};
use crate::extensions::{
    BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, Extensions, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID,
};
use crate::key::{BadKey, BadSignature, BadSignatureAlgorithm, PublicKey, SignatureAlgorithm, sha256};
use crate::oid_names::named;
use crate::strict::{BadShape, Element, Field};
use core::net::IpAddr;
use touchmark_identity::Name;

/// Largest request: RSA-8192 with 20 names has 3 KiB.
pub const CSR_OCTETS_MAX: usize = 16 * 1024;
/// Most attributes in one request: known clients send at most 5.
const ATTRIBUTES_MAX: usize = 16;

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
/// What Microsoft's tools wrote before PKCS #9 had extensionRequest; the same list under another number.
const MICROSOFT_EXTENSIONS: &str = "1.3.6.1.4.1.311.2.1.14";
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";
/// A name of the requester in no form at all (RFC 2985 §5.4.1); `openssl req` asks people for one.
const UNSTRUCTURED_NAME: &str = "1.2.840.113549.1.9.2";
/// Attributes that say which program asks and on which system, and ask for nothing: Microsoft's osVersion,
/// enrollmentCspProvider and requestClientInfo.
const CLIENT_INFORMATION: [&str; 3] =
    ["1.3.6.1.4.1.311.13.2.3", "1.3.6.1.4.1.311.13.2.2", "1.3.6.1.4.1.311.21.20"];

/// Why a request is refused; the device, or whoever configured it, must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrFault {
    /// More than [`CSR_OCTETS_MAX`].
    #[error("a certification request has at most {CSR_OCTETS_MAX} octets, this one has {octets}")]
    TooLarge {
        /// Length as given.
        octets: usize,
    },
    /// Not DER, or not the structure of a request.
    #[error("not a certification request: {part} cannot be read as DER")]
    Malformed {
        /// The first part that could not be read.
        part: &'static str,
    },
    /// A version that PKCS #10 does not have.
    #[error(
        "the request's version is INTEGER {found}; taken is INTEGER 0, which means version 1 (RFC 2986 §4.1)"
    )]
    Version {
        /// As encoded.
        found: String,
    },
    /// An attribute whose meaning would depend on the reader.
    #[error("the request's attribute {attribute} {why}")]
    AttributeForm {
        attribute: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than 16 attributes.
    #[error("a request has at most {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    /// The public key is refused.
    #[error("the request's public key: {0}")]
    Key(BadKey),
    /// Signed with an algorithm that is weak or unknown.
    #[error("the request is signed with {0}")]
    SignatureAlgorithm(BadSignatureAlgorithm),
    /// Signed with an algorithm of another type of key.
    #[error("the request names the signature algorithm {algorithm}, which its {key} key cannot make")]
    SignatureKey {
        /// The algorithm.
        algorithm: String,
        key: String,
    },
    /// The request was not signed by the key that it holds.
    #[error("the request is not signed by its own key")]
    Signature,
    /// A list of extensions cannot be read.
    #[error("the requested extensions: {0}")]
    Unreadable(BadExtension),
    /// A name is asked for that will not be issued.
    #[error("the request asks for {found}; taken is {taken}")]
    Name {
        /// What stands in the request.
        found: String,
        /// What would have passed.
        taken: String,
    },
    /// A CA certificate is asked for.
    #[error(
        "the request asks for a CA certificate (basicConstraints, 2.5.29.19); taken is none, or cA FALSE"
    )]
    Ca,
    /// An extension is asked for that will not be issued so.
    #[error("the request asks for the extension {extension} {found}; taken is {taken}")]
    Extension {
        /// Name and object identifier.
        extension: String,
        /// What it asks for.
        found: String,
        /// What would have passed.
        taken: String,
    },
    /// An attribute that means something, and not what will be issued.
    #[error(
        "the request has the attribute {attribute}; taken are extensionRequest, and what describes the client"
    )]
    Attribute {
        /// Name and object identifier.
        attribute: String,
    },
}

impl CsrFault {
    /// Stable code for logs, answers and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "csr-too-large",
            Self::Malformed { .. }
            | Self::Version { .. }
            | Self::AttributeForm { .. }
            | Self::TooManyAttributes
            | Self::Unreadable(_) => "csr-malformed",
            Self::Key(_) => "csr-key",
            Self::SignatureAlgorithm(_) | Self::SignatureKey { .. } | Self::Signature => "csr-signature",
            Self::Name { .. } => "csr-name",
            Self::Ca => "csr-ca",
            Self::Extension { .. } => "csr-extension",
            Self::Attribute { .. } => "csr-attribute",
        }
    }
}

/// What a request asks for beside its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// The subject's attributes.
    pub subject: Vec<Attribute>,
    /// URIs of the subjectAltName.
    pub uris: Vec<String>,
    /// DNS names of the subjectAltName.
    pub dns: Vec<String>,
    /// Addresses of the subjectAltName.
    pub ips: Vec<IpAddr>,
    /// What other sort of name the subjectAltName holds.
    pub other_name: Option<String>,
    /// basicConstraints with cA TRUE.
    pub ca: bool,
    /// extKeyUsage.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// keyUsage, with bit n of RFC 5280 at bit n.
    pub key_usage: Option<u16>,
    /// subjectKeyIdentifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// Extensions without a field above, as dotted object identifiers with their values.
    pub extensions: Vec<(String, Vec<u8>)>,
    /// Texts of unstructuredName; `None` where it is no text.
    pub unstructured_names: Vec<Option<String>>,
    /// Attributes without a field here, as dotted object identifiers.
    pub attributes: Vec<String>,
    /// A challengePassword is there; its value is dropped.
    pub challenge_password: bool,
}

/// A request that was read, whose signature nobody has looked at.
#[derive(Clone, Debug)]
pub struct UnprovenCsr {
    der: Vec<u8>,
    /// certificationRequestInfo, the octets that the signature covers.
    signed: Vec<u8>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    public_key: PublicKey,
    requested: Requested,
}

/// A request whose sender holds the private key.
#[derive(Clone, Debug)]
pub struct Csr {
    der: Vec<u8>,
    public_key: PublicKey,
    requested: Requested,
}

fn malformed(part: &'static str) -> impl Fn(BadShape) -> CsrFault {
    move |BadShape| CsrFault::Malformed { part }
}

impl Requested {
    /// The name of the device that the request is about: its one common name, or that of the identity which is its one
    /// URI, if it has no common name. Whether it may ask for the rest is judged elsewhere.
    ///
    /// # Errors
    /// What stands there in place of a name, in words.
    pub fn device_name(&self) -> Result<Name, String> {
        judge::device_name(self)
    }
}

impl UnprovenCsr {
    /// Reads a request that fills `der`: bounds, shape, key limits and wishes, but no signature arithmetic.
    ///
    /// # Errors
    /// [`CsrFault`] names the first part that is not acceptable.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrFault> {
        if der.len() > CSR_OCTETS_MAX {
            return Err(CsrFault::TooLarge { octets: der.len() });
        }
        let outer = Element::whole(der).map_err(malformed("its encoding"))?;
        let [Some(info), Some(algorithm), Some(signature)] = outer
            .fields([Field::One(SEQUENCE), Field::One(SEQUENCE), Field::One(BIT_STRING)])
            .map_err(malformed("the outer sequence"))?
        else {
            return Err(CsrFault::Malformed { part: "the outer sequence" });
        };
        // RFC 2986 has the attributes always there; several clients leave out the tag with nothing in it, which says
        // the same.
        let [Some(version), Some(subject), Some(key), attributes] = info
            .fields([Field::One(INTEGER), Field::One(SEQUENCE), Field::One(SEQUENCE), Field::Optional(0xa0)])
            .map_err(malformed("the signed part (version, subject, key, attributes)"))?
        else {
            return Err(CsrFault::Malformed { part: "the signed part (version, subject, key, attributes)" });
        };
        if version.content != [0] {
            let found = match version.content {
                [encoded] if *encoded < 0x80 => encoded.to_string(),
                others => format!("of {} octets", others.len()),
            };
            return Err(CsrFault::Version { found });
        }
        let public_key = PublicKey::from_spki_der(key.raw).map_err(CsrFault::Key)?;
        let subject = DistinguishedName::read(subject).map_err(malformed("the subject"))?;
        let mut requested = Requested { subject: subject.attributes, ..Requested::default() };
        if let Some(attributes) = attributes {
            read_attributes(attributes, &mut requested)?;
        }
        Ok(Self {
            der: der.to_vec(),
            signed: info.raw.to_vec(),
            algorithm: SignatureAlgorithm::from_algorithm_identifier_der(algorithm.raw)
                .map_err(CsrFault::SignatureAlgorithm)?,
            signature: signature.whole_bits().map_err(malformed("the signature"))?.to_vec(),
            public_key,
            requested,
        })
    }

    /// Checks that the key in the request signed the request.
    ///
    /// # Errors
    /// [`CsrFault::SignatureKey`] or [`CsrFault::Signature`], when it did not.
    pub fn prove_possession(self) -> Result<Csr, CsrFault> {
        match self.public_key.verify(self.algorithm, &self.signed, &self.signature) {
            Ok(()) => Ok(Csr { der: self.der, public_key: self.public_key, requested: self.requested }),
            Err(BadSignature::DoesNotVerify) => Err(CsrFault::Signature),
            Err(BadSignature::KeyMismatch) => Err(CsrFault::SignatureKey {
                algorithm: self.algorithm.to_string(),
                key: self.public_key.algorithm().to_string(),
            }),
        }
    }
}

impl Csr {
    /// The key whose possession was proven.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The whole request.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of [`Csr::der`].
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// What is asked for beside the key.
    pub fn requested(&self) -> &Requested {
        &self.requested
    }
}

fn read_attributes(attributes: Element<'_>, requested: &mut Requested) -> Result<(), CsrFault> {
    const PART: &str = "the list of attributes";
    let mut seen: Vec<String> = Vec::new();
    for attribute in attributes.children() {
        let [Some(id), Some(values)] = attribute
            .and_then(|attribute| attribute.fields([Field::One(OID), Field::One(SET)]))
            .map_err(malformed(PART))?
        else {
            return Err(CsrFault::Malformed { part: PART });
        };
        let oid = id.oid_text().map_err(malformed(PART))?;
        let form = |why| CsrFault::AttributeForm { attribute: named(&oid), why };
        // Readers that take the first of two extension requests sign what others did not check.
        if seen.contains(&oid) {
            return Err(form("stands twice"));
        }
        if seen.len() == ATTRIBUTES_MAX {
            return Err(CsrFault::TooManyAttributes);
        }
        match oid.as_str() {
            EXTENSION_REQUEST | MICROSOFT_EXTENSIONS => {
                if seen.iter().any(|other| matches!(other.as_str(), EXTENSION_REQUEST | MICROSOFT_EXTENSIONS))
                {
                    return Err(form("is a second list of extensions"));
                }
                let Ok([Some(list)]) = values.contents([Field::One(SEQUENCE)]) else {
                    return Err(form("does not hold one list of extensions"));
                };
                // RFC 5280 wants one extension at least; a client that has none and says so asks for nothing.
                if !list.content.is_empty() {
                    let extensions = Extensions::read_keeping_values(list).map_err(CsrFault::Unreadable)?;
                    take_wishes(extensions, requested);
                }
            }
            CHALLENGE_PASSWORD => requested.challenge_password = true,
            UNSTRUCTURED_NAME => {
                let texts = values.children().map(|value| value.map(text));
                requested.unstructured_names = texts.collect::<Result<_, _>>().map_err(malformed(PART))?;
            }
            known if CLIENT_INFORMATION.contains(&known) => {}
            _ => requested.attributes.push(oid.clone()),
        }
        seen.push(oid);
    }
    Ok(())
}

fn take_wishes(extensions: Extensions, requested: &mut Requested) {
    const JUDGED: [&str; 5] =
        [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID];
    requested.extensions = extensions
        .present
        .into_iter()
        .filter(|present| !JUDGED.contains(&present.oid.as_str()))
        .map(|present| (present.oid, present.value))
        .collect();
    requested.uris = extensions.names.uris;
    requested.dns = extensions.names.dns;
    requested.ips = extensions.names.ips;
    requested.other_name = extensions.names.other;
    requested.ca = extensions.basic_constraints.is_some_and(|constraints| constraints.ca);
    requested.extended_key_usages = extensions.extended_key_usages.unwrap_or_default();
    requested.key_usage = extensions.key_usage;
    requested.subject_key_id = extensions.subject_key_id;
}
