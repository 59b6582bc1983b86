use super::*;
use crate::signer::{Signer, SoftwareKey};

const CURVE_P224: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x21];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];

fn spki(algorithm: impl FnOnce(&mut Vec<u8>), bits: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    der::nest(&mut out, der::SEQUENCE, |out| {
        der::nest(out, der::SEQUENCE, algorithm);
        der::put_bit_string(out, bits);
    });
    out
}

fn ec(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let algorithm = |out: &mut Vec<u8>| {
        der::put(out, der::OID, EC_PUBLIC_KEY);
        der::put(out, der::OID, curve);
    };
    spki(algorithm, point)
}

/// A modulus of `bits` bits with its last octet, and an exponent in content octets.
fn rsa(bits: usize, last: u8, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; bits / 8];
    if bits.is_multiple_of(8) {
        modulus.insert(0, 0)
    } else {
        modulus.insert(0, (1 << (bits % 8)) - 1)
    }
    *modulus.last_mut().unwrap() = last;
    let mut key = Vec::new();
    der::nest(&mut key, der::SEQUENCE, |out| {
        der::put(out, der::INTEGER, &modulus);
        der::put(out, der::INTEGER, exponent);
    });
    let algorithm = |out: &mut Vec<u8>| {
        der::put(out, der::OID, RSA_ENCRYPTION);
        der::put(out, der::NULL, &[]);
    };
    spki(algorithm, &key)
}

#[test]
fn limits_come_before_arithmetic_and_name_themselves() {
    let good = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let point = good.public_key().subject_public_key();
    let compressed = [&[0x02], &point[1..33]].concat();
    let hybrid = [&[0x06], &point[1..]].concat();
    let mut off_curve = point.to_vec();
    off_curve[40] ^= 1;
    let explicit = spki(
        |out| {
            der::put(out, der::OID, EC_PUBLIC_KEY);
            der::put(out, der::SEQUENCE, &[der::INTEGER, 1, 1]);
        },
        point,
    );
    let no_null = spki(|out| der::put(out, der::OID, RSA_ENCRYPTION), &[]);
    let ed_parameters = spki(
        |out| {
            der::put(out, der::OID, ED25519);
            der::put(out, der::NULL, &[]);
        },
        &[1; 32],
    );
    let ed25519 = |point: &[u8]| spki(|out| der::put(out, der::OID, ED25519), point);
    let mut small_order = [[0; 32]; 3];
    small_order[0][0] = 1;
    small_order[1][0] = 1;
    small_order[1][31] = 0x80;
    hex::decode_to_slice(
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        &mut small_order[2],
    )
    .unwrap();
    let trailing = [good.public_key().spki_der(), &[0]].concat();
    let e65537: &[u8] = &[1, 0, 1];
    let rsa_key = |bits| Ok(KeyAlgorithm::Rsa { bits });
    let curve = |found: &str| BadKey::Curve { found: found.to_owned() };
    let rows: Vec<(&str, Vec<u8>, Result<KeyAlgorithm, BadKey>)> = vec![
        ("P-256", good.public_key().spki_der().to_vec(), Ok(KeyAlgorithm::P256)),
        ("nothing", vec![], Err(BadKey::Malformed)),
        ("trailing octet", trailing, Err(BadKey::Malformed)),
        ("P-521 off its curve", ec(SECP521R1, &[4; 133]), Err(BadKey::PointNotOnCurve)),
        ("P-224", ec(CURVE_P224, &[4; 57]), Err(curve("P-224 (1.3.132.0.33)"))),
        ("explicit curve", explicit, Err(curve("explicit parameters"))),
        (
            "no curve",
            spki(|out| der::put(out, der::OID, EC_PUBLIC_KEY), point),
            Err(curve("explicit parameters")),
        ),
        ("compressed point", ec(SECP256R1, &compressed), Err(BadKey::PointForm)),
        ("hybrid point", ec(SECP256R1, &hybrid), Err(BadKey::PointForm)),
        ("point at infinity", ec(SECP256R1, &[0]), Err(BadKey::PointForm)),
        ("point of another curve", ec(SECP384R1, point), Err(BadKey::PointForm)),
        ("point off its curve", ec(SECP256R1, &off_curve), Err(BadKey::PointNotOnCurve)),
        (
            "DSA",
            spki(|out| der::put(out, der::OID, DSA), &[]),
            Err(BadKey::Algorithm { found: "dsa (1.2.840.10040.4.1)".to_owned() }),
        ),
        (
            "Ed25519 of 31 octets",
            spki(|out| der::put(out, der::OID, ED25519), &[1; 31]),
            Err(BadKey::Malformed),
        ),
        ("Ed25519, neutral point", ed25519(&small_order[0]), Err(BadKey::SmallOrder)),
        ("Ed25519, neutral point with its sign bit", ed25519(&small_order[1]), Err(BadKey::SmallOrder)),
        ("Ed25519, order 4", ed25519(&[0; 32]), Err(BadKey::SmallOrder)),
        ("Ed25519, order 8", ed25519(&small_order[2]), Err(BadKey::SmallOrder)),
        ("Ed25519 with parameters", ed_parameters, Err(BadKey::Malformed)),
        ("RSA-2048", rsa(2048, 1, e65537), rsa_key(2048)),
        ("RSA-8192", rsa(8192, 1, e65537), rsa_key(8192)),
        ("RSA-2047", rsa(2047, 1, e65537), Err(BadKey::RsaSize { bits: 2047 })),
        ("RSA-1024", rsa(1024, 1, e65537), Err(BadKey::RsaSize { bits: 1024 })),
        ("RSA-8193", rsa(8193, 1, e65537), Err(BadKey::RsaSize { bits: 8193 })),
        ("RSA-16384", rsa(16384, 1, e65537), Err(BadKey::RsaSize { bits: 16384 })),
        ("RSA of 128 kbit", rsa(131_072, 1, e65537), Err(BadKey::TooLong { octets: 16422 })),
        ("even modulus", rsa(2048, 2, e65537), Err(BadKey::RsaModulus)),
        ("exponent 1", rsa(2048, 1, &[1]), Err(BadKey::RsaExponent)),
        ("exponent 3", rsa(2048, 1, &[3]), rsa_key(2048)),
        ("even exponent", rsa(2048, 1, &[1, 0, 0]), Err(BadKey::RsaExponent)),
        ("exponent below 2^33", rsa(2048, 1, &[1, 0xff, 0xff, 0xff, 0xff]), rsa_key(2048)),
        ("exponent above 2^33", rsa(2048, 1, &[2, 0, 0, 0, 1]), Err(BadKey::RsaExponent)),
        ("negative exponent", rsa(2048, 1, &[0x81]), Err(BadKey::Malformed)),
        ("RSA without NULL", no_null, Err(BadKey::Malformed)),
    ];
    for (name, der, expected) in rows {
        let read = PublicKey::from_spki_der(&der);
        assert_eq!(read.as_ref().map(PublicKey::algorithm).map_err(Clone::clone), expected, "{name}");
        if let Ok(key) = read {
            assert_eq!(key.spki_der(), der, "{name}: keeps what it read");
        }
    }
}

