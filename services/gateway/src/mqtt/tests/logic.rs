//! The rules without I/O, row by row.

use super::client::{V5, V311, connect, id, message};
use crate::mqtt::broker_side::{BrokerSide, Delivered};
use crate::mqtt::client_side::{Behind, ClientSide, Step};
use crate::mqtt::exchange::Exchange;
use crate::mqtt::merge::Merges;
use crate::mqtt::opening::SESSION_EXPIRY_MAX_S;
use crate::mqtt::plain::PlainUp;
use crate::mqtt::refusal::Ending;
use crate::mqtt::subscriptions::Asked;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use touchmark_decisions::{SessionId, Verdict};
use touchmark_identity::Timestamp;
use touchmark_mqtt::{
    Acknowledgement, Connack, Connect, Frame, Packet, PacketOrder, ProtocolVersion, Publish, QoS, ReasonCode,
    Suback, Subscribe, Subscription, TopicFilter, Unsuback,
};
use touchmark_policy::{DecisionTable, DenyReason, Subject};
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

fn octets_of(answer: &PlainUp) -> Bytes {
    Bytes::copy_from_slice(answer.octets())
}

fn now() -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000)
}

fn client(hello: &Connect<'_>, explains: bool, octets_max: usize, exchange: &Arc<Exchange>) -> ClientSide {
    let mut order = PacketOrder::from_client();
    order.admit(&hello.clone().into()).unwrap();
    ClientSide::new(
        hello.version,
        SessionId(1),
        order,
        explains,
        octets_max,
        Arc::clone(exchange),
        Behind::Broker,
    )
}

fn broker(hello: &Connect<'_>, exchange: &Arc<Exchange>) -> BrokerSide {
    let mut order = PacketOrder::from_server(hello);
    order.admit(&Connack::default().into()).unwrap();
    BrokerSide::new(hello.version, SessionId(1), order, Arc::clone(exchange))
}

