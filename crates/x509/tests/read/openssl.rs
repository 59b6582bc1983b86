//! A second opinion on paths and requests: OpenSSL makes them, both judge them.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use touchmark_identity::Timestamp;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::path::{Purpose, validate};
use touchmark_x509::{Certificate, KeyAlgorithm};

const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const DAY_S: u64 = 86_400;

fn run(folder: &Path, line: &str) -> (bool, String) {
    let output = Command::new("openssl")
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .expect("these tests need the program `openssl`");
    let printed =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), printed)
}

fn must(folder: &Path, line: &str) {
    let (good, printed) = run(folder, line);
    assert!(good, "openssl {line}\n{printed}");
}

/// A key and a request for the subject `name`.
fn party(folder: &Path, name: &str, key: &str) {
    must(folder, &format!("req -new -nodes {key} -keyout {name}.key -subj /CN={name} -out {name}.csr"));
}

/// Certifies `name` for ten days, by `issuer` or by itself.
fn certify(folder: &Path, name: &str, issuer: Option<&str>, extensions: &str) {
    std::fs::write(folder.join(format!("{name}.ext")), extensions).unwrap();
    let by = match issuer {
        None => format!("-signkey {name}.key"),
        Some(issuer) => format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial"),
    };
    must(folder, &format!("x509 -req -in {name}.csr {by} -days 10 -extfile {name}.ext -out {name}.pem"));
}

fn read(folder: &Path, name: &str) -> Certificate {
    let pem = std::fs::read_to_string(folder.join(format!("{name}.pem"))).unwrap();
    Certificate::from_pem_many(&pem).unwrap().remove(0)
}

const P256: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-384";

#[test]
fn openssl_and_we_give_the_same_verdicts() {
    let version = run(Path::new("."), "version").1;
    println!("{version}");
    let change = |from: &str, to: &str| (CA.replace(from, to), LEAF.replace(from, to));
    let good = (CA.to_owned(), LEAF.to_owned());
    let unknown = "1.2.3.4=critical,ASN1:NULL\n";
    // name, extensions of the middle authority, of the leaf, days from now, verdict
    let rows: Vec<(&str, String, String, i64, &str)> = vec![
        ("good", good.0.clone(), good.1.clone(), 0, "ok"),
        ("path length 0 above a leaf", change("CA:TRUE", "CA:TRUE,pathlen:0").0, good.1.clone(), 0, "ok"),
        ("expired", good.0.clone(), good.1.clone(), 11, "path-expired"),
        ("not yet valid", good.0.clone(), good.1.clone(), -1, "path-not-yet-valid"),
        (
            "middle is no authority",
            change("CA:TRUE", "CA:FALSE").0,
            good.1.clone(),
            0,
            "path-not-an-authority",
        ),
        ("middle signs only CRLs", change("keyCertSign,", "").0, good.1.clone(), 0, "path-key-usage"),
        (
            "unknown critical in the leaf",
            good.0.clone(),
            format!("{LEAF}{unknown}"),
            0,
            "path-unknown-critical",
        ),
        (
            "unknown critical in the middle",
            format!("{CA}{unknown}"),
            good.1.clone(),
            0,
            "path-unknown-critical",
        ),
        ("server's leaf", good.0.clone(), change("clientAuth", "serverAuth").1, 0, "path-not-authorised"),
        (
            "middle for servers",
            format!("{CA}extendedKeyUsage=serverAuth\n"),
            good.1.clone(),
            0,
            "path-not-authorised",
        ),
    ];
    for (name, middle, leaf, days, expected) in rows {
        let bench = TempDir::new().unwrap();
        let folder = bench.path();
        // OpenSSL writes either form of an ECDSA signature, and a leaf of ours has one: so the middle signs by Ed25519.
        for (party_name, key) in [("root", P384), ("middle", "-newkey ed25519"), ("leaf", P256)] {
            party(folder, party_name, key);
        }
        certify(folder, "root", None, CA);
        certify(folder, "middle", Some("root"), &middle);
        certify(folder, "leaf", Some("middle"), &leaf);

        // Read after the certificates were made: theirs is the first second of their validity.
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let at_s = now_s.saturating_add_signed(days * DAY_S.cast_signed());
        let line = format!(
            "verify -purpose sslclient -attime {at_s} -CAfile root.pem -untrusted middle.pem leaf.pem"
        );
        let (theirs, printed) = run(folder, &line);
        let ours = validate(
            &read(folder, "leaf"),
            &[read(folder, "middle")],
            &[read(folder, "root")],
            Timestamp::from_unix_s(at_s),
            Purpose::Client,
        );
        let ours = ours.map_or_else(|fault| fault.code(), |_| "ok");
        assert_eq!(ours, expected, "{name}");
        assert_eq!(theirs, expected == "ok", "{name}: {printed}");
    }
}

