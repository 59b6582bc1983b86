//! What the holder of a dead certificate can use up: nothing that belongs to a good one of the same device.

use super::client::{Client, V5, V311, connect, message};
use crate::lab::{CAP, Holder, Lab, Running, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use touchmark_decisions::Verdict;
use touchmark_dial::ClientTls;
use touchmark_mqtt::{PacketType, QoS};
use touchmark_policy::DenyReason;
use touchmark_status::{Change, StalenessClass, Supersession};

/// Connects that are refused, again and again, from tasks of their own until the switch.
async fn hammer(tls: ClientTls, running: &Running, stop: Arc<AtomicBool>, refused: Arc<AtomicUsize>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6 {
        let (tls, address) = (tls.clone(), running.address.to_string());
        let (stop, refused) = (Arc::clone(&stop), Arc::clone(&refused));
        tasks.spawn(async move {
            let version = if n % 2 == 0 { V5 } else { V311 };
            while !stop.load(Ordering::Relaxed) {
                let Ok(stream) = tls.connect(&address, "127.0.0.1", CAP).await else { continue };
                let mut client = Client::on(Box::new(stream), version);
                if client.try_send(connect(version, "pump-01").into()).await.is_ok() {
                    if let Some(answer) = client.try_next().await {
                        assert_ne!(answer.body()[1], 0, "it got in");
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    tasks.join_all().await;
}

/// R45: what is over goes on to be refused, and its successor is served as if nobody tried.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::type_complexity, reason = "a table of rows")]
async fn a_dead_certificate_locks_its_replacement_out_by_no_number_of_attempts() {
    let supersede = |lab: &Lab, holder: &Holder| Change::Supersede {
        authority_version: crate::lab::version(1),
        serial: *holder.certificate.serial(),
        supersession: Supersession {
            effective_at: lab.now(),
            not_after: holder.certificate.validity().not_after(),
        },
    };
    let rows: &[(&str, &dyn Fn(&Lab, &Holder) -> Change, DenyReason)] = &[
        ("revoked", &|lab, holder| lab.revoke(holder), DenyReason::Revoked),
        ("superseded", &supersede, DenyReason::Superseded),
        ("key denied", &|_, holder| Change::DenyKey(holder.certificate.spki_hash()), DenyReason::KeyDenied),
    ];
    for (name, change, reason) in rows {
        let lab = Lab::new();
        let running = lab.run(None);
        let (old, new) = (lab.device("pump-01"), lab.device("pump-01"));
        running.fold(&lab, &lab.publish(vec![change(&lab, &old)])).await;
        let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let hammering = hammer(lab.client_tls(Some(&old)), &running, Arc::clone(&stop), Arc::clone(&refused));
        let working = async {
            until(|| (refused.load(Ordering::Relaxed) > 60).then_some(())).await;
            for n in 0..41 {
                let mut client = Client::welcome(&lab, &new, &running, &connect(V5, "pump-01")).await;
                let publish = message("plant/pump-01/t", QoS::AtLeastOnce, 1, "x");
                let answer = client.ask(publish.into()).await.expect("PUBACK");
                assert_eq!(answer.packet_type(), PacketType::Puback, "{name}: {n}");
                assert_eq!(answer.body().get(2).copied().unwrap_or_default(), 0, "{name}: {n}");
            }
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(hammering, working);
        running.log.close().await;
        let decisions = lab.decisions();
        let denied = decisions.iter().filter(|d| d.verdict == Verdict::Deny(*reason));
        let recorded = denied.clone().filter(|d| d.session.is_some()).count();
        // Three thousand at once and one in five seconds; the time that this takes depends on the machine.
        assert!((20..3_100).contains(&recorded), "{name}: {recorded} records");
        let all: u32 = decisions.iter().filter(|d| d.verdict != Verdict::Allow).map(|d| d.count).sum();
        let tried = refused.load(Ordering::Relaxed);
        assert!(all as usize >= tried, "{name}: {all} of {tried} stand in the log, one by one or counted");
        running.switch.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_holds_a_few_connections_and_no_more() {
    let lab = Lab::new();
    let running = lab.run(None);
    let (old, new) = (lab.device("pump-01"), lab.device("pump-01"));
    running.fold(&lab, &lab.publish(vec![lab.revoke(&old)])).await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(Client::dial(&lab, &old, running.address, V5).await);
        let (_, waiting) = running.admission.arrivals.held();
        assert!(waiting <= 4, "{waiting} wait for a CONNECT that will be refused");
    }
    let mut others = Vec::new();
    for _ in 0..40 {
        others.push(Client::dial(&lab, &new, running.address, V5).await);
        let (_, waiting) = running.admission.arrivals.held();
        assert!(waiting <= 4 + 32, "{waiting} wait");
    }
    drop(others);
    until(|| (running.admission.arrivals.held().1 <= 4).then_some(())).await;
    Client::welcome(&lab, &new, &running, &connect(V5, "pump-01")).await;
    drop(held);
    until(|| (running.admission.arrivals.held().1 == 0).then_some(())).await;
    running.log.close().await;
    let counted =
        lab.decisions().into_iter().filter(|d| d.verdict == Verdict::Deny(DenyReason::TooManySessions));
    // Places come back after a while, so how many are refused depends on the machine.
    assert!(counted.map(|d| d.count).sum::<u32>() >= 8, "those without a place are counted");
}

/// During an overlap both certificates are good, and neither holds the sessions of the other.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_the_old_certificate_leave_room_for_the_new_one() {
    let lab = Lab::new();
    let running = lab.run(None);
    let (old, new) = (lab.device("pump-01"), lab.device("pump-01"));
    let mut held = Vec::new();
    for n in 0..32 {
        let client_id = format!("pump-01/{n}");
        held.push(Client::welcome(&lab, &old, &running, &connect(V5, &client_id)).await);
    }
    let mut refused = Client::dial(&lab, &old, running.address, V5).await;
    let (code, says) = refused.connack(&connect(V5, "pump-01/33")).await;
    assert!(code != 0 && says.starts_with("too-many-sessions"), "{code} {says}");
    Client::welcome(&lab, &new, &running, &connect(V5, "pump-01")).await;
}

/// A root that the feed no longer names ends the sessions whose path ends in it, also when the issuing authority stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_taken_away_ends_live_sessions() {
    use touchmark_status::{Anchor, AnchorRole};
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
    let other = Lab::new();
    let anchor = |octet, role, certificate: &touchmark_x509::Certificate| Anchor {
        authority_version: crate::lab::version(octet),
        role,
        certificate_der: certificate.der().to_vec(),
    };
    let both = vec![
        anchor(9, AnchorRole::Root, &lab.root.certificate),
        anchor(19, AnchorRole::Root, &other.root.certificate),
        anchor(1, AnchorRole::Issuing, &lab.issuing.certificate),
    ];
    assert_eq!(running.fold(&lab, &lab.publish(vec![Change::Anchors(both.clone())])).await, 0, "one more");
    let without = both.into_iter().skip(1).collect();
    assert_eq!(running.fold(&lab, &lab.publish(vec![Change::Anchors(without)])).await, 1);
    assert_eq!(client.next().await.unwrap().packet_type(), PacketType::Disconnect);
    let trust = lab.trust(StalenessClass::Standard);
    assert!(trust.identity_of(device.certificate.der(), lab.now()).is_err(), "and it cannot come back");
}
