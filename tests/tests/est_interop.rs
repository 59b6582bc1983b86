//! EST with clients that others wrote: curl with OpenSSL, and strongSwan's pki.

#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use touchmark_api::Token;
use touchmark_dial::{Method, Request as Sent};
use touchmark_enrol::est::parse_certs_response;
use touchmark_tests::{Answer, Curl, Lab, Program, device_token, prefix_token, program};
use touchmark_x509::Certificate;

const PATH: &str = "/.well-known/est";

/// A key and a request, made by OpenSSL: files `NAME.key`, `NAME.pem`, `NAME.der`.
struct Request {
    key: PathBuf,
    pem: PathBuf,
    der: PathBuf,
}

fn request(openssl: &Program, lab: &Lab, name: &str, new_key: &[&str]) -> Request {
    let file = |extension: &str| lab.path(&format!("{name}.{extension}"));
    let request = Request { key: file("key"), pem: file("pem"), der: file("der") };
    let text = |path: &PathBuf| path.display().to_string();
    let (key, pem, der) = (text(&request.key), text(&request.pem), text(&request.der));
    openssl.good([new_key, &["-out", &key]].concat());
    let subject = format!("/CN={}", name.trim_end_matches("-again"));
    openssl.good(["req", "-new", "-key", &key, "-subj", &subject, "-out", &pem]);
    openssl.good(["req", "-in", &pem, "-outform", "DER", "-out", &der]);
    request
}

const P256: &[&str] = &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn enrol(curl: &Program, lab: &Lab, token: &Token, body: &Path, more: &[&str]) -> Answer {
    Curl::new(curl, lab)
        .user(token.username.as_str(), &token.password)
        .with(&["-H", "Content-Type: application/pkcs10", "--data-binary", &format!("@{}", body.display())])
        .with(more)
        .send(&format!("{}{PATH}/simpleenroll", lab.est()))
}

/// The device's certificate as OpenSSL finds it in the answer, in a file.
fn certificate(openssl: &Program, lab: &Lab, name: &str, answer: &Answer) -> PathBuf {
    assert_eq!(answer.status, 200, "{name}: {} {}", answer.text(), answer.says);
    assert_eq!(answer.header("content-type"), Some("application/pkcs7-mime; smime-type=certs-only"));
    let bag = STANDARD.decode(answer.text().replace(['\r', '\n'], "")).unwrap();
    let bag = lab.write(&format!("{name}.p7"), bag).display().to_string();
    let all = openssl.good(["pkcs7", "-inform", "DER", "-in", &bag, "-print_certs"]);
    let leaf = Certificate::from_pem_many(&String::from_utf8(all).unwrap()).unwrap();
    let leaf = leaf.iter().find(|certificate| !certificate.is_ca()).unwrap();
    lab.write(&format!("{name}.crt"), leaf.to_pem())
}

fn verify(openssl: &Program, lab: &Lab, certificate: &Path, more: &[&str]) -> (bool, String) {
    let anchors = lab.anchors().display().to_string();
    let file = certificate.display().to_string();
    let output = openssl.run([&["verify", "-CAfile", &anchors], more, &[&file]].concat());
    let says = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&says).into_owned())
}

/// OpenSSL reads the authority's certificates out of `/cacerts`, and they are the anchors on disk.
#[test]
fn cacerts_and_csrattrs_are_what_openssl_reads() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let answer = Curl::new(&curl, &lab).send(&format!("{}{PATH}/cacerts", lab.est()));
    assert_eq!(answer.status, 200);
    let bag = lab.write("cacerts.p7", STANDARD.decode(answer.text().replace(['\r', '\n'], "")).unwrap());
    let bag = bag.display().to_string();
    let pem = openssl.good_text(["pkcs7", "-inform", "DER", "-in", &bag, "-print_certs"]);
    let fingerprints = |pem: &str| {
        let certificates = Certificate::from_pem_many(pem).unwrap();
        let mut found: Vec<_> = certificates.iter().map(|certificate| certificate.fingerprint()).collect();
        found.sort();
        found
    };
    let on_disk = std::fs::read_to_string(lab.anchors()).unwrap();
    assert_eq!(fingerprints(&pem), fingerprints(&on_disk));
    // DER: a set stands in the order of its octets (X.690 §11.6).
    let read = Certificate::from_pem_many(&pem).unwrap();
    assert!(read.windows(2).all(|pair| pair[0].der() < pair[1].der()), "the set is sorted");
    assert_eq!(fingerprints(&pem).len(), 2, "issuing and root");

    let answer = Curl::new(&curl, &lab).send(&format!("{}{PATH}/csrattrs", lab.est()));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/csrattrs")));
    let der = STANDARD.decode(answer.text().replace(['\r', '\n'], "")).unwrap();
    let der = lab.write("csrattrs.der", der).display().to_string();
    let tree = openssl.good_text(["asn1parse", "-inform", "DER", "-in", &der]);
    assert!(tree.contains("SEQUENCE") && tree.contains("OBJECT"), "{tree}");
}