#[test]
fn requests_of_openssl_are_read_and_proven() {
    let rows = [
        ("P-256", P256, KeyAlgorithm::P256),
        ("P-384", P384, KeyAlgorithm::P384),
        ("P-384 with SHA-512", "-sha512 -newkey ec -pkeyopt ec_paramgen_curve:P-384", KeyAlgorithm::P384),
        ("P-256 with SHA-512", "-sha512 -newkey ec -pkeyopt ec_paramgen_curve:P-256", KeyAlgorithm::P256),
        ("P-521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521", KeyAlgorithm::P521),
        (
            "RSA-2048 with PSS",
            "-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
            KeyAlgorithm::Rsa { bits: 2048 },
        ),
        ("P-384 with SHA-384", "-sha384 -newkey ec -pkeyopt ec_paramgen_curve:P-384", KeyAlgorithm::P384),
        ("Ed25519", "-newkey ed25519", KeyAlgorithm::Ed25519),
        ("RSA-2048", "-newkey rsa:2048", KeyAlgorithm::Rsa { bits: 2048 }),
        ("RSA-3072 with SHA-512", "-sha512 -newkey rsa:3072", KeyAlgorithm::Rsa { bits: 3072 }),
    ];
    for (name, key, algorithm) in rows {
        let bench = TempDir::new().unwrap();
        let line = format!(
            "req -new -nodes {key} -keyout key.pem -subj /CN=pump-01 -addext subjectAltName=DNS:a.lab,IP:10.0.0.1 \
             -outform DER -out request.der"
        );
        must(bench.path(), &line);
        let der = std::fs::read(bench.path().join("request.der")).unwrap();
        let csr = UnprovenCsr::from_der(&der).and_then(UnprovenCsr::prove_possession).unwrap();
        assert_eq!(csr.public_key().algorithm(), algorithm, "{name}");
        let subject: Vec<_> = csr.requested().subject.iter().map(|one| one.text.as_deref()).collect();
        assert_eq!(subject, [Some("pump-01")], "{name}");
        assert_eq!(csr.requested().dns, ["a.lab"], "{name}");
        assert_eq!(csr.requested().ips.len(), 1, "{name}");
    }
}

#[test]
fn keys_that_openssl_makes_outside_our_limits_are_refused() {
    let rows = [
        ("RSA-1024", "-newkey rsa:1024"),
        ("P-224", "-newkey ec -pkeyopt ec_paramgen_curve:P-224"),
        ("secp256k1", "-newkey ec -pkeyopt ec_paramgen_curve:secp256k1"),
        (
            "P-256 with explicit parameters",
            "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
        ),
        ("Ed448", "-newkey ed448"),
    ];
    for (name, key) in rows {
        let bench = TempDir::new().unwrap();
        let line = format!("req -new -nodes {key} -keyout key.pem -subj /CN=a -outform DER -out request.der");
        must(bench.path(), &line);
        let der = std::fs::read(bench.path().join("request.der")).unwrap();
        let fault = UnprovenCsr::from_der(&der).map(drop).unwrap_err();
        assert_eq!(fault.code(), "csr-key", "{name}: {fault}");
    }
}
