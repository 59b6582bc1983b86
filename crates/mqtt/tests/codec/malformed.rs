//! Packets that must be refused, each with the fault that it must be refused for.

use bytes::Bytes;
use touchmark_mqtt::ProtocolVersion::{V5, V311};
use touchmark_mqtt::*;

/// One packet from its first octet and a body in hex; the length is put between.
pub(crate) fn frame(first_octet: u8, body: &[u8]) -> Frame {
    let mut octets = vec![first_octet];
    let mut rest = body.len();
    loop {
        let more = rest >= 128;
        octets.push((rest % 128) as u8 | if more { 0x80 } else { 0 });
        rest /= 128;
        if !more {
            break;
        }
    }
    octets.extend(body);
    Frame::from_octets(Bytes::from(octets)).unwrap()
}

fn refused(rows: &[(&str, ProtocolVersion, u8, &str, ReasonCode)]) {
    for (name, version, first_octet, body, reason) in rows {
        let body = hex::decode(body.replace(' ', "")).unwrap_or_else(|e| panic!("{name}: {e}"));
        match frame(*first_octet, &body).parse(*version) {
            Ok(packet) => panic!("{name}: accepted as {packet:?}"),
            Err(fault) => assert_eq!(fault.reason_code(), *reason, "{name}: {fault}"),
        }
    }
}

use ReasonCode::{
    ClientIdentifierNotValid as ID, ImplementationSpecificError as LIMIT, MalformedPacket as M,
    ProtocolError as P, TopicAliasInvalid as ALIAS, UnsupportedProtocolVersion as VERSION,
};

#[test]
fn connect() {
    refused(&[
        ("empty", V5, 0x10, "", M),
        ("ends in the protocol name", V5, 0x10, "0004 4d51", M),
        ("another protocol name", V5, 0x10, "0004 48545450 05 02 003c 00 0000", M),
        ("protocol name in lower case", V5, 0x10, "0004 6d717474 05 02 003c 00 0000", M),
        ("MQTT 3.1", V311, 0x10, "0006 4d514973 6470 03 02 003c 0001 61", VERSION),
        ("level 3 under the new name", V311, 0x10, "0004 4d515454 03 02 003c 0001 61", VERSION),
        ("level 6", V5, 0x10, "0004 4d515454 06 02 003c 00 0001 61", VERSION),
        ("bridge bit in the level", V311, 0x10, "0004 4d515454 84 02 003c 0001 61", VERSION),
        ("reserved flag", V311, 0x10, "0004 4d515454 04 03 003c 0001 61", M),
        ("will QoS without will", V311, 0x10, "0004 4d515454 04 0a 003c 0001 61", M),
        ("will retain without will", V5, 0x10, "0004 4d515454 05 22 003c 00 0001 61", M),
        ("will QoS 3", V311, 0x10, "0004 4d515454 04 1e 003c 0001 61 0001 74 0000", M),
        ("password without user name", V311, 0x10, "0004 4d515454 04 42 003c 0001 61 0001 70", M),
        ("no client id, old session", V311, 0x10, "0004 4d515454 04 00 003c 0000", ID),
        ("client id not UTF-8", V311, 0x10, "0004 4d515454 04 02 003c 0001 ff", M),
        ("client id with U+0000", V311, 0x10, "0004 4d515454 04 02 003c 0002 6100", M),
        ("client id with a surrogate", V311, 0x10, "0004 4d515454 04 02 003c 0003 eda080", M),
        ("client id overlong", V311, 0x10, "0004 4d515454 04 02 003c 0002 c0af", M),
        ("client id longer than the packet", V311, 0x10, "0004 4d515454 04 02 003c 0005 61", M),
        ("will topic with wildcard", V311, 0x10, "0004 4d515454 04 06 003c 0001 61 0001 23 0000", M),
        ("will topic empty", V311, 0x10, "0004 4d515454 04 06 003c 0001 61 0000 0000", M),
        ("will without payload", V311, 0x10, "0004 4d515454 04 06 003c 0001 61 0001 74", M),
        ("user name missing", V311, 0x10, "0004 4d515454 04 82 003c 0001 61", M),
        ("trailing octet", V311, 0x10, "0004 4d515454 04 02 003c 0001 61 00", M),
        ("no properties in 5.0", V5, 0x10, "0004 4d515454 05 02 003c", M),
        ("properties longer than the packet", V5, 0x10, "0004 4d515454 05 02 003c 05 0000", M),
        ("properties length not minimal", V5, 0x10, "0004 4d515454 05 02 003c 8000 0001 61", M),
        ("unknown property", V5, 0x10, "0004 4d515454 05 02 003c 02 7f00 0001 61", M),
        ("property identifier of two octets", V5, 0x10, "0004 4d515454 05 02 003c 03 910100 0001 61", M),
        ("property of another packet", V5, 0x10, "0004 4d515454 05 02 003c 03 13003c 0001 61", M),
        ("property cut by the block", V5, 0x10, "0004 4d515454 05 02 003c 02 2100 0001 61", M),
        ("property twice", V5, 0x10, "0004 4d515454 05 02 003c 06 210001 210001 0001 61", P),
        ("receive maximum 0", V5, 0x10, "0004 4d515454 05 02 003c 03 210000 0001 61", P),
        ("maximum packet size 0", V5, 0x10, "0004 4d515454 05 02 003c 05 2700000000 0001 61", P),
        ("request problem information 2", V5, 0x10, "0004 4d515454 05 02 003c 02 1702 0001 61", P),
        ("authentication data alone", V5, 0x10, "0004 4d515454 05 02 003c 04 16000100 0001 61", P),
        ("will delay among CONNECT's own", V5, 0x10, "0004 4d515454 05 02 003c 05 1800000001 0001 61", M),
        (
            "response topic of a will with wildcard",
            V5,
            0x10,
            "0004 4d515454 05 06 003c 00 0001 61 04 0800012b 0001 74 0000",
            M,
        ),
    ]);
}

