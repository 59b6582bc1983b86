//! PKCS#10 requests from devices (RFC 2986): read, then proven, then held against what will be issued.
//!
//! In: untrusted DER. Out: [`Csr`], which only [`UnprovenCsr::prove_possession`] makes. A request contributes a
//! key and nothing else; what it asks for is kept so that a wrong wish is refused and not silently dropped.

#[cfg(test)]
mod tests;

use crate::certificate::{BadExtension, DIGITAL_SIGNATURE, ExtendedKeyUsage};
use crate::der::{BIT_STRING, INTEGER, OID, SEQUENCE, SET};
use crate::distinguished_name::DistinguishedName;
use crate::extensions::{
    BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, Extensions, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID,
};
use crate::key::{BadKey, PublicKey, SignatureAlgorithm, sha256};
use crate::strict::{BadShape, Element, Field};
use core::net::IpAddr;

/// Largest request: RSA-8192 with 20 names has 3 KiB.
pub const CSR_OCTETS_MAX: usize = 16 * 1024;
/// Most attributes in one request: known clients send at most 5.
const ATTRIBUTES_MAX: usize = 16;

/// Most of a refused name that is repeated to people and logs.
const ASKED_CHARS_MAX: usize = 128;

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";

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
    #[error("not a certification request: {part} is malformed")]
    Malformed {
        /// The first part that could not be read.
        part: &'static str,
    },
    /// The public key is refused.
    #[error("the request's public key: {0}")]
    Key(BadKey),
    /// Signed with an algorithm that is weak, unknown or does not fit the key.
    #[error("the request's signature algorithm is not one of ECDSA, Ed25519, RSA with SHA-2")]
    SignatureAlgorithm,
    /// The request was not signed by the key that it holds.
    #[error("the request is not signed by its own key")]
    Signature,
    /// A list of extensions cannot be read.
    #[error("the requested extensions: {0}")]
    Unreadable(BadExtension),
    /// A name is asked for that will not be issued.
    #[error("the request asks for the name {asked:?}, which will not be issued")]
    Name {
        /// The name, or its sort.
        asked: String,
    },
    /// A CA certificate is asked for.
    #[error("the request asks for a CA certificate")]
    Ca,
    /// An extension is asked for that will not be issued so.
    #[error("the request asks for extension {oid}, which will not be issued so")]
    Extension {
        /// Dotted object identifier.
        oid: String,
    },
    /// An attribute other than extensionRequest and challengePassword.
    #[error("the request has the attribute {oid}, which has no meaning here")]
    Attribute {
        /// Dotted object identifier.
        oid: String,
    },
}

impl CsrFault {
    /// Stable code for logs, answers and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "csr-too-large",
            Self::Malformed { .. } | Self::Unreadable(_) => "csr-malformed",
            Self::Key(_) => "csr-key",
            Self::SignatureAlgorithm | Self::Signature => "csr-signature",
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
    /// Common names of the subject.
    pub common_names: Vec<String>,
    /// The subject holds another attribute, or a common name in an old character set.
    pub other_subject: bool,
    /// URIs of the subjectAltName.
    pub uris: Vec<String>,
    /// DNS names of the subjectAltName.
    pub dns: Vec<String>,
    /// Addresses of the subjectAltName.
    pub ips: Vec<IpAddr>,
    /// The subjectAltName holds a name of another sort.
    pub other_names: bool,
    /// basicConstraints with cA TRUE.
    pub ca: bool,
    /// extKeyUsage.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// keyUsage, with bit n of RFC 5280 at bit n.
    pub key_usage: Option<u16>,
    /// subjectKeyIdentifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// Extensions without a field above, as dotted object identifiers.
    pub unknown_extensions: Vec<String>,
    /// Attributes other than extensionRequest and challengePassword, as dotted object identifiers.
    pub unknown_attributes: Vec<String>,
    /// A challengePassword is there; its value is dropped.
    pub challenge_password: bool,
}

