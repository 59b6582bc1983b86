//! Requests as real clients wrap them, what is refused, and that no bytes make a reader panic.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use core::time::Duration;
use proptest::prelude::*;
use touchmark_enrol::est::{
    BadBody, EstFault, EstPath, EstRefusal, REQUEST_OCTETS_MAX, basic_credentials, enrol_request,
    parse_certs_response, presented_credential, read_body, read_csr, renew_request,
};
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential, UserAgent};
use touchmark_identity::Secret;
use touchmark_x509::csr::CsrFault;
use touchmark_x509::request::certification_request;
use touchmark_x509::{KeyAlgorithm, Signer, SoftwareKey};

fn csr() -> (Vec<u8>, SoftwareKey) {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    (certification_request("pump-01", None, &key).unwrap(), key)
}

fn wrapped(der: &[u8], width: usize, end: &str) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap().to_owned() + end);
    lines.collect()
}

#[test]
fn a_request_is_read_in_every_wrapping_that_clients_use() {
    let (der, key) = csr();
    let line = STANDARD.encode(&der);
    let pem =
        |label: &str| format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", wrapped(&der, 64, "\n"));
    let rows: Vec<(&str, Option<&str>, Vec<u8>)> = vec![
        ("strongSwan: one line", Some("application/pkcs10"), line.clone().into()),
        ("libest: lines of 64", Some("application/pkcs10"), wrapped(&der, 64, "\n").into()),
        ("lines of 76", Some("application/pkcs10"), wrapped(&der, 76, "\n").into()),
        ("BouncyCastle: CRLF", Some("application/pkcs10"), wrapped(&der, 64, "\r\n").into()),
        ("one line and LF", Some("application/pkcs10"), format!("{line}\n").into()),
        ("blanks in front", Some("application/pkcs10"), format!(" \r\n\t{line}").into()),
        ("no padding", Some("application/pkcs10"), line.trim_end_matches('=').into()),
        ("PEM", Some("application/pkcs10"), pem("CERTIFICATE REQUEST").into()),
        ("PEM of an old tool", Some("application/pkcs10"), pem("NEW CERTIFICATE REQUEST").into()),
        (
            "PEM without line breaks, by curl -d",
            Some("application/x-www-form-urlencoded"),
            pem("CERTIFICATE REQUEST").replace('\n', "").into(),
        ),
        (
            "PEM below a text dump",
            Some("text/plain"),
            format!("Certificate Request:\n  Data:\n{}", pem("CERTIFICATE REQUEST")).into(),
        ),
        ("raw DER", Some("application/pkcs10"), der.clone()),
        ("raw DER, octet-stream", Some("application/octet-stream"), der.clone()),
        ("no type", None, line.clone().into()),
        ("empty type", Some(""), line.clone().into()),
        ("type in capitals with a parameter", Some("Application/PKCS10; charset=utf-8"), line.clone().into()),
    ];
    for (name, content_type, body) in rows {
        assert_eq!(read_body(content_type, &body).as_ref(), Ok(&der), "{name}");
        let proven = read_csr(content_type, &body).unwrap().prove_possession().unwrap();
        assert_eq!(proven.public_key().spki_der(), key.public_key().spki_der(), "{name}");
    }
}

#[test]
fn what_is_no_request_is_refused_for_its_reason() {
    let (der, _) = csr();
    let line = STANDARD.encode(&der);
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let rows: Vec<(&str, Option<&str>, Vec<u8>, EstFault)> = vec![
        ("empty", None, vec![], EstFault::Body(BadBody::Empty)),
        ("blank", None, b" \r\n".to_vec(), EstFault::Body(BadBody::Empty)),
        (
            "empty PEM",
            None,
            b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----".to_vec(),
            EstFault::Body(BadBody::Empty),
        ),
        ("not base64", None, b"hello, world!".to_vec(), EstFault::Body(BadBody::NeitherDerNorBase64)),
        ("base64url", None, b"MIIB-_".to_vec(), EstFault::Body(BadBody::NeitherDerNorBase64)),
        ("not UTF-8", None, vec![0xff; 9], EstFault::Body(BadBody::NeitherDerNorBase64)),
        (
            "one character short",
            None,
            line[..line.trim_end_matches('=').len() / 4 * 4 - 3].into(),
            EstFault::Body(BadBody::NeitherDerNorBase64),
        ),
        (
            "a private key",
            None,
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_vec(),
            EstFault::Body(BadBody::OtherPem),
        ),
        (
            "PEM without its end",
            None,
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{line}").into(),
            EstFault::Body(BadBody::OtherPem),
        ),
        ("a form", Some("multipart/form-data; boundary=x"), line.clone().into(), EstFault::MediaType),
        ("JSON", Some("application/json"), line.clone().into(), EstFault::MediaType),
        ("full CMC", Some("application/pkcs7-mime"), line.clone().into(), EstFault::MediaType),
        ("one octet too long", None, vec![b' '; REQUEST_OCTETS_MAX + 1], EstFault::TooLarge),
        (
            "base64 of nothing sensible",
            None,
            b"AAAA".to_vec(),
            EstFault::Csr(CsrFault::Malformed { part: "its encoding" }),
        ),
        (
            "two requests",
            None,
            [der.clone(), der.clone()].concat(),
            EstFault::Csr(CsrFault::Malformed { part: "its encoding" }),
        ),
    ];
    for (name, content_type, body, expected) in rows {
        assert_eq!(read_csr(content_type, &body).unwrap_err(), expected, "{name}");
    }
    // Read, but not proven: there is no way from here to a request.
    assert!(read_csr(None, &forged).unwrap().prove_possession().is_err());
}

