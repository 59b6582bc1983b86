//! What an application may not have signed with the device's key unless the configuration says so.
//!
//! A signature says whatever the signed octets mean to somebody. Those of a TLS handshake or of a certification request
//! mean: I am this device. Whoever may only sign messages could connect as the device, or renew to a key of its own.
//! In: the octets. Out: what protocol they belong to, if it is one of these. Octets that are a hash of such a thing are
//! harmless: they are hashed again.

/// A protocol of identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A TLS handshake (RFC 8446 §4.4.3; RFC 5246 §7.4.3, §7.4.8).
    Tls,
    /// A certification request (RFC 2986 §4.1), or another certificate's contents (RFC 5280 §4.1.2).
    Request,
}

impl Foreign {
    /// Every one, with its word in the configuration.
    const ALL: [(Self, &'static str); 2] = [(Self::Tls, "tls"), (Self::Request, "certificate-request")];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(one, _)| *one == self).map_or("tls", |(_, word)| word)
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == word).map(|(one, _)| one)
    }

    /// What these octets are, if they are not an application's own.
    pub fn of(message: &[u8]) -> Option<Self> {
        if is_tls13(message) || is_tls12_transcript(message) || is_tls12_key_exchange(message) {
            Some(Self::Tls)
        } else if is_request(message) || is_certificate(message) {
            Some(Self::Request)
        } else {
            None
        }
    }
}

/// 64 spaces, then a context string: client, server, exported authenticators (RFC 9261), DTLS and QUIC alike.
fn is_tls13(message: &[u8]) -> bool {
    message.len() >= 64 && message.iter().take(64).all(|octet| *octet == b' ')
}

/// CertificateVerify of TLS 1.2 signs all messages of the handshake, from ClientHello on: type 1, three octets of
/// length, version 3.x, and a second message behind it.
fn is_tls12_transcript(message: &[u8]) -> bool {
    let [1, high, middle, low, 3, 0..=4, rest @ ..] = message else { return false };
    let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    length.checked_sub(2).is_some_and(|body| rest.len() >= body)
}

/// ServerKeyExchange of TLS 1.2: two random values of 32 octets, a named curve, and a point, which ends the octets.
fn is_tls12_key_exchange(message: &[u8]) -> bool {
    match message.get(64..) {
        Some([3, _, _, length, point @ ..]) => point.len() == usize::from(*length) && !point.is_empty(),
        _ => false,
    }
}

/// SEQUENCE { INTEGER, Name, SubjectPublicKeyInfo, ... }
fn is_request(message: &[u8]) -> bool {
    let Some(fields) = only(SEQUENCE, message) else { return false };
    let Some((INTEGER, _, fields)) = element(fields) else { return false };
    let Some((SEQUENCE, _, fields)) = element(fields) else { return false };
    element(fields).is_some_and(|(tag, key, _)| tag == SEQUENCE && is_key(key))
}

/// SEQUENCE { [0] version OPTIONAL, INTEGER, AlgorithmIdentifier, Name, Validity, Name, SubjectPublicKeyInfo, ... }
fn is_certificate(message: &[u8]) -> bool {
    let Some(mut fields) = only(SEQUENCE, message) else { return false };
    if let Some((0xa0, _, rest)) = element(fields) {
        fields = rest;
    }
    let Some((INTEGER, _, mut fields)) = element(fields) else { return false };
    for _ in 0..4 {
        let Some((SEQUENCE, _, rest)) = element(fields) else { return false };
        fields = rest;
    }
    element(fields).is_some_and(|(tag, key, _)| tag == SEQUENCE && is_key(key))
}

