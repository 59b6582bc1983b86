//! Requests that must not lead to a certificate, each wrong in one way.

use crate::der::{BIT_STRING, INTEGER, NULL, OCTET_STRING, OID, SEQUENCE, SET, UTF8_STRING, bits, rsa_spki};
use crate::der::{sequence, tlv};
use crate::device::Key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use touchmark_x509::{Certificate, Signer as _};

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];

/// A body for `simpleenroll`, and how it must be refused.
#[derive(Debug)]
pub struct Forged {
    /// Its row in docs/abuse.md.
    pub name: &'static str,
    pub body: Vec<u8>,
    /// HTTP status.
    pub status: u16,
    /// Reason code in the answer.
    pub code: &'static str,
}

/// All of them, asking for `device` where they ask for a name at all.
pub fn forged_requests(device: &str) -> Vec<Forged> {
    let key = Key::new();
    let spki = key.software().public_key().spki_der().to_vec();
    let row = |name, der: Vec<u8>, code| Forged { name, body: base64(&der), status: 400, code };
    let asking = |attributes: &[Vec<u8>]| signed(&info(device, &spki, attributes), &key);

    let mut bad_signature = key.request(device);
    *bad_signature.last_mut().unwrap() ^= 1;
    let names: Vec<Vec<u8>> = (0..20).map(|n| tlv(0x82, format!("host-{n}.example").as_bytes())).collect();
    let wide = |octets: usize| {
        let mut modulus = vec![0xa5; octets];
        *modulus.last_mut().unwrap() |= 1;
        modulus
    };
    vec![
        row("request with a bad signature", bad_signature, "csr-signature"),
        row("request for a foreign key", signed(&info(device, &spki, &[]), &Key::new()), "csr-signature"),
        row("request with 20 names", asking(&[extension(SUBJECT_ALT_NAME, &sequence(&names))]), "csr-name"),
        row(
            "request for a CA certificate",
            asking(&[extension(BASIC_CONSTRAINTS, &sequence(&[tlv(0x01, &[0xff])]))]),
            "csr-ca",
        ),
        row("request for another device", signed(&info("somebody-else", &spki, &[]), &key), "csr-name"),
        row("request with an RSA-16384 key", rsa_request(device, &wide(2048)), "csr-key"),
        row("request with an RSA-1024 key", rsa_request(device, &wide(128)), "csr-key"),
        row("request nested 4000 deep", nested(4000), "csr-malformed"),
        row("request cut in half", cut(&key.request(device)), "csr-malformed"),
        row("request with trailing octets", [key.request(device), vec![0]].concat(), "csr-malformed"),
        row("request of 20 KiB", asking(&[extension(SUBJECT_ALT_NAME, &vec![0; 20_000])]), "csr-too-large"),
        Forged {
            status: 403,
            ..row("request with a challenge password", asking(&[challenge()]), "challenge-password")
        },
        Forged { name: "body of 1 MB of zeros", body: vec![0; 1 << 20], status: 413, code: "est-too-large" },
        Forged { name: "empty body", body: Vec::new(), status: 400, code: "est-body-empty" },
        Forged {
            name: "body that is no base64",
            body: b"%%% not base64 %%%".to_vec(),
            status: 400,
            code: "est-body-encoding",
        },
        Forged {
            name: "PEM of another kind",
            body: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            status: 400,
            code: "est-body-pem",
        },
    ]
}

fn base64(der: &[u8]) -> Vec<u8> {
    STANDARD.encode(der).into_bytes()
}

/// CertificationRequestInfo.
fn info(name: &str, spki: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
    let common_name = sequence(&[tlv(OID, COMMON_NAME), tlv(UTF8_STRING, name.as_bytes())]);
    let subject = sequence(&[tlv(SET, &common_name)]);
    sequence(&[tlv(INTEGER, &[0]), subject, spki.to_vec(), tlv(0xa0, &attributes.concat())])
}

fn signed(info: &[u8], key: &Key) -> Vec<u8> {
    let key = key.software();
    let algorithm = key.algorithm().algorithm_identifier_der().to_vec();
    sequence(&[info.to_vec(), algorithm, bits(&key.sign(info).unwrap())])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    let extension = sequence(&[tlv(OID, oid), tlv(OCTET_STRING, value)]);
    sequence(&[tlv(OID, EXTENSION_REQUEST), tlv(SET, &sequence(&[extension]))])
}

fn challenge() -> Vec<u8> {
    sequence(&[tlv(OID, CHALLENGE_PASSWORD), tlv(SET, &tlv(UTF8_STRING, b"guess"))])
}

/// The key is refused before any arithmetic, so nobody needs a true signature.
fn rsa_request(name: &str, modulus: &[u8]) -> Vec<u8> {
    let algorithm = sequence(&[tlv(OID, SHA256_WITH_RSA), tlv(NULL, &[])]);
    sequence(&[info(name, &rsa_spki(modulus), &[]), algorithm, bits(&vec![1; modulus.len()])])
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(tlv(BIT_STRING, &[0]), |inside, _| tlv(SEQUENCE, &inside))
}

fn cut(der: &[u8]) -> Vec<u8> {
    der[..der.len() / 2].to_vec()
}

/// Order of P-256's base point (SP 800-186 §3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same certificate with the other form of its P-256 signature, (r, n - s): it verifies, under another fingerprint.
pub fn twin(certificate: &Certificate) -> Certificate {
    // SEQUENCE { INTEGER r, INTEGER s }, shorter than 128 octets.
    let signature = certificate.signature();
    let r = &signature[4..4 + usize::from(signature[3])];
    let s: Vec<u8> = signature[6 + r.len()..].iter().copied().skip_while(|octet| *octet == 0).collect();
    let mut other = [0; 32];
    other[32 - s.len()..].copy_from_slice(&s);
    let mut borrowed = 0;
    for (octet, order) in other.iter_mut().zip(P256_ORDER).rev() {
        let value = i16::from(order) - i16::from(*octet) - borrowed;
        borrowed = i16::from(value < 0);
        *octet = value.rem_euclid(256).to_le_bytes()[0];
    }
    let sign: &[u8] = if other[0] & 0x80 == 0 { &[] } else { &[0] };
    let signature = sequence(&[tlv(INTEGER, r), tlv(INTEGER, &[sign, &other].concat())]);
    let algorithm = certificate.signature_algorithm().algorithm_identifier_der().to_vec();
    let der = sequence(&[certificate.tbs_der().to_vec(), algorithm, bits(&signature)]);
    Certificate::from_der(&der).unwrap()
}
