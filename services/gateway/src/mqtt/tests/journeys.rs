//! What devices may do, through a gateway to mosquitto.

use super::client::{Client, V5, V311, connect, id, message};
use crate::lab::{Broker, Lab, policy, until};
use std::time::Instant;
use touchmark_decisions::{CloseCause, Record, Verdict};
use touchmark_mqtt::{
    Acknowledgement, Packet, PacketType, QoS, ReasonCode, Subscribe, Subscription, Text, TopicFilter,
    TopicName, Will,
};
use touchmark_policy::{Action, DenyReason};
use touchmark_status::{Change, Standing};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_broker_as_it_was_sent_and_is_in_the_log() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    for (version, device) in [(V5, "pump-01"), (V311, "pump-02")] {
        let holder = lab.device(device);
        let mut client = Client::welcome(&lab, &holder, &running, &connect(version, device)).await;
        let topic = format!("plant/{device}/t");
        for (qos, payload) in
            [(QoS::AtMostOnce, "zero"), (QoS::AtLeastOnce, "one"), (QoS::ExactlyOnce, "two")]
        {
            client.send(message(&topic, qos, 5, payload).into()).await;
            match qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => {
                    assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Puback)
                }
                QoS::ExactlyOnce => {
                    assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Pubrec);
                    client.send(Packet::Pubrel(Acknowledgement::new(id(5), ReasonCode::Success))).await;
                    assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Pubcomp);
                }
            }
            assert_eq!(behind.message().await, (topic.clone(), payload.to_owned()), "{version} {qos:?}");
        }
        let pong = client.ask(Packet::Pingreq).await.unwrap();
        assert_eq!(pong.packet_type(), PacketType::Pingresp);
        let decision = lab
            .logged(|d| d.action == Action::Publish && d.device().is_some_and(|n| n.as_str() == device))
            .await;
        assert_eq!(decision.verdict, Verdict::Allow);
        assert_eq!(decision.rule.unwrap().as_str(), "publish-own");
        assert_eq!(
            decision.session.unwrap().certificate.unwrap().fingerprint,
            holder.certificate.fingerprint()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_message_is_answered_and_never_reaches_the_broker() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["#"]).await;
    let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
    for (qos, answer) in [(QoS::AtLeastOnce, PacketType::Puback), (QoS::ExactlyOnce, PacketType::Pubrec)] {
        let frame = client.ask(message("plant/pump-02/t", qos, 9, "no").into()).await.unwrap();
        assert_eq!((frame.packet_type(), frame.body()[2]), (answer, 0x87));
        let text = String::from_utf8_lossy(frame.body()).into_owned();
        assert!(text.contains("no-rule: If it should be allowed"), "{text}");
    }
    // The session goes on, and what it may send arrives first at the far end.
    client.ask(message("plant/pump-01/t", QoS::AtLeastOnce, 1, "yes").into()).await.unwrap();
    assert_eq!(behind.message().await.1, "yes");
    client.send(message("cmd/pump-01/go", QoS::AtMostOnce, 0, "no").into()).await;
    let goodbye = client.next().await.unwrap();
    assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x87));
    assert!(client.next().await.is_none());

    let mut old = Client::welcome(&lab, &lab.device("pump-03"), &running, &connect(V311, "pump-03")).await;
    old.send(message("plant/pump-01/t", QoS::AtLeastOnce, 1, "no").into()).await;
    assert!(old.next().await.is_none(), "3.1.1 has no answer for a denied message but the end");
    let denied = lab
        .logged(|d| d.device().is_some_and(|n| n.as_str() == "pump-03") && d.action == Action::Publish)
        .await;
    assert_eq!(denied.verdict, Verdict::Deny(DenyReason::NoRule));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_decided_one_by_one_and_answered_in_order() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let filters =
        ["#", "cmd/pump-01/#", "cmd/pump-02/#", "cmd/pump-01/x", "$SYS/#", "$share/g/cmd/pump-01/#"];
    for (version, no) in [(V5, ReasonCode::NotAuthorized), (V311, ReasonCode::UnspecifiedError)] {
        let mut client =
            Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(version, "pump-01")).await;
        let granted = ReasonCode::GrantedQoS1;
        assert_eq!(
            client.subscribe(&filters).await.reasons,
            [no, granted, no, granted, no, granted],
            "{version}"
        );
        assert_eq!(client.subscribe(&["#", "plant/+"]).await.reasons, [no, no], "{version}: all denied");
        assert_eq!(client.subscribe(&["cmd/pump-01/#"]).await.reasons, [granted], "{version}: all allowed");
    }
    let mut behind = Client::behind(&broker, "service").await;
    let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
    client.subscribe(&["cmd/pump-01/#", "#"]).await;
    behind.send(message("plant/pump-02/t", QoS::AtMostOnce, 0, "not for you").into()).await;
    behind.send(message("cmd/pump-01/go", QoS::AtMostOnce, 0, "for you").into()).await;
    assert_eq!(client.message().await, ("cmd/pump-01/go".into(), "for you".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_was_lost_while_offline_delivers_nothing() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let holder = lab.device("pump-01");
    let mut hello = connect(V5, "pump-01");
    hello.clean_start = false;
    hello.properties.session_expiry_interval = Some(3600);
    let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
    client.subscribe(&["cmd/pump-01/#"]).await;
    client.send(touchmark_mqtt::Disconnect::default().into()).await;
    assert!(client.next().await.is_none());
    running.live(0).await;

    let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
    bundle.files[0].1 += "\n@id(\"quiet\") forbid (principal, action == Action::\"subscribe\", resource in Topics::\"commands\");";
    running.fold(&lab, &lab.publish(vec![policy(&bundle)])).await;
    let mut behind = Client::behind(&broker, "service").await;
    for (qos, number) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
        behind.ask(message("cmd/pump-01/go", qos, number, "withheld").into()).await.unwrap();
        if qos == QoS::ExactlyOnce {
            behind.ask(Packet::Pubrel(Acknowledgement::new(id(number), ReasonCode::Success))).await.unwrap();
        }
    }
    let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
    // The broker's session is there; what it kept is withheld here, and the connection stays in order.
    for on in ["cmd/pump-01/go", "cmd/pump-01/#"] {
        lab.logged(|d| {
            d.verdict == Verdict::Deny(DenyReason::ForbiddenByRule)
                && d.action == Action::Subscribe
                && d.resource.as_ref().is_some_and(|resource| resource.as_str() == on)
        })
        .await;
    }
    assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    behind.unheard("cmd/pump-01/go").await;

    running.fold(&lab, &lab.publish(vec![policy(&touchmark_policy_cedar::PolicyBundle::starter())])).await;
    for _ in 0..2 {
        // The first has the subscription asked for again, the second waits until the broker has it.
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    }
    behind.send(message("cmd/pump-01/go", QoS::AtMostOnce, 0, "allowed again").into()).await;
    assert_eq!(client.message().await.1, "allowed again", "by the same session under the new policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_status_ends_exactly_the_sessions_it_concerns() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let bystander = lab.device("bystander");
    let mut innocent = Client::welcome(&lab, &bystander, &running, &connect(V5, "bystander")).await;
    let quarantined =
        || Change::SetStanding { handle: "pump-01".parse().unwrap(), standing: Standing::Quarantined };
    let banned = || Change::SetStanding { handle: "pump-01".parse().unwrap(), standing: Standing::Banned };
    type Of<'a> = &'a dyn Fn(&crate::lab::Holder) -> Vec<Change>;
    let rows: &[(&str, DenyReason, Of<'_>)] = &[
        ("revoked", DenyReason::Revoked, &|holder| vec![lab.revoke(holder)]),
        ("key denied", DenyReason::KeyDenied, &|holder| {
            vec![Change::DenyKey(holder.certificate.spki_hash())]
        }),
        ("superseded", DenyReason::Superseded, &|holder| {
            vec![Change::Supersede {
                authority_version: crate::lab::version(1),
                serial: *holder.certificate.serial(),
                supersession: touchmark_status::Supersession {
                    effective_at: lab.now(),
                    not_after: holder.certificate.validity().not_after(),
                },
            }]
        }),
        ("quarantined", DenyReason::Quarantined, &|_| vec![quarantined()]),
        ("banned", DenyReason::Banned, &|_| vec![banned()]),
    ];
    for (name, reason, changes) in rows {
        for version in [V5, V311] {
            let holder = lab.device("pump-01");
            let mut hello = connect(version, "pump-01");
            hello.will = Some(Will {
                topic: TopicName::new("plant/pump-01/gone").unwrap(),
                payload: Default::default(),
                qos: QoS::AtMostOnce,
                retain: false,
                properties: Default::default(),
            });
            let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
            let wire = lab.publish(changes(&holder));
            let before = Instant::now();
            assert_eq!(running.fold(&lab, &wire).await, 1, "{name}: one session is ended");
            if version == V5 {
                let goodbye = client.next().await.unwrap();
                assert_eq!(
                    (goodbye.packet_type(), goodbye.body()[0]),
                    (PacketType::Disconnect, 0x98),
                    "{name}"
                );
                assert!(String::from_utf8_lossy(goodbye.body()).contains(reason.code()), "{name}");
            }
            assert!(client.next().await.is_none(), "{name}: the end");
            println!("{name} {version}: closed after {:?}", before.elapsed());

            let mut again = Client::dial(&lab, &holder, running.address, version).await;
            let (code, says) = again.connack(&hello).await;
            let expected = match (version, reason) {
                (V311, _) => 0x05,
                (_, DenyReason::Banned) => 0x8a,
                _ => 0x87,
            };
            assert_eq!(code, expected, "{name} {version}: new connections are told");
            assert!(version == V311 || says.starts_with(reason.code()), "{name}: {says}");
            running.fold(&lab, &lab.publish(vec![Change::ClearStanding("pump-01".parse().unwrap())])).await;
        }
    }
    assert_eq!(innocent.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    running.log.close().await;
    let cuts = lab.records().into_iter().filter(
        |record| matches!(record, Record::SessionClosed(closed) if matches!(closed.why, CloseCause::Cut(_))),
    );
    assert_eq!(cuts.count(), rows.len() * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_with_the_same_client_id_takes_over() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let holder = lab.device("pump-01");
    let mut first = Client::welcome(&lab, &holder, &running, &connect(V5, "pump-01")).await;
    let mut part = Client::welcome(&lab, &holder, &running, &connect(V5, "pump-01/part")).await;
    let mut second = Client::welcome(&lab, &holder, &running, &connect(V5, "pump-01")).await;
    let goodbye = first.next().await.unwrap();
    assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x8e));
    assert!(first.next().await.is_none());
    for client in [&mut part, &mut second] {
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    }
    running.live(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_trickle_and_broken_packets_end_a_session_in_words() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut hello = connect(V5, "pump-01");
    hello.keep_alive_s = 1;
    let holder = lab.device("pump-01");
    let alias = {
        let mut publish = message("plant/pump-01/t", QoS::AtMostOnce, 0, "x");
        publish.properties.topic_alias = Some(touchmark_mqtt::TopicAlias(core::num::NonZeroU16::MIN));
        let mut octets = bytes::BytesMut::new();
        publish.encode(V5, &mut octets).unwrap();
        octets.to_vec()
    };
    let rows: &[(&str, &[u8], u8)] = &[
        ("silence", b"", 0x8d),
        ("a packet that never becomes whole", b"\x30\x20\0", 0x8d),
        ("a reserved packet type", b"\x00\x00", 0x81),
        ("a second CONNECT", b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", 0x82),
        ("a packet of a server", b"\xd0\x00", 0x82),
        ("larger than is taken", b"\x30\x81\x80\x40", 0x95),
        ("a topic alias", &alias, 0x94),
    ];
    for (name, octets, code) in rows {
        let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
        client.send_octets(octets).await;
        let goodbye = client.next().await.unwrap();
        assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, *code), "{name}");
        assert!(client.next().await.is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_certificate() {
    let lab = Lab::new();
    let running = lab.run(None);
    let holder = lab.holder("spiffe://lab.touchmark.internal/d/pump-01", &[], 3600);
    let mut client = Client::welcome(&lab, &holder, &running, &connect(V5, "")).await;
    lab.pass(core::time::Duration::from_secs(3590));
    assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    lab.pass(core::time::Duration::from_secs(20));
    let goodbye = client.next().await.unwrap();
    assert!(String::from_utf8_lossy(goodbye.body()).contains("expired"));
    assert!(client.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_ends_sessions_that_it_does_not_permit_and_redecides_the_others() {
    let lab = Lab::new();
    let running = lab.run(None);
    let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
    let mut held = Client::welcome(&lab, &lab.device("held"), &running, &connect(V5, "held")).await;
    let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
    bundle.files[0].1 += "\n@id(\"hold\") forbid (principal == Device::\"held\", action == Action::\"connect\", resource);\n@id(\"still\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
    assert_eq!(running.fold(&lab, &lab.publish(vec![policy(&bundle)])).await, 1);
    let goodbye = held.next().await.unwrap();
    assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x87));
    let refused = client.ask(message("plant/pump-01/t", QoS::AtLeastOnce, 4, "x").into()).await.unwrap();
    assert_eq!((refused.packet_type(), refused.body()[2]), (PacketType::Puback, 0x87));
    assert!(String::from_utf8_lossy(refused.body()).contains("forbidden-by-rule (rule still)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_stores_acknowledges_and_says_that_it_delivers_nothing() {
    let lab = Lab::new();
    let running = lab.run(None);
    for (version, device) in [(V5, "pump-01"), (V311, "pump-02")] {
        let mut client = Client::welcome(&lab, &lab.device(device), &running, &connect(version, "")).await;
        let topic = format!("plant/{device}/t");
        client.send(message(&topic, QoS::AtMostOnce, 0, "a").into()).await;
        assert_eq!(
            client.ask(message(&topic, QoS::AtLeastOnce, 1, "b").into()).await.unwrap().packet_type(),
            PacketType::Puback
        );
        for _ in 0..2 {
            // Sent again before its release: stored once.
            let frame = client.ask(message(&topic, QoS::ExactlyOnce, 2, "c").into()).await.unwrap();
            assert_eq!(frame.packet_type(), PacketType::Pubrec);
        }
        let done =
            client.ask(Packet::Pubrel(Acknowledgement::new(id(2), ReasonCode::Success))).await.unwrap();
        assert_eq!(done.packet_type(), PacketType::Pubcomp);
        let filter = format!("cmd/{device}/#");
        let subscribe = Subscribe {
            packet_id: id(3),
            properties: Default::default(),
            subscriptions: vec![Subscription::new(TopicFilter::new(&filter).unwrap(), QoS::AtLeastOnce)],
        };
        let suback = client.ask(subscribe.into()).await.unwrap();
        assert_eq!(version == V5, String::from_utf8_lossy(suback.body()).contains("fan-out needs a broker"));
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
        let last = until(|| running.sink.last(&topic).filter(|m| m.payload == "c")).await;
        assert_eq!((last.device.as_ref(), last.qos), (device, 2));
    }
    let stored: Vec<_> =
        running.sink.after(0).iter().map(|m| String::from_utf8(m.payload.to_vec()).unwrap()).collect();
    assert_eq!(stored, ["a", "b", "c", "a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assigned_client_id_is_told_and_a_stop_is_told() {
    let lab = Lab::new();
    let running = lab.run(None);
    let mut client = Client::dial(&lab, &lab.device("pump-01"), running.address, V5).await;
    let frame = client.ask(connect(V5, "").into()).await.unwrap();
    let Packet::Connack(connack) = frame.parse(V5).unwrap() else { panic!("{frame:?}") };
    assert_eq!(connack.properties.assigned_client_identifier.map(Text::as_str), Some("pump-01"));
    running.switch.stop();
    let goodbye = client.next().await.unwrap();
    assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x8b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_elsewhere_is_reached_with_the_gateways_own_certificate() {
    let lab = Lab::new();
    let broker = Broker::start_protected(&lab).await;
    let running = lab.run(Some(&broker));
    let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
    client.subscribe(&["cmd/pump-01/#"]).await;
    let taken = client.ask(message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x").into()).await.unwrap();
    assert_eq!(taken.packet_type(), PacketType::Puback);
}
