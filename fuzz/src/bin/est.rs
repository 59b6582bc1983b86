//! EST's readers: paths, credentials, bodies in every wrapping, and a server's answers.
//!
//! The first letter chooses: `a` path, `b` Authorization, `c` a request's body, `d` DER to be wrapped, `e` an answer,
//! `f` User-Agent.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use libfuzzer_sys::fuzz_target;
use touchmark_enrol::UserAgent;
use touchmark_enrol::est::{
    EstPath, REQUEST_OCTETS_MAX, basic_credentials, choose, parse_certs_response, read_body, read_csr,
};
use touchmark_fuzz::chosen;
use touchmark_x509::csr::UnprovenCsr;

const MEDIA_TYPES: [Option<&str>; 5] = [
    None,
    Some("application/pkcs10"),
    Some("Application/PKCS10 ; charset=x"),
    Some("text/plain"),
    Some("application/json"),
];

fuzz_target!(|data: &[u8]| {
    let (which, rest) = chosen(data);
    let text = core::str::from_utf8(rest);
    match (which, text) {
        (0, Ok(path)) => {
            if let Ok(read) = EstPath::parse(path) {
                assert_eq!(read.to_path(), path, "one spelling");
            }
        }
        (1, Ok(header)) => credentials(header),
        (2, _) => body(rest),
        (3, _) => wrapped(rest),
        (4, _) => answer(rest),
        (5, Ok(agent)) => {
            if let Some(agent) = UserAgent::from_header(agent) {
                let kept = agent.as_str();
                assert!((1..=UserAgent::CHARS_MAX).contains(&kept.len()));
                assert!(kept.bytes().all(|c| (0x20..0x7f).contains(&c)));
                assert_eq!(UserAgent::from_header(kept).as_ref(), Some(&agent));
            }
        }
        _ => {}
    }
});

fn credentials(header: &str) {
    let Some(read) = basic_credentials(header) else { return };
    let pair = format!("{}:{}", read.username, read.password.expose());
    // A password with a line feed at its end would be cut by nobody: base64 holds it.
    let again = basic_credentials(&format!("Basic {}", STANDARD.encode(pair)));
    if let Some(again) = again {
        assert_eq!(again.username, read.username);
        assert_eq!(again.password.expose(), read.password.expose());
    } else {
        assert!(header.len() > 900, "only padding can make it too long");
    }
}

fn body(octets: &[u8]) {
    for media_type in MEDIA_TYPES {
        let (read, csr) = (read_body(media_type, octets), read_csr(media_type, octets));
        match read {
            Ok(der) => {
                assert!(der.len() <= octets.len() && octets.len() <= REQUEST_OCTETS_MAX);
                assert_eq!(csr.is_ok(), UnprovenCsr::from_der(&der).is_ok());
            }
            Err(fault) => {
                assert_eq!(csr.err().as_ref(), Some(&fault));
                let refusal = fault.to_refusal();
                assert!((400..500).contains(&refusal.status) && !refusal.body.is_empty());
            }
        }
    }
}

/// Whatever wrapping a client chose, the DER comes out.
fn wrapped(der: &[u8]) {
    if der.is_empty() || der.len() > REQUEST_OCTETS_MAX / 2 {
        return;
    }
    let base64 = STANDARD.encode(der);
    let lines = |end: &str| {
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(64)
            .map(|line| core::str::from_utf8(line).expect("base64 is text"))
            .collect();
        lines.join(end)
    };
    let pem = |label: &str| {
        format!("text before\n-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines("\n"))
    };
    for (name, body) in [
        ("one line", base64.clone()),
        ("lines", lines("\n") + "\n"),
        ("lines of another system", lines("\r\n") + "\r\n"),
        ("without padding", STANDARD_NO_PAD.encode(der)),
        ("PEM", pem("CERTIFICATE REQUEST")),
        ("PEM of old tools", pem("NEW CERTIFICATE REQUEST")),
    ] {
        assert_eq!(read_body(None, body.as_bytes()).as_deref(), Ok(der), "{name}");
    }
    if let [0x30, 0x80..=0xff, ..] = der {
        assert_eq!(read_body(None, der).as_deref(), Ok(der), "raw");
    }
}

fn answer(octets: &[u8]) {
    let Ok(certificates) = parse_certs_response(octets) else { return };
    for certificate in &certificates {
        let Ok(enrolled) = choose(&certificates, &[], &certificate.spki_hash()) else {
            assert!(certificates.iter().all(|c| c.is_ca() || c.spki_hash() != certificate.spki_hash()));
            continue;
        };
        assert_eq!(enrolled.leaf.spki_hash(), certificate.spki_hash());
        assert!(!enrolled.leaf.is_ca() && enrolled.chain.len() <= certificates.len());
        assert!(enrolled.chain.iter().all(|above| above.is_ca()));
    }
}
