//! Bytes that must not change unnoticed. `TOUCHMARK_BLESS=1` rewrites the files under `tests/golden/`.

use crate::authority::{crl, entries, fixed_key, fixed_p256, issuing, leaf_tbs, root};
use std::path::Path;
use touchmark_x509::pkcs7::certs_only;
use touchmark_x509::request::certification_request;

#[test]
fn what_is_written_is_golden() {
    let (root, issuing) = (root(), issuing());
    let leaf = leaf_tbs(&issuing, &fixed_p256());
    let uri = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("leaf-tbs", leaf.as_bytes().to_vec()),
        ("leaf-placeholder", leaf.with_placeholder_signature()),
        ("root-certificate", root.certificate.der().to_vec()),
        ("issuing-certificate", issuing.certificate.der().to_vec()),
        ("crl-empty", crl(&issuing, 1, &[])),
        ("crl-seven-reasons", crl(&issuing, 0xfedc_ba98_7654_3210, &entries(7))),
        ("certs-only", certs_only(&[issuing.certificate.der(), root.certificate.der()])),
        ("certs-only-empty", certs_only(&[])),
        ("request", certification_request("pump-01", Some(&uri), &fixed_key(3)).unwrap()),
        ("request-bare", certification_request("", None, &fixed_key(3)).unwrap()),
    ];
    for (name, bytes) in rows {
        hold(name, &bytes);
    }
}

fn hold(name: &str, bytes: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let text: String = hex::encode(bytes)
        .as_bytes()
        .chunks(64)
        .flat_map(|line| line.iter().copied().chain([b'\n']))
        .map(char::from)
        .collect();
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, golden, "{name}: bytes changed");
}
