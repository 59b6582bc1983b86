//! Whether a will may be said, by each thing that may forbid it.

use super::*;
use crate::lab::{Holder, Lab, Running, policy};
use crate::mqtt::Opening;
use crate::mqtt::opening::Greeting;
use crate::mqtt::tests::client::{V5, connect};
use crate::session::Entered;
use crate::sink::SinkSession;
use std::sync::Arc;
use touchmark_decisions::SessionId;
use touchmark_mqtt::{TopicName, Will};
use touchmark_policy_cedar::PolicyBundle;
use touchmark_status::Change;

const TOPIC: &str = "plant/pump-01/gone";

fn hello() -> Connect<'static> {
    let mut hello = connect(V5, "pump-01");
    hello.will = Some(Will {
        topic: TopicName::new(TOPIC).unwrap(),
        payload: Default::default(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Default::default(),
    });
    hello
}

/// A session with a will, which was let in and which no feed client looks after.
fn live(lab: &Lab, running: &Running, holder: &Holder) -> (MqttPort, Entered, FarSide) {
    let identity = running.trust.identity_of(holder.certificate.der(), lab.now()).unwrap();
    let entered = running.sessions.enter(Arc::new(Session::new(SessionId(1000), identity)));
    entered.session().judge(&running.trust, Judge::Admit, lab.now()).unwrap();
    let connect = hello();
    let greeting = Greeting::read(&connect, &"pump-01".parse().unwrap());
    let table = entered.session().table().unwrap();
    let (opening, _) = Permitted::opening(Opening { connect, greeting }, &table).unwrap();
    let sink = Arc::clone(&running.sink);
    let (far, _) = SinkSession::begin(opening, sink, lab.clock(), entered.session().identity());
    let (admission, sink) = (Arc::clone(&running.admission), Arc::clone(&running.sink));
    (MqttPort { admission, target: FarEnd::Sink(sink) }, entered, FarSide::Sink(far))
}