/// R29, R48: whatever wrapping and TLS version a client chooses, its key gets a certificate that OpenSSL
/// verifies, and the inventory knows it.
#[test]
fn every_form_of_body_and_both_tls_versions_enrol() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    let base64 = |der: &PathBuf| STANDARD.encode(std::fs::read(der).unwrap());
    let wrapped = |der: &PathBuf, end: &str| {
        let line = base64(der);
        let lines: Vec<&str> = line.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        (lines.join(end) + end).into_bytes()
    };
    type Body<'a> = &'a dyn Fn(&Request) -> Vec<u8>;
    let rows: &[(&str, Body, &[&str])] = &[
        ("pem", &|request| std::fs::read(&request.pem).unwrap(), &[]),
        ("wrapped", &|request| wrapped(&request.der, "\n"), &[]),
        ("wrapped-crlf", &|request| wrapped(&request.der, "\r\n"), &[]),
        ("one-line", &|request| base64(&request.der).into_bytes(), &[]),
        ("der", &|request| std::fs::read(&request.der).unwrap(), &[]),
        ("chunked", &|request| wrapped(&request.der, "\n"), &["-H", "Transfer-Encoding: chunked"]),
        ("tls12", &|request| wrapped(&request.der, "\n"), &["--tlsv1.2", "--tls-max", "1.2"]),
        ("tls13", &|request| wrapped(&request.der, "\n"), &["--tlsv1.3"]),
        ("http10", &|request| wrapped(&request.der, "\n"), &["--http1.0"]),
    ];
    for (name, body, more) in rows {
        let token = operator.token(&device_token("lab", name));
        let request = request(&openssl, &lab, name, P256);
        let body = lab.write(&format!("{name}.body"), body(&request));
        let answer = enrol(&curl, &lab, &token, &body, more);
        let certificate = certificate(&openssl, &lab, name, &answer);
        let (good, says) = verify(&openssl, &lab, &certificate, &["-purpose", "sslclient"]);
        assert!(good, "{name}: {says}");
        let of_key = openssl.good_text(["pkey", "-pubout", "-in", &request.key.display().to_string()]);
        let file = certificate.display().to_string();
        assert_eq!(openssl.good_text(["x509", "-noout", "-pubkey", "-in", &file]), of_key, "{name}");
        let known = operator.explain(name).unwrap();
        assert_eq!(known.certificates.len(), 1, "{name}");
        let pem = std::fs::read_to_string(&certificate).unwrap();
        let fingerprint = Certificate::from_pem_many(&pem).unwrap()[0].fingerprint();
        assert_eq!(known.certificates[0].fingerprint, Some(fingerprint), "{name}");
    }
}

