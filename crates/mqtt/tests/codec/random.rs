//! Hostile and random input: nothing panics, and whatever is accepted is written again with the same meaning.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use touchmark_mqtt::*;

use crate::malformed::frame;
use crate::samples::samples;

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

/// Reads by both versions; what is accepted must survive writing and reading.
pub(crate) fn read_and_write_again(frame: &Frame) {
    for version in VERSIONS {
        let Ok(packet) = frame.parse(version) else { continue };
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).unwrap_or_else(|e| panic!("{packet:?}: {e}"));
        let again = Frame::from_octets(out.freeze()).unwrap();
        assert_eq!(again.parse(version), Ok(packet));
    }
}

#[test]
fn every_octet_of_every_packet_changed_to_every_value() {
    for sample in samples() {
        let octets = sample.octets();
        for at in 0..octets.len() {
            for flip in 1..=255u8 {
                let mut changed = octets.clone();
                changed[at] ^= flip;
                if let Ok(frame) = Frame::from_octets(Bytes::from(changed)) {
                    read_and_write_again(&frame);
                }
            }
        }
    }
}

#[test]
fn every_packet_cut_at_every_octet() {
    for sample in samples() {
        let whole = Frame::from_octets(Bytes::from(sample.octets())).unwrap();
        let first_octet = whole.octets()[0];
        for end in 0..whole.body().len() {
            read_and_write_again(&frame(first_octet, &whole.body()[..end]));
        }
        let longer = [whole.body(), b"\0"].concat();
        read_and_write_again(&frame(first_octet, &longer));
    }
}

fn text_octets() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,24}"
}

fn topic_levels() -> impl Strategy<Value = String> {
    "[a-z0-9$\u{e9}]{0,5}(/[a-z0-9$]{0,5}){1,4}"
}

proptest! {
    #[test]
    fn garbage_in_a_stream_never_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12)) {
        let mut reader = FrameReader::new(64);
        for chunk in &chunks {
            reader.push(chunk);
            while let Ok(Some(frame)) = reader.next_frame() {
                prop_assert!(frame.octets().len() <= 64);
                read_and_write_again(&frame);
            }
        }
    }

    #[test]
    fn garbage_behind_every_first_octet_never_panics(body in prop::collection::vec(any::<u8>(), 0..60)) {
        for first_octet in 0x10..=0xffu8 {
            if PacketType::from_first_octet(first_octet).is_ok() {
                read_and_write_again(&frame(first_octet, &body));
            }
        }
    }

    #[test]
    fn any_publish_survives(
        topic in topic_levels(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        (qos, number, duplicate, retain) in (0..3u8, 1..=u16::MAX, any::<bool>(), any::<bool>()),
        (expiry, content_type, correlation) in (any::<Option<u32>>(), prop::option::of(text_octets()), prop::option::of(prop::collection::vec(any::<u8>(), 0..20))),
        user in prop::collection::vec((text_octets(), text_octets()), 0..5),
        old in any::<bool>(),
    ) {
        let packet_id = PacketId::new(number).unwrap();
        let delivery = match qos {
            0 => Delivery::AtMostOnce,
            1 => Delivery::AtLeastOnce { packet_id, duplicate },
            _ => Delivery::ExactlyOnce { packet_id, duplicate },
        };
        let properties = PublishProperties {
            message_expiry_interval: expiry,
            content_type: content_type.as_deref().map(|t| Text::new(t).unwrap()),
            correlation_data: correlation.as_deref().map(|c| Binary::new(c).unwrap()),
            user_properties: user
                .iter()
                .map(|(name, value)| UserProperty { name: Text::new(name).unwrap(), value: Text::new(value).unwrap() })
                .collect(),
            ..Default::default()
        };
        let version = if old { ProtocolVersion::V311 } else { ProtocolVersion::V5 };
        let publish = Publish {
            retain,
            properties: if old { PublishProperties::default() } else { properties },
            ..Publish::new(delivery, TopicName::new(&topic).unwrap(), &payload)
        };
        let packet = Packet::from(publish);
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).unwrap();
        let frame = Frame::from_octets(out.freeze()).unwrap();
        prop_assert_eq!(frame.parse(version), Ok(packet));
    }

    #[test]
    fn any_connect_survives(
        (client_id, user_name) in (text_octets(), prop::option::of(text_octets())),
        password in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        (clean_start, keep_alive_s, expiry) in (any::<bool>(), any::<u16>(), any::<Option<u32>>()),
        will in prop::option::of((topic_levels(), prop::collection::vec(any::<u8>(), 0..200), 0..3u8, any::<bool>(), any::<Option<u32>>())),
    ) {
        let connect = Connect {
            clean_start,
            keep_alive_s,
            user_name: user_name.as_deref().map(|u| Text::new(u).unwrap()),
            password: password.as_deref().map(|p| Binary::new(p).unwrap()),
            will: will.as_ref().map(|(topic, payload, qos, retain, delay)| Will {
                topic: TopicName::new(topic).unwrap(),
                payload: Binary::new(payload).unwrap(),
                qos: QoS::from_bits(*qos).unwrap(),
                retain: *retain,
                properties: WillProperties { will_delay_interval: *delay, ..Default::default() },
            }),
            properties: ConnectProperties { session_expiry_interval: expiry, ..Default::default() },
            ..Connect::new(ProtocolVersion::V5, Text::new(&client_id).unwrap())
        };
        let mut out = BytesMut::new();
        connect.encode(&mut out).unwrap();
        let frame = Frame::from_octets(out.freeze()).unwrap();
        prop_assert_eq!(frame.parse_connect(), Ok(connect));
    }
}
