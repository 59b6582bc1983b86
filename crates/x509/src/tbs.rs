//! Writes TBSCertificates (RFC 5280 §4.1): devices' from a template that is encoded once, authorities' from parts.
//!
//! In: decided contents; the CA chose every value. Out: [`TbsCertificate`], the octets that will be signed.
//! Nothing is judged here: `lint` reads the result back before it is signed.

use crate::certificate::{Certificate, ExtendedKeyUsage};
use crate::der::{self, Critical, oids};
use crate::key::{PublicKey, SignatureAlgorithm};
use std::io::Write;
use std::net::IpAddr;
use touchmark_identity::{Name, SerialNumber, SpiffeId, Validity};

/// id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// Bits 0 (digitalSignature), and 5 and 6 (keyCertSign, cRLSign), as a BIT STRING with its unused bits.
const DIGITAL_SIGNATURE: &[u8] = &[7, 0x80];
const CERTIFICATE_AND_CRL_SIGN: &[u8] = &[1, 0x06];
/// GeneralName choices (RFC 5280 §4.2.1.6).
const DNS_NAME: u8 = der::context(2);
const URI: u8 = der::context(6);
const IP_ADDRESS: u8 = der::context(7);
/// Room for what a leaf adds to its template, so that filling allocates once.
const LEAF_OCTETS: usize = 512;

/// Why no template can be made of a profile; the operator who wrote it must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// The issuing certificate cannot be pointed to.
    #[error("the issuing certificate has no subject key identifier")]
    IssuerWithoutKeyId,
    /// The issuer's key cannot sign so.
    #[error("the issuing key does not make signatures of this algorithm")]
    SignatureAlgorithm,
    /// Not a dotted object identifier.
    #[error("`{0}` is not an extended key usage")]
    ExtendedKeyUsage(String),
    /// A leaf without any usage would be good for everything.
    #[error("a profile names at least one extended key usage")]
    NoExtendedKeyUsage,
    /// Empty, or not ASCII.
    #[error("`{0}` is not the address of a CRL")]
    CrlUrl(String),
}

/// What all leaves under one profile version and one authority have in common.
#[derive(Clone, Copy, Debug)]
pub struct LeafProfile<'a> {
    /// The issuing authority's certificate.
    pub issuer: &'a Certificate,
    /// How the authority signs.
    pub signature_algorithm: SignatureAlgorithm,
    /// Purposes, in this order.
    pub extended_key_usages: &'a [ExtendedKeyUsage],
    /// Where the authority's CRL is published.
    pub crl_url: &'a str,
}

/// What differs from leaf to leaf.
#[derive(Clone, Copy, Debug)]
pub struct LeafContents<'a> {
    /// Drawn by the CA, unique under the issuer.
    pub serial: SerialNumber,
    /// Both ends inside.
    pub validity: Validity,
    /// The only thing taken from the request.
    pub public_key: &'a PublicKey,
    /// For people to read; never parsed.
    pub common_name: &'a Name,
    /// The identity, first in subjectAltName.
    pub uri: &'a SpiffeId,
    /// Host names in ASCII (IDNs as A-labels): other text gives a certificate that no reader takes.
    pub dns: &'a [String],
    /// Addresses.
    pub ip: &'a [IpAddr],
    /// Scope strings; an empty list leaves the extension out.
    pub scope: &'a [String],
}

/// A leaf's TBSCertificate with holes for [`LeafContents`].
#[derive(Clone, Debug)]
pub struct LeafTemplate {
    signature_algorithm: SignatureAlgorithm,
    /// signature and issuer, between the serial and the validity.
    algorithm_and_issuer: Vec<u8>,
    /// basicConstraints, keyUsage, extendedKeyUsage.
    constraints: Vec<u8>,
    authority_key_id: Vec<u8>,
    crl_distribution_points: Vec<u8>,
}