#[test]
fn a_proven_request_carries_what_came_with_it() {
    let (der, _) = csr();
    let password = Secret::new("secret".to_owned());
    let (label, name) = ("lab".parse().unwrap(), "pump-01");
    let post = enrol_request(Some(&label), &der, Some((name, &password)));
    assert_eq!(post.path, "/.well-known/est/lab/simpleenroll");
    let path = EstPath::parse(&post.path).unwrap();
    path.operation.demand_method("POST").unwrap();
    let intent = path.operation.intent().unwrap();
    let credential =
        presented_credential(intent, post.authorization.as_ref().map(|a| a.expose().as_str()), None);
    let proven = read_csr(Some(post.headers[0].1), &post.body).unwrap().prove_possession().unwrap();
    let request =
        EnrolmentRequest::new(intent, proven, path.label, credential, UserAgent::from_header("touchmark"));
    assert_eq!(request.intent(), Intent::Enrol);
    assert_eq!(request.label(), Some(&label));
    assert_eq!(request.csr().der(), der);
    assert_eq!(request.user_agent().map(UserAgent::as_str), Some("touchmark"));
    assert!(!format!("{request:?} {post:?}").contains("secret"), "never printed");
    match request.into_parts().credential {
        PresentedCredential::Token { username, password } => {
            assert_eq!((username.as_str(), password.expose().as_str()), (name, "secret"));
        }
        other => panic!("{other:?}"),
    }
    let renewal = renew_request(None, &der);
    assert_eq!(renewal.path, "/.well-known/est/simplereenroll");
    assert!(renewal.authorization.is_none());
}

#[test]
fn each_refusal_has_its_status_code_and_words() {
    let wait = Duration::from_millis(1500);
    let text = ("Content-Type", "text/plain; charset=utf-8".to_owned());
    type Headers = Vec<(&'static str, String)>;
    let rows: Vec<(EstFault, u16, &str, Headers)> = vec![
        (EstFault::UnknownPath, 404, "est-unknown-path", vec![text.clone()]),
        (EstFault::NotOffered { operation: "fullcmc" }, 404, "est-not-offered", vec![text.clone()]),
        (
            EstFault::WrongMethod { allow: "POST" },
            405,
            "est-method",
            vec![("Allow", "POST".into()), text.clone()],
        ),
        (EstFault::MediaType, 415, "est-media-type", vec![text.clone()]),
        (EstFault::TooLarge, 413, "est-too-large", vec![text.clone()]),
        (EstFault::TooSlow, 408, "est-too-slow", vec![text.clone()]),
        (EstFault::Body(BadBody::Empty), 400, "est-body-empty", vec![text.clone()]),
        (EstFault::Csr(CsrFault::Ca), 400, "csr-ca", vec![text.clone()]),
        (
            EstFault::Forbidden { code: "label-not-granted", says: "a\r\nb".into() },
            403,
            "label-not-granted",
            vec![text.clone()],
        ),
        (
            EstFault::Pending { retry_after: wait },
            202,
            "est-pending",
            vec![("Retry-After", "2".into()), text.clone()],
        ),
        (
            EstFault::TooSoon { retry_after: Duration::ZERO },
            429,
            "est-too-soon",
            vec![("Retry-After", "1".into()), text.clone()],
        ),
        (
            EstFault::Unavailable { retry_after: wait },
            503,
            "est-unavailable",
            vec![("Retry-After", "2".into()), text.clone()],
        ),
        (EstFault::Internal, 500, "est-internal", vec![text.clone()]),
    ];
    for (fault, status, code, headers) in rows {
        let EstRefusal { status: answered, headers: sent, body } = fault.to_refusal();
        assert_eq!((answered, fault.code(), sent), (status, code, headers), "{fault:?}");
        assert!(body.ends_with(&format!(" ({code})\n")), "{body:?}");
        assert_eq!(body.chars().filter(|c| c.is_control()).count(), 1, "one line: {body:?}");
    }
    assert_eq!(
        EstFault::Unauthorised.to_refusal(),
        EstRefusal {
            status: 401,
            headers: vec![("WWW-Authenticate", "Basic realm=\"touchmark\"".into())],
            body: String::new(),
        },
        "BouncyCastle's client fails on a 401 with a body"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = read_csr(Some(&text), &bytes);
        let _ = read_csr(None, &bytes);
        let _ = read_csr(None, STANDARD.encode(&bytes).as_bytes());
        let _ = parse_certs_response(&bytes);
        let _ = parse_certs_response(STANDARD.encode(&bytes).as_bytes());
        let _ = EstPath::parse(&text);
        let _ = EstPath::parse(&format!("/.well-known/est/{text}"));
        let _ = basic_credentials(&text);
        let _ = basic_credentials(&format!("Basic {}", STANDARD.encode(&bytes)));
        let _ = UserAgent::from_header(&text);
    }

    #[test]
    fn a_damaged_request_is_refused_or_unproven(at in 0_usize..200, with in any::<u8>()) {
        let (mut der, _) = csr();
        let at = at % der.len();
        prop_assume!(der[at] != with);
        der[at] = with;
        if let Ok(unproven) = read_csr(None, STANDARD.encode(&der).as_bytes()) {
            prop_assert!(unproven.prove_possession().is_err());
        }
    }
}
