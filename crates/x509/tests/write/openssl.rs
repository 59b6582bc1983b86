//! A second opinion: OpenSSL reads and verifies what is written here, and what it writes is read here.

use crate::authority::{NOW_S, crl, entries, issuing_with, leaf_tbs, root_with, signed};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;
use touchmark_identity::RevocationReason;
use touchmark_x509::crl::{BadCrl, Crl};
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::pkcs7::{BadBag, certs_only, parse_certs_only};
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, KeyAlgorithm, PublicKey, Signer, SoftwareKey};

const ALGORITHMS: [KeyAlgorithm; 3] = [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519];

/// A folder in which `openssl` runs; files are named by the test.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), bytes).unwrap();
    }

    fn take(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    /// Runs `openssl` and returns what it printed; anything but success fails the test.
    fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .output()
            .expect("these tests need the program `openssl`");
        let printed =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "openssl {arguments}\n{printed}");
        printed
    }
}

#[test]
fn openssl_reads_our_keys_and_verifies_our_requests() {
    println!("{}", Bench::new().openssl("version"));
    for algorithm in ALGORITHMS {
        let bench = Bench::new();
        let key = SoftwareKey::generate(algorithm).unwrap();
        bench.put("key.der", key.to_pkcs8().expose());
        bench.put("key.pem", key.to_pkcs8_pem().expose());
        bench.openssl("pkey -in key.der -inform DER -check -noout");
        bench.openssl("pkey -in key.pem -pubout -outform DER -out spki.der");
        assert_eq!(bench.take("spki.der"), key.public_key().spki_der(), "{algorithm:?}");

        let uri = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
        for (name, request) in [
            ("named", certification_request("pump-01", Some(&uri), &key).unwrap()),
            ("bare", certification_request("", None, &key).unwrap()),
        ] {
            bench.put("request.der", &request);
            let printed = bench.openssl("req -in request.der -inform DER -verify -noout -text");
            assert!(printed.contains("verify OK"), "{algorithm:?} {name}: {printed}");
            assert_eq!(printed.contains("URI:spiffe://lab.touchmark.internal/d/pump-01"), name == "named");
            assert!(
                UnprovenCsr::from_der(&request).unwrap().prove_possession().is_ok(),
                "{algorithm:?} {name}"
            );
        }
    }
}

#[test]
fn openssl_accepts_our_chain_and_our_crl() {
    for algorithm in ALGORITHMS {
        let bench = Bench::new();
        let root = root_with(SoftwareKey::generate(algorithm).unwrap());
        let issuing = issuing_with(&root, SoftwareKey::generate(algorithm).unwrap());
        let device = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let leaf = signed(leaf_tbs(&issuing, device.public_key()), &issuing.key);
        bench.put("root.pem", root.certificate.to_pem());
        bench.put("issuing.pem", issuing.certificate.to_pem());
        bench.put("leaf.pem", leaf.to_pem());

        // A clean CRL of each authority, then one with the leaf on it.
        for (name, authority) in [("root", &root), ("issuing", &issuing)] {
            bench.put(&format!("{name}.crl"), crl(authority, 1, &[]));
            bench.openssl(&format!("crl -inform DER -in {name}.crl -out {name}.crl.pem"));
        }
        let both = [bench.take("root.crl.pem"), bench.take("issuing.crl.pem")].concat();
        bench.put("crls.pem", both);
        let verify = format!(
            "verify -x509_strict -crl_check_all -CRLfile crls.pem -CAfile root.pem -untrusted issuing.pem \
             -purpose sslclient -attime {NOW_S} leaf.pem"
        );
        assert!(bench.openssl(&verify).contains("leaf.pem: OK"), "{algorithm:?}");

        let mut revoked = entries(7);
        revoked[3].serial = *leaf.serial();
        bench.put("issuing.crl", crl(&issuing, 2, &revoked));
        let printed =
            bench.openssl("crl -inform DER -in issuing.crl -CAfile issuing.pem -noout -text -crlnumber");
        for expected in ["verify OK", "crlNumber=0x02", "Key Compromise", "Privilege Withdrawn", "Superseded"]
        {
            assert!(printed.contains(expected), "{algorithm:?} {expected}: {printed}");
        }
        assert_eq!(printed.matches("Serial Number:").count(), 7);
        assert_eq!(printed.matches("X509v3 CRL Reason Code").count(), 6, "unspecified is absent");
    }
}

