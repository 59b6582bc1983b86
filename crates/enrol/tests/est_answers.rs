//! Answers to the byte, and what a client makes of them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use touchmark_enrol::est::{
    BadBody, BadCertsResponse, CsrAttribute, EstBody, choose, parse_certs_response, write_ca_certs,
    write_certs_only, write_csr_attributes,
};
use touchmark_identity::{EnvironmentName, Name, SerialNumber, SpiffeId, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::pkcs7::certs_only;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, ca_tbs};
use touchmark_x509::{Certificate, KeyAlgorithm, Signer, SoftwareKey};

/// Holds `bytes` against a file of hexadecimal; rewrites it when `TOUCHMARK_BLESS` is 1.
fn assert_golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let lines: Vec<String> = bytes.chunks(32).map(hex::encode).collect();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
}

#[test]
fn answers_are_written_as_most_clients_read_them() {
    // Only the wrapping is looked at here: any two elements do for certificates.
    let first = [vec![0x30, 0x60], vec![0x01; 0x60]].concat();
    let second = [vec![0x30, 0x02], vec![0x05, 0x00]].concat();
    let certificates: [&[u8]; 2] = [&first, &second];
    let rows: Vec<(&str, EstBody, &str)> = vec![
        (
            "enrolled.hex",
            write_certs_only(&certificates, None),
            "application/pkcs7-mime; smime-type=certs-only",
        ),
        (
            "enrolled-libest.hex",
            write_certs_only(&certificates, Some("libest 3.2.0p")),
            "application/pkcs7-mime; smime-type=certs-only",
        ),
        ("cacerts.hex", write_ca_certs(&certificates, Some("curl/7.88.1")), "application/pkcs7-mime"),
        ("csrattrs.hex", write_csr_attributes(&CsrAttribute::PREFERRED, None), "application/csrattrs"),
    ];
    for (name, body, content_type) in rows {
        assert_eq!(body.content_type, content_type, "{name}");
        assert_eq!(body.headers, [("Content-Transfer-Encoding", "base64")], "{name}");
        let text = String::from_utf8(body.bytes.clone()).unwrap();
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{name}: one line feed at the end");
        let longest = text.lines().map(str::len).max().unwrap();
        if name.contains("libest") {
            assert_eq!(longest, 64, "{name}");
        } else {
            assert_eq!(text.lines().count(), 1, "{name}: one line");
        }
        assert_golden(name, &body.bytes);
    }
}

/// Authorities and devices, made by the product's own writer.
struct Lab {
    root: Certificate,
    issuing: Certificate,
    issuing_key: SoftwareKey,
}

fn serial(octet: u8) -> SerialNumber {
    SerialNumber::try_from([octet; 16].as_slice()).unwrap()
}

fn years() -> Validity {
    let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap().unix_s();
    Validity::new(start, start + 86_400 * 365).unwrap()
}

impl Lab {
    fn new() -> Self {
        let root_key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let issuing_key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let root = Self::authority("root", 1, &root_key, None, &root_key);
        let issuing = Self::authority("issuing", 2, &issuing_key, Some(&root), &root_key);
        Self { root, issuing, issuing_key }
    }

    fn authority(
        name: &str,
        number: u8,
        key: &SoftwareKey,
        issuer: Option<&Certificate>,
        signer: &SoftwareKey,
    ) -> Certificate {
        let tbs = ca_tbs(&CaContents {
            common_name: name,
            serial: serial(number),
            validity: years(),
            public_key: key.public_key(),
            path_len: None,
            issuer,
            crl_url: None,
            signature_algorithm: signer.algorithm(),
        });
        let signature = signer.sign(tbs.as_bytes()).unwrap();
        Certificate::from_der(&tbs.into_certificate(signer.algorithm(), &signature)).unwrap()
    }

    fn leaf(&self, number: u8, key: &SoftwareKey, validity: Validity) -> Certificate {
        let template = LeafTemplate::new(&LeafProfile {
            issuer: &self.issuing,
            signature_algorithm: self.issuing_key.algorithm(),
            extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
            crl_url: "http://127.0.0.1:1/x.crl",
        })
        .unwrap();
        let environment: EnvironmentName = "lab".parse().unwrap();
        let uri: SpiffeId = format!("spiffe://{environment}.touchmark.internal/d/pump-01").parse().unwrap();
        let name: Name = "pump-01".parse().unwrap();
        let tbs = template.fill(&LeafContents {
            serial: serial(number),
            validity,
            public_key: key.public_key(),
            common_name: &name,
            uri: &uri,
            dns: &[],
            ip: &[],
            scope: &[],
        });
        let signature = self.issuing_key.sign(tbs.as_bytes()).unwrap();
        Certificate::from_der(&tbs.into_certificate(self.issuing_key.algorithm(), &signature)).unwrap()
    }
}