/// R47: a wrong password is answered in the one form that every EST client understands.
#[test]
fn a_wrong_password_is_401_without_a_body() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let token = lab.operator().token(&device_token("lab", "pump-01"));
    let request = request(&openssl, &lab, "pump-01", P256);
    let rows = [
        ("wrong password", Token { password: "0".repeat(32), ..token.clone() }),
        ("empty password", Token { password: String::new(), ..token.clone() }),
        ("another name", Token { username: "pump-02".parse().unwrap(), ..token.clone() }),
    ];
    for (name, token) in rows {
        let answer = enrol(&curl, &lab, &token, &request.pem, &[]);
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.header("content-length"), Some("0"), "{name}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"touchmark\""), "{name}");
    }
    let url = format!("{}{PATH}/simpleenroll", lab.est());
    let body = format!("@{}", request.pem.display());
    let answer = Curl::new(&curl, &lab).with(&["--data-binary", &body]).send(&url);
    assert_eq!((answer.status, answer.header("content-length")), (401, Some("0")), "no credential");
    assert_eq!(enrol(&curl, &lab, &token, &request.pem, &[]).status, 200, "the token is not spent");
}

/// R38: a label leads to its own environment, and a token opens no other.
#[test]
fn a_token_is_good_in_its_own_environment_only() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    operator.environment("plant", None);
    let first = request(&openssl, &lab, "pump-01", P256);
    let second = request(&openssl, &lab, "pump-01-again", P256);
    let mut send = |environment: &str, label: &str, request: &Request| {
        let token = operator.token(&device_token(environment, "pump-01"));
        Curl::new(&curl, &lab)
            .user(token.username.as_str(), &token.password)
            .with(&["-H", "Content-Type: application/pkcs10"])
            .with(&["--data-binary", &format!("@{}", request.pem.display())])
            .send(&format!("{}{PATH}{label}/simpleenroll", lab.est()))
    };
    let rows = [
        ("plant", "", 403, "token-environment"),
        ("plant", "/lab", 403, "token-environment"),
        ("lab", "/plant", 403, "token-environment"),
        ("lab", "/nowhere", 404, "est-unknown-path"),
        ("lab", "/LAB", 404, "est-unknown-path"),
        ("lab", "/lab/lab", 404, "est-unknown-path"),
    ];
    for (environment, label, status, code) in rows {
        let answer = send(environment, label, &first);
        assert_eq!(answer.status, status, "{environment}{label}: {}", answer.text());
        assert!(answer.text().contains(&format!("({code})")), "{environment}{label}: {}", answer.text());
    }
    assert_eq!(send("lab", "/lab", &first).status, 200);
    let linkable = send("plant", "/plant", &first);
    assert_eq!(linkable.status, 403, "one key in two environments would link the two identities");
    assert!(linkable.text().contains("(key-not-usable)"), "{}", linkable.text());
    let issued = send("plant", "/plant", &second);
    assert_eq!(issued.status, 200);
    let der = STANDARD.decode(issued.text().replace(['\r', '\n'], "")).unwrap();
    let certificates = parse_certs_response(&der).unwrap();
    assert_eq!(certificates[0].uri_sans(), ["spiffe://plant.touchmark.internal/d/pump-01"]);
    let anchors = lab.write("lab.pem", std::fs::read(lab.issuing()).unwrap());
    let leaf = lab.write("plant.crt", certificates[0].to_pem()).display().to_string();
    let anchors = anchors.display().to_string();
    let foreign = openssl.run(["verify", "-partial_chain", "-CAfile", &anchors, &leaf]);
    assert!(!foreign.status.success(), "the lab's authority vouches for no device of the plant");
}

/// R29: a lost answer may be asked for again; a token gives no second certificate.
#[test]
fn the_same_request_gets_the_same_certificate_and_another_gets_none() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let token = lab.operator().token(&device_token("lab", "pump-01"));
    let first = request(&openssl, &lab, "pump-01", P256);
    let answer = enrol(&curl, &lab, &token, &first.pem, &[]);
    assert_eq!(answer.status, 200);
    for body in [&first.pem, &first.der] {
        assert_eq!(enrol(&curl, &lab, &token, body, &[]).body, answer.body);
    }
    let second = request(&openssl, &lab, "pump-01", P256);
    assert_eq!(enrol(&curl, &lab, &token, &second.pem, &[]).status, 401);
}

