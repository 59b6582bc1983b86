//! A root and an issuing authority with fixed Ed25519 keys, so that everything they sign is the same on every run.

use touchmark_identity::{RevocationReason, SerialNumber, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::crl::{CrlContents, RevokedEntry, crl_tbs};
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{Certificate, PublicKey, Signer, SoftwareKey};

/// 2026-01-01T00:00:00Z.
pub(crate) const START_S: u64 = 1_767_225_600;
/// Inside every validity below.
pub(crate) const NOW_S: u64 = START_S + 86_400;
const YEAR_S: u64 = 365 * 86_400;
pub(crate) const CRL_URL: &str = "http://127.0.0.1:8080/crl/lab.crl";

pub(crate) struct Authority {
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

pub(crate) fn serial(octet: u8) -> SerialNumber {
    SerialNumber::try_from([&[1], [octet; 16].as_slice()].concat().as_slice()).unwrap()
}

pub(crate) fn validity(seconds: u64) -> Validity {
    Validity::new(START_S, START_S + seconds - 1).unwrap()
}

/// An Ed25519 key from a seed: signatures of this kind hold no randomness.
pub(crate) fn fixed_key(seed: u8) -> SoftwareKey {
    let head = hex::decode("302e020100300506032b657004220420").unwrap();
    SoftwareKey::from_pkcs8(&[head.as_slice(), &[seed; 32]].concat()).unwrap()
}

/// Public key of the P-256 private key 1: the curve's base point.
pub(crate) fn fixed_p256() -> PublicKey {
    let spki = "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f2\
                77037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    PublicKey::from_spki_der(&hex::decode(spki).unwrap()).unwrap()
}

pub(crate) fn root_with(key: SoftwareKey) -> Authority {
    let tbs = ca_tbs(&CaContents {
        common_name: "Touchmark test root",
        serial: serial(1),
        validity: validity(30 * YEAR_S),
        public_key: key.public_key(),
        path_len: None,
        issuer: None,
        crl_url: None,
        signature_algorithm: key.algorithm(),
    });
    let certificate = signed(tbs, &key);
    Authority { key, certificate }
}

pub(crate) fn issuing_with(root: &Authority, key: SoftwareKey) -> Authority {
    let tbs = ca_tbs(&CaContents {
        common_name: "Touchmark test issuing authority",
        serial: serial(2),
        validity: validity(10 * YEAR_S),
        public_key: key.public_key(),
        path_len: Some(0),
        issuer: Some(&root.certificate),
        crl_url: Some("http://127.0.0.1:8080/crl/root.crl"),
        signature_algorithm: root.key.algorithm(),
    });
    let certificate = signed(tbs, &root.key);
    Authority { key, certificate }
}

pub(crate) fn root() -> Authority {
    root_with(fixed_key(1))
}

pub(crate) fn issuing() -> Authority {
    issuing_with(&root(), fixed_key(2))
}

pub(crate) fn template(issuer: &Authority) -> LeafTemplate {
    LeafTemplate::new(&LeafProfile {
        issuer: &issuer.certificate,
        signature_algorithm: issuer.key.algorithm(),
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
        crl_url: CRL_URL,
    })
    .unwrap()
}

/// A leaf with something in every place.
pub(crate) fn leaf_tbs(issuer: &Authority, public_key: &PublicKey) -> TbsCertificate {
    template(issuer).fill(&LeafContents {
        serial: serial(3),
        validity: validity(90 * 86_400),
        public_key,
        common_name: &"pump-01".parse().unwrap(),
        uri: &"spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap(),
        dns: &["pump-01.lab.example".to_owned()],
        ip: &["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        scope: &["model:x200".to_owned(), "group:pumps".to_owned()],
    })
}

pub(crate) fn signed(tbs: TbsCertificate, key: &SoftwareKey) -> Certificate {
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

pub(crate) fn entries(count: u32) -> Vec<RevokedEntry> {
    let reasons: Vec<_> = RevocationReason::all().collect();
    (0..count)
        .map(|n| RevokedEntry {
            // Spread, so that the order of issue is not the order of serials.
            serial: SerialNumber::try_from(
                [&[1], n.wrapping_mul(2_654_435_761).to_be_bytes().as_slice(), &[7; 12]].concat().as_slice(),
            )
            .unwrap(),
            at: Timestamp::from_unix_s(START_S + u64::from(n)),
            reason: reasons[n as usize % reasons.len()],
        })
        .collect()
}

pub(crate) fn crl(issuer: &Authority, number: u64, entries: &[RevokedEntry]) -> Vec<u8> {
    let tbs = crl_tbs(&CrlContents {
        issuer: &issuer.certificate,
        number,
        this_update: Timestamp::from_unix_s(START_S),
        next_update: Timestamp::from_unix_s(START_S + 7 * 86_400),
        signature_algorithm: issuer.key.algorithm(),
        entries,
    });
    let signature = issuer.key.sign(tbs.as_bytes()).unwrap();
    tbs.into_crl(issuer.key.algorithm(), &signature)
}
