//! Who may send what and when; topic aliases; what 3.1.1 cannot say.

use core::num::NonZeroU16;
use std::fmt::Write as _;

use bytes::BytesMut;
use touchmark_mqtt::ProtocolVersion::{V5, V311};
use touchmark_mqtt::*;

use crate::samples::{packet_id, samples, text, topic};

fn plain_connect(version: ProtocolVersion) -> Connect<'static> {
    Connect::new(version, text("a"))
}

#[test]
fn each_side_sends_only_its_own_packets() {
    let mut table = String::new();
    for sample in samples().iter().filter(|sample| sample.version == V5 && !sample.name.contains('-')) {
        let mut client = PacketOrder::from_client();
        client.admit(&plain_connect(V5).into()).unwrap();
        let mut server = PacketOrder::from_server(&plain_connect(V5));
        server.admit(&Connack::default().into()).unwrap();
        let verdict = |mut order: PacketOrder| match order.admit(&sample.packet) {
            Ok(()) => "yes",
            Err(_) => "no",
        };
        let (client, server) = (verdict(client), verdict(server));
        writeln!(table, "{} client {client} server {server}", sample.name).unwrap();
    }
    // MQTT 5.0 table 2-1; CONNECT and CONNACK came already.
    assert_eq!(
        table,
        "connect client no server no\nconnack client no server no\npuback client yes server yes\n\
         pubrec client yes server yes\npubrel client yes server yes\npubcomp client yes server yes\n\
         subscribe client yes server no\nsuback client no server yes\nunsubscribe client yes server no\n\
         unsuback client no server yes\npingreq client yes server no\npingresp client no server yes\n\
         disconnect client yes server yes\n"
    );
}

#[test]
fn the_order_of_a_client() {
    let connect = || Packet::from(plain_connect(V5));
    let publish_with_identifier = Publish {
        properties: PublishProperties {
            subscription_identifiers: vec![SubscriptionIdentifier::new(1).unwrap()],
            ..Default::default()
        },
        ..Publish::new(Delivery::AtMostOnce, topic("t"), b"")
    };
    let prolonged = Disconnect {
        properties: DisconnectProperties { session_expiry_interval: Some(1), ..Default::default() },
        ..Disconnect::default()
    };
    let rows: Vec<(&str, Vec<Packet<'static>>)> = vec![
        ("something before CONNECT", vec![Packet::Pingreq]),
        ("CONNECT twice", vec![connect(), connect()]),
        ("CONNACK", vec![connect(), Connack::default().into()]),
        ("after DISCONNECT", vec![connect(), Disconnect::default().into(), Packet::Pingreq]),
        ("AUTH without method", vec![connect(), Auth::default().into()]),
        ("subscription identifier", vec![connect(), publish_with_identifier.into()]),
        ("session prolonged", vec![connect(), prolonged.into()]),
        (
            "a server's reason",
            vec![connect(), Disconnect::because(ReasonCode::SessionTakenOver, None).into()],
        ),
    ];
    for (name, mut packets) in rows {
        let last = packets.pop().unwrap();
        let mut order = PacketOrder::from_client();
        packets.iter().for_each(|packet| order.admit(packet).unwrap_or_else(|e| panic!("{name}: {e}")));
        let fault = order.admit(&last).expect_err(name);
        assert_eq!(fault.reason_code(), ReasonCode::ProtocolError, "{name}");
    }
}

#[test]
fn the_order_of_a_server() {
    let refused = || Packet::from(Connack::refusal(ReasonCode::Banned, None));
    let welcome = || Packet::from(Connack::default());
    let method = ConnackProperties { authentication_method: Some(text("m")), ..Default::default() };
    let method = Connack { properties: method, ..Connack::default() };
    let client_reason = Disconnect::because(ReasonCode::DisconnectWithWill, None);
    let rows: Vec<(&str, ProtocolVersion, Vec<Packet<'static>>)> = vec![
        ("something before CONNACK", V5, vec![Packet::Pingresp]),
        ("CONNACK twice", V5, vec![welcome(), welcome()]),
        ("after a refusal", V5, vec![refused(), Packet::Pingresp]),
        ("DISCONNECT in 3.1.1", V311, vec![welcome(), Disconnect::default().into()]),
        ("a client's reason", V5, vec![welcome(), client_reason.into()]),
        ("a method nobody named", V5, vec![method.into()]),
        ("SUBSCRIBE", V5, vec![welcome(), samples().remove(12).packet]),
    ];
    for (name, version, mut packets) in rows {
        let last = packets.pop().unwrap();
        let mut order = PacketOrder::from_server(&plain_connect(version));
        packets.iter().for_each(|packet| order.admit(packet).unwrap_or_else(|e| panic!("{name}: {e}")));
        let fault = order.admit(&last).expect_err(name);
        assert_eq!(fault.reason_code(), ReasonCode::ProtocolError, "{name}");
    }
    let mut order = PacketOrder::from_server(&plain_connect(V5));
    order.admit(&refused()).unwrap();
    assert!(order.is_closed());
}

