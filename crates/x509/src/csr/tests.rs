use super::*;
use crate::distinguished_name::COMMON_NAME;
use crate::extensions::{SCOPE, SCOPE_OF_FIRST_RELEASE};
use crate::forge::*;
use crate::key::KeyAlgorithm;
use crate::signer::{Signer, SoftwareKey};

mod differences;

const IDENTITY: &str = "spiffe://lab.touchmark.internal/d/pump-01";
const AUTHORITY_ID: [u8; 20] = [9; 20];
const CRLS: [&str; 2] = ["http://127.0.0.1/crl/0.crl", "http://127.0.0.1/crl/1.crl"];
const SCOPES: [&str; 2] = ["custody:software", "model:x200"];

fn scope(strings: &[&str]) -> Vec<u8> {
    let strings: Vec<u8> = strings.iter().flat_map(|text| element(0x0c, &[text.as_bytes()])).collect();
    element(0x30, &[&strings])
}

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

fn judged(der: &[u8]) -> Result<(), CsrFault> {
    let (dns, ips) = (["pump-01.lab".to_owned()], ["10.0.0.1".parse().unwrap()]);
    let form = Form {
        extended_key_usages: vec![ExtendedKeyUsage::ClientAuth],
        authority_key_id: AUTHORITY_ID.to_vec(),
        crl_urls: CRLS.map(str::to_owned).to_vec(),
    };
    let granted = Granted {
        common_name: "pump-01",
        uri: IDENTITY,
        dns: &dns,
        ips: &ips,
        scope: &SCOPES.map(str::to_owned),
        form: &form,
    };
    UnprovenCsr::from_der(der).and_then(UnprovenCsr::prove_possession).and_then(|csr| csr.within(&granted))
}

fn judge(der: &[u8]) -> &'static str {
    judged(der).map_or_else(|fault| fault.code(), |()| "ok")
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
        ("an old character set", with_subject(&key, &subject(&[old_charset])), "ok"),
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
        ("no extension in the request for some", asking(&key, &[]), "ok"),
        (
            "challengePassword",
            with_attributes(
                &key,
                &[&request_attribute("1.2.840.113549.1.9.7", &element(0x0c, &[b"secret"]))],
            ),
            "ok",
        ),
        (
            "an attribute without meaning here",
            with_attributes(&key, &[&request_attribute("1.2.840.113549.1.9.20", &[0x0c, 0])]),
            "csr-attribute",
        ),
    ];
    for (name, der, expected) in rows {
        assert_eq!(judge(&der), expected, "{name}");
    }
}

/// Every extension that is issued, as it is issued: alone, all together in any order, and whatever its critical flag.
#[test]
fn every_extension_passes_when_it_equals_what_will_be_issued() {
    let key = key();
    let own_id = key.public_key().key_id();
    let issued: [(&str, Vec<u8>); 8] = [
        (BASIC_CONSTRAINTS, basic_constraints(false, None)),
        (KEY_USAGE, key_usage(0x80)),
        (EXTENDED_KEY_USAGE, usages(&[CLIENT_AUTH])),
        (SUBJECT_KEY_ID, subject_key_id(&own_id)),
        (AUTHORITY_KEY_ID, authority_key_id(&AUTHORITY_ID)),
        (SUBJECT_ALT_NAME, names(&[(URI, IDENTITY)])),
        (CRL_POINTS, crl_points(CRLS[1])),
        (SCOPE, scope(&SCOPES)),
    ];
    for critical in [false, true] {
        let list: Vec<_> = issued.iter().map(|(oid, value)| extension(oid, critical, value)).collect();
        for (one, (oid, _)) in list.iter().zip(&issued) {
            assert_eq!(
                judged(&asking(&key, std::slice::from_ref(one))),
                Ok(()),
                "{oid}, critical {critical}"
            );
        }
        for turn in 0..list.len() {
            let mut turned = list.clone();
            turned.rotate_left(turn);
            assert_eq!(judged(&asking(&key, &turned)), Ok(()), "all, turned by {turn}");
        }
    }
}

/// What programs add on their own and does not ask for anything.
#[test]
fn what_only_describes_the_client_passes() {
    let key = key();
    let own = subject_key_id(&key.public_key().key_id());
    let own = element(0x30, &[&extension(SUBJECT_KEY_ID, false, &own)]);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("Microsoft's version", request_attribute("1.3.6.1.4.1.311.13.2.3", &element(0x16, &[b"10.0.1.2"]))),
        ("Microsoft's provider", request_attribute("1.3.6.1.4.1.311.13.2.2", &[0x30, 0])),
        ("Microsoft's client", request_attribute("1.3.6.1.4.1.311.21.20", &[0x30, 0])),
        ("Microsoft's list of extensions", request_attribute("1.3.6.1.4.1.311.2.1.14", &own)),
        ("own unstructuredName", request_attribute("1.2.840.113549.1.9.2", &element(0x16, &[b"pump-01"]))),
    ];
    for (name, attribute) in rows {
        assert_eq!(judged(&with_attributes(&key, &[&attribute])), Ok(()), "{name}");
    }
    let foreign = request_attribute("1.3.6.1.4.1.311.2.1.14", &element(0x30, &[&san(&[(DNS, "evil.lab")])]));
    assert_eq!(judge(&with_attributes(&key, &[&foreign])), "csr-name", "Microsoft's list is a list");
    let both = [&extension_request(&[san(&[(URI, IDENTITY)])])[..], &foreign];
    assert_eq!(judge(&with_attributes(&key, &both)), "csr-malformed", "two lists");
    let hosts = asking(&key, &[san(&[(DNS, "PUMP-01.Lab")])]);
    assert_eq!(judged(&hosts), Ok(()), "host names have no case");
    let copied = asking(&key, &[extension(SCOPE_OF_FIRST_RELEASE, false, &scope(&SCOPES))]);
    assert_eq!(judged(&copied), Ok(()), "copied from an older certificate");
    let empty = asking(&key, &[extension(AUTHORITY_KEY_ID, false, &[0x30, 0])]);
    assert_eq!(judged(&empty), Ok(()), "an empty authority key identifier names none");
}