#[test]
fn connack() {
    refused(&[
        ("empty", V311, 0x20, "", M),
        ("reserved flag", V311, 0x20, "0200", M),
        ("unknown return code", V311, 0x20, "0006", M),
        ("session with a refusal", V311, 0x20, "0105", P),
        ("trailing octet", V311, 0x20, "000000", M),
        ("no properties in 5.0", V5, 0x20, "0000", M),
        ("unknown reason", V5, 0x20, "00 ff 00", M),
        ("reason of another packet", V5, 0x20, "00 8e 00", M),
        ("session with a refusal in 5.0", V5, 0x20, "01 87 00", P),
        ("maximum QoS 2", V5, 0x20, "00 00 02 2402", P),
        ("reason string twice", V5, 0x20, "00 87 06 1f0000 1f0000", P),
    ]);
}

#[test]
fn publish() {
    refused(&[
        ("empty", V311, 0x30, "", M),
        ("QoS 3", V311, 0x36, "0001 74 0001", M),
        ("QoS 3 in 5.0", V5, 0x36, "0001 74 0001 00", M),
        ("duplicate with QoS 0", V311, 0x38, "0001 74", M),
        ("topic longer than the packet", V311, 0x30, "0002 74", M),
        ("topic empty", V311, 0x30, "0000", M),
        ("topic with #", V311, 0x30, "0003 612f23", M),
        ("topic with +", V5, 0x30, "0003 612f2b 00", M),
        ("topic with U+0000", V311, 0x30, "0003 610062", M),
        ("topic not UTF-8", V311, 0x30, "0001 80", M),
        ("packet identifier 0", V311, 0x32, "0001 74 0000", M),
        ("packet identifier cut", V311, 0x34, "0001 74 00", M),
        ("no properties in 5.0", V5, 0x30, "0001 74", M),
        ("no topic and no alias", V5, 0x30, "0000 00", P),
        ("alias 0", V5, 0x30, "0000 03 230000", ALIAS),
        ("alias twice", V5, 0x30, "0001 74 06 230001 230001", P),
        ("payload format 2", V5, 0x30, "0001 74 02 0102", P),
        ("response topic with wildcard", V5, 0x30, "0001 74 04 0800012b", M),
        ("response topic empty", V5, 0x30, "0001 74 03 080000", M),
        ("subscription identifier 0", V5, 0x30, "0001 74 02 0b00", P),
        ("subscription identifier not minimal", V5, 0x30, "0001 74 03 0b8100", M),
        ("user property without value", V5, 0x30, "0001 74 04 26000161", M),
    ]);
}

