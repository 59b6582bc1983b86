//! Certificates: the fields are parts of the octets, PEM carries them unchanged, and no path is found that nobody signed.

#![no_main]

use core::time::Duration;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchmark_fuzz::{chosen, sha256};
use touchmark_identity::Timestamp;
use touchmark_x509::certificate::{CERTIFICATE_OCTETS_MAX, KEY_CERT_SIGN, PEM_CERTIFICATES_MAX};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::lint::{Expectation, Kind, lint};
use touchmark_x509::path::{Purpose, validate};
use touchmark_x509::{Certificate, PublicKey};

/// Root, issuing authority, and the one leaf that the issuing authority signed.
static LAB: LazyLock<[Certificate; 3]> = LazyLock::new(|| {
    [
        include_bytes!("../../seeds/certificate/root").as_slice(),
        include_bytes!("../../seeds/certificate/issuing"),
        include_bytes!("../../seeds/certificate/leaf"),
    ]
    .map(|seed| Certificate::from_der(&seed[1..]).expect("the seed is a certificate"))
});

/// Inside the validity of all three: 2026-01-02T00:00:00Z.
const NOW_S: u64 = 1_767_312_000;

fuzz_target!(|data: &[u8]| {
    match chosen(data) {
        (0, der) => {
            if let Ok(certificate) = Certificate::from_der(der) {
                fields_are_parts_of_the_octets(&certificate, der);
                pem_carries_it(&certificate);
                no_path_without_a_signature(&certificate);
                hardware_is_shown_as_it_is_registered(&certificate);
            }
        }
        (_, pem) => {
            let Ok(text) = core::str::from_utf8(pem) else { return };
            let Ok(certificates) = Certificate::from_pem_many(text) else { return };
            assert!((1..=PEM_CERTIFICATES_MAX).contains(&certificates.len()));
            let written: String = certificates.iter().map(Certificate::to_pem).collect();
            assert_eq!(Certificate::from_pem_many(&written).as_ref(), Ok(&certificates));
        }
    }
});

/// What is read out of a maker's certificate is what an operator could have typed.
fn hardware_is_shown_as_it_is_registered(certificate: &Certificate) {
    if let Ok(id) = HardwareId::of(certificate) {
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert!(certificate.subject_serial_numbers().len() + certificate.hardware_serials().len() > 0);
    }
}

fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

fn fields_are_parts_of_the_octets(certificate: &Certificate, der: &[u8]) {
    assert!(der.len() <= CERTIFICATE_OCTETS_MAX);
    assert_eq!(certificate.der(), der);
    assert_eq!(certificate.fingerprint().as_bytes(), &sha256(der));
    let (tbs, key) = (certificate.tbs_der(), certificate.public_key());
    assert!(holds(der, tbs) && der.ends_with(certificate.signature()));
    for part in [certificate.subject_der(), certificate.issuer_der(), key.spki_der()] {
        assert!(holds(tbs, part));
    }
    assert!(holds(tbs, certificate.serial().der_content()));
    assert_eq!(PublicKey::from_spki_der(key.spki_der()).as_ref(), Ok(key));
    assert_eq!(certificate.spki_hash(), key.spki_hash());
    let validity = certificate.validity();
    assert!(validity.not_before() < validity.not_after() && validity.lifetime() > Duration::from_secs(1));
    if let Ok(id) = certificate.spiffe_id() {
        assert_eq!(certificate.uri_sans(), [id.to_string()], "the one URI, letter for letter");
    }
    let texts = certificate.uri_sans().iter().chain(certificate.dns_sans()).chain(certificate.scope());
    for text in texts.chain(certificate.crl_urls()) {
        assert!(text.is_empty() || holds(tbs, text.as_bytes()), "{text:?} does not stand there");
    }
    assert!(certificate.extended_key_usages().is_none_or(|usages| !usages.is_empty()));
    assert!(certificate.path_len().is_none() || certificate.is_ca(), "a path length without the CA flag");
}

fn pem_carries_it(certificate: &Certificate) {
    let pem = certificate.to_pem();
    assert!(pem.lines().all(|line| line.len() <= 64));
    assert_eq!(Certificate::from_pem_many(&pem), Ok(vec![certificate.clone()]));
}

fn no_path_without_a_signature(certificate: &Certificate) {
    let [root, issuing, leaf] = &*LAB;
    let now = Timestamp::from_unix_s(NOW_S);
    let one = core::slice::from_ref::<Certificate>;
    for purpose in [Purpose::Client, Purpose::Server, Purpose::Renewal, Purpose::Initial] {
        if let Ok(path) = validate(certificate, one(issuing), one(root), now, purpose) {
            assert_eq!(certificate.tbs_der(), leaf.tbs_der(), "a leaf that the authority never signed");
            assert_eq!((path.issuer(), path.anchor()), (issuing, root));
        }
        // As the authority in between.
        if validate(leaf, one(certificate), one(root), now, purpose).is_ok() {
            assert_eq!(certificate.tbs_der(), issuing.tbs_der(), "an authority that the root never signed");
        }
        // As an anchor: trusted by whoever configured it, but only with the authority's key, name and rights.
        if validate(leaf, &[], one(certificate), now, purpose).is_ok() {
            assert_eq!(certificate.public_key(), issuing.public_key());
            assert_eq!(certificate.subject_der(), leaf.issuer_der());
            assert!(certificate.is_ca() && certificate.unknown_critical().is_empty());
            assert!(certificate.key_usage().is_none_or(|usage| usage & KEY_CERT_SIGN != 0));
            assert!(certificate.validity().contains(now));
        }
    }
    for (kind, issuer) in [(Kind::Leaf, issuing), (Kind::Authority, root)] {
        let lifetime_max = Duration::from_secs(20 * 365 * 86_400);
        lint(certificate, &Expectation { issuer, lifetime_max, kind, now });
    }
}
