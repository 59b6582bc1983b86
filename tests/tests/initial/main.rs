//! Initial certificates, with makers by OpenSSL and devices by curl and mosquitto: they open enrolment, for hardware that is
//! expected, and nothing else.
#![allow(clippy::unwrap_used)]

mod factory;
mod journey;
mod refused;
mod registers;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use factory::{Pair, Request};
use std::path::Path;
use touchmark_tests::{Answer, Curl, Lab, Program};
use touchmark_x509::Certificate;

/// `simpleenroll` by curl, with an initial certificate and no token.
fn enrol(curl: &Program, lab: &Lab, label: &str, initial: &Pair, request: &Request) -> Answer {
    let file = |path: &Path| path.display().to_string();
    Curl::new(curl, lab)
        .with(&["--cert", &file(&initial.certificate), "--key", &file(&initial.key)])
        .with(&[
            "-H",
            "Content-Type: application/pkcs10",
            "--data-binary",
            &format!("@{}", file(&request.der)),
        ])
        .send(&format!("{}/.well-known/est/{label}simpleenroll", lab.est()))
}

/// The device's certificate in the answer, as OpenSSL finds it there.
fn certificate(openssl: &Program, lab: &Lab, answer: &Answer) -> Certificate {
    assert_eq!(answer.status, 200, "{} {}", answer.text(), answer.says);
    let bag = STANDARD.decode(answer.text().replace(['\r', '\n'], "")).unwrap();
    let bag = lab.write("answer.p7", bag).display().to_string();
    let all = openssl.good_text(["pkcs7", "-inform", "DER", "-in", &bag, "-print_certs"]);
    let all = Certificate::from_pem_many(&all).unwrap();
    all.into_iter().find(|certificate| !certificate.is_ca()).unwrap()
}

/// The product's own command line; gives exit code and what it printed.
fn touchmark(lab: &Lab, words: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(Lab::program());
    let output = command.args(words).args(["--json", "--data"]).arg(lab.data()).output().unwrap();
    let says = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&says).into_owned())
}

/// The same, which must be good.
fn done(lab: &Lab, words: &[&str]) -> String {
    let (code, says) = touchmark(lab, words);
    assert_eq!(code, 0, "{words:?}: {says}");
    says
}
