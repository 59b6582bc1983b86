//! Does a certificate look exactly as ours must? Run on the bytes that are about to be signed.
//!
//! In: the certificate (its signature may be a placeholder) and what is expected of it. Out: findings; any finding
//! stops the issuance. Reads with the reader for strangers, so that writer and lints do not share mistakes.
//! Version, duplicate extensions and a second signature algorithm are not here: [`Certificate::from_der`] refuses them.

mod keys;
mod names;
mod rights;
mod span;
#[cfg(test)]
mod tests;

use crate::certificate::Certificate;
use core::time::Duration;
use touchmark_identity::Timestamp;

/// What sort of certificate is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A device's, service's or operator's.
    Leaf,
    /// An authority's.
    Authority,
}

/// What a certificate is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// The authority that will sign; the certificate itself when it is self-signed.
    pub issuer: &'a Certificate,
    /// Longest lifetime, both end seconds counted.
    pub lifetime_max: Duration,
    /// Leaf or authority.
    pub kind: Kind,
    /// The moment of issuance.
    pub now: Timestamp,
}

/// One rule that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the lint.
    pub lint: &'static str,
    /// What was found and what was expected.
    pub says: String,
}

impl Finding {
    /// Several of them, for people.
    pub fn in_words(findings: &[Self]) -> String {
        let words = findings.iter().map(|finding| format!("{} ({})", finding.says, finding.lint));
        words.collect::<Vec<_>>().join("; ")
    }
}

/// A rule: what it says when it is broken.
type Lint = fn(&Certificate, &Expectation<'_>) -> Option<String>;

const LINTS: &[(&str, Lint)] = &[
    ("serial-octets", span::serial_octets),
    ("date-form", span::date_form),
    ("valid-now", span::valid_now),
    ("lifetime", span::lifetime),
    ("within-issuer", span::within_issuer),
    ("issuer-name", names::issuer_name),
    ("identity", names::identity),
    ("common-name", names::common_name),
    ("alternative-names", names::alternative_names),
    ("basic-constraints", rights::basic_constraints),
    ("path-length", rights::path_length),
    ("key-usage", rights::key_usage),
    ("extended-key-usage", rights::extended_key_usage),
    ("critical-flags", rights::critical_flags),
    ("known-extensions", rights::known_extensions),
    ("issuer-may-issue", rights::issuer_may_issue),
    ("subject-key-id", keys::subject_key_id),
    ("authority-key-id", keys::authority_key_id),
    ("key-strength", keys::key_strength),
    ("own-key", keys::own_key),
    ("signature-algorithm", keys::signature_algorithm),
    ("crl-url", keys::crl_url),
];

/// Names of all lints, in the order in which they run.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    LINTS.iter().map(|(name, _)| *name)
}

/// Runs all lints. An empty answer means that the certificate may be signed.
pub fn lint(certificate: &Certificate, expected: &Expectation<'_>) -> Vec<Finding> {
    LINTS
        .iter()
        .filter_map(|(lint, check)| check(certificate, expected).map(|says| Finding { lint, says }))
        .collect()
}

/// The finding, when a rule is broken.
fn broken(broken: bool, says: impl FnOnce() -> String) -> Option<String> {
    broken.then(says)
}

/// Whether the certificate is to be signed by the key that it certifies.
fn is_self_signed(certificate: &Certificate, expected: &Expectation<'_>) -> bool {
    certificate.is_self_issued() && certificate.public_key() == expected.issuer.public_key()
}
