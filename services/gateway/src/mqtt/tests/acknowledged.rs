//! What stands behind an acknowledgement: a place in the queue, or the disk.

use super::client::{Client, V5, connect, message};
use crate::config::Ack;
use crate::lab::{Broker, Lab};
use touchmark_mqtt::{PacketType, QoS};
use touchmark_status::StalenessClass;

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_waits_for_the_disk_where_it_was_told_to() {
    for with_broker in [false, true] {
        let lab = Lab::new();
        let broker = if with_broker { Some(Broker::start(&lab).await) } else { None };
        let running = lab.run_with(broker.as_ref(), StalenessClass::Standard, Ack::Durable);
        let device = lab.device("pump-01");
        let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
        for n in 0..10_u16 {
            let topic = format!("plant/pump-01/message-{n}");
            let answer = client.ask(message(&topic, QoS::AtLeastOnce, 1 + n, "x").into()).await.unwrap();
            assert_eq!(answer.packet_type(), PacketType::Puback);
            assert!(lab.is_on_disk(&topic), "broker {with_broker}: {topic} is acknowledged and not on disk");
        }
        // Several in one write share the wait, and all of them are there.
        let mut octets = bytes::BytesMut::new();
        for n in 0..50_u16 {
            let topic = format!("plant/pump-01/together-{n}");
            let publish: touchmark_mqtt::Packet<'_> = message(&topic, QoS::AtLeastOnce, 100 + n, "x").into();
            publish.encode(V5, &mut octets).unwrap();
        }
        client.send_octets(&octets).await;
        for n in 0..50 {
            assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Puback, "{n}");
        }
        assert!(lab.is_on_disk("plant/pump-01/together-49"), "broker {with_broker}");
        running.switch.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_of_a_session_waits_for_the_disk_as_well() {
    let lab = Lab::new();
    let running = lab.run_with(None, StalenessClass::Standard, Ack::Durable);
    let device = lab.device("pump-01");
    let mut hello = connect(V5, "pump-01");
    hello.will = Some(touchmark_mqtt::Will {
        topic: touchmark_mqtt::TopicName::new("plant/pump-01/will").unwrap(),
        payload: touchmark_mqtt::Binary::new(b"gone").unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    });
    drop(Client::welcome(&lab, &device, &running, &hello).await);
    crate::lab::until(|| running.sink.last("plant/pump-01/will").map(drop)).await;
    assert!(lab.is_on_disk("plant/pump-01/will"));
}

/// Whatever a message waits for, a filter is granted once its record is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_granted_once_its_record_is_on_disk() {
    let lab = Lab::new();
    let running = lab.run(None);
    let mut client = Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
    for n in 0..10 {
        let filter = format!("cmd/pump-01/filter-{n}");
        client.subscribe(&[&filter]).await;
        assert!(lab.is_on_disk(&filter), "{filter} is granted and not on disk");
    }
    running.switch.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_recorded_goes_nowhere() {
    for ack in [Ack::Queued, Ack::Durable] {
        let lab = Lab::new();
        let running = lab.run_with(None, StalenessClass::Standard, ack);
        let mut client =
            Client::welcome(&lab, &lab.device("pump-01"), &running, &connect(V5, "pump-01")).await;
        running.log.close().await;
        let publish = message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x");
        let answer = client.ask(publish.into()).await.expect("an answer");
        assert_eq!(answer.packet_type(), PacketType::Puback);
        assert!(answer.octets().get(4).is_some_and(|reason| *reason >= 0x80), "{ack:?}: {answer:?}");
        assert!(running.sink.last("plant/pump-01/t").is_none(), "{ack:?}");
        running.switch.stop();
    }
}
