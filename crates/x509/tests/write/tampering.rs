//! Every octet changed, every prefix: readers answer with an error or a value, never with a panic, and
//! nothing that was changed verifies.

use crate::authority::{crl, entries, fixed_key, fixed_p256, issuing, leaf_tbs, signed};
use touchmark_x509::crl::Crl;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::pkcs7::{BAG_CERTIFICATES_MAX, BAG_OCTETS_MAX, BadBag, certs_only, parse_certs_only};
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, PublicKey, Signer, SoftwareKey};

/// Each octet under seven changes (among them the DER traps 0x80, 0xff and off-by-one), then each prefix.
fn variants(good: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let changes: [fn(u8) -> u8; 7] = [
        |octet| octet ^ 0x01,
        |octet| octet ^ 0x20,
        |octet| octet ^ 0x80,
        |octet| octet.wrapping_add(1),
        |octet| octet.wrapping_sub(1),
        |_| 0x00,
        |_| 0xff,
    ];
    let changed = (0..good.len()).flat_map(move |at| {
        changes.into_iter().map(move |change| {
            let mut bytes = good.to_vec();
            bytes[at] = change(bytes[at]);
            (at, bytes)
        })
    });
    let prefixes = (0..good.len()).map(|end| (end, good[..end].to_vec()));
    changed.chain(prefixes).filter(move |(_, bytes)| bytes != good)
}

#[test]
fn a_changed_crl_never_verifies() {
    let issuer = issuing();
    for (at, bytes) in variants(&crl(&issuer, 300, &entries(7))) {
        if let Ok(crl) = Crl::from_der(&bytes) {
            assert!(crl.verify(&issuer.certificate).is_err(), "octet {at}");
        }
    }
}

#[test]
fn a_changed_certificate_never_verifies() {
    let issuer = issuing();
    let leaf = signed(leaf_tbs(&issuer, &fixed_p256()), &issuer.key);
    for (at, bytes) in variants(leaf.der()) {
        if let Ok(read) = Certificate::from_der(&bytes) {
            let verdict = issuer.certificate.public_key().verify(
                read.signature_algorithm(),
                read.tbs_der(),
                read.signature(),
            );
            assert!(verdict.is_err(), "octet {at}");
        }
    }
}

#[test]
fn a_changed_request_never_proves_possession() {
    let uri = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
    let request = certification_request("pump-01", Some(&uri), &fixed_key(3)).unwrap();
    assert!(UnprovenCsr::from_der(&request).unwrap().prove_possession().is_ok());
    for (at, bytes) in variants(&request) {
        if let Ok(read) = UnprovenCsr::from_der(&bytes) {
            assert!(read.prove_possession().is_err(), "octet {at}");
        }
    }
}

#[test]
fn changed_bags_and_keys_do_not_panic() {
    let issuer = issuing();
    for (_, bytes) in variants(&certs_only(&[issuer.certificate.der(), issuer.certificate.der()])) {
        for der in parse_certs_only(&bytes).unwrap_or_default() {
            let _ = Certificate::from_der(&der);
        }
    }
    for (_, bytes) in variants(fixed_p256().spki_der()) {
        let _ = PublicKey::from_spki_der(&bytes);
    }
    for (_, bytes) in variants(fixed_key(1).to_pkcs8().expose()) {
        let _ = SoftwareKey::from_pkcs8(&bytes).map(|key| key.sign(b"message"));
    }
}

#[test]
fn a_bag_holds_certificates_only_and_not_too_many() {
    let issuer = issuing();
    let der = issuer.certificate.der();
    let two = certs_only(&[der, der]);
    assert_eq!(parse_certs_only(&two), Ok(vec![der.to_vec(), der.to_vec()]));
    let trailing = [two.as_slice(), &[0]].concat();
    // signedData (1.2.840.113549.1.7.2) under the identifier of enveloped data.
    let enveloped =
        hex::decode(hex::encode(&two).replacen("2a864886f70d010702", "2a864886f70d010703", 1)).unwrap();
    let rows = [
        ("no certificates", certs_only(&[]), Ok(0)),
        (
            "as many as allowed",
            certs_only(&[[0x30, 0].as_slice(); BAG_CERTIFICATES_MAX]),
            Ok(BAG_CERTIFICATES_MAX),
        ),
        ("one more", certs_only(&[[0x30, 0].as_slice(); BAG_CERTIFICATES_MAX + 1]), Err(BadBag::TooMany)),
        ("not a certificate", certs_only(&[&[0x04, 0]]), Err(BadBag::Malformed)),
        ("trailing octet", trailing, Err(BadBag::Malformed)),
        ("enveloped data", enveloped, Err(BadBag::NotSignedData)),
        ("too large", vec![0; BAG_OCTETS_MAX + 1], Err(BadBag::TooLarge { octets: BAG_OCTETS_MAX + 1 })),
    ];
    for (name, bag, expected) in rows {
        assert_eq!(parse_certs_only(&bag).map(|found| found.len()), expected, "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn noise_does_not_panic(tag in 0x00_u8.., noise in proptest::collection::vec(0x00_u8.., 0..300)) {
        let mut framed = vec![0x30, 0x82];
        framed.extend(u16::try_from(noise.len() + 1).unwrap().to_be_bytes());
        framed.push(tag);
        framed.extend(&noise);
        for bytes in [noise, framed] {
            let _ = Crl::from_der(&bytes);
            for der in parse_certs_only(&bytes).unwrap_or_default() {
            let _ = Certificate::from_der(&der);
        }
    }
    }
}
