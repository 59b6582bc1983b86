//! Every sample has its golden octets, and reading them gives the sample back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use touchmark_mqtt::Frame;

use crate::samples::samples;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/packets.txt");

#[test]
fn every_packet_has_its_golden_octets() {
    let mut written = String::from("# VERSION NAME HEX; rewritten by TOUCHMARK_BLESS=1\n");
    for sample in samples() {
        writeln!(written, "{} {} {}", sample.version, sample.name, hex::encode(sample.octets())).unwrap();
    }
    if std::env::var_os("TOUCHMARK_BLESS").is_some() {
        std::fs::write(GOLDEN, &written).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let by_name = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(name, octets)| (name.to_owned(), octets.to_owned())).collect()
    };
    assert_eq!(by_name(&golden), by_name(&written));
}

#[test]
fn every_packet_reads_back_as_it_was_written() {
    for sample in samples() {
        let frame = Frame::from_octets(Bytes::from(sample.octets())).unwrap();
        assert_eq!(frame.packet_type(), sample.packet.packet_type(), "{}", sample.name);
        let packet = frame.parse(sample.version).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        assert_eq!(packet, sample.packet, "{}", sample.name);
    }
}

/// Written by hand from the standards' figures, so that encoder and parser cannot err together.
#[test]
fn octets_written_by_hand_from_the_standards() {
    let rows: [(&str, &str); 8] = [
        // 3.1.1 and 5.0, table 2-2 and 3.x figures.
        ("3.1.1 connect", "1012 0004 4d515454 04 02 003c 0006 70756d702d31"),
        ("5.0 connect", "1013 0004 4d515454 05 02 003c 00 0006 70756d702d31"),
        ("3.1.1 connack-refused", "2002 00 05"),
        ("5.0 connack-refused", "2003 00 87 00"),
        ("3.1.1 publish-qos1-dup", "3a07 0003 612f62 000a"),
        ("5.0 publish-qos1-dup", "3a08 0003 612f62 000a 00"),
        ("5.0 puback-denied", "4003 0009 87"),
        ("5.0 disconnect-taken-over", "e001 8e"),
    ];
    let written: BTreeMap<String, String> = samples()
        .iter()
        .map(|sample| (format!("{} {}", sample.version, sample.name), hex::encode(sample.octets())))
        .collect();
    for (name, octets) in rows {
        assert_eq!(written.get(name), Some(&octets.replace(' ', "")), "{name}");
    }
}