#[test]
fn each_packet_of_a_client_leads_to_one_step() {
    let table = table();
    let outcome = |step: Step| match step {
        Step::Pass(_) => "pass".to_owned(),
        Step::Publish { act, .. } => format!("publish {}", act.resource),
        Step::Release(_) => "release".to_owned(),
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
    let (table, hello, merges) = (table(), connect(V5, "pump-01"), Arc::<Exchange>::default());
    let (mut from_client, mut from_broker) =
        (client(&hello, true, usize::MAX, &merges), broker(&hello, &merges));
    let filters = ["a", "cmd/pump-01/x", "b", "cmd/pump-01/y"];
    let subscriptions =
        filters.iter().map(|f| Subscription::new(TopicFilter::new(f).unwrap(), QoS::AtLeastOnce)).collect();
    let whole = Subscribe { packet_id: id(3), properties: Default::default(), subscriptions };
    let Step::Subscribe { subscribe: rest, acts } = from_client.take(frame(V5, whole.into()), &table, now())
    else {
        panic!("a subscribe")
    };
    assert_eq!(acts.len(), 4);
    let Packet::Subscribe(rest) = rest.asked().parse(V5).unwrap() else { panic!("SUBSCRIBE") };
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
    let filled = Frame::from_octets(octets.octets().clone()).unwrap();
    let Packet::Suback(filled) = filled.parse(V5).unwrap() else { panic!("SUBACK") };
    let no = ReasonCode::NotAuthorized;
    assert_eq!(filled.reasons, [no, ReasonCode::GrantedQoS1, no, ReasonCode::Success]);
    assert!(filled.properties.reason_string.unwrap().as_str().starts_with("no-rule"));

    // The same number again, of a SUBSCRIBE that was allowed whole: nothing is added.
    let Delivered::Pass(octets) = from_broker.take(suback(&[ReasonCode::Success]), &table, now()) else {
        panic!()
    };
    assert_eq!(octets.octets().len(), 6);
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
    let rows: &[(&str, &str, QoS, &str, &[u8])] = &[
        ("", "cmd/pump-01/go", QoS::AtLeastOnce, "deliver", &[]),
        ("", "cmd/pump-01", QoS::AtMostOnce, "deliver", &[]),
        // The subscription that brings it has no right any more: it is taken back, then the message is answered.
        ("cmd/pump-02/#", "cmd/pump-02/go", QoS::AtMostOnce, "withheld 2", &[0xa2]),
        ("cmd/pump-02/#", "cmd/pump-02/go", QoS::AtLeastOnce, "withheld 2", &[0xa2, 0x40]),
        ("cmd/+/go", "cmd/pump-02/go", QoS::ExactlyOnce, "withheld 2", &[0xa2, 0x50]),
        // Others may be meant to get it: no answer, so that the broker can hand it on.
        ("$share/w/cmd/pump-02/#", "cmd/pump-02/go", QoS::AtLeastOnce, "withdrawn", &[]),
        ("$share/w/cmd/pump-02/#", "cmd/pump-02/go", QoS::ExactlyOnce, "withdrawn", &[]),
        ("cmd/pump-03/#", "cmd/pump-02/go", QoS::AtLeastOnce, "withdrawn", &[]),
        ("", "cmd/pump-02/go", QoS::AtMostOnce, "withdrawn", &[]),
        // No device may have these, whatever it subscribes to.
        ("", "$share/g/cmd/pump-01/go", QoS::AtLeastOnce, "withheld 1", &[0x40]),
        ("", "$SYS/uptime", QoS::AtMostOnce, "withheld 1", &[]),
        ("", "cmd/pump-01/../x", QoS::AtMostOnce, "withheld 1", &[]),
        ("", "cmd/pump-01//x", QoS::AtLeastOnce, "withheld 1", &[0x40]),
        ("", "/cmd/pump-01/x", QoS::AtLeastOnce, "withheld 1", &[0x40]),
    ];
    for (filter, topic, qos, expected, answered) in rows {
        let exchange = Arc::<Exchange>::default();
        if !filter.is_empty() {
            exchange.state().subscriptions.add(filter, Asked::default());
        }
        let mut side = broker(&hello, &exchange);
        let outcome = side.take(frame(V5, message(topic, *qos, 6, "x").into()), &table, now());
        let (outcome, answer) = match outcome {
            Delivered::Deliver(_) => ("deliver".to_owned(), Bytes::new()),
            Delivered::Withheld { acts, answer, .. } => {
                (format!("withheld {}", acts.len()), octets_of(&answer))
            }
            Delivered::Withdrawn { .. } => ("withdrawn".to_owned(), Bytes::new()),
            other => panic!("{topic}: {other:?}"),
        };
        assert_eq!(
            (outcome.as_str(), types(answer)),
            (*expected, answered.to_vec()),
            "{filter} {topic} {qos:?}"
        );
        if answered.contains(&0x50) {
            let release = Acknowledgement::new(id(6), ReasonCode::Success);
            let outcome = side.take(frame(V5, Packet::Pubrel(release)), &table, now());
            assert!(matches!(outcome, Delivered::Answer(answer) if answer.octets()[0] == 0x70), "{topic}");
        }
        if answered.contains(&0xa2) {
            // The next is answered alone, and the answer to the UNSUBSCRIBE is not the client's.
            let more = side.take(frame(V5, message(topic, QoS::AtLeastOnce, 7, "x").into()), &table, now());
            let Delivered::Withheld { acts, answer, .. } = more else { panic!("{topic}: {more:?}") };
            assert_eq!((acts.len(), types(octets_of(&answer))), (1, vec![0x40]), "{topic}");
            let answer = |id| {
                let reasons = vec![ReasonCode::Success];
                frame(
                    V5,
                    Packet::Unsuback(Unsuback { packet_id: id, properties: Default::default(), reasons }),
                )
            };
            assert!(matches!(side.take(answer(id(0xfffe)), &table, now()), Delivered::Ours));
            assert!(matches!(side.take(answer(id(0xfffe)), &table, now()), Delivered::Pass(_)), "once");
        }
    }
}

/// The first octet of each packet.
fn types(octets: Bytes) -> Vec<u8> {
    let mut reader = touchmark_mqtt::FrameReader::new(1 << 20);
    reader.buffer_mut().extend_from_slice(&octets);
    core::iter::from_fn(|| reader.next_frame().unwrap()).map(|frame| frame.octets()[0]).collect()
}

#[test]
fn withheld_messages_are_recorded_within_a_budget_and_counted_beyond() {
    let (table, hello, exchange) = (table(), connect(V5, "pump-01"), Arc::<Exchange>::default());
    exchange.state().subscriptions.add("cmd/pump-02/#", Asked::default());
    let mut side = broker(&hello, &exchange);
    let (mut acts_all, mut unanswered) = (Vec::new(), 0);
    for n in 0..30_000 {
        let message = message("cmd/pump-02/go", QoS::AtLeastOnce, 1 + n % 20, "x");
        // Four seconds, and a minute later one more.
        let at =
            now().plus(core::time::Duration::from_millis(u64::from(n) / 8 + u64::from(n / 29_999) * 60_000));
        match side.take(frame(V5, message.into()), &table, at) {
            Delivered::Withheld { acts, answer } => {
                acts_all.extend(acts);
                unanswered += usize::from(!types(octets_of(&answer)).contains(&0x40));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(side.take_folded().is_none(), "it went with the last");
    assert!(acts_all.len() <= 55, "{}", acts_all.len());
    let counted: u32 = acts_all.iter().map(|act| act.count.get()).sum();
    assert_eq!((counted, unanswered), (30_001, 0), "one more is the subscription's");
}

#[test]
fn a_release_is_decided_by_the_topic_of_its_message() {
    let may = table();
    let mut bundle = PolicyBundle::starter();
    bundle.files[0].1 +=
        "\n@id(\"still\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
    let subject = Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &[]).unwrap();
    let may_not = CompiledPolicy::compile(&bundle).unwrap().specialise(&subject);
    let own = "plant/pump-01/t";
    let publish = |n: u16| message(own, QoS::ExactlyOnce, n, "x").into();
    let again = |n: u16| {
        let delivery = touchmark_mqtt::Delivery::ExactlyOnce { packet_id: id(n), duplicate: true };
        Publish::new(delivery, touchmark_mqtt::TopicName::new(own).unwrap(), b"x").into()
    };
    let other = |n: u16| message("plant/pump-01/u", QoS::ExactlyOnce, n, "x").into();
    let release = |n: u16| Packet::Pubrel(Acknowledgement::new(id(n), ReasonCode::Success));
    let complete = |n: u16| Packet::Pubcomp(Acknowledgement::new(id(n), ReasonCode::Success));
    let no = |n: u16| Packet::Pubrec(Acknowledgement::new(id(n), ReasonCode::QuotaExceeded));
    // Who sends, under which table (`+` may, `-` may not any more), and what comes of it.
    type Line<'a> = (char, Packet<'a>, &'a str);
    let rows: Vec<(&str, bool, Vec<Line<'_>>)> = vec![
        ("permitted all the time", false, vec![('+', publish(1), "publish"), ('+', release(1), "release")]),
        (
            "the right goes between",
            false,
            vec![('+', publish(1), "publish"), ('-', release(1), "withdrawn 0x92")],
        ),
        (
            "goes and comes back",
            false,
            vec![('+', publish(1), "publish"), ('-', Packet::Pingreq, "pass"), ('+', release(1), "release")],
        ),
        (
            "several in flight",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('+', publish(2), "publish"),
                ('+', release(2), "release"),
                ('-', release(1), "withdrawn 0x92"),
            ],
        ),
        (
            "sent again while it may",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('+', again(1), "publish"),
                ('-', release(1), "withdrawn 0x92"),
            ],
        ),
        // The broker has the first.
        (
            "sent again when it may not",
            false,
            vec![('+', publish(1), "publish"), ('-', again(1), "withdrawn 0x87")],
        ),
        (
            "released twice",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('+', release(1), "release"),
                ('-', release(1), "withdrawn 0x92"),
            ],
        ),
        (
            "released again after it was complete",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('+', release(1), "release"),
                ('b', complete(1), "pass"),
                ('-', release(1), "answered 0x00"),
            ],
        ),
        (
            "the identifier again for another topic",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('+', release(1), "release"),
                ('b', complete(1), "pass"),
                ('+', other(1), "publish"),
                ('-', release(1), "withdrawn 0x92"),
            ],
        ),
        (
            "the identifier too early for another topic",
            false,
            vec![('+', publish(1), "publish"), ('+', other(1), "broken")],
        ),
        (
            "refused by the broker, then the identifier for another topic",
            false,
            vec![
                ('+', publish(1), "publish"),
                ('b', no(1), "pass"),
                ('+', other(1), "publish"),
                ('+', release(1), "release"),
            ],
        ),
        ("nothing to release", false, vec![('+', release(9), "answered 0x92")]),
        (
            "never permitted",
            false,
            vec![('-', publish(1), "refused 0x87"), ('-', release(1), "answered 0x92")],
        ),
        ("of a session from before", true, vec![('+', release(9), "withdrawn 0x92")]),
        (
            "new in a session from before",
            true,
            vec![('+', publish(9), "publish"), ('+', release(9), "release")],
        ),
    ];
    for (name, resumed, lines) in &rows {
        for version in [V5, V311] {
            let (hello, exchange) = (connect(version, "pump-01"), Arc::<Exchange>::default());
            if *resumed {
                exchange.state().resume();
            }
            let (mut client, mut broker) =
                (client(&hello, true, usize::MAX, &exchange), broker(&hello, &exchange));
            for (who, packet, expected) in lines {
                let table = if *who == '-' { &may_not } else { &may };
                if *who == 'b' {
                    if version == V311 && matches!(packet, Packet::Pubrec(_)) {
                        break;
                    }
                    let outcome = broker.take(frame(version, packet.clone()), table, now());
                    assert!(matches!(outcome, Delivered::Pass(_)), "{name} {version}");
                    continue;
                }
                let outcome = match client.take(frame(version, packet.clone()), table, now()) {
                    Step::Pass(_) => "pass".to_owned(),
                    Step::Publish { .. } => "publish".to_owned(),
                    Step::Release(_) => "release".to_owned(),
                    Step::Broken(_) => "broken".to_owned(),
                    Step::Refused { acts, answer, ending } => {
                        let what = match (&acts[..], &ending) {
                            ([], None) => "answered",
                            ([_], Some(Ending::Withdrawn(_))) => "withdrawn",
                            ([_], None | Some(Ending::Denied(_))) => "refused",
                            other => panic!("{name}: {other:?}"),
                        };
                        match answer {
                            Some(answer) if version == V5 => {
                                format!("{what} {:#04x}", answer.get(4).unwrap_or(&0))
                            }
                            Some(answer) => format!("{what} {:#04x} in 3.1.1", answer[0]),
                            None => what.to_owned(),
                        }
                    }
                    other => panic!("{name}: {other:?}"),
                };
                // 3.1.1 has no word for a no, and one for a message that is not there.
                let expected = match (version, *expected) {
                    (V311, "answered 0x92" | "answered 0x00") => "answered 0x70 in 3.1.1",
                    (V311, expected) => expected.split(' ').next().unwrap(),
                    (V5, expected) => expected,
                };
                assert_eq!(outcome, expected, "{name} {version}");
            }
        }
    }
}