impl LeafTemplate {
    /// Encodes what the leaves have in common.
    ///
    /// # Errors
    /// [`BadProfile`].
    pub fn new(profile: &LeafProfile<'_>) -> Result<Self, BadProfile> {
        let issuer_key_id = profile.issuer.subject_key_id().ok_or(BadProfile::IssuerWithoutKeyId)?;
        if !profile.signature_algorithm.fits(profile.issuer.public_key().algorithm()) {
            return Err(BadProfile::SignatureAlgorithm);
        }
        if profile.crl_url.is_empty() || !profile.crl_url.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(BadProfile::CrlUrl(profile.crl_url.to_owned()));
        }
        if profile.extended_key_usages.is_empty() {
            return Err(BadProfile::NoExtendedKeyUsage);
        }
        let mut usages = Vec::new();
        for usage in profile.extended_key_usages {
            let oid = der::oid_content(usage.oid())
                .ok_or_else(|| BadProfile::ExtendedKeyUsage(usage.oid().to_owned()))?;
            der::put(&mut usages, der::OID, &oid);
        }

        let mut algorithm_and_issuer = profile.signature_algorithm.algorithm_identifier_der().to_vec();
        algorithm_and_issuer.extend_from_slice(profile.issuer.subject_der());
        let mut constraints = Vec::new();
        put_basic_constraints(&mut constraints, BasicConstraints::Leaf);
        put_key_usage(&mut constraints, DIGITAL_SIGNATURE);
        der::put_extension(&mut constraints, oids::EXTENDED_KEY_USAGE, Critical::No, |value| {
            der::put(value, der::SEQUENCE, &usages);
        });
        let mut authority_key_id = Vec::new();
        put_authority_key_id(&mut authority_key_id, issuer_key_id);
        let mut crl_distribution_points = Vec::new();
        put_crl_distribution_point(&mut crl_distribution_points, profile.crl_url);
        Ok(Self {
            signature_algorithm: profile.signature_algorithm,
            algorithm_and_issuer,
            constraints,
            authority_key_id,
            crl_distribution_points,
        })
    }

    /// Fills the holes.
    pub fn fill(&self, leaf: &LeafContents<'_>) -> TbsCertificate {
        let mut out = Vec::with_capacity(
            LEAF_OCTETS
                + self.algorithm_and_issuer.len()
                + self.constraints.len()
                + self.authority_key_id.len()
                + self.crl_distribution_points.len()
                + leaf.public_key.spki_der().len(),
        );
        der::nest(&mut out, der::SEQUENCE, |out| {
            put_version_3(out);
            der::put(out, der::INTEGER, leaf.serial.der_content());
            out.extend_from_slice(&self.algorithm_and_issuer);
            put_validity(out, leaf.validity);
            put_common_name(out, leaf.common_name.as_str());
            out.extend_from_slice(leaf.public_key.spki_der());
            put_extensions(out, |out| {
                out.extend_from_slice(&self.constraints);
                put_subject_key_id(out, leaf.public_key);
                out.extend_from_slice(&self.authority_key_id);
                put_subject_alt_name(out, leaf);
                out.extend_from_slice(&self.crl_distribution_points);
                put_scope(out, leaf.scope);
            });
        });
        TbsCertificate { der: out, signature_algorithm: self.signature_algorithm }
    }
}

/// Everything in an authority's certificate.
#[derive(Clone, Copy, Debug)]
pub struct CaContents<'a> {
    /// The whole subject, at most 64 characters (X.520's bound).
    pub common_name: &'a str,
    /// Drawn by the issuing CA.
    pub serial: SerialNumber,
    /// Both ends inside.
    pub validity: Validity,
    /// The authority's own key.
    pub public_key: &'a PublicKey,
    /// How many authorities may stand below it; `None` leaves it open.
    pub path_len: Option<u8>,
    /// The authority above; `None` for a self-signed root.
    pub issuer: Option<&'a Certificate>,
    /// Where the CRL of the authority above is published.
    pub crl_url: Option<&'a str>,
    /// How the issuer signs.
    pub signature_algorithm: SignatureAlgorithm,
}

