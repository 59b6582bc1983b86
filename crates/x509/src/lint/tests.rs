use super::{Certificate, Duration, Expectation, Kind, lint};
use crate::forge::*;
use crate::key::{KeyAlgorithm, SignatureAlgorithm};
use crate::signer::{Signer, SoftwareKey};

const TEN_DAYS: Duration = Duration::from_secs(10 * DAY_S + 61);

fn expectation(issuer: &Certificate, kind: Kind) -> Expectation<'_> {
    let lifetime_max = if kind == Kind::Leaf { TEN_DAYS } else { Duration::from_secs(3651 * DAY_S) };
    Expectation { issuer, lifetime_max, kind, now: now() }
}

fn broken_lints(certificate: &Certificate, issuer: &Certificate, kind: Kind) -> Vec<&'static str> {
    lint(certificate, &expectation(issuer, kind)).into_iter().map(|finding| finding.lint).collect()
}

#[test]
fn what_we_issue_passes_every_lint() {
    let root = root("root");
    let issuing = root.authority("issuing", |f| f);
    let leaf = issuing.device("pump-01", |f| f);
    let rows = [
        ("root", lint(&root.certificate, &expectation(&root.certificate, Kind::Authority))),
        ("authority", lint(&issuing.certificate, &expectation(&root.certificate, Kind::Authority))),
        ("leaf", lint(&leaf, &expectation(&issuing.certificate, Kind::Leaf))),
    ];
    for (name, findings) in rows {
        assert_eq!(findings, [], "{name}");
    }
}

type Change = fn(Forged) -> Forged;

#[test]
fn each_lint_finds_its_bad_leaf() {
    let rows: Vec<(&str, Change)> = vec![
        ("serial-octets", |f| f.change(|f| f.serial = vec![1; 8])),
        ("date-form", |f| f.change(|f| f.not_before = element(0x18, &[b"20270115075900Z"]))),
        ("valid-now", |f| f.change(|f| f.not_before = time(NOW_S + 1))),
        ("lifetime", |f| f.change(|f| f.not_after = time(NOW_S + 10 * DAY_S + 1))),
        ("issuer-name", |f| f.change(|f| f.issuer = common_name("another"))),
        ("identity", |f| f.without(SUBJECT_ALT_NAME)),
        ("identity", |f| f.with(SUBJECT_ALT_NAME, false, names(&[(URI, "https://lab.touchmark.internal/")]))),
        ("common-name", |f| f.change(|f| f.subject = common_name("pump-02"))),
        ("common-name", |f| f.change(|f| f.subject = vec![0x30, 0])),
        ("alternative-names", |f| f.with(SUBJECT_ALT_NAME, false, with_name(DNS, "*.lab"))),
        ("alternative-names", |f| f.with(SUBJECT_ALT_NAME, false, with_name(DNS, "Pump.lab"))),
        ("alternative-names", |f| f.with(SUBJECT_ALT_NAME, false, with_name(MAIL, "a@lab"))),
        ("basic-constraints", |f| f.without(BASIC_CONSTRAINTS)),
        ("basic-constraints", |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None))),
        ("key-usage", |f| f.without(KEY_USAGE)),
        ("key-usage", |f| f.with(KEY_USAGE, true, key_usage(0b1010_0000))),
        ("extended-key-usage", |f| f.without(EXTENDED_KEY_USAGE)),
        ("extended-key-usage", |f| f.with(EXTENDED_KEY_USAGE, false, usages(&["2.5.29.37.0"]))),
        ("critical-flags", |f| f.with(KEY_USAGE, false, key_usage(0b1000_0000))),
        ("critical-flags", |f| f.with(BASIC_CONSTRAINTS, false, basic_constraints(false, None))),
        ("critical-flags", |f| {
            let id = own_key_id(&f);
            f.with(SUBJECT_KEY_ID, true, id)
        }),
        ("known-extensions", |f| f.with("1.2.3.4", false, vec![5, 0])),
        ("subject-key-id", |f| f.without(SUBJECT_KEY_ID)),
        ("subject-key-id", |f| f.with(SUBJECT_KEY_ID, false, subject_key_id(&[7; 20]))),
        ("authority-key-id", |f| f.without(AUTHORITY_KEY_ID)),
        ("authority-key-id", |f| f.with(AUTHORITY_KEY_ID, false, authority_key_id(&[7; 20]))),
        ("crl-url", |f| f.without(CRL_POINTS)),
        ("crl-url", |f| f.with(CRL_POINTS, false, crl_points("https://127.0.0.1/crl"))),
    ];
    let root = root("root");
    let issuing = root.authority("issuing", |f| f);
    for (expected, change) in rows {
        let leaf = issuing.device("pump-01", change);
        assert_eq!(broken_lints(&leaf, &issuing.certificate, Kind::Leaf), [expected]);
    }
}

