//! The octets of a frame: stored form, size, limits, damage.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use support::*;
use touchmark_decisions::{BadFrame, FRAME_OCTETS_MAX, Frame, FrameBuilder, FrameFull, Record, Verdict};

/// Stored bytes: a change here makes every log in the field unreadable.
#[test]
fn one_of_each_record_has_the_stored_bytes_and_reads_back() {
    let octets = build(3, 1042, &every_record_of_version_2());
    golden("every-record-2", &octets);
    let frame = Frame::decode(&octets).unwrap();
    assert_eq!(frame.records, every_record_of_version_2());
    assert_eq!((frame.log_epoch, frame.first_sequence, frame.gateway.clone()), (3, 1042, gateway()));
    assert_eq!(frame.next_sequence(), 1042 + 9 + 703);
}

/// What gateways wrote before: these bytes are never written again, and are read for ever.
#[test]
fn the_first_version_reads_as_it_did() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/every-record.hex");
    let text = std::fs::read_to_string(path).unwrap();
    let octets = hex::decode(text.split_whitespace().collect::<String>()).unwrap();
    let frame = Frame::decode(&octets).unwrap();
    assert_eq!((frame.version, &frame.records), (1, &every_record()));
    assert_eq!(frame.encode().unwrap(), octets);
    assert_eq!(frame.next_sequence(), 1042 + 9);
    for (name, first) in [("as version 2", 2), ("as version 3", 3)] {
        let other = [&[first], &octets[1..]].concat();
        let read = Frame::decode(&other).map(|frame| frame.version);
        assert_eq!(read, if first == 2 { Ok(2) } else { Err(BadFrame::UnknownVersion(3)) }, "{name}");
    }
}

#[test]
fn acts_that_were_written_down_together_take_a_number_each() {
    let mut builder = FrameBuilder::new(gateway(), 3, 10);
    let records = [publish(1, 1, "a"), several(1, 2, "a/#", 700, None), publish(1, 3, "a")];
    let numbers: Vec<_> = records.iter().map(|record| builder.push(record).unwrap().unwrap()).collect();
    assert_eq!((numbers, builder.next_sequence()), (vec![10, 11, 711], 712));
    let octets = builder.finish();
    assert!(octets.len() < 100, "{}", octets.len());
    let frame = Frame::decode(&octets).unwrap();
    assert_eq!(frame.numbered().filter_map(|(sequence, _)| sequence).collect::<Vec<_>>(), [10, 11, 711]);
    assert_eq!(frame.next_sequence(), 712);
    let mut last = FrameBuilder::new(gateway(), 3, u64::MAX - 5);
    assert_eq!(last.push(&several(1, 2, "a/#", 6, None)), Err(FrameFull), "numbers are not passed");
}

#[test]
fn only_decisions_take_a_sequence_number() {
    let mut builder = FrameBuilder::new(gateway(), 3, 10);
    let numbers: Vec<_> = every_record().iter().map(|record| builder.push(record).unwrap()).collect();
    let expected =
        [0, 10, 11, 12, 13, 14, 15, 16, 17, 0, 18, 0, 0].map(|number| (number > 0).then_some(number));
    assert_eq!(numbers, expected);
    assert_eq!(builder.next_sequence(), 19);
    assert_eq!(builder.decision_id(12).to_string(), "dec_gateway-1.3.12");
    let frame = Frame::decode(&builder.finish()).unwrap();
    assert_eq!(frame.numbered().map(|(sequence, _)| sequence).collect::<Vec<_>>(), expected);
}

#[test]
fn an_allowed_publish_takes_at_most_twelve_octets() {
    let topics = ["plant/pump-01/temperature", "plant/pump-01/pressure", "plant/pump-01/state"];
    let acts: Vec<_> =
        (0..100).map(|act| publish(1 << 40, act * 250, topics[act as usize % topics.len()])).collect();
    let whole = build(1, 1 << 40, &acts).len();
    println!("{} octets for 100 publishes, header and texts included", whole);
    assert!(whole <= 1200, "{whole}");
    let with_session = [vec![Record::SessionOpened(opened(1 << 40, 0, Verdict::Allow))], acts].concat();
    let whole = build(1, 1 << 40, &with_session).len();
    println!("{} octets with the session record", whole);
    assert!(whole <= 1200, "{whole}");
}

#[test]
fn a_full_frame_says_so_stays_in_its_limit_and_reads_back() {
    let mut builder = FrameBuilder::new(gateway(), 1, 0);
    let mut pushed = Vec::new();
    let full = loop {
        let topic = format!("plant/{}/{}", pushed.len(), "x".repeat(pushed.len() % 1000));
        let record = publish(pushed.len() as u64 % 7, pushed.len() as u64, &topic);
        match builder.push(&record) {
            Ok(_) => pushed.push(record),
            Err(full) => break full,
        }
    };
    assert_eq!(full, FrameFull);
    assert_eq!(builder.next_sequence(), pushed.len() as u64, "a refused record takes no number");
    assert!(builder.bytes_len() <= FRAME_OCTETS_MAX && builder.bytes_len() > FRAME_OCTETS_MAX - 4096);
    assert_eq!(Frame::decode(&builder.finish()).unwrap().records, pushed);
}

#[test]
fn a_last_sequence_number_is_not_passed() {
    let mut builder = FrameBuilder::new(gateway(), 1, u64::MAX);
    assert_eq!(builder.push(&publish(1, 1, "a")), Err(FrameFull));
    assert_eq!(builder.push(&policy_changed(1, 1)), Ok(None));
}

#[test]
fn octets_that_no_gateway_writes_are_refused() {
    let whole = build(3, 1042, &every_record());
    let one = build(1, 0, &[policy_changed(0, 9)]);
    let two_topics = build(1, 0, &[publish(1, 0, "a"), publish(1, 0, "b")]);
    // The second topic as the first again, spelled out instead of by index.
    let mut spelled_out = two_topics.clone();
    *spelled_out.last_mut().unwrap() = b'a';
    let rows: &[(&str, Vec<u8>, BadFrame)] = &[
        ("nothing", vec![], BadFrame::CutShort),
        ("zeros", vec![0; 64], BadFrame::UnknownVersion(0)),
        ("newer", [&[3], &whole[1..]].concat(), BadFrame::UnknownVersion(3)),
        ("too large", vec![1; FRAME_OCTETS_MAX + 1], BadFrame::TooLarge { octets: FRAME_OCTETS_MAX + 1 }),
        ("no record", FrameBuilder::new(gateway(), 1, 0).finish(), BadFrame::Empty),
        ("octet after the end", [&one[..], &[0]].concat(), BadFrame::NotCanonical),
        ("version spelled too long", [&[0x82, 0], &one[1..]].concat(), BadFrame::NotCanonical),
        ("a text that stands already", spelled_out, BadFrame::NotCanonical),
    ];
    for (name, octets, fault) in rows {
        assert_eq!(Frame::decode(octets).as_ref(), Err(fault), "{name}");
    }
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    let whole = build(3, 1042, &every_record_of_version_2());
    for length in 0..whole.len() {
        assert!(Frame::decode(&whole[..length]).is_err(), "{length} octets");
    }
}

/// The log's tree finds a flipped bit; here it must only never pass as the same records, and never panic.
#[test]
fn a_flipped_bit_is_refused_or_reads_as_other_records() {
    let whole = build(3, 1042, &every_record_of_version_2());
    let good = Frame::decode(&whole).unwrap();
    let mut refused = 0;
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match Frame::decode(&flipped) {
            Ok(other) => assert_ne!(other, good, "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused}");
}
