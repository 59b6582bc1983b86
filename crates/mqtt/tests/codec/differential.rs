//! Against mqtt-protocol-core 0.7, an independent codec: every sample and every changed octet is judged by both.
//!
//! Where the verdicts differ, the case falls under a heading (version, packet, our reason or its error). The list of
//! headings is checked in: a new one fails, and so does one that no longer occurs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::catch_unwind;
use std::sync::Arc;

use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use touchmark_mqtt::{Frame, PacketType, ProtocolVersion};

use crate::samples::samples;

/// Samples that the oracle refuses although the standard allows them.
const REFUSED_SAMPLES: [(&str, &str); 1] = [
    // A password without a user name (MQTT 5.0 §3.1.2.9).
    ("connect-full", "5.0 CONNECT: only we accept; they say ProtocolError"),
];

/// Stands at the top of the list.
const HEADER: &str = "\
# VERSION PACKET: DIVERGENCE | FIRST EXAMPLE; rewritten by TOUCHMARK_BLESS=1
# Only they accept: each is something that a MUST of the standard forbids, but for `$share` in 3.1.1, which the
# standard does not know and brokers do.
# Only we accept: CONNECT of 5.0 with a password alone (3.1.2.9); DISCONNECT with 0x8C (listed in 2.4, not in 3.14).
";

const DIVERGENCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/divergences.txt");

/// The oracle's verdict on one body, all of which must be consumed.
fn oracle(version: ProtocolVersion, frame: &Frame) -> Result<(), MqttError> {
    macro_rules! parse {
        ($packet:ty) => {{
            let (_, consumed) = <$packet>::parse(frame.body())?;
            if consumed == frame.body().len() { Ok(()) } else { Err(MqttError::MalformedPacket) }
        }};
    }
    let flags = frame.octets()[0] & 0x0f;
    let body: Arc<[u8]> = Arc::from(frame.body());
    match (version, frame.packet_type()) {
        (ProtocolVersion::V311, packet) => match packet {
            PacketType::Connect => parse!(v3_1_1::Connect),
            PacketType::Connack => parse!(v3_1_1::Connack),
            PacketType::Publish => v3_1_1::Publish::parse(flags, body).map(|_| ()),
            PacketType::Puback => parse!(v3_1_1::Puback),
            PacketType::Pubrec => parse!(v3_1_1::Pubrec),
            PacketType::Pubrel => parse!(v3_1_1::Pubrel),
            PacketType::Pubcomp => parse!(v3_1_1::Pubcomp),
            PacketType::Subscribe => parse!(v3_1_1::Subscribe),
            PacketType::Suback => parse!(v3_1_1::Suback),
            PacketType::Unsubscribe => parse!(v3_1_1::Unsubscribe),
            PacketType::Unsuback => parse!(v3_1_1::Unsuback),
            PacketType::Pingreq => parse!(v3_1_1::Pingreq),
            PacketType::Pingresp => parse!(v3_1_1::Pingresp),
            PacketType::Disconnect => parse!(v3_1_1::Disconnect),
            PacketType::Auth => Err(MqttError::MalformedPacket),
        },
        (ProtocolVersion::V5, packet) => match packet {
            PacketType::Connect => parse!(v5_0::Connect),
            PacketType::Connack => parse!(v5_0::Connack),
            PacketType::Publish => v5_0::Publish::parse(flags, body).map(|_| ()),
            PacketType::Puback => parse!(v5_0::Puback),
            PacketType::Pubrec => parse!(v5_0::Pubrec),
            PacketType::Pubrel => parse!(v5_0::Pubrel),
            PacketType::Pubcomp => parse!(v5_0::Pubcomp),
            PacketType::Subscribe => parse!(v5_0::Subscribe),
            PacketType::Suback => parse!(v5_0::Suback),
            PacketType::Unsubscribe => parse!(v5_0::Unsubscribe),
            PacketType::Unsuback => parse!(v5_0::Unsuback),
            PacketType::Pingreq => parse!(v5_0::Pingreq),
            PacketType::Pingresp => parse!(v5_0::Pingresp),
            PacketType::Disconnect => parse!(v5_0::Disconnect),
            PacketType::Auth => parse!(v5_0::Auth),
        },
    }
}

/// The heading under which the two verdicts differ, if they do.
fn heading(version: ProtocolVersion, frame: &Frame) -> Option<String> {
    // A CONNECT of the other version is the other parser's.
    let version = frame.connect_version().unwrap_or(version);
    let packet = frame.packet_type();
    let theirs = catch_unwind(|| oracle(version, frame));
    match (frame.parse(version), theirs) {
        (Ok(_), Ok(Ok(()))) | (Err(_), Ok(Err(_))) => None,
        (Ok(_), Ok(Err(error))) => Some(format!("{version} {packet}: only we accept; they say {error:?}")),
        (Err(fault), Ok(Ok(()))) => Some(format!("{version} {packet}: only they accept; we say {fault}")),
        (_, Err(_)) => Some(format!("{version} {packet}: they panic")),
    }
}

#[test]
fn every_sample_is_accepted_by_both_but_for_the_listed() {
    for sample in samples() {
        let known = REFUSED_SAMPLES.iter().find(|(name, _)| *name == sample.name).map(|(_, why)| *why);
        let frame = Frame::from_octets(Bytes::from(sample.octets())).unwrap();
        assert_eq!(heading(sample.version, &frame).as_deref(), known, "{} {}", sample.version, sample.name);
    }
}

#[test]
fn every_divergence_on_changed_octets_is_known() {
    let mut found = BTreeMap::<String, String>::new();
    for sample in samples() {
        let octets = sample.octets();
        for at in 0..octets.len() {
            for flip in 1..=255u8 {
                let mut changed = octets.clone();
                changed[at] ^= flip;
                let Ok(frame) = Frame::from_octets(Bytes::from(changed)) else { continue };
                if let Some(heading) = heading(sample.version, &frame) {
                    found.entry(heading).or_insert_with(|| hex::encode(frame.octets()));
                }
            }
        }
    }
    let mut written = String::from(HEADER);
    for (heading, example) in &found {
        writeln!(written, "{heading} | {example}").unwrap();
    }
    if std::env::var_os("TOUCHMARK_BLESS").is_some() {
        std::fs::write(DIVERGENCES, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(DIVERGENCES).unwrap_or_default(), written);
}