/// R56: keys that are strong enough pass, whatever their kind; weak ones are named as the reason.
#[test]
fn strong_keys_of_every_kind_are_certified_and_weak_ones_refused() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    let ec = |curve: &'static str| ["genpkey", "-algorithm", "EC", "-pkeyopt", curve];
    let rsa = |bits: &'static str| ["genpkey", "-algorithm", "RSA", "-pkeyopt", bits];
    let rows: &[(&str, &[&str], bool)] = &[
        ("p256", &ec("ec_paramgen_curve:P-256"), true),
        ("p384", &ec("ec_paramgen_curve:P-384"), true),
        ("ed25519", &["genpkey", "-algorithm", "ED25519"], true),
        ("rsa-2048", &rsa("rsa_keygen_bits:2048"), true),
        ("rsa-1024", &rsa("rsa_keygen_bits:1024"), false),
        ("p224", &ec("ec_paramgen_curve:P-224"), false),
        ("secp256k1", &ec("ec_paramgen_curve:secp256k1"), false),
        ("ed448", &["genpkey", "-algorithm", "ED448"], false),
    ];
    for (name, new_key, good) in rows {
        let token = operator.token(&device_token("lab", name));
        let request = request(&openssl, &lab, name, new_key);
        let answer = enrol(&curl, &lab, &token, &request.pem, &[]);
        if *good {
            let certificate = certificate(&openssl, &lab, name, &answer);
            let (good, says) = verify(&openssl, &lab, &certificate, &[]);
            assert!(good, "{name}: {says}");
        } else {
            assert_eq!(answer.status, 400, "{name}");
            assert!(answer.text().contains("(csr-key)"), "{name}: {}", answer.text());
            assert_eq!(operator.get(&format!("/v1/explain/{name}")).unwrap().status, 404, "{name}");
        }
    }
}

/// R29: the user name of a token for many works as it is printed, and the request names the device; so does the name itself.
#[test]
fn a_prefix_token_enrols_with_the_user_name_that_it_prints() {
    let (Some(curl), Some(openssl)) = (program("curl"), program("openssl")) else { return };
    let lab = Lab::start();
    let mut operator = lab.operator();
    for prefix in ["pump-", "fan.", "line_", "tank"] {
        let token = operator.token(&prefix_token("lab", prefix, 4_000_000_000));
        assert_eq!(token.username.as_str(), prefix);
        let first = request(&openssl, &lab, &format!("{prefix}07"), P256);
        let answer = enrol(&curl, &lab, &token, &first.pem, &[]);
        assert_eq!(answer.status, 200, "{prefix}: {}", answer.text());
        assert_eq!(enrol(&curl, &lab, &token, &first.pem, &[]).body, answer.body, "{prefix}: asked again");
        operator.explain(&format!("{prefix}07")).unwrap();
        let own = Token { username: format!("{prefix}08").parse().unwrap(), ..token.clone() };
        let second = request(&openssl, &lab, &format!("{prefix}08"), P256);
        assert_eq!(enrol(&curl, &lab, &own, &second.pem, &[]).status, 200, "{prefix}: its own name");
        let stranger = request(&openssl, &lab, "valve-1", P256);
        let refused = enrol(&curl, &lab, &token, &stranger.pem, &[]);
        assert_eq!(refused.status, 400, "{prefix}");
        assert!(refused.text().contains("(csr-name)"), "{prefix}: {}", refused.text());
        assert!(refused.text().contains("valve-1") && refused.text().contains(prefix), "{}", refused.text());
    }
    let long = "a".repeat(64);
    for (name, prefix, uses, ttl_s) in [
        ("no time", "pump-", 1, 0),
        ("no uses", "pump-", 0, 60),
        ("no name is longer", &long, 1, 60),
        ("two dots", "pump..", 1, 60),
        ("nothing", "", 1, 60),
    ] {
        let order = serde_json::json!({"environment": "lab", "prefix": prefix, "uses": uses, "ttl_s": ttl_s});
        let request = Sent::new(Method::POST, "/v1/tokens").json(&order).unwrap();
        assert_eq!(operator.send(request).unwrap().status, 400, "{name}");
    }
}

