//! A permitted device that sends too fast waits, and where waiting would take too long it is told.

use super::client::{Client, V5, connect, message};
use crate::lab::{Lab, policy};
use std::time::{Duration, Instant};
use touchmark_decisions::Verdict;
use touchmark_mqtt::{Packet, PacketType, QoS};
use touchmark_policy::{Action, DenyReason};

/// R46: whatever was let through stands in the log, and what waits is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_beyond_its_rate_is_read_from_more_slowly_and_loses_nothing() {
    let lab = Lab::new();
    let running = lab.run_at(100);
    let device = lab.device("pump-01");
    let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
    let begin = Instant::now();
    let mut octets = bytes::BytesMut::new();
    for _ in 0..250 {
        let publish: Packet<'_> = message("plant/pump-01/t", QoS::AtMostOnce, 1, "x").into();
        publish.encode(V5, &mut octets).unwrap();
    }
    client.send_octets(&octets).await;
    let last = message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x");
    assert_eq!(client.ask(last.into()).await.unwrap().packet_type(), PacketType::Puback);
    // A hundred at once, and a hundred and fifty at a hundred a second.
    assert!(begin.elapsed() >= Duration::from_millis(1_400), "{:?}", begin.elapsed());
    // Another device is not held back.
    let other = lab.device("pump-02");
    let mut quick = Client::welcome(&lab, &other, &running, &connect(V5, "pump-02")).await;
    let begin = Instant::now();
    for n in 1..50 {
        quick.ask(message("plant/pump-02/t", QoS::AtLeastOnce, n, "x").into()).await.unwrap();
    }
    println!("49 of another in {:?}", begin.elapsed());
    running.log.close().await;
    let sent = lab
        .decisions()
        .into_iter()
        .filter(|d| d.action == Action::Publish && d.device().is_some_and(|name| name.as_str() == "pump-01"));
    assert_eq!(sent.map(|d| d.count).sum::<u32>(), 251);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_would_wait_too_long_is_refused_with_a_reason() {
    let lab = Lab::new();
    let running = lab.run_at(1);
    let device = lab.device("pump-01");
    // One certificate, many sessions: each waits for its turn behind the others.
    let mut clients = Vec::new();
    for n in 0..12 {
        let client_id = format!("pump-01/{n}");
        let mut client = Client::welcome(&lab, &device, &running, &connect(V5, &client_id)).await;
        client.send(message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x").into()).await;
        clients.push(client);
    }
    let mut refused = 0;
    for mut client in clients {
        let answer = client.next().await.unwrap();
        let code = answer.body().get(2).copied().unwrap_or_default();
        assert!(answer.packet_type() == PacketType::Puback && [0, 0x97].contains(&code), "{code}");
        refused += usize::from(code == 0x97);
    }
    assert!((1..12).contains(&refused), "{refused}");
    running.log.close().await;
    let denied = lab.decisions().into_iter().filter(|d| d.verdict == Verdict::Deny(DenyReason::Rate));
    assert_eq!(denied.map(|d| d.count as usize).sum::<usize>(), refused);
}

/// What waits for its turn is judged when its turn comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_does_not_outlive_the_right_to_send_it() {
    let lab = Lab::new();
    let running = lab.run_at(1);
    let device = lab.device("pump-01");
    let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
    for n in 1..4 {
        client.send(message("plant/pump-01/t", QoS::AtLeastOnce, n, "x").into()).await;
    }
    assert_eq!(client.next().await.unwrap().body().get(2).copied().unwrap_or_default(), 0, "at once");
    let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
    bundle.files[0].1 +=
        "\n@id(\"still\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
    running.fold(&lab, &lab.publish(vec![policy(&bundle)])).await;
    // One waits already; the other is read after it.
    for n in 2..4 {
        let answer = client.next().await.unwrap();
        let code = answer.body().get(2).copied().unwrap_or_default();
        assert_eq!((answer.packet_type(), code), (PacketType::Puback, 0x87), "{n}");
    }
    running.log.close().await;
    let sent =
        lab.decisions().into_iter().filter(|d| d.action == Action::Publish && d.verdict == Verdict::Allow);
    assert_eq!(sent.map(|d| d.count).sum::<u32>(), 1);
}