/// Encodes an authority's TBSCertificate. The authority key identifier is left out of a root (RFC 5280 §4.2.1.1).
pub fn ca_tbs(ca: &CaContents<'_>) -> TbsCertificate {
    let mut out = Vec::with_capacity(LEAF_OCTETS + ca.public_key.spki_der().len());
    der::nest(&mut out, der::SEQUENCE, |out| {
        put_version_3(out);
        der::put(out, der::INTEGER, ca.serial.der_content());
        out.extend_from_slice(ca.signature_algorithm.algorithm_identifier_der());
        match ca.issuer {
            Some(issuer) => out.extend_from_slice(issuer.subject_der()),
            None => put_common_name(out, ca.common_name),
        }
        put_validity(out, ca.validity);
        put_common_name(out, ca.common_name);
        out.extend_from_slice(ca.public_key.spki_der());
        put_extensions(out, |out| {
            put_basic_constraints(out, BasicConstraints::Authority { path_len: ca.path_len });
            put_key_usage(out, CERTIFICATE_AND_CRL_SIGN);
            put_subject_key_id(out, ca.public_key);
            if let Some(issuer_key_id) = ca.issuer.and_then(Certificate::subject_key_id) {
                put_authority_key_id(out, issuer_key_id);
            }
            if let Some(url) = ca.crl_url {
                put_crl_distribution_point(out, url);
            }
        });
    });
    TbsCertificate { der: out, signature_algorithm: ca.signature_algorithm }
}

/// The octets of a certificate that are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TbsCertificate {
    der: Vec<u8>,
    signature_algorithm: SignatureAlgorithm,
}

impl TbsCertificate {
    /// What the signer signs.
    pub fn as_bytes(&self) -> &[u8] {
        &self.der
    }

    /// The algorithm named inside, with which it must be signed.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The certificate. Readers refuse it unless `algorithm` is [`TbsCertificate::signature_algorithm`].
    pub fn into_certificate(self, algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        der::signed(&self.der, algorithm.algorithm_identifier_der(), signature)
    }

    /// A twin that reads like the certificate but verifies under no key, for linting before the signature.
    pub fn with_placeholder_signature(&self) -> Vec<u8> {
        der::signed(&self.der, self.signature_algorithm.algorithm_identifier_der(), &[0; 64])
    }
}

/// Appends a Name of one common name.
pub(crate) fn put_common_name(out: &mut Vec<u8>, common_name: &str) {
    der::nest(out, der::SEQUENCE, |name| {
        der::nest(name, der::SET, |rdn| {
            der::nest(rdn, der::SEQUENCE, |attribute| {
                der::put(attribute, der::OID, COMMON_NAME);
                der::put(attribute, der::UTF8_STRING, common_name.as_bytes());
            });
        });
    });
}

/// Appends a uniformResourceIdentifier.
pub(crate) fn put_uri(out: &mut Vec<u8>, uri: &SpiffeId) {
    // Written in place: a String for every certificate would be the template's second allocation.
    der::nest(out, URI, |out| write!(out, "{uri}").expect("writing to a Vec cannot fail"));
}

/// Appends an authorityKeyIdentifier with a key identifier only.
pub(crate) fn put_authority_key_id(out: &mut Vec<u8>, issuer_key_id: &[u8]) {
    der::put_extension(out, oids::AUTHORITY_KEY_ID, Critical::No, |value| {
        value.extend_from_slice(&authority_key_id(issuer_key_id));
    });
}

/// The value of an authorityKeyIdentifier with a key identifier only.
pub(crate) fn authority_key_id(issuer_key_id: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(issuer_key_id.len() + 4);
    der::nest(&mut value, der::SEQUENCE, |fields| der::put(fields, der::context(0), issuer_key_id));
    value
}

/// Appends Extensions under their explicit tag: `[3]` in a certificate.
fn put_extensions(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    der::nest(out, der::context_constructed(3), |explicit| der::nest(explicit, der::SEQUENCE, write));
}

