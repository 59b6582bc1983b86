//! Certificates that do not become ours, whoever sends them; and servers that lead to no anchor of ours.

use super::authority::{Authority, DAY, ca, sign};
use super::device::Device;
use super::world::{Tamper, World};
use std::time::Duration;
use touchmark_agent::lifecycle::{Call, FirstProof, Needs, Start};
use touchmark_identity::{Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::key::{KeyAlgorithm, PublicKey};
use touchmark_x509::tbs::{CaContents, ca_tbs};
use touchmark_x509::{Certificate, Signer as _, SoftwareKey};

const HOUR: Duration = Duration::from_secs(3600);

fn leaf(
    authority: &mut Authority,
    key: &PublicKey,
    name: &str,
    kind: &str,
    validity: Validity,
) -> Certificate {
    authority.leaf(key, name, kind, validity, &[ExtendedKeyUsage::ClientAuth])
}

fn another_key(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let validity = authority.validity(now);
    sent[0] = leaf(authority, key.public_key(), "pump-01", "d", validity);
    sent
}

fn another_name(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
    let (key, validity) = (sent[0].public_key().clone(), authority.validity(now));
    sent[0] = leaf(authority, &key, "pump-02", "d", validity);
    sent
}

fn another_kind(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
    let (key, validity) = (sent[0].public_key().clone(), authority.validity(now));
    sent[0] = leaf(authority, &key, "pump-01", "s", validity);
    sent
}

fn for_servers_only(
    authority: &mut Authority,
    now: Timestamp,
    mut sent: Vec<Certificate>,
) -> Vec<Certificate> {
    let (key, validity) = (sent[0].public_key().clone(), authority.validity(now));
    sent[0] = authority.leaf(&key, "pump-01", "d", validity, &[ExtendedKeyUsage::ServerAuth]);
    sent
}

fn past(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
    let key = sent[0].public_key().clone();
    let validity = Validity::new(now.unix_s() - 9_000_000, now.unix_s() - 8_000_000).unwrap();
    sent[0] = leaf(authority, &key, "pump-01", "d", validity);
    sent
}

fn an_authority(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
    let tbs = ca_tbs(&CaContents {
        common_name: "pump-01",
        serial: super::authority::serial(9),
        validity: authority.validity(now),
        public_key: sent[0].public_key(),
        path_len: None,
        issuer: Some(&authority.issuing.certificate),
        crl_url: None,
        signature_algorithm: authority.issuing.key.algorithm(),
    });
    sent[0] = sign(tbs, &authority.issuing.key);
    sent
}

fn of_another_root(authority: &mut Authority, now: Timestamp, sent: Vec<Certificate>) -> Vec<Certificate> {
    let long = authority.root.certificate.validity();
    let root = ca("lab root", 1, long, None);
    let issuing = ca("lab issuing", 2, long, Some(&root));
    let honest = core::mem::replace(&mut authority.issuing, issuing);
    let (key, validity) = (sent[0].public_key().clone(), authority.validity(now));
    let forged = leaf(authority, &key, "pump-01", "d", validity);
    let issuing = core::mem::replace(&mut authority.issuing, honest);
    vec![forged, issuing.certificate, root.certificate]
}

#[test]
fn what_is_not_ours_is_refused_by_name_and_the_old_pair_stays() {
    let rows: &[(&str, Tamper, &str)] = &[
        ("another key", another_key, "answer-other-key"),
        ("another name", another_name, "answer-other-identity"),
        ("another kind", another_kind, "answer-other-identity"),
        ("for servers only", for_servers_only, "path-not-authorised"),
        ("ended long ago", past, "answer-past"),
        ("an authority's", an_authority, "answer-other-key"),
        ("of another root", of_another_root, "path-unknown-issuer"),
    ];
    for (name, tamper, code) in rows {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        world.tamper = Some(*tamper);
        device.run(&mut world, 20 * DAY);
        let report = device.report(&world);
        assert_eq!(report.failure.as_ref().map(|failure| failure.code.as_str()), Some(*code), "{name}");
        assert_eq!(report.needs, Needs::Authority, "{name}");
        assert_eq!(device.certificate(), before, "{name}");
        assert_eq!(world.count(Call::Confirm), 0, "{name}: never shown to anybody");
        world.tamper = None;
        device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    }
}

#[test]
fn a_first_certificate_for_another_name_is_refused() {
    let mut world = World::new(30 * DAY);
    world.authority.token("secret");
    world.tamper = Some(another_name);
    let mut device = Device::new(&world, "pump-01", Start::Token);
    device.token = Some("secret".to_owned());
    device.run(&mut world, HOUR);
    assert!(device.current().is_none());
    assert_eq!(device.report(&world).certificate, None);
}

#[test]
fn a_server_of_another_root_is_told_nothing() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    let honest = core::mem::replace(&mut world.authority, Authority::new(world.now, 30 * DAY));
    world.authority.issued = honest.issued.clone();
    device.run(&mut world, 25 * DAY);
    assert_eq!(device.certificate(), before);
    let report = device.report(&world);
    assert_eq!((report.failure.unwrap().code.as_str(), report.needs), ("server-untrusted", Needs::Authority));
    assert_eq!(world.authority.issued.len(), 1);
    world.authority = honest;
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
}

/// The answer need hold no issuer, and one that is over does no harm: what `cacerts` gave leads to the anchor.
#[test]
fn an_expired_intermediate_in_the_answer_does_no_harm() {
    fn expired(authority: &mut Authority, now: Timestamp, mut sent: Vec<Certificate>) -> Vec<Certificate> {
        let validity = Validity::new(now.unix_s() - 9_000_000, now.unix_s() - 8_000_000).unwrap();
        let Authority { root, issuing, .. } = authority;
        sent.push(super::authority::ca_certificate("lab issuing", 2, validity, &issuing.key, Some(root)));
        sent
    }
    let mut world = World::new(30 * DAY);
    world.authority.token("once");
    world.tamper = Some(expired);
    let mut device = Device::new(&world, "pump-01", Start::Token);
    device.token = Some("once".to_owned());
    device.run_until(&mut world, HOUR, |device, _| device.current().is_some());
    assert_eq!(world.authority.issued.len(), 1);
    assert_eq!(world.count(Call::Enrol { proof: FirstProof::Token }), 1);
    let issuing = world.authority.issuing.certificate.clone();
    assert!(device.current().unwrap().chain.certificates().any(|above| *above == issuing));
}
