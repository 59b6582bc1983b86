//! The rules without I/O, row by row.

use super::client::{V5, V311, connect, id, message};
use crate::mqtt::broker_side::{BrokerSide, Delivered};
use crate::mqtt::client_side::{ClientSide, Step};
use crate::mqtt::merge::Merges;
use bytes::BytesMut;
use std::sync::Arc;
use touchmark_decisions::SessionId;
use touchmark_identity::Timestamp;
use touchmark_mqtt::{
    Connack, Connect, Frame, Packet, PacketOrder, ProtocolVersion, QoS, ReasonCode, Suback, Subscribe,
    Subscription, TopicFilter,
};
use touchmark_policy::{DecisionTable, Subject};
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle};

fn table() -> DecisionTable {
    let subject = Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &[]).unwrap();
    CompiledPolicy::compile(&PolicyBundle::starter()).unwrap().specialise(&subject)
}

fn frame(version: ProtocolVersion, packet: Packet<'_>) -> Frame {
    let mut octets = BytesMut::new();
    packet.encode(version, &mut octets).unwrap();
    Frame::from_octets(octets.freeze()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000)
}

fn client(hello: &Connect<'_>, explains: bool, octets_max: usize, merges: &Arc<Merges>) -> ClientSide {
    let mut order = PacketOrder::from_client();
    order.admit(&hello.clone().into()).unwrap();
    ClientSide::new(hello.version, SessionId(1), order, explains, octets_max, Arc::clone(merges))
}

fn broker(hello: &Connect<'_>, merges: &Arc<Merges>) -> BrokerSide {
    let mut order = PacketOrder::from_server(hello);
    order.admit(&Connack::default().into()).unwrap();
    BrokerSide::new(hello.version, SessionId(1), order, Arc::clone(merges))
}

