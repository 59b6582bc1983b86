//! MQTT under abuse: packets that are no packets, topics that want elsewhere, silence. Each row of docs/abuse.md.

use crate::installation::{Enrolled, Installation};
use std::time::{Duration, Instant};
use touchmark_mqtt::{Packet, ProtocolVersion, QoS};
use touchmark_tests::{Meter, Mqtt, same_as_promised, until};

/// The gateway's largest packet, and one octet more.
const TOO_LARGE: usize = 256 * 1024 + 1;
const REPEATS: u32 = 20;
const MEMORY_MAX_KIB: u64 = 10 * 1024;
/// A session from handshake to end, of a build without optimisation.
const PROCESSOR_MAX: Duration = Duration::from_millis(5);

/// One PUBLISH of QoS 1 (version 5, no properties) with any topic octets.
fn publish(flags: u8, topic: &[u8], packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic);
    if flags & 0b0110 != 0 {
        body.extend_from_slice(&packet_id.to_be_bytes());
    }
    body.push(0);
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

/// One PUBLISH of QoS 1 on a topic of the device's own, that asks for answers on this one.
fn asking(answers: &[u8]) -> Vec<u8> {
    let topic = b"plant/pump-01/x";
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic);
    body.extend_from_slice(&1_u16.to_be_bytes());
    body.push(answers.len() as u8 + 3);
    body.push(0x08);
    body.extend_from_slice(&(answers.len() as u16).to_be_bytes());
    body.extend_from_slice(answers);
    body.extend_from_slice(b"forged");
    packet(0x32, &body)
}

/// A packet with its length in front.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let octet = (rest % 128) as u8;
        rest /= 128;
        out.push(if rest > 0 { octet | 0x80 } else { octet });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// Reads one answer, as the page words it: `PUBACK 0x90`, `DISCONNECT 0x81`, `closed`.
fn answer(session: &mut Mqtt) -> String {
    let Ok(Some(frame)) = session.packet() else { return "closed".to_owned() };
    match frame.parse(ProtocolVersion::V5).unwrap() {
        Packet::Puback(answer) => format!("PUBACK {:#04x}", answer.reason.octet()),
        Packet::Suback(answer) => format!("SUBACK {:#04x}", answer.reasons[0].octet()),
        Packet::Connack(answer) => format!("CONNACK {:#04x}", answer.reason.octet()),
        Packet::Disconnect(answer) => format!("DISCONNECT {:#04x}", answer.reason.octet()),
        other => format!("{other:?}"),
    }
}

