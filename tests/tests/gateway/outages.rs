//! The gateway without its authority: what it knew still holds, and what it cannot trust opens nothing.

use crate::installation::{Enrolled, Installation};
use std::path::PathBuf;
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{Greeted, Lab, Mqtt, until};

fn knock(lab: &Lab, device: &Enrolled) -> Greeted {
    let mut session = Mqtt::dial(lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
    session.hello(&device.name).unwrap()
}

/// Without a feed the gateway knows no issuer: whoever comes is refused by an alert already.
fn gets_in(lab: &Lab, device: &Enrolled) -> bool {
    let session = Mqtt::dial(lab, Some(device.identity()), ProtocolVersion::V5);
    session.is_ok_and(|mut session| session.hello(&device.name).is_ok_and(|greeted| greeted.code == 0))
}

/// Where the gateway keeps its feed.
fn feed_file(lab: &Lab) -> PathBuf {
    let file = lab.data().join("gateways/gateway-01/state/feed");
    assert!(file.exists(), "{}", file.display());
    file
}

/// An installation in which one device is revoked and the gateway knows it, and its feed lies on disk.
fn installation_with_a_revoked_device() -> Option<(Installation, Enrolled, Enrolled)> {
    let installation = Installation::start()?;
    let (good, bad) = (installation.enrol("good-01"), installation.enrol("bad-01"));
    installation.lab.operator().revoke("bad-01");
    until("the gateway to know", || (knock(&installation.lab, &bad).code == 0x87).then_some(()));
    assert_eq!(knock(&installation.lab, &good).code, 0);
    Some((installation, good, bad))
}

/// R45: with the authority dead the gateway starts again and decides as before.
#[test]
fn a_gateway_that_restarts_without_its_authority_decides_as_before() {
    let Some((mut installation, good, bad)) = installation_with_a_revoked_device() else { return };
    installation.lab.kill_authority();
    for how in ["kill -9", "an orderly end"] {
        match how {
            "kill -9" => installation.lab.kill_gateway(),
            _ => installation.lab.stop_gateway(),
        }
        installation.lab.restart_gateway();
        let greeted = knock(&installation.lab, &bad);
        assert_eq!(greeted.code, 0x87, "{how}: {greeted:?}");
        assert!(greeted.says.starts_with("revoked"), "{how}: {greeted:?}");
        let mut session = Mqtt::welcome(&installation.lab, good.identity(), "good-01");
        assert_eq!(session.publish("plant/good-01/x", how, QoS::AtLeastOnce), Ok(Some(0)), "{how}");
        installation.broker.sees("plant/good-01/x", how);
    }
    // Back again, the authority gets what was decided meanwhile.
    installation.lab.restart();
    let mut operator = installation.lab.operator();
    until("the decisions of the outage", || {
        let decisions = operator.decisions("bad-01");
        (decisions.iter().filter(|decision| decision.reason == "revoked").count() >= 3).then_some(())
    });
}

/// R45: a feed file that is cut, empty, of another authority, or older than what was in force before: nobody gets
/// in on it, not even those who may.
#[test]
fn a_feed_file_that_cannot_be_trusted_opens_nothing() {
    let Some((mut installation, good, bad)) = installation_with_a_revoked_device() else { return };
    let file = feed_file(&installation.lab);
    let older = std::fs::read(&file).unwrap();
    installation.lab.operator().revoke("good-01");
    until("the gateway to know", || (knock(&installation.lab, &good).code == 0x87).then_some(()));
    let last = installation.enrol("last-01");
    installation.lab.kill_authority();
    installation.lab.stop_gateway();
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("cut by one octet", whole[..whole.len() - 1].to_vec()),
        ("cut in half", whole[..middle].to_vec()),
        ("empty", Vec::new()),
        ("zeros", vec![0; whole.len()]),
        ("one bit flipped", flipped),
        ("of another authority", foreign_feed()),
        ("older", older),
        ("twice", [whole.clone(), whole.clone()].concat()),
    ];
    for (name, octets) in rows {
        std::fs::write(&file, octets).unwrap();
        installation.lab.restart_gateway();
        for device in [&good, &bad, &last] {
            assert!(!gets_in(&installation.lab, device), "{name}: {}", device.name);
        }
        installation.lab.kill_gateway();
    }
    std::fs::remove_file(&file).unwrap();
    installation.lab.restart_gateway();
    assert!(!gets_in(&installation.lab, &last), "gone");
    installation.lab.kill_gateway();
    std::fs::write(&file, whole).unwrap();
    installation.lab.restart_gateway();
    assert_eq!(knock(&installation.lab, &last).code, 0, "the feed itself is good");
    assert_eq!(knock(&installation.lab, &good).code, 0x87);
}

/// The feed of an authority that has nothing to do with this one.
fn foreign_feed() -> Vec<u8> {
    let mut lab = Lab::start();
    lab.start_gateway(&[]);
    let file = lab.data().join("gateways/gateway-01/state/feed");
    until("its feed", || std::fs::read(&file).ok().filter(|octets| !octets.is_empty()))
}

/// R46: kill -9 of the gateway right after it granted something: the grant is in its log, with everything before
/// it, and the log verifies.
#[test]
fn a_killed_gateway_loses_no_decision_that_it_acted_on() {
    let Some(mut installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    for round in 0..5 {
        let (denied, allowed) = (format!("cmd/pump-02/{round}"), format!("cmd/pump-01/{round}"));
        let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
        assert_eq!(session.subscribe(&[&denied]), Ok(vec![0x87]));
        assert_eq!(session.subscribe(&[&allowed]), Ok(vec![1]));
        installation.lab.kill_gateway();
        installation.lab.restart_gateway();
        let mut operator = installation.lab.operator();
        operator.decided("pump-01", "subscribe", &allowed, "allow");
        operator.decided("pump-01", "subscribe", &denied, "deny");
    }
    let connects = installation.lab.operator().decisions("pump-01");
    let connects = connects.iter().filter(|decision| decision.action == "connect").count();
    assert_eq!(connects, 5);
    let outcome = touchmark_authority::audit::verify(&installation.lab.data(), None).unwrap();
    assert!(outcome.gateways[0].decisions >= 15, "{outcome:?}");
}
