//! Streams recorded from mosquitto: every packet is read, is in order, and is written again octet by octet.

use bytes::BytesMut;
use touchmark_mqtt::*;

const RECORDED: &str = include_str!("../golden/mosquitto-2.0.11.txt");

fn frames(octets: &[u8]) -> Vec<Frame> {
    let mut reader = FrameReader::new(1024);
    reader.push(octets);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        frames.push(frame);
    }
    assert_eq!(reader.unfinished(), 0);
    frames
}

#[test]
fn recorded_sessions_are_read_admitted_and_written_again() {
    let lines: Vec<(&str, Vec<u8>)> = RECORDED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, octets)| (name, hex::decode(octets).unwrap()))
        .collect();
    let mut packets = 0;
    for [(name, client), (_, server)] in lines.as_chunks::<2>().0 {
        let (client, server) = (frames(client), frames(server));
        let connect = client[0].parse_connect().unwrap();
        assert!(name.starts_with(&connect.version.to_string()), "{name}");
        let orders = [PacketOrder::from_client(), PacketOrder::from_server(&connect)];
        for (mut order, frames) in orders.into_iter().zip([&client, &server]) {
            for frame in frames {
                let packet = frame.parse(connect.version).unwrap_or_else(|e| panic!("{name}: {e}"));
                order.admit(&packet).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_same_when_written_again(name, connect.version, &packet, frame);
                packets += 1;
            }
        }
    }
    assert!(packets > 40, "{packets}");
}

/// mosquitto orders some properties otherwise than we do: then length and meaning must still be the same.
fn assert_same_when_written_again(name: &str, version: ProtocolVersion, packet: &Packet<'_>, frame: &Frame) {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(out.len(), frame.octets().len(), "{name}");
    if version == ProtocolVersion::V311 {
        assert_eq!(out, frame.octets(), "{name}");
    }
    let again = Frame::from_octets(out.freeze()).unwrap();
    assert_eq!(&again.parse(version).unwrap(), packet, "{name}");
}
