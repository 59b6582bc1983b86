//! What stays at the broker of a device that may not connect, publish or subscribe any more: nothing. Seen from a
//! client on the broker behind.

mod bounds;
mod races;
mod releases;

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

const NO_X200: &str = "\n@id(\"old\") forbid (principal, action == Action::\"connect\", resource)
    when { principal has model && principal.model == \"x200\" };";
const NO_SCRAP: &str =
    "\n@id(\"scrap\") forbid (principal in Group::\"scrap\", action == Action::\"connect\", resource);";

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
        ("a rule against its model", &|_| vec![with_rules(NO_X200)]),
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

/// What takes the right to connect from one who is away: the policy, or the scope that the feed gives it; and not the
/// policy for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_asked_about_those_who_are_away() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    let mut behind = Client::behind(&broker, "service").await;
    let holders = ["pump-01", "pump-02"].map(|name| (name, lab.device(name)));
    for (name, holder) in &holders {
        let mut client = Client::welcome(&lab, holder, &running, &kept(V5, name)).await;
        client.subscribe(&[&format!("cmd/{name}/#")]).await;
        leave(client).await;
    }
    running.live(0).await;
    let judged = || {
        let some = running.kept().some_after(None, 10);
        some.iter().filter(|(_, kept)| kept.judged_by == running.trust.policy_version()).count()
    };
    for rules in ["", NO_SCRAP] {
        running.fold(&lab, &lab.publish(vec![with_rules(rules)])).await;
        until(|| (judged() == 2).then_some(())).await;
    }
    assert_eq!(running.kept().ended(), 0);
    let scope = |name: &str, scope: &str| Change::SetScope {
        handle: name.parse().unwrap(),
        scope: vec![scope.to_owned()],
    };
    let change = vec![scope("pump-01", "group:scrap"), scope("pump-02", "group:hall")];
    running.fold(&lab, &lab.publish(change)).await;
    until(|| (running.kept().ended() == 1).then_some(())).await;
    behind.unheard("cmd/pump-01/x").await;
    assert!(behind.is_heard("cmd/pump-02/x").await);
    until(|| (judged() == 1).then_some(())).await;
    // What does not compile permits nothing, and takes nothing away for good.
    let broken = vec![with_rules("permit")];
    running.fold(&lab, &lab.publish(broken)).await;
    running.kept().look_soon();
    until(|| running.trust.policy_version().is_none().then_some(())).await;
    running.fold(&lab, &lab.publish(vec![with_rules(NO_CONNECT)])).await;
    until(|| (running.kept().ended() == 2).then_some(())).await;
    behind.unheard("cmd/pump-02/x").await;
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
