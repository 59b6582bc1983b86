use super::*;
use crate::der;
use crate::extensions::{SCOPE, SCOPE_OF_FIRST_RELEASE};
use crate::forge::*;
use crate::key::KeyAlgorithm;
use crate::signer::{Signer, SoftwareKey};

fn same(forged: Forged) -> Forged {
    forged
}

#[test]
fn every_part_reads_as_it_was_written() {
    let root = root("root");
    let device = root.device("pump-01", |forged| {
        forged
            .with(EXTENDED_KEY_USAGE, false, usages(&[CLIENT_AUTH, SERVER_AUTH, "1.2.3.4"]))
            .with(SCOPE, false, element(0x30, &[&element(0x0c, &[b"model:x200"])]))
            .change(|forged| {
                let uri = "spiffe://lab.touchmark.internal/d/pump-01";
                let list = [
                    element(URI, &[uri.as_bytes()]),
                    element(DNS, &[b"pump-01.lab"]),
                    element(IP, &[&[10, 0, 0, 1]]),
                    element(IP, &[&[0; 16]]),
                ];
                let value = element(0x30, &[&list.concat()]);
                *forged = forged.clone().with(SUBJECT_ALT_NAME, false, value);
            })
    });
    assert_eq!(device.serial().to_string(), format!("01{}", "5a".repeat(16)));
    assert_eq!(device.validity().not_before().unix_s(), NOW_S - 60);
    assert_eq!(device.validity().not_after().unix_s(), NOW_S + 10 * DAY_S);
    assert_eq!(device.issuer_der(), root.certificate.subject_der());
    assert_eq!(device.subject_der(), common_name("pump-01"));
    assert_eq!(device.common_name(), Some("pump-01"));
    assert_eq!(device.spiffe_id().unwrap().to_string(), "spiffe://lab.touchmark.internal/d/pump-01");
    assert_eq!(device.dns_sans(), ["pump-01.lab"]);
    assert_eq!(device.ip_sans(), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::".parse().unwrap()]);
    assert_eq!(device.authority_key_id(), root.certificate.subject_key_id());
    assert_eq!(device.subject_key_id(), Some(device.public_key().key_id().as_slice()));
    assert_eq!(device.key_usage(), Some(DIGITAL_SIGNATURE));
    assert_eq!(root.certificate.key_usage(), Some(KEY_CERT_SIGN | CRL_SIGN));
    let usages = [
        ExtendedKeyUsage::ClientAuth,
        ExtendedKeyUsage::ServerAuth,
        ExtendedKeyUsage::Other("1.2.3.4".into()),
    ];
    assert_eq!(device.extended_key_usages(), Some(usages.as_slice()));
    assert_eq!(device.crl_urls(), ["http://127.0.0.1:8080/crl/1"]);
    assert_eq!(device.scope(), ["model:x200"]);
    assert!(!device.is_ca() && root.certificate.is_ca());
    let below = root.authority("issuing", same);
    assert_eq!(below.certificate.path_len(), Some(0));
    assert!(device.unknown_critical().is_empty());
    let verified =
        root.key.public_key().verify(device.signature_algorithm(), device.tbs_der(), device.signature());
    assert_eq!(verified, Ok(()));
}

#[test]
fn pem_reads_back_and_is_bounded() {
    let (one, two) = (root("one").certificate, root("two").certificate);
    let text = format!("a chain\n{}other text\n{}", one.to_pem(), two.to_pem());
    assert_eq!(Certificate::from_pem_many(&text).unwrap(), [one.clone(), two]);
    assert!(one.to_pem().lines().all(|line| line.len() <= 64));
    let rows = [
        ("nothing", String::new()),
        ("cut off", one.to_pem().replace("-----END CERTIFICATE-----", "")),
        ("too many", one.to_pem().repeat(PEM_CERTIFICATES_MAX + 1)),
        ("only a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned()),
    ];
    for (name, pem) in rows {
        assert_eq!(Certificate::from_pem_many(&pem), Err(BadCertificate::Pem), "{name}");
    }
}

type Change = fn(&mut Forged);

#[test]
fn what_is_not_a_strict_certificate_is_refused() {
    use BadCertificate as Bad;
    let malformed = |part| Bad::Malformed { part };
    let bad = |oid: &str| Bad::Extension(BadExtension::Malformed { oid: oid.to_owned() });
    let rows: Vec<(&str, Change, BadCertificate)> = vec![
        ("version 1", |f| f.version.clear(), Bad::Version),
        ("version 2", |f| f.version[4] = 1, Bad::Version),
        ("padded serial", |f| f.serial = vec![0, 1], Bad::Serial(BadSerial::Padded)),
        ("serial of 21 octets", |f| f.serial = vec![1; 21], Bad::Serial(BadSerial::TooLong { octets: 21 })),
        ("empty serial", |f| f.serial = vec![], Bad::Serial(BadSerial::Empty)),
        (
            "two algorithms",
            |f| f.signed_algorithm = Some(SignatureAlgorithm::Ed25519),
            Bad::AlgorithmMismatch,
        ),
        ("no issuer", |f| f.issuer = vec![0x30, 0], malformed("the issuer")),
        ("ends before it begins", |f| f.not_after = time(NOW_S - 61), Bad::Validity),
        ("before 1970", |f| f.not_before = element(0x17, &[b"690101000000Z"]), Bad::Validity),
        (
            "date without seconds",
            |f| f.not_after = element(0x17, &[b"3001010000Z"]),
            malformed("the validity"),
        ),
        (
            "date with offset",
            |f| f.not_after = element(0x17, &[b"300101000000+0100"]),
            malformed("the validity"),
        ),
        (
            "fraction of a second",
            |f| f.not_after = element(0x18, &[b"20600101000000.5Z"]),
            malformed("the validity"),
        ),
        ("month 13", |f| f.not_after = element(0x17, &[b"301301000000Z"]), malformed("the validity")),
        ("date is a number", |f| f.not_after = element(0x02, &[b"1"]), malformed("the validity")),
        (
            "garbage in the subject",
            |f| f.subject = element(0x30, &[&element(0x31, &[])]),
            malformed("the subject"),
        ),
        ("field after the extensions", |f| f.after_extensions = vec![5, 0], malformed("the signed part")),
        ("field after the key", |f| f.after_key = vec![5, 0], malformed("the signed part")),
        (
            "key on another curve",
            |f| f.spki[22] ^= 1,
            Bad::Key(BadKey::Curve { found: "1.2.840.10045.3.1.6".into() }),
        ),
        (
            "extension twice",
            |f| f.extensions.push((KEY_USAGE.into(), true, key_usage(0x80))),
            Bad::Extension(BadExtension::Duplicate { oid: KEY_USAGE.into() }),
        ),
        (
            "65 extensions",
            |f| f.extensions = (0..65).map(|n| (format!("1.2.3.{n}"), false, vec![])).collect(),
            Bad::Extension(BadExtension::TooMany),
        ),
        (
            "path length without cA",
            |f| *f = f.clone().with(BASIC_CONSTRAINTS, true, basic_constraints(false, Some(0))),
            bad(BASIC_CONSTRAINTS),
        ),
        (
            "cA as BER's true",
            |f| *f = f.clone().with(BASIC_CONSTRAINTS, true, vec![0x30, 3, 1, 1, 1]),
            bad(BASIC_CONSTRAINTS),
        ),
        (
            "octets after the value",
            |f| *f = f.clone().with(KEY_USAGE, true, [key_usage(0x80), vec![0]].concat()),
            bad(KEY_USAGE),
        ),
        (
            "third field in basicConstraints",
            |f| *f = f.clone().with(BASIC_CONSTRAINTS, true, vec![0x30, 8, 1, 1, 255, 2, 1, 0, 5, 0]),
            bad(BASIC_CONSTRAINTS),
        ),
        (
            "no usage in extKeyUsage",
            |f| *f = f.clone().with(EXTENDED_KEY_USAGE, false, usages(&[])),
            bad(EXTENDED_KEY_USAGE),
        ),
        (
            "NUL in a host name",
            |f| *f = f.clone().with(SUBJECT_ALT_NAME, false, names(&[(DNS, "good.lab\0.evil.lab")])),
            bad(SUBJECT_ALT_NAME),
        ),
        (
            "look-alike in a URI",
            |f| *f = f.clone().with(SUBJECT_ALT_NAME, false, names(&[(URI, "spiffe://l\u{430}b.x/d/a")])),
            bad(SUBJECT_ALT_NAME),
        ),
        (
            "address of 5 octets",
            |f| *f = f.clone().with(SUBJECT_ALT_NAME, false, names(&[(IP, "12345")])),
            bad(SUBJECT_ALT_NAME),
        ),
        (
            "constructed host name",
            |f| *f = f.clone().with(SUBJECT_ALT_NAME, false, element(0x30, &[&[0xa2, 2, 5, 0]])),
            bad(SUBJECT_ALT_NAME),
        ),
        (
            "empty subjectAltName",
            |f| *f = f.clone().with(SUBJECT_ALT_NAME, false, names(&[])),
            bad(SUBJECT_ALT_NAME),
        ),
        ("scope of numbers", |f| *f = f.clone().with(SCOPE, false, vec![0x30, 3, 2, 1, 1]), bad(SCOPE)),
    ];
    let root = root("root");
    for (name, change, expected) in rows {
        let der = Forged::device("a", key().public_key(), &root.certificate).change(change).to_der(&root.key);
        assert_eq!(Certificate::from_der(&der), Err(expected), "{name}");
    }
}

#[test]
fn octets_around_the_structure_are_refused() {
    let root = root("root");
    let good = root.device("a", same);
    let inside = |extra: &[u8]| {
        let (algorithm, mut signature) = (good.signature_algorithm().algorithm_identifier_der(), Vec::new());
        der::put_bit_string(&mut signature, good.signature());
        element(0x30, &[good.tbs_der(), algorithm, &signature, extra])
    };
    assert_eq!(inside(&[]), good.der());
    let unused_bits = {
        let mut der = good.der().to_vec();
        let at = der.len() - good.signature().len() - 1;
        der[at] = 1;
        der
    };
    let rows = [
        ("nothing", vec![]),
        ("one octet more", [good.der(), &[0]].concat()),
        ("a fourth field", inside(&[5, 0])),
        ("cut off", good.der()[..good.der().len() - 1].to_vec()),
        ("unused bits in the signature", unused_bits),
        ("zeros", vec![0; 1024]),
        ("more than the limit", element(4, &[&vec![0; CERTIFICATE_OCTETS_MAX]])),
        ("nested", (0..2000).fold(vec![0x30, 0], |inner, _| element(0x30, &[&inner]))),
    ];
    for (name, der) in rows {
        assert!(Certificate::from_der(&der).is_err(), "{name}");
    }
}

#[test]
fn a_changed_octet_never_panics_and_never_verifies() {
    let root = root("root");
    let good = root.device("pump-01", same);
    for place in 0..good.der().len() {
        for flip in [0x01, 0x80, 0xff, 0x20] {
            let mut der = good.der().to_vec();
            der[place] ^= flip;
            if let Ok(read) = Certificate::from_der(&der) {
                let key = root.key.public_key();
                let verified = key.verify(read.signature_algorithm(), read.tbs_der(), read.signature());
                assert!(verified.is_err(), "octet {place} ^ {flip:#x}");
            }
        }
    }
}

#[test]
fn critical_extensions_without_a_reader_are_remembered() {
    let root = root("root");
    let rows: [(&str, &str, bool, Vec<u8>, bool); 5] = [
        ("private, critical", "1.2.3.4", true, vec![1, 2, 3], true),
        ("private, not critical", "1.2.3.4", false, vec![1, 2, 3], false),
        (
            "policies, which are not evaluated",
            "2.5.29.32",
            true,
            element(0x30, &[&element(0x30, &[&oid("1.2.3")])]),
            true,
        ),
        ("CRL address, which is not fetched", CRL_POINTS, true, crl_points("http://x/crl"), true),
        ("usages", EXTENDED_KEY_USAGE, true, usages(&[CLIENT_AUTH]), false),
    ];
    for (name, oid, critical, value, remembered) in rows {
        let device = root.device("a", |forged| forged.with(oid, critical, value));
        let expected: &[&str] = if remembered { &[oid] } else { &[] };
        assert_eq!(device.unknown_critical(), expected, "{name}");
    }
}

#[test]
fn an_identity_is_exactly_one_uri_and_never_a_common_name() {
    let root = root("root");
    let one = "spiffe://lab.touchmark.internal/d/a";
    let rows: [(&str, Option<Vec<u8>>, bool); 5] = [
        ("one", Some(names(&[(URI, one)])), true),
        ("one and a host name", Some(names(&[(DNS, "a.lab"), (URI, one)])), true),
        ("two", Some(names(&[(URI, one), (URI, "spiffe://lab.touchmark.internal/d/b")])), false),
        ("another scheme", Some(names(&[(URI, "https://lab.touchmark.internal/d/a")])), false),
        ("none, but a common name that looks like one", None, false),
    ];
    for (name, value, good) in rows {
        let device = root.device("a", |forged| {
            let forged = forged.without(SUBJECT_ALT_NAME).change(|f| f.subject = common_name(one));
            match value {
                Some(value) => forged.with(SUBJECT_ALT_NAME, false, value),
                None => forged,
            }
        });
        assert_eq!(device.spiffe_id().is_ok(), good, "{name}");
    }
}

#[test]
fn keys_and_signatures_of_every_kind_read() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let root = Forged::root("root", key.public_key()).signed_by(&key);
        assert_eq!(root.public_key().algorithm(), algorithm);
        let verified = key.public_key().verify(root.signature_algorithm(), root.tbs_der(), root.signature());
        assert_eq!(verified, Ok(()), "{algorithm:?}");
    }
}

