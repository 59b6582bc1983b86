//! Wills, and sessions whose clients are not heard: what the gateway says to the broker by itself.

use super::client::{Client, V5, V311, connect, id};
use crate::lab::{Broker, Lab, until};
use touchmark_decisions::{Record, Verdict};
use touchmark_mqtt::{
    Packet, PacketType, QoS, ReasonCode, Subscribe, Subscription, TopicFilter, TopicName, Will,
};
use touchmark_policy::{Action, DenyReason};

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_decided_at_connect_and_again_when_it_would_fire() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    let will = |topic: &'static str| {
        let mut hello = connect(V5, "pump-01");
        hello.will = Some(Will {
            topic: TopicName::new(topic).unwrap(),
            payload: touchmark_mqtt::Binary::new(b"gone").unwrap(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Default::default(),
        });
        hello
    };
    let holder = lab.device("pump-01");
    for topic in ["plant/pump-02/gone", "$SYS/gone", "cmd/pump-01/gone"] {
        let mut client = Client::dial(&lab, &holder, running.address, V5).await;
        let (code, says) = client.connack(&will(topic)).await;
        assert_eq!((code, says.starts_with("will-not-permitted")), (0x87, true), "{topic}: {says}");
    }
    let client = Client::welcome(&lab, &holder, &running, &will("plant/pump-01/gone")).await;
    running.fold(&lab, &lab.publish(vec![lab.revoke(&holder)])).await;
    drop(client);
    // The revoked device's will stays unsaid; the next device's is the first that the service hears.
    let holder = lab.device("pump-01");
    let client = Client::welcome(&lab, &holder, &running, &will("plant/pump-01/gone")).await;
    drop(client);
    assert_eq!(behind.message().await, ("plant/pump-01/gone".into(), "gone".into()));
    let frame = behind.ask(Packet::Pingreq).await.unwrap();
    assert_eq!(frame.packet_type(), PacketType::Pingresp, "there was one will only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_said_by_the_gateway_once_with_its_quality_and_recorded() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    let rows = [
        ("lost", V5, QoS::ExactlyOnce, None, true),
        ("lost, 3.1.1", V311, QoS::ExactlyOnce, None, true),
        ("asked for", V5, QoS::AtLeastOnce, Some(ReasonCode::DisconnectWithWill), true),
        ("asked for, QoS 0", V5, QoS::AtMostOnce, Some(ReasonCode::DisconnectWithWill), true),
        ("called off", V5, QoS::AtLeastOnce, Some(ReasonCode::Success), false),
        ("called off, 3.1.1", V311, QoS::AtLeastOnce, Some(ReasonCode::Success), false),
    ];
    for (n, (name, version, qos, goodbye, said)) in rows.into_iter().enumerate() {
        let (device, topic) = (format!("pump-{n}"), format!("plant/pump-{n}/gone"));
        let mut hello = connect(version, &device);
        hello.will = Some(Will {
            topic: TopicName::new(&topic).unwrap(),
            payload: touchmark_mqtt::Binary::new(name.as_bytes()).unwrap(),
            qos,
            retain: true,
            properties: touchmark_mqtt::WillProperties {
                // A wait is cut to nothing: a right is judged when it is used.
                will_delay_interval: (version == V5).then_some(3600),
                ..Default::default()
            },
        });
        let mut client = Client::welcome(&lab, &lab.device(&device), &running, &hello).await;
        match goodbye {
            Some(reason) => {
                client.send(touchmark_mqtt::Disconnect::because(reason, None).into()).await;
                assert!(client.next().await.is_none());
            }
            None => drop(client),
        }
        running.live(0).await;
        if said {
            assert_eq!(behind.message().await, (topic.clone(), name.to_owned()), "{name}");
            let mut later = Client::behind(&broker, "later").await;
            later.send(subscribe_packet(&topic)).await;
            assert_eq!(later.next().await.unwrap().packet_type(), PacketType::Suback, "{name}");
            assert_eq!(later.message().await.1, name, "retained");
        } else {
            let frame = behind.ask(Packet::Pingreq).await.unwrap();
            assert_eq!(frame.packet_type(), PacketType::Pingresp, "{name}: nothing was said");
        }
        // The end of the session is recorded after its will.
        let closed = || lab.records().iter().filter(|r| matches!(r, Record::SessionClosed(_))).count() > n;
        until(|| closed().then_some(())).await;
        let recorded = lab.decisions().into_iter().filter(|d| {
            d.action == Action::Publish && d.resource.as_ref().is_some_and(|r| r.as_str() == topic)
        });
        let verdicts: Vec<_> = recorded.map(|d| d.verdict).collect();
        assert_eq!(verdicts, vec![Verdict::Allow; usize::from(said)], "{name}");
    }
}

fn subscribe_packet(filter: &str) -> Packet<'_> {
    let subscriptions = vec![Subscription::new(TopicFilter::new(filter).unwrap(), QoS::AtLeastOnce)];
    Subscribe { packet_id: id(7), properties: Default::default(), subscriptions }.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_lost_its_right_is_recorded_and_not_said_to_the_sink() {
    let lab = Lab::new();
    let running = lab.run(None);
    let rows: &[(&str, Option<DenyReason>)] = &[("stays", None), ("revoked", Some(DenyReason::Revoked))];
    for (name, denied) in rows {
        let topic = format!("plant/{name}/gone");
        let mut hello = connect(V5, name);
        hello.will = Some(Will {
            topic: TopicName::new(&topic).unwrap(),
            payload: Default::default(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Default::default(),
        });
        let holder = lab.device(name);
        let client = Client::welcome(&lab, &holder, &running, &hello).await;
        if denied.is_some() {
            running.fold(&lab, &lab.publish(vec![lab.revoke(&holder)])).await;
        }
        drop(client);
        running.live(0).await;
        let decision = lab
            .logged(|d| {
                d.action == Action::Publish && d.resource.as_ref().is_some_and(|r| r.as_str() == topic)
            })
            .await;
        assert_eq!(decision.verdict, denied.map_or(Verdict::Allow, Verdict::Deny), "{name}");
        assert_eq!(running.sink.last(&topic).is_some(), denied.is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_messages_are_all_denied_keeps_its_session_at_the_broker() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    for version in [V5, V311] {
        let mut hello = connect(version, "pump-01");
        hello.keep_alive_s = 1;
        let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &hello).await;
        for _ in 0..40 {
            let filters = ["#"];
            assert_eq!(client.subscribe(&filters).await.reasons.len(), 1, "{version}");
            tokio::time::sleep(core::time::Duration::from_millis(100)).await;
        }
        // Nothing but its own answer comes back: pings of the gateway's are not its business.
        assert_eq!(client.ask(Packet::Pingreq).await.unwrap().packet_type(), PacketType::Pingresp);
    }
}