#[test]
fn messages_that_wait_for_their_release_are_bounded() {
    let (table, hello) = (table(), connect(V311, "pump-01"));
    let mut side = client(&hello, true, usize::MAX, &Arc::default());
    for n in 1..=257 {
        let publish = message("plant/pump-01/t", QoS::ExactlyOnce, n, "x");
        let step = side.take(frame(V311, publish.into()), &table, now());
        match step {
            Step::Publish { .. } if n <= 256 => {}
            Step::Refused { ending: Some(Ending::Exceeded(ReasonCode::ReceiveMaximumExceeded)), .. }
                if n == 257 => {}
            other => panic!("{n}: {other:?}"),
        }
    }
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    let table = table();
    for (version, full) in [(V5, ReasonCode::QuotaExceeded), (V311, ReasonCode::UnspecifiedError)] {
        let (hello, exchange) = (connect(version, "pump-01"), Arc::<Exchange>::default());
        let mut side = client(&hello, true, usize::MAX, &exchange);
        let filters: Vec<String> = (0..130).map(|n| format!("cmd/pump-01/{n}")).collect();
        let mut ask = |filters: &[String]| {
            let subscriptions = filters
                .iter()
                .map(|f| Subscription::new(TopicFilter::new(f).unwrap(), QoS::AtLeastOnce))
                .collect();
            let subscribe = Subscribe { packet_id: id(3), properties: Default::default(), subscriptions };
            side.take(frame(version, subscribe.into()), &table, now())
        };
        let Step::Subscribe { acts, subscribe: rest } = ask(&filters) else { panic!("{version}") };
        let denied = acts.iter().filter(|act| act.verdict == Verdict::Deny(DenyReason::TooManySubscriptions));
        assert_eq!(denied.count(), 2, "{version}");
        let Packet::Subscribe(rest) = rest.asked().parse(version).unwrap() else { panic!("{version}") };
        assert_eq!(rest.subscriptions.len(), 128, "{version}");
        let Step::Refused { answer: Some(answer), ending: None, .. } = ask(&filters[129..]) else {
            panic!("{version}")
        };
        assert_eq!(answer.last(), Some(&full.octet()), "{version}");
        assert!(matches!(ask(&filters[..1]), Step::Subscribe { .. }), "{version}: one that it holds");
    }
}

