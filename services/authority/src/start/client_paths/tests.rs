//! Chains at both ports: ours, before and after their end, and makers'.

use super::*;
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::House;
use std::time::Duration;
use touchmark_identity::{SerialNumber, SpiffeId, Validity};
use touchmark_ra::{RegisterMaker, WithdrawMaker};
use touchmark_testkit::name;
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{KeyAlgorithm, Signer, SoftwareKey};

const DAY_S: u64 = 86_400;

fn signed(tbs: TbsCertificate, key: &dyn Signer) -> Certificate {
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

fn serial(octet: u8) -> SerialNumber {
    SerialNumber::try_from(&[octet; 17][..]).unwrap()
}

/// A self-signed authority for so many days.
fn authority(now: Timestamp, days: u64) -> (SoftwareKey, Certificate) {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let tbs = ca_tbs(&CaContents {
        common_name: "maker",
        serial: serial(1),
        validity: Validity::new(now.unix_s() - 60, now.unix_s() + days * DAY_S).unwrap(),
        public_key: key.public_key(),
        path_len: None,
        issuer: None,
        crl_url: None,
        signature_algorithm: key.algorithm(),
    });
    let certificate = signed(tbs, &key);
    (key, certificate)
}

/// A client's certificate for so many days.
fn leaf(key: &dyn Signer, issuer: &Certificate, now: Timestamp, days: u64) -> Vec<u8> {
    let own = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let uri: SpiffeId = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
    let profile = LeafProfile {
        issuer,
        signature_algorithm: key.algorithm(),
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
        crl_url: "http://127.0.0.1:1/lab.crl",
    };
    let tbs = LeafTemplate::new(&profile).unwrap().fill(&LeafContents {
        serial: serial(2),
        validity: Validity::new(now.unix_s() - 60, now.unix_s() + days * DAY_S).unwrap(),
        public_key: own.public_key(),
        common_name: &uri.name,
        uri: &uri,
        dns: &[],
        ip: &[],
        scope: &[],
    });
    signed(tbs, key).der().to_vec()
}

fn acme() -> RegisterMaker {
    RegisterMaker { environment: name("lab"), name: name("acme") }
}

/// What EST and the API say to a chain, after so many days.
fn at(house: &House, days: u64, leaf: &[u8]) -> (&'static str, &'static str) {
    let now = house.clock.now().plus(Duration::from_secs(days * DAY_S));
    let low_s_since = Timestamp::from_unix_ms(0);
    let est =
        EnrolmentPaths { hierarchy: house.hierarchy.clone(), makers: house.makers.clone(), low_s_since };
    let code = |judged: Result<(), PathRefusal>| judged.map_or_else(|refusal| refusal.code, |()| "ok");
    (
        code(est.check(leaf, &[], now)),
        code(ApiPaths { hierarchy: house.hierarchy.clone(), low_s_since }.check(leaf, &[], now)),
    )
}

#[tokio::test]
async fn what_has_ended_finishes_a_handshake_with_est_and_with_nothing_else() {
    let house = House::new().await;
    let trust = house.hierarchy.default_trust().unwrap();
    // The house's signer asks for an intent first.
    let key = house.environments.vault().open(&trust.issuing.version().to_string()).unwrap();
    let ours = leaf(&key, trust.issuing.certificate(), house.clock.now(), 10);
    let (stranger, strangers) = authority(house.clock.now(), 100);
    type Row<'a> = (&'a str, u64, &'a [u8], (&'a str, &'a str));
    let rows: [Row<'_>; 5] = [
        ("ours", 0, &ours, ("ok", "ok")),
        ("ours, ended yesterday", 11, &ours, ("ok", "path-expired")),
        ("ours, when its issuer has ended, too", 4000, &ours, ("path-expired", "path-expired")),
        (
            "a stranger's",
            0,
            &leaf(&stranger, &strangers, house.clock.now(), 10),
            ("path-unknown-issuer", "path-unknown-issuer"),
        ),
        ("no certificate", 0, b"no certificate", ("path-malformed", "path-malformed")),
    ];
    for (what, days, leaf, expected) in rows {
        assert_eq!(at(&house, days, leaf), expected, "{what}");
    }
}

#[tokio::test]
async fn a_makers_device_finishes_a_handshake_with_est_while_its_maker_is_in_force() {
    let house = House::new().await;
    let trust = house.hierarchy.default_trust().unwrap();
    let (key, certificate) = authority(house.clock.now(), 100);
    let initial = leaf(&key, &certificate, house.clock.now(), 50);
    let unknown = "path-unknown-issuer";
    assert_eq!(at(&house, 0, &initial), (unknown, unknown));
    house.makers.register(bootstrapped(acme()), &trust, &certificate).await.unwrap();
    assert_eq!(at(&house, 0, &initial), ("ok", unknown));
    assert_eq!(at(&house, 51, &initial), ("path-expired", "path-expired"), "no renewal is in it");
    assert_eq!(at(&house, 101, &initial).0, "path-expired", "of the maker");
    let (_, fresh) = house.makers.register(bootstrapped(acme()), &trust, &certificate).await.unwrap();
    assert!(!fresh, "once more says the same");
    house.makers.withdraw(bootstrapped(WithdrawMaker(acme())), &trust).await.unwrap();
    assert_eq!(at(&house, 0, &initial), (unknown, unknown));
}

#[tokio::test]
async fn what_a_stranger_costs_does_not_grow_with_the_environments() {
    let house = House::new().await;
    let trust = house.hierarchy.default_trust().unwrap();
    let now = house.clock.now();
    let (maker, certificate) = authority(now, 100);
    house.makers.register(bootstrapped(acme()), &trust, &certificate).await.unwrap();
    let (stranger, strangers) = authority(now, 100);
    let rows = [
        ("a stranger's", leaf(&stranger, &strangers, now, 10), "path-unknown-issuer", 0),
        ("in our name", leaf(&stranger, trust.issuing.certificate(), now, 10), "path-signature", 1),
        ("in a maker's name", leaf(&stranger, &certificate, now, 10), "path-signature", 1),
        ("a maker's", leaf(&maker, &certificate, now, 10), "ok", 1),
    ];
    for (what, leaf, expected, signatures) in rows {
        for environments in [1, 31] {
            let trusts = vec![trust.clone(); environments];
            let shown = ClientChain::read(&leaf, &[]).unwrap();
            let mut budget = Budget::default();
            let ours = shown.leads_to_any(&trusts, now, Purpose::Renewal, Timestamp::MAX, &mut budget);
            let makers = house.makers.vouch(&shown.leaf, &shown.presented, now, &mut budget);
            let code = match (ours, makers) {
                (Ok(()), _) | (_, Ok(())) => "ok",
                (Err(PathRefusal { code: "path-unknown-issuer" }), Err(Some(fault))) => fault.code(),
                (Err(refusal), _) => refusal.code,
            };
            assert_eq!(
                (code, budget.signatures()),
                (expected, signatures),
                "{what}, {environments} environments"
            );
        }
    }
}
