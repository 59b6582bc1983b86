//! What one permitted device can make the gateway and the authority grow by, and what a kill takes from the log.

use crate::installation::{Enrolled, Installation};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use touchmark_authority::audit::verify;
use touchmark_mqtt::{Delivery, Packet, ProtocolVersion, Publish, QoS, TopicName};
use touchmark_tests::{Lab, Mqtt, Operator, until};

/// What the authority's files may grow by meanwhile: database, journal and archives together.
const GROWTH_MAX: u64 = 5 * 1000 * 1000;
/// Publishes of each device before the kill.
const ACKNOWLEDGED: usize = 300;
/// 50 ms are promised; the rest is for a client that reads its acknowledgements late on a busy machine.
const LOST_AT_MOST: Duration = Duration::from_millis(400);

/// A million where the whole proof is wanted.
fn topics() -> usize {
    if std::env::var_os("TOUCHMARK_LONG_TESTS").is_some_and(|value| value == "1") {
        1_000_000
    } else {
        100_000
    }
}

/// Octets of all files below a folder, without the reserve that is there to be given back.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) if entry.file_name() != "disk-reserve" => found.len(),
        // Temporary files come and go.
        _ => 0,
    };
    entries.map(of).sum()
}

/// Publishes that the authority has counted as allowed.
fn counted(operator: &mut Operator, device: &str) -> u64 {
    let decisions = operator.all_decisions(&format!("?device={device}&limit=100000"));
    let allowed = decisions.iter().filter(|d| d.action == "publish" && d.verdict == "allow");
    allowed.map(|decision| decision.count).sum()
}

/// Publishes until the connection ends; when each was acknowledged.
fn publish_on(lab: &Lab, device: &Enrolled, all: &AtomicUsize) -> Vec<Instant> {
    let mut session = Mqtt::welcome(lab, device.identity(), &device.name);
    let (topic, mut acknowledged) = (format!("plant/{}/x", device.name), Vec::new());
    while let Ok(Some(0)) = session.publish(&topic, "x", QoS::AtLeastOnce) {
        acknowledged.push(Instant::now());
        all.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// R46: acknowledged publishes that a kill takes are those of a moment, the last ones, and the log says so.
#[test]
fn a_kill_under_load_takes_the_acts_of_a_moment_and_shows() {
    let Some(mut installation) = Installation::start() else { return };
    let devices = ["load-01", "load-02", "load-03"].map(|name| installation.enrol(name));
    let all = AtomicUsize::new(0);
    let acknowledged: Vec<Vec<Instant>> = std::thread::scope(|scope| {
        let publishing: Vec<_> = devices
            .iter()
            .map(|device| scope.spawn(|| publish_on(&installation.lab, device, &all)))
            .collect();
        until("publishes under way", || {
            (all.load(Ordering::Relaxed) >= ACKNOWLEDGED * devices.len()).then_some(())
        });
        installation.lab.gateway().killer().kill();
        publishing.into_iter().map(|publishing| publishing.join().unwrap()).collect()
    });
    installation.lab.kill_gateway();
    installation.lab.restart_gateway();
    let shown = until("the audit to show the gap", || {
        let outcome = verify(&installation.lab.data(), None).unwrap();
        let gateway = outcome.gateways.into_iter().find(|gateway| gateway.gateway == "gateway-01")?;
        (gateway.gaps == 1 && gateway.covered == gateway.frames).then_some(gateway)
    });
    let gap = shown.last_gap.unwrap();
    println!("{gap}");
    assert!(gap.starts_with("from dec_gateway-01.1.") && gap.contains("50 ms"), "{gap}");
    let mut operator = installation.lab.operator();
    for (device, acknowledged) in devices.iter().zip(acknowledged) {
        let kept = usize::try_from(counted(&mut operator, &device.name)).unwrap();
        let lost = acknowledged.get(kept..).unwrap_or_default();
        println!(
            "{}: {} acknowledged, {} of them not in the log",
            device.name,
            acknowledged.len(),
            lost.len()
        );
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            assert!(last.duration_since(*first) <= LOST_AT_MOST, "{}", device.name);
        }
    }
}

/// R46, R107: topics of its own choice are all counted, and take little of anybody's disk.
#[test]
fn a_permitted_device_with_ever_new_topics_fills_no_disk() {
    let Some(installation) = Installation::start() else { return };
    let (device, other) = (installation.enrol("pump-01"), installation.enrol("pump-02"));
    let doomed = ["pump-10", "pump-11", "pump-12", "pump-13"].map(|name| installation.enrol(name).name);
    let mut operator = installation.lab.operator();
    let (data, topics) = (installation.lab.data(), topics());
    let before = size(&data);
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    for chunk in 0..topics / 1_000 {
        let mut octets = bytes::BytesMut::new();
        for n in 0..1_000 {
            let topic = format!("plant/pump-01/of-its-own/{chunk}/{n}");
            let publish = Publish::new(Delivery::AtMostOnce, TopicName::new(&topic).unwrap(), b"x");
            Packet::from(publish).encode(ProtocolVersion::V5, &mut octets).unwrap();
        }
        session.send_octets(&octets).unwrap();
        if chunk % (topics / 1_000 / doomed.len()) == 0 {
            operator.revoke(&doomed[chunk / (topics / 1_000 / doomed.len())]);
        }
    }
    assert_eq!(session.publish("plant/pump-01/last", "x", QoS::AtLeastOnce), Ok(Some(0)));
    // Meanwhile and afterwards another device is served, and recorded one by one.
    let mut quiet = Mqtt::welcome(&installation.lab, other.identity(), "pump-02");
    assert_eq!(quiet.publish("plant/pump-02/t", "x", QoS::AtLeastOnce), Ok(Some(0)));
    operator.decided("pump-02", "publish", "plant/pump-02/t", "allow");
    until("all of them at the authority", || {
        (counted(&mut operator, "pump-01") == topics as u64 + 1).then_some(())
    });
    let grown = size(&data).saturating_sub(before);
    println!("{topics} topics: {grown} octets");
    assert!(grown <= GROWTH_MAX, "{grown} octets");
    let explained = serde_json::to_vec(&operator.explain("pump-01").unwrap()).unwrap();
    println!("explain: {} octets", explained.len());
    assert!(explained.len() <= 200 * 1000, "{} octets", explained.len());
    operator.revoke("pump-01");
    until("the session to end", || (!session.is_alive()).then_some(()));
}
