//! Lints of what a certificate permits: basicConstraints, keyUsage, extKeyUsage, critical flags.

use super::{Expectation, Kind, broken, is_self_signed};
use crate::certificate::{CRL_SIGN, Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN};
use crate::extensions::{ANY_EXTENDED_KEY_USAGE, BASIC_CONSTRAINTS, KEY_USAGE};

pub(super) fn basic_constraints(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    if certificate.extensions().critical(BASIC_CONSTRAINTS).is_none() {
        return Some("basicConstraints is absent".to_owned());
    }
    let authority = expected.kind == Kind::Authority;
    broken(certificate.is_ca() != authority, || {
        format!("cA is {}, expected {authority}", certificate.is_ca())
    })
}

/// An authority below one with a path length has a smaller one: else a path through both would be refused later.
pub(super) fn path_length(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    if expected.kind == Kind::Leaf || is_self_signed(certificate, expected) {
        return None;
    }
    let above = expected.issuer.path_len()?;
    broken(certificate.path_len().is_none_or(|own| own >= above), || {
        format!("the path length is {:?} below an authority with {above}", certificate.path_len())
    })
}

pub(super) fn key_usage(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let right = match expected.kind {
        Kind::Leaf => DIGITAL_SIGNATURE,
        Kind::Authority => KEY_CERT_SIGN | CRL_SIGN,
    };
    broken(certificate.key_usage() != Some(right), || {
        format!("keyUsage has bits {:?}, expected {right:#b}", certificate.key_usage())
    })
}

/// A leaf names its purposes; "any" is none.
pub(super) fn extended_key_usage(certificate: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    match certificate.extended_key_usages() {
        None => broken(expected.kind == Kind::Leaf, || "extKeyUsage is absent".to_owned()),
        Some(usages) => broken(usages.iter().any(|usage| usage.oid() == ANY_EXTENDED_KEY_USAGE), || {
            "extKeyUsage holds anyExtendedKeyUsage".to_owned()
        }),
    }
}

/// basicConstraints and keyUsage are critical, nothing else is: old clients refuse what RFC 5280 leaves open.
pub(super) fn critical_flags(certificate: &Certificate, _: &Expectation<'_>) -> Option<String> {
    let wrong =
        certificate.extensions().present.iter().find(|present| {
            present.critical != [BASIC_CONSTRAINTS, KEY_USAGE].contains(&present.oid.as_str())
        });
    wrong.map(|present| format!("extension {} has critical = {}", present.oid, present.critical))
}

pub(super) fn known_extensions(certificate: &Certificate, _: &Expectation<'_>) -> Option<String> {
    let unknown = certificate.extensions().present.iter().find(|present| !present.understood);
    unknown.map(|present| format!("extension {} is not one of ours", present.oid))
}

pub(super) fn issuer_may_issue(_: &Certificate, expected: &Expectation<'_>) -> Option<String> {
    let issuer = expected.issuer;
    let may = issuer.is_ca() && issuer.key_usage().is_some_and(|usage| usage & KEY_CERT_SIGN != 0);
    broken(!may, || "the signing certificate is not an authority's with keyCertSign".to_owned())
}
