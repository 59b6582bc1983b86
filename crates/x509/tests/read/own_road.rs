//! One certificate from request to verified path, made and read by this crate alone.

use core::time::Duration;
use touchmark_identity::{SerialNumber, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::csr::{Form, Granted, UnprovenCsr};
use touchmark_x509::lint::{Expectation, Finding, Kind, lint};
use touchmark_x509::path::{PathFault, Purpose, validate};
use touchmark_x509::request::certification_request;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{Certificate, KeyAlgorithm, Signer, SoftwareKey};

const NOW_S: u64 = 1_800_000_000;
const DAY_S: u64 = 86_400;

fn serial(octet: u8) -> SerialNumber {
    SerialNumber::try_from([&[1], [octet; 16].as_slice()].concat().as_slice()).unwrap()
}

fn validity(days: u64) -> Validity {
    Validity::new(NOW_S - 60, NOW_S + days * DAY_S).unwrap()
}

/// Lints the twin with a placeholder, then signs.
fn linted_and_signed(
    tbs: TbsCertificate,
    issuer: Option<&Certificate>,
    kind: Kind,
    key: &SoftwareKey,
) -> (Certificate, Vec<Finding>) {
    let twin = Certificate::from_der(&tbs.with_placeholder_signature()).unwrap();
    let expected = Expectation {
        issuer: issuer.unwrap_or(&twin),
        lifetime_max: Duration::from_secs(11_000 * DAY_S),
        kind,
        now: Timestamp::from_unix_s(NOW_S),
    };
    let findings = lint(&twin, &expected);
    let signature = key.sign(tbs.as_bytes()).unwrap();
    (Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap(), findings)
}

#[test]
fn what_we_write_is_linted_clean_and_finds_its_path() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let (root_key, issuing_key) =
            (SoftwareKey::generate(algorithm).unwrap(), SoftwareKey::generate(algorithm).unwrap());
        let root_tbs = ca_tbs(&CaContents {
            common_name: "root",
            serial: serial(1),
            // Ends after 2050: the date is a GeneralizedTime.
            validity: validity(10_000),
            public_key: root_key.public_key(),
            path_len: Some(1),
            issuer: None,
            crl_url: None,
            signature_algorithm: root_key.algorithm(),
        });
        let (root, findings) = linted_and_signed(root_tbs, None, Kind::Authority, &root_key);
        assert_eq!(findings, [], "{algorithm:?} root");

        let issuing_tbs = ca_tbs(&CaContents {
            common_name: "issuing",
            serial: serial(2),
            validity: validity(365),
            public_key: issuing_key.public_key(),
            path_len: Some(0),
            issuer: Some(&root),
            crl_url: Some("http://127.0.0.1:8080/crl/root"),
            signature_algorithm: root_key.algorithm(),
        });
        let (issuing, findings) = linted_and_signed(issuing_tbs, Some(&root), Kind::Authority, &root_key);
        assert_eq!(findings, [], "{algorithm:?} issuing");

        let device_key = SoftwareKey::generate(algorithm).unwrap();
        let uri = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
        let request = certification_request("pump-01", Some(&uri), &device_key).unwrap();
        let csr = UnprovenCsr::from_der(&request).unwrap().prove_possession().unwrap();
        let form = Form { extended_key_usages: vec![ExtendedKeyUsage::ClientAuth], ..Form::default() };
        let granted = Granted {
            common_name: "pump-01",
            uri: "spiffe://lab.touchmark.internal/d/pump-01",
            dns: &[],
            ips: &[],
            scope: &[],
            form: &form,
        };
        assert_eq!(csr.within(&granted), Ok(()));
        let template = LeafTemplate::new(&LeafProfile {
            issuer: &issuing,
            signature_algorithm: issuing_key.algorithm(),
            extended_key_usages: &form.extended_key_usages,
            crl_url: "http://127.0.0.1:8080/crl/issuing",
        })
        .unwrap();
        let scope = ["model:x200".to_owned(), "custody:software".to_owned()];
        let leaf_tbs = template.fill(&LeafContents {
            serial: serial(3),
            validity: validity(10),
            public_key: csr.public_key(),
            common_name: &"pump-01".parse().unwrap(),
            uri: &uri,
            dns: &[],
            ip: &[],
            scope: &scope,
        });
        let (leaf, findings) = linted_and_signed(leaf_tbs, Some(&issuing), Kind::Leaf, &issuing_key);
        assert_eq!(findings, [], "{algorithm:?} leaf");
        assert_eq!(leaf.scope(), scope);
        assert_eq!(leaf.spiffe_id(), Ok(uri));

        let now = Timestamp::from_unix_s(NOW_S);
        let (presented, anchors) = ([issuing.clone()], [root.clone()]);
        let path = validate(&leaf, &presented, &anchors, now, Purpose::Client).unwrap();
        assert_eq!(path.chain(), [leaf.clone(), issuing, root]);
        let later = Timestamp::from_unix_s(NOW_S + 10 * DAY_S + 1);
        let late = validate(&leaf, &presented, &anchors, later, Purpose::Client);
        assert!(matches!(late, Err(PathFault::Expired { .. })), "{late:?}");
        let server = validate(&leaf, &presented, &anchors, now, Purpose::Server);
        assert_eq!(server.map_err(|fault| fault.code()), Err("path-not-authorised"));
    }
}
