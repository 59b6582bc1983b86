//! Requests and makers' certificates as other programs write them: each is taken, or refused in words that say what was
//! found.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use touchmark_identity::Timestamp;
use touchmark_x509::Certificate;
use touchmark_x509::csr::{CsrFault, Form, Granted, UnprovenCsr};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::{Purpose, may_anchor, validate};

fn input(folder: &str, name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn judge(der: &[u8]) -> Result<(), CsrFault> {
    let form = Form::default();
    let granted = Granted {
        common_name: "pump-x",
        uri: "spiffe://lab.touchmark.internal/d/pump-x",
        dns: &[],
        ips: &[],
        scope: &[],
        form: &form,
    };
    UnprovenCsr::from_der(der)?.prove_possession()?.within(&granted)
}

#[test]
fn requests_of_other_programs_pass_or_are_told_what_was_found() {
    let pem = String::from_utf8(input("requests", "keytool-default.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let keytool = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    let der = |name: &str| input("requests", name);
    /// A code, and what the text must say.
    type Refused = (&'static str, &'static [&'static str]);
    let rows: &[(&str, Vec<u8>, Option<Refused>)] = &[
        ("keytool", keytool, None),
        ("common name in BMPString", der("cn-bmp.der"), None),
        ("no attributes", der("no-attributes.der"), None),
        ("an empty list of extensions", der("extreq-empty.der"), None),
        ("key identifier by SHA-1", der("ski-auto.der"), None),
        ("P-256 with SHA-512", der("p256-sha512.der"), None),
        ("P-384 with SHA-512", der("p384-sha512.der"), None),
        ("RSA without parameters", der("rsa2048-absent-params.der"), None),
        (
            "ECDSA with NULL",
            der("ecdsa-null-params.der"),
            Some((
                "csr-signature",
                &["ecdsa-with-SHA256 (1.2.840.10045.4.3.2)", "parameters that are NULL and must be absent"],
            )),
        ),
        (
            "country, organisation and common name",
            der("subject-full.der"),
            Some(("csr-name", &["countryName (2.5.4.6) \"US\"", "commonName (2.5.4.3) \"pump-x\" alone"])),
        ),
        (
            "serialNumber alone",
            der("subject-sernum-only.der"),
            Some(("csr-name", &["serialNumber (2.5.4.5) \"SN-1\"", "an empty subject, or"])),
        ),
        ("version 2", der("version-2.der"), Some(("csr-malformed", &["version is INTEGER 2", "INTEGER 0"]))),
    ];
    for (name, der, expected) in rows {
        match (judge(der), expected) {
            (Ok(()), None) => {}
            (Err(fault), Some((code, says))) => {
                assert_eq!(fault.code(), *code, "{name}: {fault}");
                let text = fault.to_string();
                assert!(says.iter().all(|part| text.contains(part)), "{name}: {text}");
            }
            (judged, _) => panic!("{name}: {judged:?}"),
        }
    }
}

#[test]
fn makers_certificates_of_every_sort_that_a_standard_allows_lead_to_their_maker() {
    let now = Timestamp::parse("2026-12-15T00:00:00Z").unwrap();
    let pem = |name: String| String::from_utf8(input("makers", &name)).unwrap();
    /// The hardware that is named, or what the refusal says.
    type Expected = Result<&'static str, &'static str>;
    let rows: &[(&str, Expected)] = &[
        ("rsa-ca-absent-params-leaf", Ok("SN-3")),
        ("p256-ca-sha512", Ok("SN-8")),
        ("p256-ca-sha512-root", Ok("SN-9")),
        ("p384-sha256", Ok("SN-p384-sha256")),
        ("p384-sha512", Ok("SN-p384-sha512")),
        ("p521-sha256", Ok("SN-p521-sha256")),
        ("p521-sha512", Ok("SN-p521-sha512")),
        ("rsa-pss-sha256", Ok("SN-rsa-pss-sha256")),
        ("rsa-pss-sha384", Ok("SN-rsa-pss-sha384")),
        ("serial-0", Ok("SN-22")),
        ("serial-negative", Ok("SN-23")),
        ("sn-teletex", Ok("SNT-1")),
        ("sn-bmp", Ok("SN-sn-bmp")),
        ("name-in-capitals", Ok("SN-name-in-capitals")),
        ("name-printable", Ok("SN-name-printable")),
        ("name-bmp", Ok("SN-name-bmp")),
        ("name-another", Err("the issuer of certificate 06 is unknown")),
        ("ecdsa-null-params-leaf", Err("parameters that are NULL and must be absent")),
        (
            "rsa-pss-long-salt",
            Err(
                "RSASSA-PSS (1.2.840.113549.1.1.10) with SHA-256 (2.16.840.1.101.3.4.2.1), a mask by SHA-256",
            ),
        ),
        ("sha1", Err("ecdsa-with-SHA1 (1.2.840.10045.4.1)")),
    ];
    for (name, expected) in rows {
        let anchors = Certificate::from_pem_many(&pem(format!("{name}.ca.pem"))).unwrap();
        may_anchor(&anchors[0], now, Purpose::Initial).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let read = Certificate::from_pem_many(&pem(format!("{name}.pem"))).map_err(|bad| bad.to_string());
        let found = read.and_then(|leaf| {
            let path = validate(&leaf[0], &[], &anchors, now, Purpose::Initial)
                .map_err(|fault| fault.to_string())?;
            Ok(HardwareId::of(path.leaf()).map_err(|bad| bad.to_string())?.as_str().to_owned())
        });
        match (found, expected) {
            (Ok(id), Ok(expected)) => assert_eq!(id, *expected, "{name}"),
            (Err(says), Err(expected)) => assert!(says.contains(expected), "{name}: {says}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}