fn put_version_3(out: &mut Vec<u8>) {
    out.extend_from_slice(&[der::context_constructed(0), 3, der::INTEGER, 1, 2]);
}

fn put_validity(out: &mut Vec<u8>, validity: Validity) {
    der::nest(out, der::SEQUENCE, |out| {
        der::put_time(out, validity.not_before());
        der::put_time(out, validity.not_after());
    });
}

enum BasicConstraints {
    Leaf,
    Authority { path_len: Option<u8> },
}

fn put_basic_constraints(out: &mut Vec<u8>, constraints: BasicConstraints) {
    der::put_extension(out, oids::BASIC_CONSTRAINTS, Critical::Yes, |value| {
        // cA FALSE is the default, which DER leaves out.
        der::nest(value, der::SEQUENCE, |fields| {
            if let BasicConstraints::Authority { path_len } = constraints {
                der::put(fields, der::BOOLEAN, &[0xff]);
                if let Some(path_len) = path_len {
                    der::put_unsigned(fields, path_len.into());
                }
            }
        });
    });
}

fn put_key_usage(out: &mut Vec<u8>, bits: &[u8]) {
    der::put_extension(out, oids::KEY_USAGE, Critical::Yes, |value| der::put(value, der::BIT_STRING, bits));
}

fn put_subject_key_id(out: &mut Vec<u8>, public_key: &PublicKey) {
    der::put_extension(out, oids::SUBJECT_KEY_ID, Critical::No, |value| {
        der::put(value, der::OCTET_STRING, &public_key.key_id());
    });
}

/// Appends the subjectAltName. Not critical, since the subject is not empty (RFC 5280 §4.2.1.6).
fn put_subject_alt_name(out: &mut Vec<u8>, leaf: &LeafContents<'_>) {
    der::put_extension(out, oids::SUBJECT_ALT_NAME, Critical::No, |value| {
        der::nest(value, der::SEQUENCE, |names| {
            put_uri(names, leaf.uri);
            for name in leaf.dns {
                der::put(names, DNS_NAME, name.as_bytes());
            }
            for address in leaf.ip {
                match address {
                    IpAddr::V4(address) => der::put(names, IP_ADDRESS, &address.octets()),
                    IpAddr::V6(address) => der::put(names, IP_ADDRESS, &address.octets()),
                }
            }
        });
    });
}

fn put_crl_distribution_point(out: &mut Vec<u8>, url: &str) {
    der::put_extension(out, oids::CRL_DISTRIBUTION_POINTS, Critical::No, |value| {
        value.extend_from_slice(&crl_distribution_point(url));
    });
}

/// DistributionPoint { distributionPoint [0] { fullName [0] { uniformResourceIdentifier } } } (RFC 5280 §4.2.1.13).
pub(crate) fn crl_distribution_point(url: &str) -> Vec<u8> {
    let mut value = Vec::with_capacity(url.len() + 16);
    der::nest(&mut value, der::SEQUENCE, |points| {
        der::nest(points, der::SEQUENCE, |point| {
            der::nest(point, der::context_constructed(0), |name| {
                der::nest(name, der::context_constructed(0), |full| der::put(full, URI, url.as_bytes()));
            });
        });
    });
    value
}

fn put_scope(out: &mut Vec<u8>, strings: &[String]) {
    if strings.is_empty() {
        return;
    }
    der::put_extension(out, oids::SCOPE, Critical::No, |value| put_scope_value(value, strings));
}

/// The value of the scope extension.
pub(crate) fn scope(strings: &[String]) -> Vec<u8> {
    let mut value = Vec::new();
    put_scope_value(&mut value, strings);
    value
}

fn put_scope_value(value: &mut Vec<u8>, strings: &[String]) {
    der::nest(value, der::SEQUENCE, |list| {
        strings.iter().for_each(|text| der::put(list, der::UTF8_STRING, text.as_bytes()));
    });
}