fn aliased(alias: u16, name: Option<&'static str>) -> Publish<'static> {
    let mut publish = Publish::new(Delivery::AtMostOnce, topic("unused"), b"");
    publish.topic = name.map(topic);
    publish.properties.topic_alias = NonZeroU16::new(alias).map(TopicAlias);
    publish
}

#[test]
fn topic_aliases() {
    let mut none = TopicAliases::default();
    assert_eq!(none.resolve(&aliased(0, Some("t"))).map(TopicName::as_str), Ok("t"));
    let refused = Err(Fault::TopicAliasInvalid { alias: 1 });
    assert_eq!(none.resolve(&aliased(1, Some("t"))), refused, "maximum 0: every alias is refused");
    assert_eq!(none.resolve(&aliased(1, None)), refused);

    let mut two = TopicAliases::new(2, 10);
    assert_eq!(two.resolve(&aliased(1, None)), refused, "not set yet");
    assert_eq!(two.resolve(&aliased(1, Some("first"))).map(TopicName::as_str), Ok("first"));
    assert_eq!(two.resolve(&aliased(1, None)).map(TopicName::as_str), Ok("first"));
    assert_eq!(two.resolve(&aliased(1, Some("again"))).map(TopicName::as_str), Ok("again"));
    assert_eq!(two.resolve(&aliased(2, Some("other"))).map(TopicName::as_str), Ok("other"));
    assert_eq!(two.resolve(&aliased(1, None)).map(TopicName::as_str), Ok("again"));
    let full = two.resolve(&aliased(2, Some("longer"))).unwrap_err();
    assert!(matches!(full, Fault::TooMany { .. }), "octets are bounded: {full}");
    assert_eq!(two.resolve(&aliased(3, Some("t"))), Err(Fault::TopicAliasInvalid { alias: 3 }));
}

#[test]
fn filters_know_their_share_and_pattern() {
    let rows = [
        ("a/b", None, "a/b"),
        ("$share/group/a/+/#", Some("group"), "a/+/#"),
        ("$share/g//", Some("g"), "/"),
        ("$shared/x", None, "$shared/x"),
        ("$SYS/#", None, "$SYS/#"),
        ("/", None, "/"),
    ];
    for (whole, share_name, pattern) in rows {
        let filter = TopicFilter::new(whole).unwrap();
        assert_eq!((filter.as_str(), filter.share_name(), filter.pattern()), (whole, share_name, pattern));
        assert_eq!(filter.levels().count(), pattern.split('/').count());
    }
}

#[test]
fn what_311_cannot_say_is_refused_and_leaves_the_output_alone() {
    let said = AcknowledgementProperties { reason_string: Some(text("no")), ..Default::default() };
    let mut refused_unsuback = Unsuback {
        packet_id: packet_id(1),
        properties: AcknowledgementProperties::default(),
        reasons: vec![ReasonCode::NotAuthorized],
    };
    let rows: Vec<(&str, Packet<'static>)> = vec![
        (
            "refused PUBACK would read as accepted",
            Packet::Puback(Acknowledgement::new(packet_id(1), ReasonCode::NotAuthorized)),
        ),
        ("refused UNSUBACK", refused_unsuback.clone().into()),
        ("AUTH", Auth::default().into()),
        (
            "DISCONNECT with will would lose it",
            Disconnect::because(ReasonCode::DisconnectWithWill, None).into(),
        ),
        ("alias", aliased(1, Some("t")).into()),
        (
            "properties",
            Suback { packet_id: packet_id(1), properties: said, reasons: vec![ReasonCode::Success] }.into(),
        ),
    ];
    for (name, packet) in rows {
        let mut out = BytesMut::from("before");
        let fault = packet.encode(V311, &mut out).expect_err(name);
        assert!(matches!(fault, Unencodable::NotInVersion311 { .. }), "{name}: {fault}");
        assert_eq!(out, "before", "{name}");
    }
    refused_unsuback.reasons.clear();
    let mut out = BytesMut::new();
    assert!(Packet::from(refused_unsuback).encode(V5, &mut out).is_err(), "5.0 wants a code");
}

#[test]
fn a_refusal_is_said_in_both_versions() {
    use ConnectReturnCode as C;
    let rows = [
        (ReasonCode::NotAuthorized, C::NotAuthorized),
        (ReasonCode::Banned, C::NotAuthorized),
        (ReasonCode::ClientIdentifierNotValid, C::IdentifierRejected),
        (ReasonCode::UnsupportedProtocolVersion, C::UnacceptableProtocolVersion),
        (ReasonCode::ServerBusy, C::ServerUnavailable),
        (ReasonCode::BadUserNameOrPassword, C::BadUserNameOrPassword),
        (ReasonCode::ProtocolError, C::NotAuthorized),
    ];
    for (reason, code) in rows {
        let connack = Packet::from(Connack::refusal(reason, Some(text("why"))));
        let mut old = BytesMut::new();
        connack.encode(V311, &mut old).unwrap();
        assert_eq!(old.to_vec(), [0x20, 2, 0, code.octet()], "{reason:?}");
        let mut new = BytesMut::new();
        connack.encode(V5, &mut new).unwrap();
        assert_eq!(new.to_vec(), [&[0x20, 9, 0, reason.octet(), 6, 0x1f, 0, 3][..], b"why"].concat());
    }
}

#[test]
fn reason_codes_that_no_table_lists_are_not_written() {
    let mut out = BytesMut::new();
    let banned = Packet::from(Disconnect::because(ReasonCode::Banned, None));
    assert!(matches!(banned.encode(V5, &mut out), Err(Unencodable::NotAReasonOf { .. })));
    for octet in 0..=255u8 {
        let code = ReasonCode::from_octet(octet);
        assert_eq!(code.map(ReasonCode::octet), code.map(|_| octet));
    }
    assert_eq!(ReasonCode::ALL.len(), 43);
}

#[test]
fn a_packet_above_the_peers_maximum_is_not_written() {
    let connack = Packet::from(Connack::refusal(ReasonCode::NotAuthorized, Some(text("why"))));
    let mut out = BytesMut::from("before");
    let fault = connack.encode_within(V5, 10, &mut out).unwrap_err();
    assert_eq!(fault, Unencodable::TooLong { octets: 11, max: 10 });
    assert_eq!(out, "before");
    connack.encode_within(V5, 11, &mut out).unwrap();
}