#[test]
fn acknowledgements() {
    for first_octet in [0x40, 0x50, 0x62, 0x70] {
        refused(&[
            ("empty", V311, first_octet, "", M),
            ("cut", V311, first_octet, "00", M),
            ("packet identifier 0", V311, first_octet, "0000", M),
            ("trailing octet in 3.1.1", V311, first_octet, "000100", M),
            ("unknown reason", V5, first_octet, "0001 7f", M),
            ("reason of another packet", V5, first_octet, "0001 8e", M),
            ("property of another packet", V5, first_octet, "0001 00 05 1100000000", M),
            ("trailing octet", V5, first_octet, "0001 00 00 00", M),
        ]);
    }
    refused(&[
        ("PUBREL with a PUBACK reason", V5, 0x62, "0001 10", M),
        ("PUBACK with a PUBREL reason", V5, 0x40, "0001 92", M),
    ]);
}

#[test]
fn subscribe_and_unsubscribe() {
    refused(&[
        ("without a filter", V311, 0x82, "0001", P),
        ("packet identifier 0", V311, 0x82, "0000 0001 23 00", M),
        ("empty filter", V311, 0x82, "0001 0000 00", M),
        ("options missing", V311, 0x82, "0001 0001 23", M),
        ("QoS 3", V311, 0x82, "0001 0001 23 03", M),
        ("5.0 options in 3.1.1", V311, 0x82, "0001 0001 61 04", M),
        ("reserved options", V5, 0x82, "0001 00 0001 61 40", M),
        ("retain handling 3", V5, 0x82, "0001 00 0001 61 30", P),
        ("no local on a share", V5, 0x82, "0001 00 000a 2473686172652f672f61 04", P),
        ("# before the end", V311, 0x82, "0001 0003 232f61 00", M),
        ("# beside a character", V311, 0x82, "0001 0002 6123 00", M),
        ("+ beside a character", V311, 0x82, "0001 0004 612f622b 00", M),
        ("two +", V311, 0x82, "0001 0002 2b2b 00", M),
        ("share without a filter", V5, 0x82, "0001 00 0008 2473686172652f67 00", M),
        ("share with an empty filter", V5, 0x82, "0001 00 0009 2473686172652f672f 00", M),
        ("share without a name", V5, 0x82, "0001 00 0009 2473686172652f2f61 00", M),
        ("share with a wildcard name", V5, 0x82, "0001 00 000a 2473686172652f2b2f61 00", M),
        ("share with a bad filter", V311, 0x82, "0001 000c 2473686172652f672f232f61 00", M),
        ("$share alone", V311, 0x82, "0001 0006 247368617265 00", M),
        ("subscription identifier 0", V5, 0x82, "0001 02 0b00 0001 61 00", P),
        ("subscription identifier twice", V5, 0x82, "0001 04 0b01 0b01 0001 61 00", P),
        ("unsubscribe without a filter", V311, 0xa2, "0001", P),
        ("unsubscribe with a bad filter", V5, 0xa2, "0001 00 0002 6123", M),
        ("unsubscribe cut", V5, 0xa2, "0001 00 0002 61", M),
        ("suback without a code", V311, 0x90, "0001", M),
        ("suback code 3", V311, 0x90, "0001 03", M),
        ("suback 5.0 code in 3.1.1", V311, 0x90, "0001 87", M),
        ("suback reason of another packet", V5, 0x90, "0001 00 8e", M),
        ("unsuback with a code in 3.1.1", V311, 0xb0, "0001 00", M),
        ("unsuback without a code", V5, 0xb0, "0001 00", M),
        ("unsuback granted QoS 1", V5, 0xb0, "0001 00 01", M),
    ]);
}