/// What is sent after CONNACK.
fn rows() -> Vec<(&'static str, Vec<u8>)> {
    let qos1 = 0b0010;
    let levels = ["plant/pump-01", &"/a".repeat(40)].concat();
    let long = ["plant/pump-01/", &"a".repeat(2000)].concat();
    vec![
        ("topic with `..`", publish(qos1, b"plant/pump-01/../pump-02/x", 1, b"forged")),
        ("topic with `.`", publish(qos1, b"plant/pump-01/./x", 1, b"forged")),
        ("topic with an empty level", publish(qos1, b"plant/pump-01//x", 1, b"forged")),
        ("topic with an empty last level", publish(qos1, b"plant/pump-01/", 1, b"forged")),
        ("topic of 42 levels", publish(qos1, levels.as_bytes(), 1, b"forged")),
        ("topic of 2000 octets", publish(qos1, long.as_bytes(), 1, b"forged")),
        ("topic of another device", publish(qos1, b"plant/pump-02/x", 1, b"forged")),
        ("topic of the broker", publish(qos1, b"$SYS/broker/x", 1, b"forged")),
        ("topic that only begins like its own", publish(qos1, b"plant/pump-011/x", 1, b"forged")),
        ("response topic of another device", asking(b"cmd/pump-02/x")),
        ("response topic that it may only publish on", asking(b"plant/pump-01/x")),
        ("topic with `#`", publish(qos1, b"plant/pump-01/#", 1, b"forged")),
        ("topic with `+`", publish(qos1, b"plant/+/x", 1, b"forged")),
        ("topic with NUL", publish(qos1, b"plant/pump-01/\0", 1, b"forged")),
        ("topic that is no UTF-8", publish(qos1, b"plant/pump-01/\xff", 1, b"forged")),
        ("empty topic", publish(qos1, b"", 1, b"forged")),
        ("packet id 0", publish(qos1, b"plant/pump-01/x", 0, b"forged")),
        ("QoS 3", publish(0b0110, b"plant/pump-01/x", 1, b"forged")),
        ("packet of 256 KiB and one octet", publish(qos1, b"plant/pump-01/x", 1, &vec![0; TOO_LARGE])),
        ("packet that says 256 MB", vec![0x32, 0xff, 0xff, 0xff, 0x7f]),
        ("length of five octets", vec![0x32, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("reserved packet type", packet(0x00, &[])),
        ("packet that only servers send", packet(0x20, &[0, 0, 0])),
        ("second CONNECT", packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00")),
        ("SUBSCRIBE with wrong flags", packet(0x80, b"\x00\x01\x00\x00\x01a\x01")),
        ("SUBSCRIBE without a filter", packet(0x82, b"\x00\x01\x00")),
        ("filter with `#` in the middle", packet(0x82, b"\x00\x01\x00\x00\x05a/#/b\x01")),
        ("filter with an empty level", packet(0x82, b"\x00\x01\x00\x00\x0ecmd/pump-01//#\x01")),
        ("filter over everything", packet(0x82, b"\x00\x01\x00\x00\x01#\x01")),
        ("HTTP request", b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n".to_vec()),
    ]
}

/// R36, R47: each abuse gets the answer that the page promises, costs little, and reaches nobody; the next device
/// is served.
#[test]
fn broken_packets_and_foreign_topics_get_their_answer_and_reach_nobody() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let innocent = installation.enrol("good-01");
    let mut beside = Mqtt::welcome(&installation.lab, innocent.identity(), "good-01");
    let mut tested = Vec::new();
    for (name, octets) in rows() {
        let meter = Meter::begin(installation.lab.gateway());
        let mut answers: Vec<String> =
            (0..REPEATS).map(|_| abused(&installation, &device, &octets)).collect();
        let cost = meter.end(REPEATS);
        answers.dedup();
        println!("{name:<40} {answers:?} {cost:?}");
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert!(cost.memory_kib <= MEMORY_MAX_KIB, "{name}: {cost:?}");
        assert!(cost.processor <= PROCESSOR_MAX, "{name}: {cost:?}");
        let begun = Instant::now();
        assert_eq!(beside.publish("plant/good-01/x", name, QoS::AtLeastOnce), Ok(Some(0)), "{name}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{name}: {:?}", begun.elapsed());
        tested.push((name, answers.remove(0)));
    }
    let seen = installation.broker.seen_until_now();
    assert_eq!(seen.len(), tested.len(), "{seen:?}");
    assert!(seen.iter().all(|(topic, _)| topic == "plant/good-01/x"), "{seen:?}");
    // Where a session goes on after its answer, each denial is a decision, in the order of the rows.
    let answered = tested.iter().filter(|(_, answer)| !answer.starts_with("DISCONNECT")).count();
    let mut operator = installation.lab.operator();
    let denied = until("every denial among the decisions", || {
        let denied = operator.all_decisions("?device=pump-01&verdict=deny");
        (denied.len() == answered * REPEATS as usize).then_some(denied)
    });
    let mut reasons = denied.chunks(REPEATS as usize).map(|repeated| {
        assert!(repeated.iter().all(|decision| decision.reason == repeated[0].reason), "{repeated:?}");
        repeated[0].reason.as_str()
    });
    let tested: Vec<_> = tested
        .into_iter()
        .map(|(name, answer)| {
            let code = if answer.starts_with("DISCONNECT") { "" } else { reasons.next().unwrap() };
            (name, answer, code)
        })
        .collect();
    same_as_promised("MQTT", tested);
}

fn abused(installation: &Installation, device: &Enrolled, octets: &[u8]) -> String {
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    // The gateway may well close before it has read everything.
    let _ = session.send_octets(octets);
    answer(&mut session)
}

/// What comes octet by octet is the same packet.
#[test]
fn packets_in_fragments_of_one_octet_are_whole_packets() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let mut session = Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
    let connect = packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x07pump-01");
    for octet in connect.chunks(1) {
        session.send_octets(octet).unwrap();
    }
    assert_eq!(answer(&mut session), "CONNACK 0x00");
    for (topic, expected) in [("plant/pump-01/x", "PUBACK 0x00"), ("plant/pump-02/x", "PUBACK 0x87")] {
        for octet in publish(0b0010, topic.as_bytes(), 7, b"in pieces").chunks(1) {
            session.send_octets(octet).unwrap();
        }
        assert_eq!(answer(&mut session), expected);
    }
    installation.broker.sees("plant/pump-01/x", "in pieces");
    assert_eq!(installation.broker.seen_until_now().len(), 1);
}

/// First packets that are no CONNECT, or one of another protocol, and silence instead of one.
#[test]
fn a_connection_that_does_not_begin_with_connect_ends() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let rows: [(&str, Vec<u8>); 6] = [
        ("PUBLISH first", publish(0b0010, b"plant/pump-01/x", 1, b"forged")),
        ("HTTP first", b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n".to_vec()),
        ("MQTT version 6", packet(0x10, b"\x00\x04MQTT\x06\x02\x00\x3c\x00\x00\x07pump-01")),
        ("MQTT 3.1", packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x07pump-01")),
        ("CONNECT of 100 KB", packet(0x10, &vec![0; 100_000])),
        ("nothing", Vec::new()),
    ];
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for (name, octets) in &rows {
            let (installation, device) = (&installation, &device);
            scope.spawn(move || {
                let mut session =
                    Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
                let _ = session.send_octets(octets);
                let (ended, last) = session.end();
                println!("{name}: {last:?} after {:?}", ended - begun);
                let welcome = last.is_some_and(|frame| frame.octets()[0] == 0x20 && frame.body()[1] == 0);
                assert!(!welcome, "{name}");
                assert!(ended - begun < Duration::from_secs(20), "{name}");
            });
        }
    });
    assert!(installation.broker.seen_until_now().is_empty());
    let mut operator = installation.lab.operator();
    until("the wrong version among the decisions", || {
        let decisions = operator.decisions("pump-01");
        decisions.iter().any(|decision| decision.reason == "protocol-unsupported").then_some(())
    });
}
