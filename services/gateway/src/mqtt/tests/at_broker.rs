//! What stays at the broker of a device that may not connect, publish or subscribe any more: nothing. Seen from a
//! client on the broker behind.

use super::client::{Client, V5, V311, connect, id, message};
use crate::lab::{Broker, Holder, Lab, Running, policy, until};
use touchmark_decisions::{CloseCause, Record, Verdict};
use touchmark_mqtt::{
    Acknowledgement, Connect, Disconnect, Packet, PacketType, ProtocolVersion, QoS, ReasonCode,
};
use touchmark_policy::{Action, DenyReason};
use touchmark_policy_cedar::PolicyBundle;
use touchmark_status::{Change, Standing, Supersession};

/// A CONNECT whose session stays at the broker.
fn kept(version: ProtocolVersion, client_id: &str) -> Connect<'_> {
    let mut hello = connect(version, client_id);
    hello.clean_start = false;
    if version == V5 {
        hello.properties.session_expiry_interval = Some(3600);
    }
    hello
}

fn with_rules(more: &str) -> Change {
    let mut bundle = PolicyBundle::starter();
    bundle.files[0].1 += more;
    policy(&bundle)
}

const NO_PUBLISH: &str =
    "\n@id(\"still\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
const NO_SUBSCRIBE: &str =
    "\n@id(\"deaf\") forbid (principal, action == Action::\"subscribe\", resource in Topics::\"commands\");";
const NO_CONNECT: &str = "\n@id(\"shut\") forbid (principal, action == Action::\"connect\", resource);";

async fn session_present(client: &mut Client, hello: &Connect<'_>) -> bool {
    let frame = client.ask(hello.clone().into()).await.expect("CONNACK");
    let Packet::Connack(connack) = frame.parse(hello.version).unwrap() else { panic!("{frame:?}") };
    assert_eq!(connack.reason, ReasonCode::Success);
    connack.session_present
}

async fn resumed(lab: &Lab, holder: &Holder, running: &Running, hello: &Connect<'_>) -> (Client, bool) {
    let mut client = Client::dial(lab, holder, running.address, hello.version).await;
    let present = session_present(&mut client, hello).await;
    (client, present)
}

/// Leaves in order; the session stays.
async fn leave(mut client: Client) {
    client.send(Disconnect::default().into()).await;
    assert!(client.next().await.is_none());
}

/// PUBLISH with QoS 2 up to the broker's PUBREC.
async fn publish_held(client: &mut Client, number: u16, topic: &str, payload: &str) {
    let frame = client.ask(message(topic, QoS::ExactlyOnce, number, payload).into()).await.unwrap();
    assert_eq!((frame.packet_type(), frame.body().get(2)), (PacketType::Pubrec, None));
}

fn release(number: u16) -> Packet<'static> {
    Packet::Pubrel(Acknowledgement::new(id(number), ReasonCode::Success))
}

