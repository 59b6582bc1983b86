//! The list of a shard: what it says, and what is not published.

use crate::fixtures::{
    Fault, NOW_S, TestSigner, at, authority_valid, certificate_of, device_order, fixed_key, issuing,
    issuing_key, planned, prepared, root, serial,
};
use std::time::Duration;
use touchmark_ca::{CRL_LIFETIME, CrlFault, ENDED_KEPT, Fill, SignedCrl, sign_crl};
use touchmark_identity::{Incarnation, RevocationReason, SerialNumber, Timestamp};
use touchmark_x509::crl::{BadCrl, CRL_ENTRIES_MAX, Crl, RevokedEntry};
use touchmark_x509::key::BadSignature;
use touchmark_x509::{KeyAlgorithm, SignatureAlgorithm, SigningFault, SoftwareKey};

type Revoked = (SerialNumber, Timestamp, RevocationReason);

/// One entry for each reason, each with its own moment.
pub(crate) fn entries() -> Vec<Revoked> {
    (1..)
        .zip(RevocationReason::all())
        .map(|(n, why)| (serial(n), at(NOW_S - 1000 * u64::from(n)), why))
        .collect()
}

pub(crate) fn list(number: u64, revoked: &[Revoked]) -> SignedCrl {
    sign_crl(&issuing(), &issuing_key(), number, revoked.iter().copied(), at(NOW_S)).unwrap()
}

#[test]
fn a_list_names_what_was_revoked_and_nothing_else() {
    for (name, number, revoked) in [
        ("nothing", 1, vec![]),
        ("one", 2, entries().split_off(6)),
        ("each reason", u64::MAX, entries()),
        ("in any order", 3, entries().into_iter().rev().collect()),
    ] {
        let signed = list(number, &revoked);
        let crl = Crl::from_der(&signed.der).unwrap();
        assert_eq!(crl.verify(&issuing()), Ok(()), "{name}");
        assert_eq!(crl.verify(&root()), Err(BadCrl::WrongIssuer), "{name}");
        assert_eq!((signed.number, crl.number()), (number, number), "{name}");
        assert_eq!(signed.fill, Fill::Low, "{name}");
        assert_eq!(crl.len(), revoked.len(), "{name}");
        for (serial, at, reason) in revoked {
            assert_eq!(crl.find(&serial), Some(RevokedEntry { serial, at, reason }), "{name}: {reason:?}");
        }
    }
}

#[test]
fn a_list_begins_a_little_earlier_and_is_relied_on_for_a_day() {
    assert_eq!(CRL_LIFETIME, Duration::from_secs(86_400));
    assert_eq!(ENDED_KEPT, Duration::from_secs(86_700), "one list more, and five minutes of a clock's error");
    let last_s = Timestamp::MAX.unix_s();
    for (name, now_s, this_s, next_s) in [
        ("any day", NOW_S, NOW_S - 30, NOW_S + 86_400),
        ("the first seconds of 1970", 29, 0, 86_429),
        ("half a minute later", 31, 1, 86_431),
        ("the last day that can be written", last_s - 9, last_s - 39, last_s),
    ] {
        let signed = sign_crl(&issuing(), &issuing_key(), 7, [], at(now_s)).unwrap();
        let crl = Crl::from_der(&signed.der).unwrap();
        assert_eq!((signed.this_update, crl.this_update()), (at(this_s), at(this_s)), "{name}");
        assert_eq!((signed.next_update.unix_s(), crl.next_update()), (next_s, at(next_s)), "{name}");
    }
}

#[test]
fn a_list_that_is_too_long_for_its_readers_is_signed_and_told() {
    let numbered = |number: u64| {
        let mut random = [0; 16];
        random[..8].copy_from_slice(&number.to_be_bytes());
        (SerialNumber::draw(Incarnation::FIRST, random), at(NOW_S), RevocationReason::Superseded)
    };
    let many = CRL_ENTRIES_MAX + 1;
    let revoked = (0..many as u64).map(numbered);
    let signed = sign_crl(&issuing(), &issuing_key(), 7, revoked, at(NOW_S)).unwrap();
    assert_eq!(signed.fill, Fill::Over);
    assert_eq!(Crl::from_own_der(&signed.der).unwrap().len(), many);
    assert_eq!(Crl::from_der(&signed.der).unwrap_err(), BadCrl::TooMany);
}

#[test]
fn a_list_that_its_readers_would_refuse_is_not_published() {
    let p256 = || SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let leaf = certificate_of(
        planned(device_order(), &prepared(issuing(), &issuing_key(), 1)).unwrap(),
        &issuing_key(),
    );
    let (ours, far) = (issuing(), (0, Timestamp::MAX.unix_s()));
    let does_not_verify = Some(BadCrl::Signature(BadSignature::DoesNotVerify));
    let other_type = Some(BadCrl::Signature(BadSignature::KeyMismatch));
    let good = p256();
    let p256_authority = authority_valid(&good, far.0, far.1);
    let sha384 = Fault::Names(SignatureAlgorithm::EcdsaSha384);
    for (name, issuer, key, fault, expected) in [
        ("the key refuses", &ours, issuing_key(), Fault::Refuses(SigningFault::Keeper), None),
        ("another authority's key", &ours, fixed_key(9), Fault::None, does_not_verify),
        ("a key of another type", &ours, p256(), Fault::None, other_type),
        ("signed with another key", &ours, issuing_key(), Fault::SignsWith(fixed_key(9)), does_not_verify),
        ("something else was signed", &ours, issuing_key(), Fault::SignsAnother, does_not_verify),
        ("no signature", &ours, issuing_key(), Fault::Octets(&[]), does_not_verify),
        ("another hash than named", &p256_authority, good, sha384, does_not_verify),
        ("a device's certificate", &leaf, fixed_key(3), Fault::None, Some(BadCrl::NotAuthorised)),
    ] {
        let signer = TestSigner::new(key, fault);
        let fault = sign_crl(issuer, &signer, 7, entries(), at(NOW_S)).unwrap_err();
        match (&fault, expected) {
            (CrlFault::Crl(found), Some(expected)) => assert_eq!(*found, expected, "{name}"),
            (CrlFault::Signing(SigningFault::Keeper), None) => {}
            _ => panic!("{name}: {fault:?}"),
        }
        assert_eq!(signer.signed().len(), 1, "{name}");
    }
}
