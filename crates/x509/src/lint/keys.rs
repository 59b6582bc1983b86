//! Lints of keys, key identifiers, the signature algorithm and the place of the revocation list.

use super::{Expectation, Kind, broken, is_self_signed};
use crate::certificate::Certificate;
use crate::key::{KeyAlgorithm, SignatureAlgorithm};

/// Smallest RSA key of an authority: 128-bit security (SP 800-57 part 1, table 2), as its certificates live long.
const AUTHORITY_RSA_BITS_MIN: u32 = 3072;

pub(super) fn subject_key_id(certificate: &Certificate, _: &Expectation<'_>) -> Option<String> {
    let right = certificate.subject_key_id() == Some(certificate.public_key().key_id().as_slice());
    broken(!right, || "subjectKeyIdentifier is absent, or not that of RFC 7093 method 1".to_owned())
}

/// Equal to the issuer's identifier; may be absent where it would name itself (RFC 5280 §4.2.1.1).
pub(super) fn authority_key_id(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let right = match certificate.authority_key_id() {
        None => is_self_signed(certificate, expected),
        own => own == expected.issuer.subject_key_id(),
    };
    broken(!right, || {
        "authorityKeyIdentifier is absent, or not the signing authority's subjectKeyIdentifier".to_owned()
    })
}

/// The reader keeps weak keys out of every certificate; an authority's must be stronger than that.
pub(super) fn key_strength(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    match (expected.kind, certificate.public_key().algorithm()) {
        (Kind::Authority, KeyAlgorithm::Rsa { bits }) => broken(bits < AUTHORITY_RSA_BITS_MIN, || {
            format!("an authority's RSA key has at least {AUTHORITY_RSA_BITS_MIN} bits, this one has {bits}")
        }),
        _ => None,
    }
}

/// Nobody gets a certificate over its issuer's key, by mistake or by a stolen request.
pub(super) fn own_key(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let shared = certificate.public_key() == expected.issuer.public_key();
    broken(shared && !is_self_signed(certificate, expected), || {
        "the certified key is the signing authority's".to_owned()
    })
}

pub(super) fn signature_algorithm(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    use SignatureAlgorithm::{RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    let (own, key) = (certificate.signature_algorithm(), expected.issuer.public_key().algorithm());
    let fits = match key {
        KeyAlgorithm::Rsa { .. } => matches!(own, RsaPkcs1Sha256 | RsaPkcs1Sha384 | RsaPkcs1Sha512),
        other => own == SignatureAlgorithm::default_for(other),
    };
    broken(!fits, || format!("{own:?} does not fit the signing authority's key, {key:?}"))
}

/// Plain http: a client cannot check the TLS certificate of the place that tells which certificates are good.
pub(super) fn crl_url(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let urls = certificate.crl_urls();
    if urls.is_empty() {
        return broken(expected.kind == Kind::Leaf, || "cRLDistributionPoints is absent".to_owned());
    }
    urls.iter()
        .find(|url| !url.starts_with("http://"))
        .map(|url| format!("the CRL's address {url:?} does not start with http://"))
}
