//! Framing: fragments, bounds, and what stays in memory.

use bytes::{BufMut, Bytes};
use touchmark_mqtt::*;

use crate::samples::samples;

#[test]
fn octet_by_octet_gives_the_same_packets_as_all_at_once() {
    let all: Vec<Vec<u8>> = samples().iter().map(|sample| sample.octets()).collect();
    for chunk in [1, 2, 3, 7, 64, 100_000] {
        let mut reader = FrameReader::new(4096);
        let mut frames = Vec::new();
        for piece in all.concat().chunks(chunk) {
            reader.push(piece);
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame.into_octets().to_vec());
            }
        }
        assert_eq!(frames, all, "chunks of {chunk}");
        assert_eq!(reader.unfinished(), 0);
    }
}

#[test]
fn the_bound_holds_at_the_limit_and_one_above_for_every_length_of_header() {
    for remaining in [0usize, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let mut octets = vec![0x30];
        let mut rest = remaining;
        loop {
            let more = rest >= 128;
            octets.push((rest % 128) as u8 | if more { 0x80 } else { 0 });
            rest /= 128;
            if !more {
                break;
            }
        }
        let packet_octets = octets.len() + remaining;
        let mut strict = FrameReader::new(packet_octets - 1);
        strict.push(&octets);
        // Before one octet of the body came.
        let fault = Fault::PacketTooLarge { octets: packet_octets, max: packet_octets - 1 };
        assert_eq!(strict.next_frame(), Err(fault), "{remaining}");
        assert_eq!(fault.reason_code(), ReasonCode::PacketTooLarge);

        let mut exact = FrameReader::new(packet_octets);
        exact.push(&octets);
        exact.push(&vec![0; remaining]);
        let frame = exact.next_frame().unwrap().unwrap_or_else(|| panic!("{remaining}"));
        assert_eq!(frame.octets().len(), packet_octets);
        assert_eq!(frame.body().len(), remaining);
    }
}

#[test]
fn an_announced_length_reserves_no_memory() {
    let mut reader = FrameReader::new(PACKET_OCTETS_MAX);
    reader.push(b"\x30\xff\xff\xff\x7f");
    assert_eq!(reader.next_frame(), Ok(None));
    assert!(reader.buffer_mut().capacity() < 1024);
}

#[test]
fn bad_headers_are_refused_at_the_first_octet_that_shows_it() {
    let rows: [(&str, &[u8]); 12] = [
        ("packet type 0", b"\x00"),
        ("reserved bit in CONNECT", b"\x11"),
        ("reserved bit in CONNACK", b"\x28"),
        ("reserved bit in PUBACK", b"\x42"),
        ("PUBREL without its bit", b"\x60"),
        ("SUBSCRIBE without its bit", b"\x80"),
        ("SUBSCRIBE with another bit", b"\x83"),
        ("UNSUBSCRIBE without its bit", b"\xa0"),
        ("reserved bit in PINGREQ", b"\xc1"),
        ("reserved bit in AUTH", b"\xf1"),
        ("length of five octets", b"\x30\x80\x80\x80\x80"),
        ("length with an empty last octet", b"\x30\x80\x00"),
    ];
    for (name, octets) in rows {
        let mut reader = FrameReader::new(PACKET_OCTETS_MAX);
        reader.push(octets);
        let fault = reader.next_frame().unwrap_err();
        assert!(matches!(fault, Fault::Malformed { .. }), "{name}: {fault}");
        // The stream is lost: what follows is not read.
        reader.push(b"\xc0\x00");
        assert_eq!(reader.next_frame(), Err(fault), "{name}");
        assert_eq!(reader.unfinished(), 0, "{name}");
    }
}

#[test]
fn a_frame_is_exactly_one_packet() {
    let rows: [(&str, &'static [u8]); 4] = [
        ("nothing", b""),
        ("half a header", b"\xc0"),
        ("too short", b"\x40\x02\x00"),
        ("two packets", b"\xc0\x00\xc0\x00"),
    ];
    for (name, octets) in rows {
        assert!(Frame::from_octets(Bytes::from_static(octets)).is_err(), "{name}");
    }
}

#[test]
fn another_bound_counts_from_the_next_packet_on() {
    let mut reader = FrameReader::new(4);
    reader.push(b"\x30\x02\x00");
    assert_eq!(reader.next_frame(), Ok(None));
    reader.set_packet_octets_max(2);
    reader.push(b"\x00\x30\x02");
    assert!(reader.next_frame().unwrap().is_some());
    assert_eq!(reader.next_frame(), Err(Fault::PacketTooLarge { octets: 4, max: 2 }));
}

#[test]
fn the_buffer_can_be_filled_in_place_and_given_back() {
    let mut reader = FrameReader::new(100);
    reader.buffer_mut().put_slice(b"\xc0\x00\xc0");
    assert_eq!(reader.next_frame().unwrap().unwrap().packet_type(), PacketType::Pingreq);
    reader.release();
    assert_eq!(reader.unfinished(), 1, "an unfinished packet is kept");
    reader.push(b"\x00");
    assert!(reader.next_frame().unwrap().is_some());
    reader.release();
    assert_eq!(reader.buffer_mut().capacity(), 0);
}

#[test]
fn a_payload_can_be_shared_without_a_copy() {
    let frame = Frame::from_octets(Bytes::from_static(b"\x30\x06\x00\x01tabc")).unwrap();
    let Packet::Publish(publish) = frame.parse(ProtocolVersion::V311).unwrap() else { panic!() };
    let payload = frame.share(publish.payload);
    assert_eq!(payload, "abc");
    assert_eq!(payload.as_ptr(), publish.payload.as_ptr());
    assert_eq!(frame.share(b"from elsewhere"), "from elsewhere");
}