#[test]
fn each_packet_of_a_client_leads_to_one_step() {
    let table = table();
    let outcome = |step: Step| match step {
        Step::Pass(_) => "pass".to_owned(),
        Step::Publish { act, .. } => format!("publish {}", act.resource),
        Step::Subscribe { acts, .. } => format!("subscribe {}", acts.len()),
        Step::Refused { acts, answer, ending } => {
            format!("refused {} answer {} end {}", acts.len(), answer.is_some(), ending.is_some())
        }
        Step::Goodbye(_) => "goodbye".to_owned(),
        Step::GoodbyeWithWill => "goodbye with will".to_owned(),
        Step::Broken(fault) => format!("broken {:#04x}", fault.reason_code().octet()),
    };
    let subscribe = |filters: &[&'static str]| -> Packet<'static> {
        let subscriptions = filters
            .iter()
            .map(|f| Subscription::new(TopicFilter::new(f).unwrap(), QoS::AtMostOnce))
            .collect();
        Subscribe { packet_id: id(3), properties: Default::default(), subscriptions }.into()
    };
    let rows: Vec<(&str, ProtocolVersion, Packet<'static>, &str)> = vec![
        (
            "own topic",
            V5,
            message("plant/pump-01/t", QoS::AtMostOnce, 0, "").into(),
            "publish plant/pump-01/t",
        ),
        ("denied QoS 0", V5, message("x", QoS::AtMostOnce, 0, "").into(), "refused 1 answer false end true"),
        ("denied QoS 1", V5, message("x", QoS::AtLeastOnce, 1, "").into(), "refused 1 answer true end false"),
        ("denied QoS 2", V5, message("x", QoS::ExactlyOnce, 1, "").into(), "refused 1 answer true end false"),
        (
            "denied QoS 1, 3.1.1",
            V311,
            message("x", QoS::AtLeastOnce, 1, "").into(),
            "refused 1 answer false end true",
        ),
        (
            "climbing",
            V5,
            message("plant/pump-01/../x", QoS::AtLeastOnce, 1, "").into(),
            "refused 1 answer true end false",
        ),
        (
            "broker's topic",
            V5,
            message("$SYS/x", QoS::AtLeastOnce, 1, "").into(),
            "refused 1 answer true end false",
        ),
        ("own commands", V5, subscribe(&["cmd/pump-01/#"]), "subscribe 1"),
        ("some denied", V5, subscribe(&["#", "cmd/pump-01/#"]), "subscribe 2"),
        ("all denied", V5, subscribe(&["#", "+/+"]), "refused 2 answer true end false"),
        ("ping", V5, Packet::Pingreq, "pass"),
        ("goodbye", V5, touchmark_mqtt::Disconnect::default().into(), "goodbye"),
        (
            "goodbye with will",
            V5,
            touchmark_mqtt::Disconnect::because(ReasonCode::DisconnectWithWill, None).into(),
            "goodbye with will",
        ),
        ("a server's packet", V5, Packet::Pingresp, "broken 0x82"),
    ];
    for (name, version, packet, expected) in rows {
        let hello = connect(version, "pump-01");
        let mut side = client(&hello, true, usize::MAX, &Arc::default());
        assert_eq!(outcome(side.take(frame(version, packet), &table, now())), expected, "{name}");
    }
}

#[test]
fn a_partly_allowed_subscribe_asks_for_the_rest_and_its_answer_is_filled_up() {
    let (table, hello, merges) = (table(), connect(V5, "pump-01"), Arc::<Merges>::default());
    let (mut from_client, mut from_broker) =
        (client(&hello, true, usize::MAX, &merges), broker(&hello, &merges));
    let filters = ["a", "cmd/pump-01/x", "b", "cmd/pump-01/y"];
    let subscriptions =
        filters.iter().map(|f| Subscription::new(TopicFilter::new(f).unwrap(), QoS::AtLeastOnce)).collect();
    let whole = Subscribe { packet_id: id(3), properties: Default::default(), subscriptions };
    let Step::Subscribe { permits, acts, frame: rest } =
        from_client.take(frame(V5, whole.into()), &table, now())
    else {
        panic!("a subscribe")
    };
    assert_eq!((permits.len(), acts.len()), (2, 4));
    let Packet::Subscribe(rest) = rest.parse(V5).unwrap() else { panic!("SUBSCRIBE") };
    let asked: Vec<_> = rest.subscriptions.iter().map(|s| s.filter.as_str()).collect();
    assert_eq!(asked, ["cmd/pump-01/x", "cmd/pump-01/y"]);

    let suback = |reasons: &[ReasonCode]| -> Frame {
        frame(
            V5,
            Suback { packet_id: id(3), properties: Default::default(), reasons: reasons.to_vec() }.into(),
        )
    };
    let answer = suback(&[ReasonCode::GrantedQoS1, ReasonCode::Success]);
    let Delivered::Pass(octets) = from_broker.take(answer, &table, now()) else { panic!("SUBACK") };
    let filled = Frame::from_octets(octets).unwrap();
    let Packet::Suback(filled) = filled.parse(V5).unwrap() else { panic!("SUBACK") };
    let no = ReasonCode::NotAuthorized;
    assert_eq!(filled.reasons, [no, ReasonCode::GrantedQoS1, no, ReasonCode::Success]);
    assert!(filled.properties.reason_string.unwrap().as_str().starts_with("no-rule"));

    // The same number again, of a SUBSCRIBE that was allowed whole: nothing is added.
    let Delivered::Pass(octets) = from_broker.take(suback(&[ReasonCode::Success]), &table, now()) else {
        panic!()
    };
    assert_eq!(octets.len(), 6);
}

#[test]
fn a_broker_that_answers_another_number_of_filters_is_at_fault() {
    for theirs in [1, 3] {
        let merges = Merges::default();
        assert!(merges.expect(id(1), vec![None, Some(ReasonCode::NotAuthorized), None], None));
        let reasons = vec![ReasonCode::Success; theirs];
        let answer = Suback { packet_id: id(1), properties: Default::default(), reasons };
        assert!(merges.fill(&answer).is_err(), "{theirs}");
    }
    let merges = Merges::default();
    let taken = (1..=100).filter(|n| merges.expect(id(*n), vec![None], None)).count();
    assert_eq!(taken, 64, "bounded");
}

#[test]
fn words_are_left_out_where_the_client_does_not_take_them() {
    let table = table();
    let hello = connect(V5, "pump-01");
    let rows = [
        ("takes words", true, usize::MAX, true),
        ("asked for none", false, usize::MAX, false),
        ("takes short packets", true, 40, false),
    ];
    for (name, explains, octets_max, words) in rows {
        let mut side = client(&hello, explains, octets_max, &Arc::default());
        let publish = message("x", QoS::AtLeastOnce, 9, "");
        let Step::Refused { answer: Some(answer), .. } = side.take(frame(V5, publish.into()), &table, now())
        else {
            panic!("{name}")
        };
        assert_eq!(answer.len() > 40, words, "{name}");
        assert_eq!(answer[2..5], [0, 9, 0x87], "{name}");
    }
}

#[test]
fn a_delivery_is_decided_by_its_topic_when_it_comes() {
    let (table, hello) = (table(), connect(V5, "pump-01"));
    let rows: &[(&str, QoS, &str, Option<u8>)] = &[
        ("cmd/pump-01/go", QoS::AtLeastOnce, "deliver", None),
        ("cmd/pump-01", QoS::AtMostOnce, "deliver", None),
        ("cmd/pump-02/go", QoS::AtMostOnce, "withheld", None),
        ("cmd/pump-02/go", QoS::AtLeastOnce, "withheld", Some(0x40)),
        ("cmd/pump-02/go", QoS::ExactlyOnce, "withheld", Some(0x50)),
        ("$share/g/cmd/pump-01/go", QoS::AtLeastOnce, "withheld", Some(0x40)),
        ("$SYS/uptime", QoS::AtMostOnce, "withheld", None),
        ("cmd/pump-01/../x", QoS::AtMostOnce, "withheld", None),
    ];
    for (topic, qos, expected, answered) in rows {
        let mut side = broker(&hello, &Arc::default());
        let outcome = side.take(frame(V5, message(topic, *qos, 6, "x").into()), &table, now());
        let (outcome, answer) = match outcome {
            Delivered::Deliver { .. } => ("deliver", None),
            Delivered::Withheld { answer, .. } => ("withheld", answer),
            other => panic!("{topic}: {other:?}"),
        };
        assert_eq!((outcome, answer.map(|a| a[0])), (*expected, *answered), "{topic} {qos:?}");
        if *qos == QoS::ExactlyOnce {
            let release = touchmark_mqtt::Acknowledgement::new(id(6), ReasonCode::Success);
            let outcome = side.take(frame(V5, Packet::Pubrel(release)), &table, now());
            assert!(matches!(outcome, Delivered::Answer(octets) if octets[0] == 0x70), "{topic}");
        }
    }
}