/// Certificates of the first release carry their scope under an arc that is not ours; they stay readable.
#[test]
#[expect(clippy::type_complexity, reason = "a table of rows")]
fn a_scope_is_read_under_either_name_and_refused_under_both() {
    let root = root("root");
    let value = |text: &str| element(0x30, &[&element(0x0c, &[text.as_bytes()])]);
    let other = "1.3.6.1.4.1.62253.1.2";
    let rows: &[(&str, &[(&str, &str)], Result<&[&str], &str>)] = &[
        ("today's", &[(SCOPE, "model:x200")], Ok(&["model:x200"])),
        ("the first", &[(SCOPE_OF_FIRST_RELEASE, "model:x200")], Ok(&["model:x200"])),
        ("neither", &[], Ok(&[])),
        ("a neighbour of the first", &[(other, "model:x200")], Ok(&[])),
        ("both", &[(SCOPE, "model:x200"), (SCOPE_OF_FIRST_RELEASE, "model:x9")], Err(SCOPE_OF_FIRST_RELEASE)),
        ("both, equal", &[(SCOPE_OF_FIRST_RELEASE, "a"), (SCOPE, "a")], Err(SCOPE)),
    ];
    for (name, extensions, expected) in rows {
        let change = |forged: Forged| {
            extensions.iter().fold(forged, |forged, (oid, text)| forged.with(oid, false, value(text)))
        };
        let der = Forged::device("a", key().public_key(), &root.certificate)
            .change(|f| *f = change(f.clone()))
            .to_der(&root.key);
        let read = Certificate::from_der(&der);
        match expected {
            Ok(scope) => assert_eq!(read.unwrap().scope(), *scope, "{name}"),
            Err(oid) => assert_eq!(
                read,
                Err(BadCertificate::Extension(BadExtension::Malformed { oid: (*oid).to_owned() })),
                "{name}"
            ),
        }
    }
}
