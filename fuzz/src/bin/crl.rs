//! CRLs: every entry is found, the list is written as it was read, and only a signed list verifies.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchmark_identity::SerialNumber;
use touchmark_x509::crl::{CRL_ENTRIES_MAX, Crl, CrlContents, crl_tbs};
use touchmark_x509::{Certificate, SignatureAlgorithm};

static ISSUING: LazyLock<Certificate> = LazyLock::new(|| {
    Certificate::from_der(&include_bytes!("../../seeds/certificate/issuing")[1..])
        .expect("the seed is a certificate")
});

/// Whose lists the issuing authority signed, by their numbers.
const SIGNED: [u64; 2] = [1, 0xfedc_ba98_7654_3210];

fuzz_target!(|data: &[u8]| {
    let Ok(crl) = Crl::from_der(data) else { return };
    assert!(crl.len() <= CRL_ENTRIES_MAX && crl.len() == crl.entries().len());
    assert!(
        crl.entries().is_sorted_by(|one, next| one.serial < next.serial),
        "one entry for each serial number"
    );
    for entry in crl.entries() {
        assert_eq!(crl.find(&entry.serial).as_ref(), Some(entry));
    }
    let absent = SerialNumber::try_from([0x2a; 20].as_slice()).expect("a serial number");
    assert_eq!(crl.find(&absent).is_some(), crl.entries().iter().any(|entry| entry.serial == absent));
    if crl.verify(&ISSUING).is_ok() {
        assert!(SIGNED.contains(&crl.number()), "a list that the authority never signed");
    }

    let algorithm = SignatureAlgorithm::Ed25519;
    let written = crl_tbs(&CrlContents {
        issuer: &ISSUING,
        number: crl.number(),
        this_update: crl.this_update(),
        next_update: crl.next_update(),
        signature_algorithm: algorithm,
        entries: crl.entries(),
    });
    let again = Crl::from_der(&written.into_crl(algorithm, &[0; 64])).expect("reads what it wrote");
    assert_eq!(again.entries(), crl.entries());
    assert_eq!((again.number(), again.issuer_der()), (crl.number(), ISSUING.subject_der()));
    assert_eq!((again.this_update(), again.next_update()), (crl.this_update(), crl.next_update()));
    assert!(again.verify(&ISSUING).is_err());
});
