use super::*;
use crate::extensions::{SCOPE, SCOPE_OF_FIRST_RELEASE};
use crate::forge::*;
use crate::key::KeyAlgorithm;
use crate::signer::{Signer, SoftwareKey};

const IDENTITY: &str = "spiffe://lab.touchmark.internal/d/pump-01";

/// A request for pump-01 with these requested extensions.
fn asking(key: &SoftwareKey, extensions: &[Vec<u8>]) -> Vec<u8> {
    let attributes = extension_request(extensions);
    request(&common_name("pump-01"), key.public_key().spki_der(), &[&attributes], key)
}

fn with_subject(key: &SoftwareKey, subject: &[u8]) -> Vec<u8> {
    request(subject, key.public_key().spki_der(), &[], key)
}

fn with_attributes(key: &SoftwareKey, attributes: &[&[u8]]) -> Vec<u8> {
    request(&common_name("pump-01"), key.public_key().spki_der(), attributes, key)
}

fn san(list: &[(u8, &str)]) -> Vec<u8> {
    extension(SUBJECT_ALT_NAME, false, &names(list))
}

fn judge(der: &[u8]) -> &'static str {
    let (dns, ips) = (["pump-01.lab".to_owned()], ["10.0.0.1".parse().unwrap()]);
    let granted = Granted {
        common_name: "pump-01",
        uri: IDENTITY,
        dns: &dns,
        ips: &ips,
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
    };
    let judged = UnprovenCsr::from_der(der)
        .and_then(UnprovenCsr::prove_possession)
        .and_then(|csr| csr.within(&granted));
    judged.map_or_else(|fault| fault.code(), |()| "ok")
}