#[test]
fn what_is_asked_for_is_kept_and_a_challenge_password_is_not() {
    let key = key();
    let password = request_attribute("1.2.840.113549.1.9.7", &element(0x0c, &[b"hunter2"]));
    let wishes = extension_request(&[san(&[(URI, IDENTITY), (DNS, "a.lab")]), extension("1.2.3", true, &[])]);
    let der = with_attributes(&key, &[&password, &wishes]);
    let csr = UnprovenCsr::from_der(&der).and_then(UnprovenCsr::prove_possession).unwrap();
    let requested = csr.requested();
    assert_eq!(requested.subject, [Attribute { oid: "2.5.4.3".into(), text: Some("pump-01".into()) }]);
    assert_eq!(requested.uris, [IDENTITY]);
    assert_eq!(requested.dns, ["a.lab"]);
    assert_eq!(requested.extensions, [("1.2.3".to_owned(), vec![])]);
    assert!(requested.challenge_password && !requested.ca && requested.other_name.is_none());
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
        ("no attributes field", without_attributes, "ok"),
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

/// A token for many leaves it to the request to name the device: one that names none hears what stands there instead.
#[test]
fn a_request_that_names_no_device_hears_what_it_holds() {
    let key = key();
    let subject = |attributes: &[Vec<u8>]| element(0x30, &[&attributes.concat()]);
    let bare = |subject: &[u8]| request(subject, key.public_key().spki_der(), &[], &key);
    let with = |subject: &[u8], list: &[(u8, &str)]| {
        let attributes = extension_request(&[san(list)]);
        request(subject, key.public_key().spki_der(), &[&attributes], &key)
    };
    let (empty, mail_type) = (subject(&[]), "1.2.840.113549.1.9.1");
    let rdn = |kind: &str, tag: u8, value: &[u8]| {
        element(0x31, &[&element(0x30, &[&oid(kind), &element(tag, &[value])])])
    };
    let cn = |text: &str| rdn(COMMON_NAME, 0x0c, text.as_bytes());
    type Row<'a> = (&'a str, Vec<u8>, Result<&'a str, &'a [&'a str]>);
    let rows: &[Row<'_>] = &[
        ("a name", bare(&common_name("pump-07")), Ok("pump-07")),
        ("a URI", with(&empty, &[(URI, IDENTITY)]), Ok("pump-01")),
        (
            "a name beside others",
            bare(&subject(&[rdn("2.5.4.10", 0x0c, b"Acme"), cn("pump-07")])),
            Ok("pump-07"),
        ),
        (
            "capitals",
            bare(&common_name("PUMP-07")),
            Err(&["commonName (2.5.4.3) \"PUMP-07\"", "no name", "a-z"]),
        ),
        ("turned round", bare(&common_name("pump-\u{202e}70")), Err(&["\"pump-\\u{202e}70\"", "no name"])),
        ("a control character", bare(&common_name("pump\u{1b}[2J")), Err(&["\"pump\\u{1b}[2J\"", "no name"])),
        ("no text", bare(&subject(&[rdn(COMMON_NAME, 2, &[1])])), Err(&["that is no text"])),
        ("an empty common name", bare(&common_name("")), Err(&["\"\"", "cannot be empty"])),
        (
            "two",
            bare(&subject(&[cn("pump-07"), cn("pump-08")])),
            Err(&["2 common names", "\"pump-07\", \"pump-08\""]),
        ),
        (
            "only mail",
            bare(&subject(&[rdn(mail_type, 0x16, b"a@b")])),
            Err(&["no common name and no URI", "\"a@b\""]),
        ),
        (
            "mail in the subjectAltName",
            with(&empty, &[(MAIL, "a@b")]),
            Err(&["no common name", "rfc822Name"]),
        ),
        ("only a host", with(&empty, &[(DNS, "pump-07.lab")]), Err(&["the DNS name \"pump-07.lab\""])),
        ("nothing", bare(&empty), Err(&["no common name and no URI, but an empty subject"])),
        ("another URI", with(&empty, &[(URI, "urn:x:y")]), Err(&["\"urn:x:", "no identity", "spiffe://"])),
        ("two URIs", with(&empty, &[(URI, IDENTITY), (URI, "urn:x")]), Err(&["2 URIs", "\"urn:x\""])),
    ];
    for (name, der, expected) in rows {
        let named: Result<Name, String> =
            UnprovenCsr::from_der(der).unwrap_or_else(|bad| panic!("{name}: {bad}")).requested.device_name();
        match (named, expected) {
            (Ok(named), Ok(expected)) => assert_eq!(named.as_str(), *expected, "{name}"),
            (Err(found), Err(words)) => {
                assert!(words.iter().all(|word| found.contains(word)), "{name}: {found}");
                assert!(!found.contains(['\u{202e}', '\u{1b}']), "{name}: {found:?}");
            }
            (named, _) => panic!("{name}: {named:?}"),
        }
    }
}