#[test]
fn openssl_prints_the_leaf_as_it_was_filled() {
    let bench = Bench::new();
    let root = root_with(SoftwareKey::generate(KeyAlgorithm::P256).unwrap());
    let leaf =
        signed(leaf_tbs(&root, SoftwareKey::generate(KeyAlgorithm::P256).unwrap().public_key()), &root.key);
    bench.put("leaf.der", leaf.der());
    let printed = bench.openssl("x509 -in leaf.der -inform DER -noout -text -serial");
    for expected in [
        "Version: 3 (0x2)",
        "serial=0103030303030303030303030303030303",
        "Not Before: Jan  1 00:00:00 2026 GMT",
        "Not After : Mar 31 23:59:59 2026 GMT",
        "Subject: CN = pump-01",
        "Issuer: CN = Touchmark test root",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Client Authentication, TLS Web Server Authentication",
        "URI:spiffe://lab.touchmark.internal/d/pump-01, DNS:pump-01.lab.example, IP Address:192.0.2.7, \
         IP Address:2001:DB8:0:0:0:0:0:7",
        "URI:http://127.0.0.1:8080/crl/lab.crl",
        "2.25.10515796919617305175205030090285750592.1.1:",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[test]
fn bags_pass_both_ways() {
    let bench = Bench::new();
    let root = root_with(SoftwareKey::generate(KeyAlgorithm::P256).unwrap());
    let issuing = issuing_with(&root, SoftwareKey::generate(KeyAlgorithm::P256).unwrap());
    let mut chain = [issuing.certificate.der(), root.certificate.der()];
    bench.put("ours.p7", certs_only(&chain));
    chain.sort();
    let printed = bench.openssl("pkcs7 -in ours.p7 -inform DER -print_certs");
    let read = Certificate::from_pem_many(&printed).unwrap();
    assert_eq!(read.iter().map(Certificate::der).collect::<Vec<_>>(), chain);

    bench.put("chain.pem", [issuing.certificate.to_pem(), root.certificate.to_pem()].concat());
    bench.openssl("crl2pkcs7 -nocrl -certfile chain.pem -outform DER -out theirs.p7");
    let mut theirs = parse_certs_only(&bench.take("theirs.p7")).unwrap();
    theirs.sort();
    assert_eq!(theirs, chain.map(<[u8]>::to_vec));
    // DER: the same octets, whatever order they were given in.
    assert_eq!(certs_only(&[chain[1], chain[0]]), certs_only(&chain));

    // A signed message is no bag, though it is SignedData too.
    bench.put("key.pem", issuing.key.to_pkcs8_pem().expose());
    bench.put("issuing.pem", issuing.certificate.to_pem());
    bench.put("text", "text");
    bench.openssl("cms -sign -in text -signer issuing.pem -inkey key.pem -outform DER -out signed.p7");
    assert_eq!(parse_certs_only(&bench.take("signed.p7")), Err(BadBag::NotCertsOnly));
}

#[test]
fn keys_and_signatures_of_openssl_are_read() {
    let rows = [
        ("P-256", "EC -pkeyopt ec_paramgen_curve:P-256", KeyAlgorithm::P256, true),
        ("P-384", "EC -pkeyopt ec_paramgen_curve:P-384", KeyAlgorithm::P384, true),
        ("Ed25519", "ED25519", KeyAlgorithm::Ed25519, true),
        ("RSA-2048", "RSA -pkeyopt rsa_keygen_bits:2048", KeyAlgorithm::Rsa { bits: 2048 }, false),
    ];
    for (name, generate, algorithm, signs) in rows {
        let bench = Bench::new();
        bench.openssl(&format!("genpkey -algorithm {generate} -out key.pem"));
        bench.openssl("pkey -in key.pem -pubout -outform DER -out spki.der");
        let public_key = PublicKey::from_spki_der(&bench.take("spki.der")).unwrap();
        assert_eq!(public_key.algorithm(), algorithm, "{name}");
        let pem = String::from_utf8(bench.take("key.pem")).unwrap();
        let private = SoftwareKey::from_pkcs8_pem(&pem);
        assert_eq!(private.is_ok(), signs, "{name}");
        if let Ok(private) = private {
            assert_eq!(private.public_key(), &public_key, "{name}");
        }
        for digest in ["sha256", "sha384", "sha512"] {
            if matches!(algorithm, KeyAlgorithm::P256 | KeyAlgorithm::P384) && digest == "sha512" {
                continue;
            }
            bench.openssl(&format!(
                "req -new -key key.pem -{digest} -subj /CN=pump-01 -outform DER -out request.der"
            ));
            let read = UnprovenCsr::from_der(&bench.take("request.der")).unwrap();
            assert!(read.prove_possession().is_ok(), "{name} {digest}");
        }
    }
}

#[test]
fn crls_of_openssl_are_read_unless_they_are_partial() {
    let partial = "issuingDistributionPoint=critical,@i\n[i]\nonlyuser=TRUE\n";
    let rows = [
        ("a reason", "keyCompromise", "", Ok(RevocationReason::KeyCompromise)),
        ("no reason", "unspecified", "", Ok(RevocationReason::Unspecified)),
        ("a hold is a revocation", "certificateHold", "", Ok(RevocationReason::Unspecified)),
        ("one scope of several", "superseded", partial, Err(BadCrl::UnknownCriticalExtension)),
    ];
    for (name, reason, extensions, expected) in rows {
        let bench = Bench::new();
        let root = root_with(SoftwareKey::generate(KeyAlgorithm::P256).unwrap());
        let leaf = signed(leaf_tbs(&root, root.certificate.public_key()), &root.key);
        bench.put("root.pem", root.certificate.to_pem());
        bench.put("key.pem", root.key.to_pkcs8_pem().expose());
        bench.put("leaf.pem", leaf.to_pem());
        bench.put("index.txt", "");
        bench.put("number", "2A\n");
        let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\n\
                      default_crl_days=7\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n";
        bench.put("ca.cnf", [config, extensions].concat());
        let ca = "ca -config ca.cnf -keyfile key.pem -cert root.pem";
        bench.openssl(&format!("{ca} -revoke leaf.pem -crl_reason {reason}"));
        bench.openssl(&format!("{ca} -gencrl -out crl.pem"));
        bench.openssl("crl -in crl.pem -outform DER -out crl.der");
        let read = Crl::from_der(&bench.take("crl.der"));
        if let Ok(crl) = &read {
            crl.verify(&root.certificate).unwrap();
            assert_eq!((crl.number(), crl.len()), (0x2a, 1), "{name}");
        }
        let found = read.map(|crl| crl.find(leaf.serial()).unwrap().reason);
        assert_eq!(found, expected, "{name}");
    }
}
