//! The client's half: the request as HTTP parts, and the certificates out of an answer.

use super::base64_text::Lines;
use super::credentials::authorization;
use super::{BadBody, EstPath, Operation, base64_text};
use touchmark_identity::{EnvironmentName, Secret, SpkiHash};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::pkcs7::{BAG_OCTETS_MAX, BadBag, parse_certs_only};

/// Longest answer: the largest bag in base64 with line breaks, and a little.
const RESPONSE_OCTETS_MAX: usize = BAG_OCTETS_MAX / 3 * 4 + BAG_OCTETS_MAX / 16;
/// Longest chain above a leaf that is put together: our deepest is three.
const CHAIN_CERTIFICATES_MAX: usize = 6;
const LABELS: [&str; 2] = ["PKCS7", "CMS"];

/// One POST to an EST server.
#[derive(Debug)]
pub struct EstPost {
    /// Path below the server's base URL.
    pub path: String,
    /// All headers but Authorization.
    pub headers: [(&'static str, &'static str); 3],
    /// Value of Authorization, for a token.
    pub authorization: Option<Secret<String>>,
    pub body: Vec<u8>,
}

/// Asks for a first certificate, on a token's word (user name and password) if there is one, else on the TLS
/// connection's certificate.
pub fn enrol_request(
    label: Option<&EnvironmentName>,
    csr_der: &[u8],
    token: Option<(&str, &Secret<String>)>,
) -> EstPost {
    let credential = token.map(|(username, password)| authorization(username, password));
    post(label, Operation::SimpleEnroll, csr_der, credential)
}

/// Asks for a successor to the TLS connection's certificate.
pub fn renew_request(label: Option<&EnvironmentName>, csr_der: &[u8]) -> EstPost {
    post(label, Operation::SimpleReenroll, csr_der, None)
}

fn post(
    label: Option<&EnvironmentName>,
    operation: Operation,
    csr_der: &[u8],
    authorization: Option<Secret<String>>,
) -> EstPost {
    EstPost {
        path: EstPath { label: label.cloned(), operation }.to_path(),
        headers: [
            ("Content-Type", "application/pkcs10"),
            ("Content-Transfer-Encoding", "base64"),
            ("Accept", "application/pkcs7-mime"),
        ],
        authorization,
        // Wrapped: readers of OpenSSL's kind take no long lines.
        body: base64_text::write(csr_der, Lines::Wrapped),
    }
}

/// Why an answer holds no certificate for us; the server's operator must act.
#[derive(Debug, thiserror::Error)]
pub enum BadCertsResponse {
    /// Longer than any answer of this kind.
    #[error("the answer has {octets} octets")]
    TooLarge {
        /// Length as received.
        octets: usize,
    },
    /// No base64 and no DER.
    #[error(transparent)]
    Body(#[from] BadBody),
    /// No certs-only PKCS#7.
    #[error(transparent)]
    Bag(#[from] BadBag),
    /// A certificate in it cannot be read.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// No certificate in it is for our key.
    #[error("the answer holds no certificate for the key that was sent")]
    NotOurKey,
}

/// The certificates in the body of an answer to `simpleenroll`, `simplereenroll` or `cacerts`, in its order.
///
/// # Errors
/// [`BadCertsResponse`].
pub fn parse_certs_response(body: &[u8]) -> Result<Vec<Certificate>, BadCertsResponse> {
    if body.len() > RESPONSE_OCTETS_MAX {
        return Err(BadCertsResponse::TooLarge { octets: body.len() });
    }
    let bag = base64_text::read(body, &LABELS)?;
    parse_certs_only(&bag)?.iter().map(|der| Ok(Certificate::from_der(der)?)).collect()
}

/// Our new certificate, and what stands between it and the root.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The certificate for our key.
    pub leaf: Certificate,
    /// Its issuer, that one's issuer and so on, without the root. Put together by names, not verified.
    pub chain: Vec<Certificate>,
}

/// Finds our certificate in an answer, wherever it stands, and puts its chain in order. An answer need hold no other
/// (RFC 7030 §4.2.3): what stands above it is looked for in the answer, then among `known`, which `cacerts` gave or
/// somebody pinned.
///
/// # Errors
/// [`BadCertsResponse::NotOurKey`] when no leaf is for `key`.
pub fn choose(
    certificates: &[Certificate],
    known: &[Certificate],
    key: &SpkiHash,
) -> Result<Enrolled, BadCertsResponse> {
    let leaf = certificates
        .iter()
        .filter(|certificate| certificate.spki_hash() == *key && !certificate.is_ca())
        // A server that sends our old certificates along means the newest.
        .max_by_key(|certificate| certificate.validity().not_before())
        .ok_or(BadCertsResponse::NotOurKey)?;
    let mut chain: Vec<Certificate> = Vec::new();
    while chain.len() < CHAIN_CERTIFICATES_MAX {
        let top = chain.last().unwrap_or(leaf);
        let above = certificates.iter().chain(known).find(|candidate| {
            candidate.is_ca()
                && !candidate.is_self_issued()
                && issued(candidate, top)
                && chain.iter().all(|below| below.fingerprint() != candidate.fingerprint())
        });
        match above {
            Some(issuer) => chain.push(issuer.clone()),
            None => break,
        }
    }
    Ok(Enrolled { leaf: leaf.clone(), chain })
}

fn issued(issuer: &Certificate, certificate: &Certificate) -> bool {
    let keys_fit = match (issuer.subject_key_id(), certificate.authority_key_id()) {
        (Some(key), Some(wanted)) => key == wanted,
        (_, None) | (None, Some(_)) => true,
    };
    keys_fit && issuer.subject_der() == certificate.issuer_der()
}