/// The content of a SubjectPublicKeyInfo: an algorithm, which starts with its OID, and a BIT STRING.
fn is_key(content: &[u8]) -> bool {
    let Some((SEQUENCE, algorithm, rest)) = element(content) else { return false };
    matches!(element(algorithm), Some((OID, ..))) && matches!(element(rest), Some((BIT_STRING, ..)))
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The content of a message that starts with such an element, whatever is behind it.
fn only(tag: u8, message: &[u8]) -> Option<&[u8]> {
    element(message).filter(|(found, ..)| *found == tag).map(|(_, content, _)| content)
}

/// Tag, content and rest of one element in BER with a definite length: a reader that is more lenient than DER must not
/// see what this one misses.
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = octets else { return None };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x88 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = length
                .iter()
                .try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)))?;
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_x509::request::certification_request;
    use touchmark_x509::{KeyAlgorithm, SoftwareKey};

    /// What is signed of `SEQUENCE { what is signed, algorithm, signature }`, with its own tag and length.
    fn signed_part(der: &[u8]) -> Vec<u8> {
        let content = only(SEQUENCE, der).unwrap();
        let (_, part, _) = element(content).unwrap();
        let head = content.len() - element(content).unwrap().2.len() - part.len();
        content[..head + part.len()].to_vec()
    }

    #[test]
    fn what_would_prove_an_identity_elsewhere_is_known_and_messages_are_not() {
        let request = |algorithm| {
            let key = SoftwareKey::generate(algorithm).unwrap();
            signed_part(&certification_request("pump-01", None, &key).unwrap())
        };
        let tls13 = |context: &str| [&[b' '; 64][..], context.as_bytes(), &[0], &[7; 32]].concat();
        // ClientHello with a body of 40 octets, then the beginning of ServerHello.
        let hello = [&[1, 0, 0, 40, 3, 3][..], &[9; 38], &[2, 0, 0, 44, 3, 3]].concat();
        let exchange = [&[5; 64][..], &[3, 0, 29, 32], &[8; 32]].concat();
        let long_form = {
            let short = request(KeyAlgorithm::P256);
            let content = only(SEQUENCE, &short).unwrap();
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[0x30, 0x84, 0, 0][..], &length, content].concat()
        };
        let rows: Vec<(&str, Vec<u8>, Option<Foreign>)> = vec![
            ("TLS 1.3, client", tls13("TLS 1.3, client CertificateVerify"), Some(Foreign::Tls)),
            ("TLS 1.3, server", tls13("TLS 1.3, server CertificateVerify"), Some(Foreign::Tls)),
            ("exported authenticator", tls13("Exported Authenticator"), Some(Foreign::Tls)),
            ("64 spaces alone", vec![b' '; 64], Some(Foreign::Tls)),
            ("TLS 1.2, client", hello.clone(), Some(Foreign::Tls)),
            ("TLS 1.0 in name", [&[1, 0, 0, 40, 3, 1], &hello[6..]].concat(), Some(Foreign::Tls)),
            ("TLS 1.2, server", exchange.clone(), Some(Foreign::Tls)),
            ("request, P-256", request(KeyAlgorithm::P256), Some(Foreign::Request)),
            ("request, Ed25519", request(KeyAlgorithm::Ed25519), Some(Foreign::Request)),
            ("request, lengths as BER", long_form, Some(Foreign::Request)),
            ("request, and more", [request(KeyAlgorithm::P256), vec![0]].concat(), Some(Foreign::Request)),
            ("63 spaces", vec![b' '; 63], None),
            ("a text", b"21.5 degrees".to_vec(), None),
            ("a JSON object", br#"{"temp":21}"#.to_vec(), None),
            ("a JWS", b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwdW1wLTAxIn0".to_vec(), None),
            ("a hash", vec![0xab; 32], None),
            ("nothing", Vec::new(), None),
            ("a hello cut short", hello[..20].to_vec(), None),
            ("a point that does not end there", [&exchange[..], &[1]].concat(), None),
            ("another structure in DER", vec![0x30, 6, 2, 1, 0, 2, 1, 1], None),
        ];
        for (name, octets, expected) in rows {
            assert_eq!(Foreign::of(&octets), expected, "{name}");
        }
    }

    #[test]
    fn a_certificates_contents_are_known_too() {
        let pem = include_str!("../../tests/golden/certificate.pem");
        let certificate = touchmark_x509::Certificate::from_pem_many(pem).unwrap().remove(0);
        assert_eq!(Foreign::of(certificate.tbs_der()), Some(Foreign::Request));
    }

    #[test]
    fn each_has_one_word() {
        for (foreign, word) in Foreign::ALL {
            assert_eq!((foreign.word(), Foreign::from_word(word)), (word, Some(foreign)));
        }
        assert_eq!(Foreign::from_word("TLS"), None);
    }
}