#[test]
fn a_key_verifies_its_own_signatures_and_no_others() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let other = SoftwareKey::generate(algorithm).unwrap();
        let signature = key.sign(b"message").unwrap();
        let verify = |key: &SoftwareKey, message: &[u8], signature: &[u8]| {
            key.public_key().verify(key.algorithm(), message, signature)
        };
        let refused = Err(BadSignature::DoesNotVerify);
        assert_eq!(verify(&key, b"message", &signature), Ok(()), "{algorithm:?}");
        assert_eq!(verify(&key, b"massage", &signature), refused, "{algorithm:?}");
        assert_eq!(verify(&other, b"message", &signature), refused, "{algorithm:?}");
        assert_eq!(verify(&key, b"message", &[]), refused, "{algorithm:?}");
        let rsa = key.public_key().verify(SignatureAlgorithm::RsaPkcs1Sha256, b"message", &signature);
        assert_eq!(rsa, Err(BadSignature::KeyMismatch), "{algorithm:?}");
    }
}

#[test]
fn the_key_identifiers_that_others_make_are_known_and_no_more() {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let key = key.public_key();
    let (bits, spki) = (key.subject_public_key(), key.spki_der());
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, bits).as_ref().to_vec();
    let mut short = sha1[12..].to_vec();
    short[0] = 0x40 | (short[0] & 0x0f);
    let (sha256, sha384) = (digest(&SHA256, bits), digest(&SHA384, bits));
    let rows: &[(&str, Vec<u8>, bool)] = &[
        ("SHA-1 of the key", sha1.clone(), true),
        ("60 bits of SHA-1", short, true),
        ("160 bits of SHA-256", sha256.as_ref()[..20].to_vec(), true),
        ("SHA-256", sha256.as_ref().to_vec(), true),
        ("160 bits of SHA-384", sha384.as_ref()[..20].to_vec(), true),
        (
            "SHA-1 of the SubjectPublicKeyInfo",
            digest(&SHA1_FOR_LEGACY_USE_ONLY, spki).as_ref().to_vec(),
            true,
        ),
        ("SHA-512 of the SubjectPublicKeyInfo", digest(&SHA512, spki).as_ref().to_vec(), true),
        ("160 other bits of SHA-256", sha256.as_ref()[12..].to_vec(), false),
        ("part of SHA-1", sha1[..19].to_vec(), false),
        ("nothing", vec![], false),
    ];
    for (name, id, known) in rows {
        assert_eq!(key.is_key_id(id), *known, "{name}");
    }
}

#[test]
fn a_private_key_reads_back_and_prints_nothing() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let from_der = SoftwareKey::from_pkcs8(key.to_pkcs8().expose()).unwrap();
        let from_pem = SoftwareKey::from_pkcs8_pem(key.to_pkcs8_pem().expose()).unwrap();
        assert_eq!(from_der.public_key(), key.public_key(), "{algorithm:?}");
        assert_eq!(from_pem.public_key(), key.public_key(), "{algorithm:?}");
        let secret = hex::encode(key.to_pkcs8().expose());
        let printed = format!("{key:?} {:?}", key.to_pkcs8());
        assert!(!printed.contains(&secret[secret.len() - 16..]), "{algorithm:?}");
    }
    use crate::signer::SigningFault;
    assert_eq!(
        SoftwareKey::generate(KeyAlgorithm::Rsa { bits: 2048 }).map(drop),
        Err(SigningFault::Unsupported)
    );
    assert_eq!(SoftwareKey::from_pkcs8(b"no key").map(drop), Err(SigningFault::NotPkcs8));
}