fn with_rule(rule: &str) -> Change {
    let mut bundle = PolicyBundle::starter();
    bundle.files[0].1 += rule;
    policy(&bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_forbids_a_will_forbids_it_alone() {
    let no_connect = "\n@id(\"shut\") forbid (principal, action == Action::\"connect\", resource);";
    let no_topic =
        "\n@id(\"mute\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
    type Changed<'a> = &'a dyn Fn(&Lab, &Holder) -> Vec<Change>;
    let none: Changed<'_> = &|_, _| Vec::new();
    let revoked: Changed<'_> = &|lab, holder| vec![lab.revoke(holder)];
    let taken_over = DenyReason::SessionTakenOver;
    // How it ended, the end that was ordered, what the feed says meanwhile and nobody told the session.
    type Row<'a> = (&'a str, Ending, Option<DenyReason>, Changed<'a>, Option<DenyReason>);
    let rows: &[Row<'_>] = &[
        ("lost", Ending::Lost, None, none, None),
        ("cut off", Ending::cut(DenyReason::Revoked), None, none, Some(DenyReason::Revoked)),
        (
            "an end is ordered",
            Ending::Lost,
            Some(DenyReason::Quarantined),
            none,
            Some(DenyReason::Quarantined),
        ),
        ("taken over", Ending::cut(taken_over), Some(taken_over), none, None),
        (
            "taken over, then revoked",
            Ending::cut(taken_over),
            Some(taken_over),
            revoked,
            Some(DenyReason::Revoked),
        ),
        ("revoked meanwhile", Ending::Lost, None, revoked, Some(DenyReason::Revoked)),
        (
            "may not connect",
            Ending::Lost,
            None,
            &|_, _| vec![with_rule(no_connect)],
            Some(DenyReason::ForbiddenByRule),
        ),
        (
            "may not publish",
            Ending::Lost,
            None,
            &|_, _| vec![with_rule(no_topic)],
            Some(DenyReason::WillNotPermitted),
        ),
    ];
    for (name, ending, ordered, changed, expected) in rows {
        let lab = Lab::new();
        let (running, holder) = (lab.run(None), lab.device("pump-01"));
        let (port, entered, mut far) = live(&lab, &running, &holder);
        let session = entered.session();
        if let Some(reason) = ordered {
            session.order_end(*reason);
        }
        let changes = changed(&lab, &holder);
        if !changes.is_empty() {
            running.trust.fold(&lab.publish(changes), None, lab.now()).unwrap();
        }
        let will = KeptWill::of(&hello()).unwrap();
        let decided = port.will_decision(&will, ending, session).err().map(|denial| denial.reason);
        assert_eq!(decided, *expected, "{name}");
        // After its record nothing but the right at that moment counts.
        port.deliver_will(&will, ending, session, &mut far).await;
        assert_eq!(running.sink.last(TOPIC).is_some(), expected.is_none(), "{name}: after its record");
        port.say_will(&will, ending, session, &mut far).await;
        assert_eq!(running.sink.after(0).len(), if expected.is_none() { 2 } else { 0 }, "{name}");
        let record = lab
            .logged(|d| {
                d.action == Action::Publish && d.resource.as_ref().is_some_and(|r| r.as_str() == TOPIC)
            })
            .await;
        assert_eq!(record.verdict, expected.map_or(Verdict::Allow, Verdict::Deny), "{name}");
        running.switch.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_cannot_be_recorded_is_not_said() {
    let lab = Lab::new();
    let running = lab.run(None);
    let (port, entered, mut far) = live(&lab, &running, &lab.device("pump-01"));
    let will = KeptWill::of(&hello()).unwrap();
    running.log.close().await;
    port.say_will(&will, &Ending::Lost, entered.session(), &mut far).await;
    assert!(running.sink.last(TOPIC).is_none());
    running.switch.stop();
}

/// What the policy forbids is refused when it is left, before anyone behind hears of the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_the_policy_forbids_is_refused_at_connect() {
    use crate::mqtt::tests::client::Client;
    let lab = Lab::new();
    let running = lab.run(None);
    let mute =
        "\n@id(\"mute\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\");";
    let deaf = "\n@id(\"deaf\") forbid (principal, action == Action::\"subscribe\", resource in Topics::\"commands\");";
    let rows = [
        ("permitted", "", TOPIC, None, None),
        ("another topic", "", "plant/pump-02/gone", None, Some("will-not-permitted")),
        ("a topic that is forbidden", mute, TOPIC, None, Some("will-not-permitted")),
        ("answers that it may hear", "", TOPIC, Some("cmd/pump-01/a"), None),
        ("answers of another", "", TOPIC, Some("cmd/pump-02/a"), Some("response-topic-not-permitted")),
        (
            "answers that are forbidden",
            deaf,
            TOPIC,
            Some("cmd/pump-01/a"),
            Some("response-topic-not-permitted"),
        ),
    ];
    for (name, rule, topic, answers, refused) in rows {
        running.fold(&lab, &lab.publish(vec![with_rule(rule)])).await;
        let mut hello = hello();
        let will = hello.will.as_mut().unwrap();
        will.topic = TopicName::new(topic).unwrap();
        will.properties.response_topic = answers.map(|topic| TopicName::new(topic).unwrap());
        let mut client = Client::dial(&lab, &lab.device("pump-01"), running.address, V5).await;
        let (code, says) = client.connack(&hello).await;
        assert_eq!(code, if refused.is_some() { 0x87 } else { 0 }, "{name}: {says}");
        assert!(says.starts_with(refused.unwrap_or_default()), "{name}: {says}");
        // Its will would be said at its loss, and is not what is asked here.
        client.send(touchmark_mqtt::Disconnect::default().into()).await;
        running.live(0).await;
    }
    assert!(running.sink.after(0).is_empty());
    running.switch.stop();
}