#[test]
fn a_response_topic_is_one_that_the_device_may_hear() {
    let (table, hello) = (table(), connect(V5, "pump-01"));
    let rows = [
        ("cmd/pump-01/answers", true),
        ("cmd/pump-02/answers", false),
        ("plant/pump-01/answers", false),
        ("$SYS/answers", false),
        ("$share/g/cmd/pump-01/answers", false),
        ("cmd/pump-01/../pump-02", false),
        ("cmd/pump-01//x", false),
    ];
    for (answers, permitted) in rows {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut publish = message("plant/pump-01/t", qos, 1, "x");
            publish.properties.response_topic = Some(touchmark_mqtt::TopicName::new(answers).unwrap());
            let mut side = client(&hello, true, usize::MAX, &Arc::default());
            match side.take(frame(V5, publish.into()), &table, now()) {
                Step::Publish { .. } => assert!(permitted, "{answers}"),
                Step::Refused { acts, answer, .. } => {
                    assert_eq!(
                        acts[0].verdict,
                        Verdict::Deny(DenyReason::ResponseTopicNotPermitted),
                        "{answers}"
                    );
                    assert!(!permitted && answer.is_none_or(|answer| answer[4] == 0x87), "{answers}");
                }
                other => panic!("{answers}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_goodbye_prolongs_no_session_beyond_the_longest_time() {
    let (table, mut hello) = (table(), connect(V5, "pump-01"));
    hello.properties.session_expiry_interval = Some(u32::MAX);
    for reason in [ReasonCode::Success, ReasonCode::DisconnectWithWill] {
        for (asked, expected) in
            [(None, None), (Some(60), Some(60)), (Some(u32::MAX), Some(SESSION_EXPIRY_MAX_S))]
        {
            let mut goodbye = touchmark_mqtt::Disconnect::because(reason, None);
            goodbye.properties.session_expiry_interval = asked;
            let mut side = client(&hello, true, usize::MAX, &Arc::default());
            let octets = match side.take(frame(V5, goodbye.into()), &table, now()) {
                Step::Goodbye(frame) => frame.into_octets(),
                Step::GoodbyeWithWill => side.farewell().unwrap().clone(),
                other => panic!("{other:?}"),
            };
            let sent = Frame::from_octets(octets).unwrap();
            let Packet::Disconnect(sent) = sent.parse(V5).unwrap() else { panic!() };
            assert_eq!(sent.properties.session_expiry_interval, expected, "{reason:?} {asked:?}");
            assert_eq!((sent.reason, side.expiry_s()), (reason, expected));
        }
    }
}

#[test]
fn a_record_names_the_policy_that_decided() {
    let table = table();
    let mut side = client(&connect(V5, "pump-01"), true, usize::MAX, &Arc::default());
    let subscriptions = ["cmd/pump-01/#", "x"]
        .map(|filter| Subscription::new(TopicFilter::new(filter).unwrap(), QoS::AtMostOnce))
        .to_vec();
    let packets: [Packet<'_>; 3] = [
        message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x").into(),
        message("x", QoS::AtLeastOnce, 2, "x").into(),
        Subscribe { packet_id: id(3), properties: Default::default(), subscriptions }.into(),
    ];
    for packet in packets {
        let acts = match side.take(frame(V5, packet), &table, now()) {
            Step::Publish { act, .. } => vec![act],
            Step::Subscribe { acts, .. } | Step::Refused { acts, .. } => acts,
            other => panic!("{other:?}"),
        };
        assert!(!acts.is_empty() && acts.iter().all(|act| act.policy == Some(table.version())), "{acts:?}");
    }
}