/// The next message there is this one: none before it was delivered.
async fn hears_only(behind: &mut Client, payload: &str) {
    let mut service = message("mark", QoS::AtMostOnce, 0, payload);
    service.retain = false;
    behind.send(service.into()).await;
    assert_eq!(behind.message().await.1, payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_right_is_gone_is_not_released_and_never_comes_out_of_the_broker() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["#"]).await;
    let topic = "plant/pump-01/t";
    let holder = lab.device("pump-01");
    for (version, hello) in
        [(V5, connect(V5, "pump-01")), (V5, kept(V5, "pump-01")), (V311, kept(V311, "pump-01"))]
    {
        let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
        publish_held(&mut client, 1, topic, "gone").await;
        publish_held(&mut client, 2, topic, "gone too").await;
        running.fold(&lab, &lab.publish(vec![with_rules(NO_PUBLISH)])).await;
        client.send(release(1)).await;
        if version == V5 {
            let answer = client.next().await.unwrap();
            assert_eq!((answer.packet_type(), answer.body()[2]), (PacketType::Pubcomp, 0x92));
            let goodbye = client.next().await.unwrap();
            assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x87));
        }
        assert!(client.next().await.is_none(), "{version}");
        running.live(0).await;
        // The rule goes; what was in flight is gone with the session all the same.
        running.fold(&lab, &lab.publish(vec![with_rules("")])).await;
        let (mut client, present) = resumed(&lab, &holder, &running, &hello).await;
        assert!(!present, "{version}: the broker's session is ended");
        for number in [1, 2] {
            let answer = client.ask(release(number)).await.unwrap();
            assert_eq!(answer.packet_type(), PacketType::Pubcomp, "{version}: it can be done with it");
            assert_eq!(answer.body().get(2), (version == V5).then_some(&0x92));
        }
        publish_held(&mut client, 1, topic, "new").await;
        assert_eq!(client.ask(release(1)).await.unwrap().packet_type(), PacketType::Pubcomp);
        assert_eq!(behind.message().await, (topic.to_owned(), "new".to_owned()), "{version}");
        leave(client).await;
        running.live(0).await;
    }
    running.log.close().await;
    let denied = lab.decisions().into_iter().filter(|d| {
        d.action == Action::Publish
            && d.verdict == Verdict::Deny(DenyReason::ForbiddenByRule)
            && d.resource.as_ref().is_some_and(|resource| resource.as_str() == topic)
            && d.rule.as_ref().is_some_and(|rule| rule.as_str() == "still")
    });
    assert_eq!(denied.count(), 3, "each release that was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_traced_to_its_topic_over_connections_and_refused_where_it_cannot_be() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let mut running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["#"]).await;
    let (holder, topic) = (lab.device("pump-01"), "plant/pump-01/t");
    for version in [V5, V311] {
        let hello = kept(version, "pump-01");
        // Known here: the connection is lost between the two, or a newer one takes over.
        for takes_over in [false, true] {
            let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
            publish_held(&mut client, 7, topic, "kept").await;
            let mut before = Some(client);
            if !takes_over {
                before = None;
                running.live(0).await;
            }
            let (mut client, present) = resumed(&lab, &holder, &running, &hello).await;
            assert!(present);
            drop(before);
            assert_eq!(client.ask(release(7)).await.unwrap().packet_type(), PacketType::Pubcomp);
            assert_eq!(
                behind.message().await,
                (topic.to_owned(), "kept".to_owned()),
                "{version} {takes_over}"
            );
            // The answer was lost: it is asked for once more.
            drop(client);
            let (mut client, _) = resumed(&lab, &holder, &running, &hello).await;
            assert_eq!(client.ask(release(7)).await.unwrap().packet_type(), PacketType::Pubcomp);
            leave(client).await;
            running.live(0).await;
        }
        // Not known any more: another run of the gateway.
        let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
        publish_held(&mut client, 8, topic, "of another run").await;
        running.end().await;
        assert!(client.next().await.is_none_or(|goodbye| goodbye.packet_type() == PacketType::Disconnect));
        running = lab.run(Some(&broker));
        let (mut client, present) = resumed(&lab, &holder, &running, &hello).await;
        assert!(present);
        client.send(release(8)).await;
        if version == V5 {
            assert_eq!(client.next().await.unwrap().body()[2], 0x92);
            assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Disconnect);
        }
        assert!(client.next().await.is_none());
        let (client, present) = resumed(&lab, &holder, &running, &hello).await;
        assert!(!present, "{version}");
        leave(client).await;
        running.live(0).await;
        hears_only(&mut behind, "nothing of it").await;
    }
    lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::ReleaseUnknown)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_the_broker_outlives_the_right_to_connect() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    let standing = |standing| Change::SetStanding { handle: "pump-01".parse().unwrap(), standing };
    type Of<'a> = &'a dyn Fn(&Holder) -> Vec<Change>;
    let rows: &[(&str, Of<'_>)] = &[
        ("revoked", &|holder| vec![lab.revoke(holder)]),
        ("key denied", &|holder| vec![Change::DenyKey(holder.certificate.spki_hash())]),
        ("superseded", &|holder| {
            vec![Change::Supersede {
                authority_version: crate::lab::version(1),
                serial: *holder.certificate.serial(),
                supersession: Supersession {
                    effective_at: lab.now(),
                    not_after: holder.certificate.validity().not_after(),
                },
            }]
        }),
        ("quarantined", &|_| vec![standing(Standing::Quarantined)]),
        ("banned", &|_| vec![standing(Standing::Banned)]),
        ("no rule to connect", &|_| vec![with_rules(NO_CONNECT)]),
    ];
    let mut ended = 0;
    for (name, changes) in rows {
        for version in [V5, V311] {
            for live in [true, false] {
                let holder = lab.device("pump-01");
                let client_ids = ["pump-01", "pump-01/part"];
                let mut clients = Vec::new();
                for client_id in client_ids {
                    let hello = kept(version, client_id);
                    let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
                    client.subscribe(&["cmd/pump-01/#", "$share/w/cmd/pump-01/jobs/#"]).await;
                    clients.push(client);
                }
                if !live {
                    for client in clients.drain(..) {
                        leave(client).await;
                    }
                    running.live(0).await;
                }
                assert!(behind.is_heard("cmd/pump-01/jobs/1").await);
                running.fold(&lab, &lab.publish(changes(&holder))).await;
                if *name == "no rule to connect" && !live {
                    // What a policy means for those who are away is known when they come.
                    for client_id in client_ids {
                        let mut client = Client::dial(&lab, &holder, running.address, version).await;
                        client.connack(&kept(version, client_id)).await;
                    }
                }
                behind.unheard("cmd/pump-01/jobs/2").await;
                behind.unheard("cmd/pump-01/other").await;
                ended += 2;
                until(|| (running.kept().ended() == ended).then_some(())).await;
                for client in &mut clients {
                    while let Some(frame) = client.next().await {
                        let Ok(Packet::Publish(message)) = frame.parse(version) else { continue };
                        assert_eq!(message.topic.unwrap().as_str(), "cmd/pump-01/jobs/1", "{name}");
                    }
                }
                running.live(0).await;
                let back = vec![Change::ClearStanding("pump-01".parse().unwrap()), with_rules("")];
                running.fold(&lab, &lab.publish(back)).await;
                // Whoever may again finds nothing of it, and keeps what it makes then.
                let (holder, hello) = (lab.device("pump-01"), kept(version, "pump-01"));
                for expected in [false, true] {
                    let (client, present) = resumed(&lab, &holder, &running, &hello).await;
                    assert_eq!(present, expected, "{name} {version} {live}");
                    leave(client).await;
                    running.live(0).await;
                }
                let mut last = hello.clone();
                last.clean_start = true;
                last.properties.session_expiry_interval = None;
                leave(Client::welcome(&lab, &holder, &running, &last).await).await;
                running.live(0).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_every_job_once_another_may_not_have_them() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    let mut worker = Client::behind(&broker, "worker").await;
    worker.subscribe(&["$share/w/cmd/pump-01/jobs"]).await;
    let holder = lab.device("pump-01");
    // Revoked while away; revoked while connected; its right to subscribe gone while connected.
    for (name, live, change) in [
        ("away", false, None),
        ("connected", true, None),
        ("may not subscribe", true, Some(with_rules(NO_SUBSCRIBE))),
    ] {
        let holder = lab.device("pump-01");
        let mut client = Client::welcome(&lab, &holder, &running, &kept(V5, "pump-01")).await;
        client.subscribe(&["$share/w/cmd/pump-01/jobs"]).await;
        let mut client = Some(client);
        if let Some(client) = client.take_if(|_| !live) {
            leave(client).await;
            running.live(0).await;
        }
        let withdrawn = change.is_some();
        let change = change.unwrap_or_else(|| lab.revoke(&holder));
        let ended = running.kept().ended();
        running.fold(&lab, &lab.publish(vec![change])).await;
        if withdrawn {
            // The one that finds out is not acknowledged; whether the broker hands it on is the broker's choice.
            for _ in 0..2 {
                behind.is_heard("cmd/pump-01/jobs").await;
            }
            worker.message().await;
            let mut client = client.take().unwrap();
            let goodbye = client.next().await.unwrap();
            assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (PacketType::Disconnect, 0x87));
            assert!(client.next().await.is_none());
        }
        until(|| (running.kept().ended() > ended).then_some(())).await;
        let jobs: Vec<String> = (0..20).map(|n| format!("{name} {n}")).collect();
        for (number, job) in (1..).zip(&jobs) {
            behind.ask(message("cmd/pump-01/jobs", QoS::AtLeastOnce, number, job).into()).await.unwrap();
        }
        let mut done = Vec::new();
        while done.len() < jobs.len() {
            let frame = worker.next().await.unwrap();
            let Packet::Publish(job) = frame.parse(V5).unwrap() else { panic!("{frame:?}") };
            if let Some(packet_id) = job.delivery.packet_id() {
                worker.send(Packet::Puback(Acknowledgement::new(packet_id, ReasonCode::Success))).await;
            }
            if !job.payload.is_empty() {
                done.push(String::from_utf8(job.payload.to_vec()).unwrap());
            }
        }
        assert_eq!(done, jobs, "{name}");
        running.fold(&lab, &lab.publish(vec![with_rules("")])).await;
        drop(client);
        running.live(0).await;
    }
    drop(holder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_hears_of_every_end_when_it_is_back() {
    let lab = Lab::new();
    let mut broker = Broker::start_durable(&lab).await;
    let mut running = lab.run(Some(&broker));
    let holders: Vec<(String, Holder)> =
        (0..3).map(|n| format!("pump-{n}")).map(|name| (name.clone(), lab.device(&name))).collect();
    for (name, holder) in &holders {
        let mut client = Client::welcome(&lab, holder, &running, &kept(V5, name)).await;
        client.subscribe(&[&format!("cmd/{name}/#")]).await;
        leave(client).await;
    }
    running.live(0).await;
    broker.stop();
    running.fold(&lab, &lab.publish(vec![lab.revoke(&holders[0].1)])).await;
    let kept_counted = || {
        lab.records()
            .iter()
            .any(|r| matches!(r, Record::Refused(r) if r.reason == DenyReason::BrokerSessionKept))
    };
    until(|| kept_counted().then_some(())).await;
    // Revoked while this gateway is away: the next run knows from its file who left what.
    running.end().await;
    lab.publish(vec![lab.revoke(&holders[1].1)]);
    running = lab.run(Some(&broker));
    broker.restart().await;
    until(|| (running.kept().ended() == 2).then_some(())).await;
    let mut behind = Client::behind(&broker, "service").await;
    assert!(!behind.is_heard("cmd/pump-0/x").await && !behind.is_heard("cmd/pump-1/x").await);
    assert!(behind.is_heard("cmd/pump-2/x").await, "nobody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_holder_ends_what_the_gateway_did_not_know_of_and_nothing_of_its_successor() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let mut running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    for version in [V5, V311] {
        let old = lab.device("pump-01");
        let mut client = Client::welcome(&lab, &old, &running, &kept(version, "pump-01")).await;
        client.subscribe(&["cmd/pump-01/#"]).await;
        leave(client).await;
        running.end().await;
        std::fs::remove_file(lab.data().join("broker-sessions")).unwrap();
        running = lab.run(Some(&broker));
        running.fold(&lab, &lab.publish(vec![lab.revoke(&old)])).await;
        assert!(behind.is_heard("cmd/pump-01/x").await, "{version}: nothing here tells of it");
        let refused = async || {
            let mut client = Client::dial(&lab, &old, running.address, version).await;
            client.connack(&kept(version, "pump-01")).await
        };
        refused().await;
        behind.unheard("cmd/pump-01/x").await;

        // Its successor has the client id now. The old one is refused over and over, and ends nothing.
        let (new, hello) = (lab.device("pump-01"), kept(version, "pump-01"));
        let (mut client, present) = resumed(&lab, &new, &running, &hello).await;
        assert!(!present);
        client.subscribe(&["cmd/pump-01/#"]).await;
        let ended = running.kept().ended();
        for _ in 0..5 {
            refused().await;
        }
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
        leave(client).await;
        running.live(0).await;
        for _ in 0..5 {
            refused().await;
        }
        let (client, present) = resumed(&lab, &new, &running, &hello).await;
        assert!(present, "{version}");
        assert_eq!(running.kept().ended(), ended);
        drop(client);
        running.live(0).await;
        running.fold(&lab, &lab.publish(vec![lab.revoke(&new)])).await;
        behind.unheard("cmd/pump-01/x").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_leaves_a_bounded_number_of_sessions_at_the_broker() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let holder = lab.device("pump-01");
    for (version, device) in [(V5, "pump-01"), (V311, "pump-02")] {
        let holder = if device == "pump-01" { &holder } else { &lab.device(device) };
        for n in 0..32 {
            let client_id = format!("{device}/{n}");
            leave(Client::welcome(&lab, holder, &running, &kept(version, &client_id)).await).await;
        }
        running.live(0).await;
        let refused = running.kept().refused();
        for client_id in [format!("{device}/more"), device.to_owned()] {
            let mut client = Client::dial(&lab, holder, running.address, version).await;
            let (code, says) = client.connack(&kept(version, &client_id)).await;
            assert_eq!(code, if version == V5 { 0x97 } else { 0x03 }, "{client_id}: {says}");
            assert!(version == V311 || says.starts_with("too-many-client-ids"), "{says}");
        }
        assert_eq!(running.kept().refused(), refused + 2);
        // One that it has, and one that leaves nothing, are welcome; and there is room again when one ends.
        let known = format!("{device}/7");
        let (client, present) = resumed(&lab, holder, &running, &kept(version, &known)).await;
        assert!(present);
        leave(client).await;
        let mut ends = connect(version, &known);
        ends.clean_start = true;
        leave(Client::welcome(&lab, holder, &running, &ends).await).await;
        running.live(0).await;
        leave(Client::welcome(&lab, holder, &running, &kept(version, &format!("{device}/more"))).await).await;
        running.live(0).await;
    }
    let told = lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::TooManyClientIds)).await;
    assert_eq!(told.action, Action::Connect);
    // Time passes: the broker has dropped those of 5.0 by itself, and the gateway ends those of 3.1.1.
    lab.pass(core::time::Duration::from_secs(7200));
    leave(Client::welcome(&lab, &holder, &running, &kept(V5, "pump-01/later")).await).await;
    lab.pass(core::time::Duration::from_secs(7 * 24 * 3600));
    running.kept().look_soon();
    until(|| (running.kept().ended() == 32).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_for_a_week_at_most() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let holder = lab.device("pump-01");
    for (asked, told) in [(3600, None), (604_800, None), (604_801, Some(604_800)), (u32::MAX, Some(604_800))]
    {
        let mut hello = kept(V5, "pump-01");
        hello.properties.session_expiry_interval = Some(asked);
        let mut client = Client::dial(&lab, &holder, running.address, V5).await;
        let frame = client.ask(hello.into()).await.unwrap();
        let Packet::Connack(connack) = frame.parse(V5).unwrap() else { panic!("{frame:?}") };
        assert_eq!(connack.properties.session_expiry_interval, told, "{asked}");
        assert!(connack.properties.receive_maximum.is_some_and(|most| most.get() <= 256));
        leave(client).await;
        running.live(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wills_and_messages_name_response_topics_that_their_device_may_hear() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    let holder = lab.device("pump-01");
    let with_will = |answers: &'static str| {
        let mut hello = connect(V5, "pump-01");
        hello.will = Some(touchmark_mqtt::Will {
            topic: touchmark_mqtt::TopicName::new("plant/pump-01/gone").unwrap(),
            payload: touchmark_mqtt::Binary::new(b"gone").unwrap(),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: touchmark_mqtt::WillProperties {
                response_topic: Some(touchmark_mqtt::TopicName::new(answers).unwrap()),
                ..Default::default()
            },
        });
        hello
    };
    for answers in ["cmd/pump-02/x", "plant/pump-01/x", "$SYS/x", "cmd/pump-01/../x"] {
        let mut client = Client::dial(&lab, &holder, running.address, V5).await;
        let (code, says) = client.connack(&with_will(answers)).await;
        assert_eq!(
            (code, says.starts_with("response-topic-not-permitted")),
            (0x87, true),
            "{answers}: {says}"
        );
    }
    // Permitted when it was left, and not when it would be said: the policy went in between.
    let client = Client::welcome(&lab, &holder, &running, &with_will("cmd/pump-01/answers")).await;
    running.fold(&lab, &lab.publish(vec![with_rules(NO_SUBSCRIBE)])).await;
    drop(client);
    running.live(0).await;
    running.fold(&lab, &lab.publish(vec![with_rules("")])).await;
    drop(Client::welcome(&lab, &holder, &running, &with_will("cmd/pump-01/answers")).await);
    running.live(0).await;
    assert_eq!(behind.message().await, ("plant/pump-01/gone".into(), "gone".into()));
    assert_eq!(behind.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp, "said once");

    let mut client = Client::welcome(&lab, &holder, &running, &connect(V5, "pump-01")).await;
    let mut request = message("plant/pump-01/ask", QoS::AtLeastOnce, 1, "ask");
    request.properties.response_topic = Some(touchmark_mqtt::TopicName::new("cmd/pump-02/answers").unwrap());
    let answer = client.ask(request.clone().into()).await.unwrap();
    assert_eq!((answer.packet_type(), answer.body()[2]), (PacketType::Puback, 0x87));
    request.properties.response_topic = Some(touchmark_mqtt::TopicName::new("cmd/pump-01/answers").unwrap());
    client.ask(request.into()).await.unwrap();
    let heard = behind.next().await.unwrap();
    let Packet::Publish(heard) = heard.parse(V5).unwrap() else { panic!("{heard:?}") };
    let answers = heard.properties.response_topic.map(|topic| topic.as_str());
    assert_eq!(answers, Some("cmd/pump-01/answers"), "the only one that came");
    let denied = lab
        .logged(|d| {
            d.verdict == Verdict::Deny(DenyReason::ResponseTopicNotPermitted)
                && d.resource.as_ref().is_some_and(|resource| resource.as_str() == "plant/pump-01/ask")
        })
        .await;
    assert_eq!(denied.action, Action::Publish);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_quarantined_and_released_begins_anew() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    let holder = lab.device("pump-01");
    for version in [V5, V311] {
        let hello = kept(version, "pump-01");
        let mut client = Client::welcome(&lab, &holder, &running, &hello).await;
        client.subscribe(&["cmd/pump-01/#"]).await;
        publish_held(&mut client, 3, "plant/pump-01/t", "before").await;
        let name = || "pump-01".parse().unwrap();
        let quarantine = Change::SetStanding { handle: name(), standing: Standing::Quarantined };
        running.fold(&lab, &lab.publish(vec![quarantine])).await;
        running.fold(&lab, &lab.publish(vec![Change::ClearStanding(name())])).await;
        // At once, before or after the gateway ended it at the broker.
        let (mut client, present) = resumed(&lab, &holder, &running, &hello).await;
        assert!(!present, "{version}");
        let answer = client.ask(release(3)).await.unwrap();
        assert_eq!(answer.packet_type(), PacketType::Pubcomp);
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
        client.ask(message("plant/pump-01/t", QoS::AtLeastOnce, 4, "after").into()).await.unwrap();
        assert_eq!(behind.message().await.1, "after", "{version}: and nothing from before");
        assert!(!behind.is_heard("cmd/pump-01/x").await);
        leave(client).await;
        running.live(0).await;
    }
    running.log.close().await;
    let cut = lab.records().into_iter().filter(
        |r| matches!(r, Record::SessionClosed(closed) if closed.why == CloseCause::Cut(DenyReason::Quarantined)),
    );
    assert_eq!(cut.count(), 2);
}

const ROUNDS: usize = 20;

/// R45: a device that connects, subscribes and leaves as fast as it can, under eight client ids, has nothing at the
/// broker once it is revoked or quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_races_its_own_end_leaves_nothing() {
    let lab = std::sync::Arc::new(Lab::new());
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    for round in 0..ROUNDS {
        let device = format!("pump-{round}");
        let holder = std::sync::Arc::new(lab.device(&device));
        let subscribed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut racers = tokio::task::JoinSet::new();
        for part in 0..8 {
            let (lab, holder, device) = (lab.clone(), holder.clone(), device.clone());
            let (subscribed, address) = (subscribed.clone(), running.address);
            racers.spawn(async move {
                let (client_id, filter) = (format!("{device}/{part}"), format!("cmd/{device}/#"));
                loop {
                    let tls = lab.client_tls(Some(&holder));
                    let Ok(stream) = tls.connect(&address.to_string(), "127.0.0.1", crate::lab::CAP).await
                    else {
                        return;
                    };
                    let version = if part % 2 == 0 { V5 } else { V311 };
                    let mut client = Client::over(Box::new(stream), version);
                    if !client.races(&kept(version, &client_id), &filter).await {
                        return;
                    }
                    subscribed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        until(|| (subscribed.load(std::sync::atomic::Ordering::Relaxed) >= 16).then_some(())).await;
        let change = match round % 2 {
            0 => lab.revoke(&holder),
            _ => Change::SetStanding { handle: device.parse().unwrap(), standing: Standing::Quarantined },
        };
        running.fold(&lab, &lab.publish(vec![change])).await;
        while racers.join_next().await.is_some() {}
        running.live(0).await;
        behind.unheard(&format!("cmd/{device}/x")).await;
    }
}
