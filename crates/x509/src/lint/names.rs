//! Lints of names.

use super::{Expectation, Kind, broken};
use crate::certificate::Certificate;
use touchmark_identity::is_dns_name;

/// ub-common-name of X.520 (RFC 5280 appendix A).
const COMMON_NAME_CHARS_MAX: usize = 64;

pub(super) fn issuer_name(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    broken(certificate.issuer_der() != expected.issuer.subject_der(), || {
        "the issuer's name is not, octet for octet, the subject of the signing authority".to_owned()
    })
}

/// SPIFFE X.509-SVID §2: one URI in a leaf, and it is the identity.
pub(super) fn identity(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    match expected.kind {
        Kind::Leaf => certificate.spiffe_id().err().map(|bad| bad.to_string()),
        Kind::Authority => broken(!certificate.uri_sans().is_empty(), || {
            "an authority's certificate carries no identity".to_owned()
        }),
    }
}

pub(super) fn common_name(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let Some(common_name) = certificate.common_name() else {
        return Some("the subject has no common name, or several".to_owned());
    };
    if !(1..=COMMON_NAME_CHARS_MAX).contains(&common_name.chars().count()) {
        return Some(format!("the common name is empty or has more than {COMMON_NAME_CHARS_MAX} characters"));
    }
    match (expected.kind, certificate.spiffe_id()) {
        (Kind::Leaf, Ok(id)) => broken(common_name != id.name.as_str(), || {
            format!("the common name is {common_name:?}, the identity's name is {:?}", id.name.as_str())
        }),
        // Without an identity there is nothing to compare; the lint `identity` has spoken.
        (Kind::Leaf, Err(_)) | (Kind::Authority, _) => None,
    }
}

/// Host names in lower case without wildcards, and no sort of name that verifiers read differently.
pub(super) fn alternative_names(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    if certificate.has_other_sans() {
        return Some("the subjectAltName holds a name that is neither URI, DNS nor IP".to_owned());
    }
    let (dns, ips) = (certificate.dns_sans(), certificate.ip_sans());
    if expected.kind == Kind::Authority && !(dns.is_empty() && ips.is_empty()) {
        return Some("an authority's certificate carries no host name or address".to_owned());
    }
    dns.iter()
        .find(|name| !is_dns_name(name))
        .map(|name| format!("{name:?} is not a host name in lower case"))
}
