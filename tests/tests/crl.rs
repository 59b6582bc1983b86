//! The CRLs as OpenSSL sees them, before and after a revocation.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use touchmark_tests::{Curl, Device, Lab, Program, device_token, program};
use touchmark_x509::Certificate;

struct Crl {
    number: u64,
    pem: PathBuf,
}

/// Fetches a CRL from the address in a certificate, as any relying party would.
fn fetch(curl: &Program, openssl: &Program, lab: &Lab, certificate: &Certificate, name: &str) -> Crl {
    let url = &certificate.crl_urls()[0];
    let answer = Curl::new(curl, lab).send(url);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/pkix-crl")), "{url}");
    let der = lab.write(&format!("{name}.der"), &answer.body).display().to_string();
    let pem = lab.path(&format!("{name}.crl"));
    openssl.good(["crl", "-inform", "DER", "-in", &der, "-out", &pem.display().to_string()]);
    let number = openssl.good_text(["crl", "-inform", "DER", "-in", &der, "-noout", "-crlnumber"]);
    let number = number.trim().trim_start_matches("crlNumber=").trim_start_matches("0x").to_owned();
    Crl { number: u64::from_str_radix(&number, 16).unwrap(), pem }
}

fn verify(openssl: &Program, lab: &Lab, leaf: &Path, crls: &[&Crl], check: &str) -> (bool, String) {
    let mut arguments = vec!["verify".to_owned(), check.to_owned(), "-CAfile".to_owned()];
    arguments.push(lab.anchors().display().to_string());
    for crl in crls {
        arguments.extend(["-CRLfile".to_owned(), crl.pem.display().to_string()]);
    }
    arguments.push(leaf.display().to_string());
    let output = openssl.run(arguments);
    let says = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&says).into_owned())
}

/// R30, R45: before the revocation OpenSSL accepts the certificate with the CRL, afterwards it does not; CRL
/// numbers rise; the whole chain has CRLs.
#[test]
fn openssl_believes_the_crl_before_and_after_a_revocation() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    let mut device = Device::new(&lab);
    let mut enrol = |name: &str| {
        let (_, chain) = device.enrol(None, &operator.token(&device_token("lab", name)));
        (lab.write(&format!("{name}.pem"), chain[0].to_pem()), chain)
    };
    let (victim, chain) = enrol("pump-01");
    let (innocent, _) = enrol("pump-02");

    let before = fetch(&curl, &openssl, &lab, &chain[0], "before");
    let issuing = std::fs::read_to_string(lab.issuing()).unwrap();
    let issuing = Certificate::from_pem_many(&issuing).unwrap().remove(0);
    let of_root = fetch(&curl, &openssl, &lab, &issuing, "root");
    for leaf in [&victim, &innocent] {
        let (good, says) = verify(&openssl, &lab, leaf, &[&before], "-crl_check");
        assert!(good, "{says}");
        let (good, says) = verify(&openssl, &lab, leaf, &[&before, &of_root], "-crl_check_all");
        assert!(good, "{says}");
    }

    operator.revoke("pump-01");
    let after = fetch(&curl, &openssl, &lab, &chain[0], "after");
    assert!(after.number > before.number, "{} > {}", after.number, before.number);
    let (good, says) = verify(&openssl, &lab, &victim, &[&after], "-crl_check");
    assert!(!good && says.contains("certificate revoked"), "{says}");
    let (good, says) = verify(&openssl, &lab, &innocent, &[&after, &of_root], "-crl_check_all");
    assert!(good, "{says}");
    let text = openssl.good_text(["crl", "-in", &after.pem.display().to_string(), "-noout", "-text"]);
    assert!(text.contains("Key Compromise"), "{text}");
    let (of_issuing, _) = verify(&openssl, &lab, &lab.issuing(), &[&of_root], "-crl_check");
    assert!(of_issuing, "the issuing certificate is on no list");

    operator.revoke("pump-02");
    let last = fetch(&curl, &openssl, &lab, &chain[0], "last");
    assert!(last.number > after.number);
}
