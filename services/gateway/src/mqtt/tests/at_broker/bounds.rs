//! How much a device may leave at the broker, for how long, and what it may make others say.

use super::*;

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
