//! Revocation: how fast a live session ends, whom it leaves alone, and what the revoked one is told afterwards.

use crate::installation::{Enrolled, Installation, run};
use std::time::{Duration, Instant};
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{Mqtt, program, until};

const RUNS: usize = 20;
const INNOCENTS: usize = 200;
/// From the beginning of the call to the end of the socket.
const END_MAX: Duration = Duration::from_secs(2);

/// A minute where the whole proof is wanted, less where people wait for the tests.
fn reconnecting() -> Duration {
    match std::env::var("TOUCHMARK_RECONNECT_S") {
        Ok(seconds) => Duration::from_secs(seconds.parse().unwrap()),
        Err(_) if std::env::var_os("CI").is_some() => Duration::from_secs(60),
        Err(_) => Duration::from_secs(10),
    }
}

/// R45: twenty times: enrol, connect, publish, revoke; the socket ends within two seconds of the call, and
/// two hundred innocent connections on the same listener keep theirs.
#[test]
fn a_revoked_device_is_off_within_two_seconds_and_others_stay() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let devices: Vec<Enrolled> = (0..INNOCENTS).map(|n| installation.enrol(&format!("good-{n}"))).collect();
    let mut innocents: Vec<Mqtt> = devices
        .iter()
        .map(|device| Mqtt::welcome(&installation.lab, device.identity(), &device.name))
        .collect();
    let mut times = Vec::new();
    for n in 0..RUNS {
        let device = installation.enrol(&format!("victim-{n}"));
        let mut session = Mqtt::welcome(&installation.lab, device.identity(), &device.name);
        let topic = format!("plant/{}/temp", device.name);
        assert_eq!(session.publish(&topic, "21", QoS::AtLeastOnce), Ok(Some(0)));
        installation.broker.sees(&topic, "21");
        let begun = Instant::now();
        let (outcome, (ended, last)) = std::thread::scope(|scope| {
            let ended = scope.spawn(|| session.end());
            (operator.revoke(&device.name), ended.join().unwrap())
        });
        let took = ended - begun;
        assert!(took <= END_MAX, "run {n}: {took:?}");
        assert_eq!(last.unwrap().body()[0], 0x98, "run {n}: DISCONNECT, administrative action");
        assert_eq!(outcome.sessions_closed, 1, "run {n}: {outcome:?}");
        assert_eq!(outcome.gateways.len(), 1, "run {n}: {outcome:?}");
        times.push(took);
    }
    for (innocent, device) in innocents.iter_mut().zip(&devices) {
        assert!(innocent.is_alive(), "{} lost its connection", device.name);
    }
    times.sort_unstable();
    println!("socket's end after the call: median {:?}, worst {:?}", times[RUNS / 2], times[RUNS - 1]);
}

/// Forty attempts a second: a device that hammers.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

/// R45, R46: whoever was revoked is told so in its own protocol, and every attempt is denied and recorded.
#[test]
fn a_revoked_device_that_comes_back_is_told_and_recorded_each_time() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    let innocent = installation.enrol("pump-02");
    drop(Mqtt::welcome(&installation.lab, device.identity(), "pump-01"));
    operator.decided("pump-01", "connect", "pump-01", "allow");
    operator.revoke("pump-01");

    let begun = Instant::now();
    let mut attempts = 0;
    while begun.elapsed() < reconnecting() {
        let version = if attempts % 2 == 0 { ProtocolVersion::V5 } else { ProtocolVersion::V311 };
        // Below the limit for one device, above which attempts are only counted.
        let due = BETWEEN_ATTEMPTS * u32::try_from(attempts).unwrap();
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let mut session = Mqtt::dial(&installation.lab, Some(device.identity()), version).unwrap();
        let greeted = session.hello("pump-01").unwrap();
        attempts += 1;
        match version {
            ProtocolVersion::V5 => {
                assert_eq!(greeted.code, 0x87, "{greeted:?}");
                assert!(greeted.says.starts_with("revoked"), "{greeted:?}");
            }
            ProtocolVersion::V311 => assert_eq!(greeted.code, 0x05),
        }
        session.end();
    }
    println!("{attempts} attempts in {:?}", begun.elapsed());
    let denied = until("every attempt among the decisions", || {
        let denied = operator.all_decisions("?device=pump-01&verdict=deny&limit=100000");
        (denied.len() >= attempts).then_some(denied)
    });
    assert_eq!(denied.len(), attempts);
    assert!(denied.iter().all(|decision| decision.reason == "revoked" && decision.action == "connect"));
    let mut session = Mqtt::welcome(&installation.lab, innocent.identity(), "pump-02");
    assert_eq!(session.publish("plant/pump-02/x", "1", QoS::AtLeastOnce), Ok(Some(0)));
    installation.broker.sees("plant/pump-02/x", "1");
}

/// R45: mosquitto's clients hear it, too.
#[test]
fn mosquitto_clients_are_told_that_they_were_revoked() {
    let (Some(installation), Some(publisher)) = (Installation::start(), program("mosquitto_pub")) else {
        return;
    };
    let device = installation.enrol("pump-01");
    installation.lab.operator().revoke("pump-01");
    until("the gateway to know", || {
        let mut session =
            Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
        (session.hello("pump-01").unwrap().code == 0x87).then_some(())
    });
    for version in ["5", "311"] {
        let words = installation.as_mosquitto(&device, version);
        let (exit, says) = run(&publisher, &words, &["-q", "1", "-t", "plant/pump-01/x", "-m", "forged"]);
        assert_ne!(exit, Some(0), "{version}: {says}");
        assert!(says.to_lowercase().contains("not authori"), "{version}: {says}");
    }
    assert!(installation.broker.seen_until_now().is_empty());
}

/// After a revocation a new token and a new key bring the device back; the old key stays out.
#[test]
fn a_revoked_device_comes_back_with_a_new_key() {
    let Some(installation) = Installation::start() else { return };
    let old = installation.enrol("pump-01");
    installation.lab.operator().revoke("pump-01");
    let new = installation.enrol("pump-01");
    let mut session = until("the new one to be welcome", || {
        let mut session = Mqtt::dial(&installation.lab, Some(new.identity()), ProtocolVersion::V5).unwrap();
        (session.hello("pump-01").unwrap().code == 0).then_some(session)
    });
    assert_eq!(session.publish("plant/pump-01/x", "back", QoS::AtLeastOnce), Ok(Some(0)));
    installation.broker.sees("plant/pump-01/x", "back");
    let mut session = Mqtt::dial(&installation.lab, Some(old.identity()), ProtocolVersion::V5).unwrap();
    assert_eq!(session.hello("pump-01").unwrap().code, 0x87);
}