#[test]
fn ping_disconnect_auth() {
    refused(&[
        ("pingreq with a body", V311, 0xc0, "00", M),
        ("pingresp with a body", V5, 0xd0, "00", M),
        ("disconnect with a body in 3.1.1", V311, 0xe0, "00", M),
        ("disconnect with an unknown reason", V5, 0xe0, "03", M),
        ("disconnect with a CONNACK reason", V5, 0xe0, "8a", M),
        ("disconnect with trailing octets", V5, 0xe0, "00 00 00", M),
        ("auth in 3.1.1", V311, 0xf0, "", M),
        ("auth without properties", V5, 0xf0, "18", M),
        ("auth without method", V5, 0xf0, "18 00", P),
        ("auth with an unknown reason", V5, 0xf0, "17 00", M),
    ]);
}

#[test]
fn repeated_elements_are_bounded_at_the_limit_and_one_above() {
    for (count, accepted) in [(REPEATED_PROPERTIES_MAX, true), (REPEATED_PROPERTIES_MAX + 1, false)] {
        let mut body = hex::decode("000174").unwrap();
        let block = hex::decode("2600000000").unwrap().repeat(count);
        body.extend([0x80 | (block.len() % 128) as u8, (block.len() / 128) as u8]);
        body.extend(block);
        let reason = frame(0x30, &body).parse(V5).map(|_| ()).map_err(|fault| fault.reason_code());
        assert_eq!(reason, if accepted { Ok(()) } else { Err(LIMIT) }, "{count} user properties");
    }
    for (count, accepted) in [(FILTERS_PER_PACKET_MAX, true), (FILTERS_PER_PACKET_MAX + 1, false)] {
        let mut body = vec![0, 1];
        body.extend(hex::decode("00016100").unwrap().repeat(count));
        let reason = frame(0x82, &body).parse(V311).map(|_| ()).map_err(|fault| fault.reason_code());
        assert_eq!(reason, if accepted { Ok(()) } else { Err(LIMIT) }, "{count} filters");
    }
}

#[test]
fn texts_with_discouraged_characters_pass_and_are_flagged() {
    let rows = [
        ("plain \u{e9}\u{1f600}", None),
        ("bell \u{7}", Some('\u{7}')),
        ("escape \u{1b}[31m", Some('\u{1b}')),
        ("C1 \u{85}", Some('\u{85}')),
        ("delete \u{7f}", Some('\u{7f}')),
        ("non-character \u{fdd0}", Some('\u{fdd0}')),
        ("last of plane 16 \u{10ffff}", Some('\u{10ffff}')),
    ];
    for (text, flagged) in rows {
        assert_eq!(Text::new(text).unwrap().discouraged(), flagged, "{text:?}");
        assert_eq!(TopicFilter::new(text).unwrap().discouraged(), flagged, "{text:?}");
    }
}

#[test]
fn a_malformed_connect_still_tells_its_version() {
    let rows: [(&str, &str, Option<ProtocolVersion>); 4] = [
        ("bad flags, 5.0", "0004 4d515454 05 03", Some(V5)),
        ("cut after the level, 3.1.1", "0004 4d515454 04", Some(V311)),
        ("level 6", "0004 4d515454 06", None),
        ("cut in the name", "0004 4d51", None),
    ];
    for (name, body, version) in rows {
        let frame = frame(0x10, &hex::decode(body.replace(' ', "")).unwrap());
        assert_eq!(frame.connect_version(), version, "{name}");
        assert!(frame.parse_connect().is_err(), "{name}");
    }
}

#[test]
fn debug_shows_no_password() {
    let connect = Connect {
        password: Some(Binary::new(b"hunter2").unwrap()),
        ..Connect::new(V5, Text::new("a").unwrap())
    };
    let shown = format!("{connect:?}");
    assert!(shown.contains("password: Some(<7 octets>)"), "{shown}");
}