fn with_name(tag: u8, name: &str) -> Vec<u8> {
    names(&[(URI, "spiffe://lab.touchmark.internal/d/pump-01"), (tag, name)])
}

/// The subjectKeyIdentifier that stands there already.
fn own_key_id(forged: &Forged) -> Vec<u8> {
    forged.extensions.iter().find(|(oid, ..)| oid == SUBJECT_KEY_ID).map(|(.., value)| value.clone()).unwrap()
}

#[test]
fn each_lint_finds_its_bad_authority() {
    let root = root("root");
    let short = root.authority("short", |f| f.change(|f| f.not_after = time(NOW_S + DAY_S)));
    let narrow = root.authority("narrow", |f| f);
    let wide: Change = |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(true, None));
    let rows: Vec<(&str, Certificate, &Certificate)> = vec![
        (
            "identity",
            root.authority("x", |f| {
                f.with(SUBJECT_ALT_NAME, false, names(&[(URI, "spiffe://lab.touchmark.internal/d/x")]))
            })
            .certificate,
            &root.certificate,
        ),
        (
            "alternative-names",
            root.authority("x", |f| f.with(SUBJECT_ALT_NAME, false, names(&[(DNS, "ca.lab")]))).certificate,
            &root.certificate,
        ),
        ("common-name", root.authority("", |f| f).certificate, &root.certificate),
        (
            "basic-constraints",
            root.authority("x", |f| f.with(BASIC_CONSTRAINTS, true, basic_constraints(false, None)))
                .certificate,
            &root.certificate,
        ),
        (
            "key-usage",
            root.authority("x", |f| f.with(KEY_USAGE, true, key_usage(0b0000_0100))).certificate,
            &root.certificate,
        ),
        ("path-length", narrow.authority("x", wide).certificate, &narrow.certificate),
        ("path-length", narrow.authority("x", |f| f).certificate, &narrow.certificate),
        ("within-issuer", short.authority("x", |f| f).certificate, &short.certificate),
    ];
    for (expected, certificate, issuer) in rows {
        let found = broken_lints(&certificate, issuer, Kind::Authority);
        assert!(found.contains(&expected), "{expected} is not in {found:?}");
    }
}

#[test]
fn keys_and_algorithms_are_held_against_the_issuer() {
    let root = root("root");
    let issuing = root.authority("issuing", |f| f);
    // The certified key is the issuer's own.
    let shared =
        Forged::device("pump-01", issuing.key.public_key(), &issuing.certificate).signed_by(&issuing.key);
    assert_eq!(broken_lints(&shared, &issuing.certificate, Kind::Leaf), ["own-key"]);
    // The algorithm is one that the issuer's key does not sign with.
    let other = SoftwareKey::generate(KeyAlgorithm::P384).unwrap();
    let wrong = Forged::device("pump-01", key().public_key(), &issuing.certificate).signed_by(&other);
    assert_eq!(wrong.signature_algorithm(), SignatureAlgorithm::EcdsaSha384);
    assert_eq!(broken_lints(&wrong, &issuing.certificate, Kind::Leaf), ["signature-algorithm"]);
    // A device signs another's certificate.
    let device_key = key();
    let device = Forged::device("a", device_key.public_key(), &issuing.certificate).signed_by(&issuing.key);
    let below = Forged::device("pump-01", key().public_key(), &device).signed_by(&device_key);
    assert_eq!(broken_lints(&below, &device, Kind::Leaf), ["issuer-may-issue"]);
}

#[test]
fn an_authoritys_rsa_key_has_3072_bits_and_a_devices_2048() {
    let root = root("root");
    for (bits, expected) in [(2048, vec!["key-strength"]), (3072, vec![])] {
        let spki = rsa_spki(bits);
        let key = crate::PublicKey::from_spki_der(&spki).unwrap();
        let authority = Forged::authority("x", &key, &root.certificate).signed_by(&root.key);
        assert_eq!(broken_lints(&authority, &root.certificate, Kind::Authority), expected, "{bits}");
        let leaf = Forged::device("pump-01", &key, &root.certificate).signed_by(&root.key);
        assert_eq!(broken_lints(&leaf, &root.certificate, Kind::Leaf), [""; 0], "{bits}");
    }
}

#[test]
fn every_lint_has_a_bad_example_here() {
    let source = include_str!("tests.rs");
    for name in super::names() {
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
    assert_eq!(
        super::names().collect::<std::collections::BTreeSet<_>>().len(),
        super::names().len(),
        "names are unique"
    );
}
