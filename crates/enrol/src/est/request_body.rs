//! The body of `simpleenroll` and `simplereenroll`: a PKCS#10 request in whatever wrapping a client chose.

use super::{BadBody, EstFault, base64_text};
use touchmark_x509::csr::UnprovenCsr;

/// Longest body: the largest request in base64, wrapped, with room for PEM and a text dump before it.
pub const REQUEST_OCTETS_MAX: usize = 64 * 1024;

/// PEM labels of a request (RFC 7468 §7), the second from old tools.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
/// `application/pkcs10` is right; the others are what tools send when told nothing.
const MEDIA_TYPES: [&str; 5] = [
    "application/pkcs10",
    "application/octet-stream",
    "application/x-pem-file",
    "application/x-www-form-urlencoded",
    "text/plain",
];

/// The DER inside a request's body; it is not read here. Content-Transfer-Encoding is no argument: RFC 8951 §3 ignores it.
///
/// # Errors
/// [`EstFault::TooLarge`], [`EstFault::MediaType`] or [`EstFault::Body`].
pub fn read_body(content_type: Option<&str>, body: &[u8]) -> Result<Vec<u8>, EstFault> {
    if body.len() > REQUEST_OCTETS_MAX {
        return Err(EstFault::TooLarge);
    }
    if let Some(content_type) = content_type {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.is_empty() && !MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
            return Err(EstFault::MediaType);
        }
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(EstFault::Body(BadBody::Empty));
    }
    base64_text::read(body, &LABELS).map_err(EstFault::Body)
}

/// The request inside a body, read but not proven: the signature is checked by
/// [`UnprovenCsr::prove_possession`], after everything that costs less.
///
/// # Errors
/// As [`read_body`], and [`EstFault::Csr`].
pub fn read_csr(content_type: Option<&str>, body: &[u8]) -> Result<UnprovenCsr, EstFault> {
    UnprovenCsr::from_der(&read_body(content_type, body)?).map_err(EstFault::Csr)
}
