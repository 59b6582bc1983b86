//! MQTT 3.1.1 and 5, both directions: fragments change nothing, and what is accepted is written with the same meaning.
//!
//! Two octets choose the fragments and the reader's bound; the rest is a stream.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::Input;
use touchmark_mqtt::{
    Fault, Frame, FrameReader, Packet, PacketOrder, ProtocolVersion, TopicAliases, Unencodable,
};

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (fragments, bound) = (input.octet(), 16usize << (input.octet() % 12));
    let stream = input.rest();
    let (frames, fault) = read(bound, [stream]);
    for size in [1, usize::from(fragments) + 2] {
        assert_eq!(read(bound, stream.chunks(size)), (frames.clone(), fault), "fragments of {size}");
    }
    for frame in &frames {
        assert!(frame.octets().len() <= bound);
        assert_eq!(Frame::from_octets(frame.octets().clone()).as_ref(), Ok(frame));
        for version in VERSIONS {
            if let Ok(packet) = frame.parse(version) {
                keeps_its_meaning(version, &packet);
            }
        }
    }
    conversation(&frames);
});

fn read<'a>(bound: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Fault>) {
    let mut reader = FrameReader::new(bound);
    let mut frames = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => {
                    assert_eq!(
                        (reader.next_frame(), reader.unfinished()),
                        (Err(fault), 0),
                        "it stays at fault"
                    );
                    return (frames, Some(fault));
                }
            }
        }
    }
    (frames, None)
}

fn keeps_its_meaning(version: ProtocolVersion, packet: &Packet<'_>) {
    let mut out = BytesMut::from(b"before".as_slice());
    packet.encode(version, &mut out).expect("what was read can be written");
    let octets = out.split_off(6).freeze();
    let frame = Frame::from_octets(octets.clone()).expect("what was written is one packet");
    assert_eq!(frame.parse(version).as_ref(), Ok(packet));
    let max = octets.len() - 1;
    let too_long = Unencodable::TooLong { octets: octets.len(), max };
    assert_eq!(packet.encode_within(version, max, &mut out), Err(too_long));
    assert_eq!(&out[..], b"before", "a packet that does not fit leaves nothing behind");
    if let Packet::Publish(publish) = packet {
        assert_eq!(frame.share(publish.payload), publish.payload);
    }
}

/// The frames as a client's and then as a server's, in the order that the state machine takes them.
fn conversation(frames: &[Frame]) {
    let mut client = PacketOrder::from_client();
    let mut from_server = None;
    let mut version = ProtocolVersion::V5;
    let mut aliases = TopicAliases::new(4, 64);
    for frame in frames {
        let Ok(packet) = frame.parse(version) else { continue };
        let closed = client.is_closed();
        let admitted = client.admit(&packet);
        assert!(admitted.is_err() || !closed, "a packet after the last");
        if admitted.is_ok() {
            match &packet {
                Packet::Connect(connect) => {
                    assert!(from_server.is_none(), "CONNECT twice");
                    assert_eq!(frame.connect_version(), Some(connect.version));
                    version = connect.version;
                    from_server = Some(PacketOrder::from_server(connect));
                }
                Packet::Publish(publish) => {
                    assert!(from_server.is_some(), "PUBLISH before CONNECT");
                    if let Ok(topic) = aliases.resolve(publish) {
                        assert!(!topic.as_str().is_empty() && !topic.as_str().contains(['+', '#', '\0']));
                        assert!(publish.topic.is_none_or(|own| own == topic));
                    }
                }
                _ => assert!(from_server.is_some(), "{} before CONNECT", packet.packet_type()),
            }
        }
        if let Some(server) = &mut from_server {
            let closed = server.is_closed();
            assert!(server.admit(&packet).is_err() || !closed, "a packet after the server's last");
        }
    }
}
