//! QoS 2 messages that the broker stores between PUBLISH and PUBREL: judged again when they are released.

use super::*;

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
