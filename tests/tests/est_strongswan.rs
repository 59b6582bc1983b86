//! strongSwan's pki as an EST client. It is strict about content types, and takes one certificate per file.

#![allow(clippy::unwrap_used)]

use touchmark_tests::{Key, Lab, device_token, program};
use touchmark_x509::Certificate;

/// R29: `pki --estca` fetches the authority's certificates, and `pki --est` enrols with a token.
#[test]
fn strongswan_fetches_the_anchors_and_enrols() {
    let Some(pki) = program("pki") else { return };
    let lab = Lab::start();
    let root = lab.root().display().to_string();
    let issuing = lab.issuing().display().to_string();
    let url = format!("https://localhost:{}", lab.est().rsplit(':').next().unwrap());

    let out = lab.path("estca.pem").display().to_string();
    let arguments = ["--estca", "--url", &url, "--cacert", &root, "--cacert", &issuing];
    let output = pki.run([&arguments[..], &["--caout", &out, "--outform", "pem", "--force"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let on_disk = Certificate::from_pem_many(&std::fs::read_to_string(lab.anchors()).unwrap()).unwrap();
    let mut fetched = Vec::new();
    for entry in std::fs::read_dir(lab.path("")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("estca") {
            fetched.extend(Certificate::from_pem_many(&std::fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    for certificate in &on_disk {
        let found = fetched.iter().any(|other| other.fingerprint() == certificate.fingerprint());
        assert!(found, "{:?}", certificate.common_name());
    }

    let token = lab.operator().token(&device_token("lab", "pump-01"));
    let key = Key::new();
    let csr = lab.write("pump-01.csr", key.request("pump-01")).display().to_string();
    let user = format!("{}:{}", token.username, token.password);
    let arguments = ["--est", "--url", &url, "--in", &csr, "--cacert", &root, "--cacert", &issuing];
    let output = pki.run([&arguments[..], &["--userpass", &user, "--outform", "pem"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let issued = Certificate::from_pem_many(&String::from_utf8(output.stdout).unwrap()).unwrap();
    assert_eq!(issued[0].uri_sans(), ["spiffe://lab.touchmark.internal/d/pump-01"]);
    let known = lab.operator().explain("pump-01").unwrap();
    assert_eq!(known.certificates[0].fingerprint, Some(issued[0].fingerprint()));
}