/// R29: the requests that stock programs write enrol, with everything that they add on their own; what is not issued is
/// named, with what was found and what is taken.
#[test]
fn requests_of_stock_programs_enrol_or_are_told_what_to_change() {
    let (Some(curl), Some(openssl), Some(certtool), Some(pki)) =
        (program("curl"), program("openssl"), program("certtool"), program("pki"))
    else {
        return;
    };
    let lab = Lab::start();
    let token = lab.operator().token(&prefix_token("lab", "stock-", 100));
    let identity = |name: &str| format!("subjectAltName=URI:spiffe://lab.touchmark.internal/d/{name}");
    let file = |name: &str, extension: &str| lab.path(&format!("{name}.{extension}")).display().to_string();
    let by_openssl = |name: &str, more: &str| {
        let (key, csr) = (file(name, "key"), file(name, "pem"));
        let words = format!("req -new -nodes -keyout {key} -subj /CN={name} -out {csr} {more}");
        openssl.good(words.split(' '));
        lab.path(&format!("{name}.pem"))
    };
    let by_certtool = |name: &str, template: &str| {
        let (key, csr) = (file(name, "key"), file(name, "pem"));
        let template = lab.write(&format!("{name}.cfg"), template).display().to_string();
        certtool.good([
            "--generate-privkey",
            "--key-type",
            "ecdsa",
            "--curve",
            "secp256r1",
            "--outfile",
            &key,
        ]);
        certtool.good([
            "--generate-request",
            "--load-privkey",
            &key,
            "--template",
            &template,
            "--outfile",
            &csr,
        ]);
        lab.path(&format!("{name}.pem"))
    };
    const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
    const PSS: &str = "-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:";
    let all = format!(
        "{EC} -sha512 -addext subjectKeyIdentifier=hash -addext basicConstraints=critical,CA:FALSE -addext \
         keyUsage=critical,digitalSignature -addext extendedKeyUsage=clientAuth -addext {}",
        identity("stock-02")
    );
    let good = [
        by_openssl("stock-01", EC),
        by_openssl("stock-02", &all),
        by_openssl("stock-03", &format!("{PSS}digest")),
        by_openssl("stock-04", "-newkey ec -pkeyopt ec_paramgen_curve:P-521 -sha256"),
        by_certtool("stock-05", "cn = \"stock-05\"\n"),
        by_certtool("stock-06", "cn = \"stock-06\"\nsigning_key\ntls_www_client\n"),
    ];
    for csr in &good {
        let answer = enrol(&curl, &lab, &token, csr, &[]);
        assert_eq!(answer.status, 200, "{}: {}", csr.display(), answer.text());
    }
    let key = file("stock-07", "key");
    std::fs::write(&key, pki.good(["--gen", "--type", "ecdsa", "--size", "256"])).unwrap();
    let csr = pki.good(["--req", "--in", &key, "--type", "ecdsa", "--dn", "CN=stock-07"]);
    let answer = enrol(&curl, &lab, &token, &lab.write("stock-07.der", csr), &[]);
    assert_eq!(answer.status, 200, "strongSwan: {}", answer.text());
    let usages = format!("{EC} -addext keyUsage=digitalSignature,keyEncipherment");
    let bad: [(PathBuf, &str, &str); 5] = [
        (
            by_openssl("stock-08", &usages),
            "csr-extension",
            "keyUsage (2.5.29.15) digitalSignature, keyEncipherment",
        ),
        (
            by_openssl("stock-09", &format!("{EC} -addext subjectAltName=DNS:stock-09")),
            "csr-name",
            "the DNS name \"stock-09\"",
        ),
        (by_openssl("stock-10", &format!("{PSS}max")), "csr-signature", "a salt of 222 octets"),
        (
            by_openssl("stock-11", &format!("{EC} -addext nsComment=hello")),
            "csr-extension",
            "netscapeComment",
        ),
        (
            by_certtool("stock-12", "cn = \"stock-12\"\norganization = \"Acme\"\n"),
            "csr-name",
            "organizationName (2.5.4.10) \"Acme\"",
        ),
    ];
    for (csr, code, says) in &bad {
        let answer = enrol(&curl, &lab, &token, csr, &[]);
        assert_eq!(answer.status, 400, "{}", csr.display());
        assert!(answer.text().contains(&format!("({code})")), "{}", answer.text());
        assert!(answer.text().contains(says), "`{says}` in: {}", answer.text());
    }
}