#[test]
fn a_client_finds_its_certificate_and_chain_in_any_order_and_wrapping() {
    let lab = Lab::new();
    let (key, other) = (
        SoftwareKey::generate(KeyAlgorithm::P256).unwrap(),
        SoftwareKey::generate(KeyAlgorithm::P256).unwrap(),
    );
    let older = Validity::new(years().not_before().unix_s() - 9, years().not_after().unix_s()).unwrap();
    let (leaf, old, foreign) =
        (lab.leaf(3, &key, years()), lab.leaf(4, &key, older), lab.leaf(5, &other, years()));
    let all = [&lab.root, &foreign, &old, &lab.issuing, &leaf];
    let ders: Vec<&[u8]> = all.iter().map(|certificate| certificate.der()).collect();
    let bag = certs_only(&ders);
    let pem = format!("-----BEGIN PKCS7-----\n{}\n-----END PKCS7-----\n", STANDARD.encode(&bag));
    let bodies = [
        ("ours", write_certs_only(&ders, None).bytes),
        ("wrapped", write_certs_only(&ders, Some("libest")).bytes),
        (
            "CRLF",
            String::from_utf8(write_certs_only(&ders, Some("libest")).bytes)
                .unwrap()
                .replace('\n', "\r\n")
                .into(),
        ),
        ("PEM", pem.into()),
        ("DER", bag),
    ];
    for (name, body) in bodies {
        let certificates = parse_certs_response(&body).unwrap();
        assert_eq!(certificates.len(), 5, "{name}");
        let enrolled = choose(&certificates, &[], &key.public_key().spki_hash()).unwrap();
        assert_eq!(enrolled.leaf.der(), leaf.der(), "{name}: the newest of ours");
        let chain: Vec<&[u8]> = enrolled.chain.iter().map(Certificate::der).collect();
        assert_eq!(chain, [lab.issuing.der()], "{name}: without the root");
        let alone = std::slice::from_ref(&leaf);
        let known = [lab.root.clone(), foreign.clone(), lab.issuing.clone()];
        let enrolled = choose(alone, &known, &key.public_key().spki_hash()).unwrap();
        let chain: Vec<&[u8]> = enrolled.chain.iter().map(Certificate::der).collect();
        assert_eq!(chain, [lab.issuing.der()], "{name}: from what was known before");
        let stranger = SoftwareKey::generate(KeyAlgorithm::P256).unwrap().public_key().spki_hash();
        assert!(matches!(choose(&certificates, &[], &stranger), Err(BadCertsResponse::NotOurKey)), "{name}");
        let ca_key = lab.issuing.spki_hash();
        assert!(
            matches!(choose(&certificates, &[], &ca_key), Err(BadCertsResponse::NotOurKey)),
            "{name}: a CA is no leaf"
        );
    }
}

#[test]
fn an_answer_that_holds_no_certificates_is_refused_for_its_reason() {
    type Expected = fn(&BadCertsResponse) -> bool;
    let rows: &[(&str, Vec<u8>, Expected)] = &[
        ("empty", vec![], |fault| matches!(fault, BadCertsResponse::Body(BadBody::Empty))),
        ("HTML", b"<html>".to_vec(), |fault| matches!(fault, BadCertsResponse::Body(_))),
        (
            "a certificate in PEM",
            b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----".to_vec(),
            |fault| matches!(fault, BadCertsResponse::Body(BadBody::OtherPem)),
        ),
        ("no bag", b"MAA=".to_vec(), |fault| matches!(fault, BadCertsResponse::Bag(_))),
        ("no certificate in the bag", write_certs_only(&[&[0x30, 0x00]], None).bytes, |fault| {
            matches!(fault, BadCertsResponse::Certificate(_))
        }),
        ("a megabyte", vec![b'A'; 1 << 20], |fault| {
            matches!(fault, BadCertsResponse::TooLarge { octets: 1_048_576 })
        }),
    ];
    for (name, body, expected) in rows {
        let fault = parse_certs_response(body).unwrap_err();
        assert!(expected(&fault), "{name}: {fault:?}");
    }
}