#[test]
fn a_wish_passes_when_it_is_absent_or_equal_to_what_will_be_issued() {
    let key = key();
    let own_id = key.public_key().key_id();
    let many: Vec<(u8, String)> = (0..20).map(|n| (DNS, format!("host-{n}.lab"))).collect();
    let many: Vec<(u8, &str)> = many.iter().map(|(tag, name)| (*tag, name.as_str())).collect();
    let address =
        |octets: &[u8]| extension(SUBJECT_ALT_NAME, false, &element(0x30, &[&element(IP, &[octets])]));
    let subject = |attributes: &[Vec<u8>]| element(0x30, &[&attributes.concat()]);
    let (right, wrong) = (attribute("2.5.4.3", "pump-01"), attribute("2.5.4.3", "pump-02"));
    let old_charset = element(0x31, &[&element(0x30, &[&oid("2.5.4.3"), &element(0x14, &[b"pump-01"])])]);
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("only a key", with_subject(&key, &subject(&[])), "ok"),
        ("own common name", with_subject(&key, &common_name("pump-01")), "ok"),
        ("another's common name", with_subject(&key, &common_name("pump-02")), "csr-name"),
        ("own common name in capitals", with_subject(&key, &common_name("PUMP-01")), "csr-name"),
        ("own common name and NUL", with_subject(&key, &common_name("pump-01\0")), "csr-name"),
        ("own common name twice", with_subject(&key, &subject(&[right.clone(), right.clone()])), "csr-name"),
        ("own and another's", with_subject(&key, &subject(&[right.clone(), wrong])), "csr-name"),
        (
            "an organisation",
            with_subject(&key, &subject(&[right, attribute("2.5.4.10", "Acme")])),
            "csr-name",
        ),
        ("an old character set", with_subject(&key, &subject(&[old_charset])), "csr-name"),
        ("own identity", asking(&key, &[san(&[(URI, IDENTITY)])]), "ok"),
        (
            "another identity",
            asking(&key, &[san(&[(URI, "spiffe://lab.touchmark.internal/d/pump-02")])]),
            "csr-name",
        ),
        (
            "own and another identity",
            asking(&key, &[san(&[(URI, IDENTITY), (URI, "spiffe://x.y/d/b")])]),
            "csr-name",
        ),
        ("granted host name", asking(&key, &[san(&[(DNS, "pump-01.lab")])]), "ok"),
        ("another host name", asking(&key, &[san(&[(DNS, "pump-01.lab"), (DNS, "evil.lab")])]), "csr-name"),
        ("wildcard", asking(&key, &[san(&[(DNS, "*.lab")])]), "csr-name"),
        ("20 names", asking(&key, &[san(&many)]), "csr-name"),
        ("granted address", asking(&key, &[address(&[10, 0, 0, 1])]), "ok"),
        ("another address", asking(&key, &[address(&[10, 0, 0, 2])]), "csr-name"),
        ("mail", asking(&key, &[san(&[(URI, IDENTITY), (MAIL, "root@lab")])]), "csr-name"),
        (
            "cA TRUE",
            asking(&key, &[extension(BASIC_CONSTRAINTS, true, &basic_constraints(true, None))]),
            "csr-ca",
        ),
        (
            "cA FALSE",
            asking(&key, &[extension(BASIC_CONSTRAINTS, true, &basic_constraints(false, None))]),
            "ok",
        ),
        (
            "client usage",
            asking(&key, &[extension(EXTENDED_KEY_USAGE, false, &usages(&[CLIENT_AUTH]))]),
            "ok",
        ),
        (
            "server usage",
            asking(&key, &[extension(EXTENDED_KEY_USAGE, false, &usages(&[SERVER_AUTH]))]),
            "csr-extension",
        ),
        (
            "any usage",
            asking(&key, &[extension(EXTENDED_KEY_USAGE, false, &usages(&["2.5.29.37.0"]))]),
            "csr-extension",
        ),
        ("digitalSignature", asking(&key, &[extension(KEY_USAGE, true, &key_usage(0x80))]), "ok"),
        ("keyCertSign", asking(&key, &[extension(KEY_USAGE, true, &key_usage(0x84))]), "csr-extension"),
        (
            "own key identifier",
            asking(&key, &[extension(SUBJECT_KEY_ID, false, &subject_key_id(&own_id))]),
            "ok",
        ),
        (
            "other key identifier",
            asking(&key, &[extension(SUBJECT_KEY_ID, false, &subject_key_id(&[7; 20]))]),
            "csr-extension",
        ),
        ("unknown extension", asking(&key, &[extension("1.2.3.4", false, &[5, 0])]), "csr-extension"),
        ("scope", asking(&key, &[extension(SCOPE, false, &[0x30, 0])]), "csr-extension"),
        (
            "the first scope",
            asking(&key, &[extension(SCOPE_OF_FIRST_RELEASE, false, &[0x30, 0])]),
            "csr-extension",
        ),
        (
            "extension twice",
            asking(&key, &[san(&[(URI, IDENTITY)]), san(&[(URI, "spiffe://x.y/d/b")])]),
            "csr-malformed",
        ),
        ("no extension in the request for some", asking(&key, &[]), "csr-malformed"),
        (
            "challengePassword",
            with_attributes(
                &key,
                &[&request_attribute("1.2.840.113549.1.9.7", &element(0x0c, &[b"secret"]))],
            ),
            "ok",
        ),
        (
            "Microsoft's extension request",
            with_attributes(&key, &[&request_attribute("1.3.6.1.4.1.311.2.1.14", &[0x30, 0])]),
            "csr-attribute",
        ),
    ];
    for (name, der, expected) in rows {
        assert_eq!(judge(&der), expected, "{name}");
    }
}

#[test]
fn what_is_asked_for_is_kept_and_a_challenge_password_is_not() {
    let key = key();
    let password = request_attribute("1.2.840.113549.1.9.7", &element(0x0c, &[b"hunter2"]));
    let wishes = extension_request(&[san(&[(URI, IDENTITY), (DNS, "a.lab")]), extension("1.2.3", true, &[])]);
    let der = with_attributes(&key, &[&password, &wishes]);
    let csr = UnprovenCsr::from_der(&der).and_then(UnprovenCsr::prove_possession).unwrap();
    let requested = csr.requested();
    assert_eq!(requested.common_names, ["pump-01"]);
    assert_eq!(requested.uris, [IDENTITY]);
    assert_eq!(requested.dns, ["a.lab"]);
    assert_eq!(requested.unknown_extensions, ["1.2.3"]);
    assert!(requested.challenge_password && !requested.ca && !requested.other_names);
    assert!(!format!("{requested:?}").contains("hunter2"));
    assert_eq!(csr.public_key(), key.public_key());
    assert_eq!(csr.der(), der);
    assert_eq!(csr.digest(), sha256(&der));
}