/// What will be issued; all that a request may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The subject's common name.
    pub common_name: &'a str,
    /// The identity.
    pub uri: &'a str,
    /// DNS names.
    pub dns: &'a [String],
    /// Addresses.
    pub ips: &'a [IpAddr],
    /// extKeyUsage.
    pub extended_key_usages: &'a [ExtendedKeyUsage],
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
        let [Some(version), Some(subject), Some(key), Some(attributes)] = info
            .fields([Field::One(INTEGER), Field::One(SEQUENCE), Field::One(SEQUENCE), Field::One(0xa0)])
            .map_err(malformed("the signed part"))?
        else {
            return Err(CsrFault::Malformed { part: "the signed part" });
        };
        if version.content != [0] {
            return Err(CsrFault::Malformed { part: "the version" });
        }
        let public_key = PublicKey::from_spki_der(key.raw).map_err(CsrFault::Key)?;
        let subject = DistinguishedName::read(subject).map_err(malformed("the subject"))?;
        let mut requested = Requested {
            common_names: subject.common_names,
            other_subject: subject.other,
            ..Requested::default()
        };
        read_attributes(attributes, &mut requested)?;
        Ok(Self {
            der: der.to_vec(),
            signed: info.raw.to_vec(),
            algorithm: SignatureAlgorithm::from_algorithm_identifier_der(algorithm.raw)
                .ok_or(CsrFault::SignatureAlgorithm)?,
            signature: signature.whole_bits().map_err(malformed("the signature"))?.to_vec(),
            public_key,
            requested,
        })
    }

    /// Checks that the key in the request signed the request.
    ///
    /// # Errors
    /// [`CsrFault::Signature`], when it did not.
    pub fn prove_possession(self) -> Result<Csr, CsrFault> {
        self.public_key
            .verify(self.algorithm, &self.signed, &self.signature)
            .map_err(|_| CsrFault::Signature)?;
        Ok(Csr { der: self.der, public_key: self.public_key, requested: self.requested })
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

    /// Whether every wish is absent or equal to what will be issued; challengePassword is for the caller to judge.
    ///
    /// # Errors
    /// [`CsrFault`] names the first wish that is neither.
    pub fn within(&self, granted: &Granted<'_>) -> Result<(), CsrFault> {
        // No `..`: a new wish must be judged here before this compiles again.
        let Requested {
            common_names,
            other_subject,
            uris,
            dns,
            ips,
            other_names,
            ca,
            extended_key_usages,
            key_usage,
            subject_key_id,
            unknown_extensions,
            unknown_attributes,
            challenge_password: _,
        } = &self.requested;
        let name = |asked: &dyn ToString| CsrFault::Name {
            asked: asked.to_string().chars().take(ASKED_CHARS_MAX).collect(),
        };
        let extension = |oid: &str| CsrFault::Extension { oid: oid.to_owned() };
        if *ca {
            return Err(CsrFault::Ca);
        }
        if let Some(asked) = common_names.iter().find(|asked| *asked != granted.common_name) {
            return Err(name(asked));
        }
        if *other_subject || common_names.len() > 1 {
            return Err(name(&"subject with more than one common name"));
        }
        if let Some(asked) = uris.iter().find(|asked| *asked != granted.uri) {
            return Err(name(asked));
        }
        if let Some(asked) = dns.iter().find(|asked| !granted.dns.contains(asked)) {
            return Err(name(asked));
        }
        if let Some(asked) = ips.iter().find(|asked| !granted.ips.contains(asked)) {
            return Err(name(asked));
        }
        if *other_names {
            return Err(name(&"subjectAltName of another sort than URI, DNS, IP"));
        }
        if extended_key_usages.iter().any(|asked| !granted.extended_key_usages.contains(asked)) {
            return Err(extension(EXTENDED_KEY_USAGE));
        }
        if key_usage.is_some_and(|asked| asked != DIGITAL_SIGNATURE) {
            return Err(extension(KEY_USAGE));
        }
        if subject_key_id.as_ref().is_some_and(|asked| *asked != self.public_key.key_id()) {
            return Err(extension(SUBJECT_KEY_ID));
        }
        if let Some(oid) = unknown_extensions.first() {
            return Err(extension(oid));
        }
        match unknown_attributes.first() {
            Some(oid) => Err(CsrFault::Attribute { oid: oid.clone() }),
            None => Ok(()),
        }
    }
}

fn read_attributes(attributes: Element<'_>, requested: &mut Requested) -> Result<(), CsrFault> {
    let bad = CsrFault::Malformed { part: "the attributes" };
    let mut seen: Vec<String> = Vec::new();
    for attribute in attributes.children() {
        let [Some(id), Some(values)] = attribute
            .and_then(|attribute| attribute.fields([Field::One(OID), Field::One(SET)]))
            .map_err(malformed("the attributes"))?
        else {
            return Err(bad);
        };
        let oid = id.oid_text().map_err(malformed("the attributes"))?;
        // Readers that take the first of two extension requests sign what others did not check.
        if seen.contains(&oid) || seen.len() == ATTRIBUTES_MAX {
            return Err(bad);
        }
        match oid.as_str() {
            EXTENSION_REQUEST => {
                let [list] =
                    values.contents([Field::One(SEQUENCE)]).map_err(malformed("the extension request"))?;
                let list = list.ok_or(CsrFault::Malformed { part: "the extension request" })?;
                take_wishes(Extensions::read(list).map_err(CsrFault::Unreadable)?, requested);
            }
            CHALLENGE_PASSWORD => requested.challenge_password = true,
            _ => requested.unknown_attributes.push(oid.clone()),
        }
        seen.push(oid);
    }
    Ok(())
}

fn take_wishes(extensions: Extensions, requested: &mut Requested) {
    const JUDGED: [&str; 5] =
        [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID];
    requested.unknown_extensions = extensions
        .present
        .into_iter()
        .map(|present| present.oid)
        .filter(|oid| !JUDGED.contains(&oid.as_str()))
        .collect();
    requested.uris = extensions.names.uris;
    requested.dns = extensions.names.dns;
    requested.ips = extensions.names.ips;
    requested.other_names = extensions.names.other;
    requested.ca = extensions.basic_constraints.is_some_and(|constraints| constraints.ca);
    requested.extended_key_usages = extensions.extended_key_usages.unwrap_or_default();
    requested.key_usage = extensions.key_usage;
    requested.subject_key_id = extensions.subject_key_id;
}