#[test]
fn hostile_bytes_are_refused_with_their_reason() {
    let (own, other) = (key(), key());
    let empty = element(0x30, &[]);
    let with_key = |spki: &[u8]| request(&empty, spki, &[], &own);
    let good = with_subject(&own, &common_name("pump-01"));
    let wishes = || extension_request(&[san(&[(URI, IDENTITY)])]);
    let mut explicit_version = good.clone();
    let version_at = good.windows(3).position(|window| window == [2, 1, 0]).unwrap();
    explicit_version[version_at + 2] = 1;
    let without_attributes = signed(&element(0x30, &[&[2, 1, 0], &empty, own.public_key().spki_der()]), &own);
    let bomb = (0..4000).fold(vec![0x30, 0], |inner, _| element(0x30, &[&inner]));
    let deep = (0..40).fold(vec![0x30, 0], |inner, _| element(0x30, &[&inner]));
    let two_values = element(0x30, &[&oid(EXTENSION_REQUEST), &element(0x31, &[&[0x30, 0], &[0x30, 0]])]);
    let many: Vec<Vec<u8>> = (0..17).map(|n| request_attribute(&format!("1.2.{n}"), &[5, 0])).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let sha1 = {
        let info = element(0x30, &[&[2, 1, 0], &empty, own.public_key().spki_der(), &[0xa0, 0]]);
        let algorithm = element(0x30, &[&oid("1.2.840.10045.4.1")]);
        element(0x30, &[&info, &algorithm, &element(3, &[&[0, 1, 2, 3]])])
    };
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("good", good.clone(), "ok"),
        ("nothing", vec![], "csr-malformed"),
        ("1 MB of zeros", vec![0; 1 << 20], "csr-too-large"),
        ("16 KiB of zeros", vec![0; CSR_OCTETS_MAX], "csr-malformed"),
        ("4000 sequences inside each other", bomb, "csr-malformed"),
        (
            "40 sequences in an attribute",
            with_attributes(&own, &[&request_attribute("1.2.3", &deep)]),
            "csr-malformed",
        ),
        ("one octet more", [&good[..], &[0]].concat(), "csr-malformed"),
        ("cut off", good[..good.len() - 1].to_vec(), "csr-malformed"),
        ("PEM", b"-----BEGIN CERTIFICATE REQUEST-----".to_vec(), "csr-malformed"),
        ("version 2", explicit_version, "csr-malformed"),
        ("no attributes field", without_attributes, "csr-malformed"),
        ("another's key", with_key(other.public_key().spki_der()), "csr-signature"),
        ("SHA-1", sha1, "csr-signature"),
        ("RSA-1024", with_key(&rsa_spki(1024)), "csr-key"),
        ("RSA-16384", with_key(&rsa_spki(16384)), "csr-key"),
        ("RSA-2048 signed by ECDSA", with_key(&rsa_spki(2048)), "csr-signature"),
        ("two extension requests", with_attributes(&own, &[&wishes(), &wishes()]), "csr-malformed"),
        ("two values in one", with_attributes(&own, &[&two_values]), "csr-malformed"),
        ("17 attributes", with_attributes(&own, &many), "csr-malformed"),
        (
            "attribute without value",
            with_attributes(&own, &[&element(0x30, &[&oid("1.2.3")])]),
            "csr-malformed",
        ),
    ];
    for (name, der, expected) in rows {
        assert_eq!(judge(&der), expected, "{name}");
    }
}

#[test]
fn a_key_outside_the_limits_is_named() {
    let own = key();
    let der = request(&element(0x30, &[]), &rsa_spki(16384), &[], &own);
    let fault = UnprovenCsr::from_der(&der).unwrap_err();
    assert_eq!(fault, CsrFault::Key(BadKey::RsaSize { bits: 16384 }));
}

#[test]
fn a_changed_octet_never_panics_and_never_proves() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Ed25519] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let der = asking(&key, &[san(&[(URI, IDENTITY)])]);
        for place in 0..der.len() {
            for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let mut changed = der.clone();
                changed[place] ^= flip;
                let proven = UnprovenCsr::from_der(&changed).and_then(UnprovenCsr::prove_possession);
                assert!(proven.is_err(), "{algorithm:?}: octet {place} ^ {flip:#x}");
            }
        }
        for length in 0..der.len() {
            assert!(UnprovenCsr::from_der(&der[..length]).is_err(), "cut at {length}");
        }
    }
}

#[test]
fn requests_of_our_own_writer_pass() {
    let identity = IDENTITY.parse().unwrap();
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let der = crate::request::certification_request("pump-01", Some(&identity), &key).unwrap();
        assert_eq!(judge(&der), "ok", "{algorithm:?}");
    }
}
