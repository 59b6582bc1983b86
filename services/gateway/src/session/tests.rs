//! The index: each change finds its sessions, and nobody else's.

use super::{Reviewer, Session, Sessions};
use crate::lab::{Lab, policy, version};
use core::time::Duration;
use std::sync::Arc;
use touchmark_decisions::SessionId;
use touchmark_policy::DenyReason;
use touchmark_status::StalenessClass;

#[tokio::test]
async fn a_session_is_found_by_what_it_is_until_it_leaves() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Standard);
    let sessions = Arc::new(Sessions::default());
    let holders = [lab.device("pump-01"), lab.device("pump-01"), lab.device("pump-02")];
    let entered: Vec<_> = holders
        .iter()
        .zip(1..)
        .map(|(holder, id)| {
            let identity = trust.identity_of(holder.certificate.der(), lab.now()).unwrap();
            sessions.enter(Arc::new(Session::new(SessionId(id), identity)))
        })
        .collect();
    let ids = |found: Vec<Arc<Session>>| found.iter().map(|session| session.id().0).collect::<Vec<_>>();
    let of_handle = |name: &str| ids(sessions.of_handle(&name.parse().unwrap()));
    assert_eq!(
        (of_handle("pump-01"), of_handle("pump-02"), of_handle("pump")),
        (vec![1, 2], vec![3], vec![])
    );
    let serial = *holders[1].certificate.serial();
    assert_eq!(ids(sessions.of_certificate(version(1), serial)), [2]);
    assert!(sessions.of_certificate(version(2), serial).is_empty(), "a serial of another authority");
    assert_eq!(ids(sessions.of_key(holders[2].certificate.spki_hash())), [3]);

    let now = lab.now();
    let after = |seconds| now.plus(Duration::from_secs(seconds));
    sessions.look_again_at(SessionId(1), after(30));
    sessions.look_again_at(SessionId(2), after(20));
    sessions.look_again_at(SessionId(1), after(10));
    sessions.look_again_at(SessionId(1), after(40));
    assert!(ids(sessions.due(after(9))).is_empty());
    assert_eq!(ids(sessions.due(after(10))), [1], "the earliest moment counts, in whatever order they come");
    assert_eq!(ids(sessions.due(after(30))), [2]);
    assert!(ids(sessions.due(after(99))).is_empty(), "once");
    sessions.look_again_at(SessionId(1), after(50));
    assert_eq!(ids(sessions.due(after(50))), [1], "what was due sets nothing for later");

    entered[0].claim("pump-01");
    entered[1].claim("pump-01");
    let ended = tokio::time::timeout(Duration::from_secs(30), entered[0].session().ended()).await;
    assert_eq!(ended, Ok(DenyReason::SessionTakenOver));
    assert_eq!(entered[1].session().end_ordered(), None);
    assert!(!entered[0].session().order_end(DenyReason::Revoked), "the first reason stands");

    let waiting =
        sessions.left(vec![SessionId(1), SessionId(2), SessionId(3)], Duration::from_millis(20)).await;
    assert_eq!(waiting, 3);
    drop(entered);
    assert_eq!(
        sessions.left(vec![SessionId(1), SessionId(2), SessionId(3)], Duration::from_secs(9)).await,
        0
    );
    assert!(sessions.all().is_empty() && of_handle("pump-01").is_empty());
}

/// R45: a feed that is older than its class allows ends those who are in, and lets nobody else in.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_feed_ends_live_sessions_where_its_class_says_so() {
    use crate::config::Ack;
    use crate::mqtt::tests::client::{Client, V5, connect};
    use touchmark_decisions::{CloseCause, Record};
    let rows: &[(StalenessClass, u64, bool, bool)] = &[
        (StalenessClass::Strict, 6 * 60, false, true),
        (StalenessClass::Strict, 16 * 60, false, false),
        (StalenessClass::Standard, 25 * 3600, false, true),
        (StalenessClass::Standard, 73 * 3600, false, false),
        (StalenessClass::LifeSafety, 20 * 24 * 3600, true, true),
    ];
    for (class, age_s, new, live) in rows {
        let lab = Lab::new();
        let running = lab.run_with(None, *class, Ack::Queued);
        let device = lab.device("pump-01");
        let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
        lab.pass(Duration::from_secs(*age_s));
        if *live {
            // Longer than the watch needs: it looks every quarter of a second.
            let left =
                running.sessions.left(vec![running.sessions.all()[0].id()], Duration::from_secs(1)).await;
            assert_eq!(left, 1, "{class} {age_s}: it stays");
        } else {
            let goodbye = client.next().await.expect("DISCONNECT");
            assert_eq!(goodbye.packet_type(), touchmark_mqtt::PacketType::Disconnect, "{class} {age_s}");
            running.live(0).await;
        }
        let mut other = Client::dial(&lab, &device, running.address, V5).await;
        let (code, says) = other.connack(&connect(V5, "pump-01/2")).await;
        assert_eq!((code == 0, says.starts_with("status-stale")), (*new, !*new), "{class} {age_s}: {says}");
        running.log.close().await;
        let cut = lab.records().into_iter().any(|record| {
            matches!(record, Record::SessionClosed(closed) if closed.why == CloseCause::Cut(DenyReason::StatusStale))
        });
        assert_eq!(cut, !*live, "{class} {age_s}: it stands in the log");
        running.switch.stop();
    }
}

#[test]
fn a_table_is_made_anew_only_when_the_feed_has_moved() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Standard);
    let device = lab.device("pump-01");
    let identity = trust.identity_of(device.certificate.der(), lab.now()).unwrap();
    let session = Session::new(SessionId(1), identity);
    session.judge_again(&trust, lab.now()).unwrap();
    let first = session.table().unwrap();
    session.judge_again(&trust, lab.now()).unwrap();
    trust.fold(&lab.heartbeat(), None, lab.now()).unwrap();
    session.judge_again(&trust, lab.now()).unwrap();
    assert!(Arc::ptr_eq(&first, &session.table().unwrap()), "the same feed, the same table");
    let held = touchmark_status::Change::SetScope {
        handle: "pump-01".parse().unwrap(),
        scope: vec!["group:held".into()],
    };
    trust.fold(&lab.publish(vec![held]), None, lab.now()).unwrap();
    session.judge_again(&trust, lab.now()).unwrap();
    assert!(!Arc::ptr_eq(&first, &session.table().unwrap()));
    trust.fold(&lab.publish(vec![lab.revoke(&device)]), None, lab.now()).unwrap();
    assert_eq!(session.judge_again(&trust, lab.now()).err().map(|d| d.reason), Some(DenyReason::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_ends_sessions_that_are_on_their_way_in_and_a_revocation_does_not_wait_for_it() {
    let lab = Lab::new();
    let running = lab.run(None);
    let holders = [lab.device("pump-01"), lab.device("pump-02")];
    let entered: Vec<_> = holders
        .iter()
        .zip(1000..)
        .map(|(holder, id)| {
            let identity = running.trust.identity_of(holder.certificate.der(), lab.now()).unwrap();
            // Not judged yet: as between its entry and its answer.
            running.sessions.enter(Arc::new(Session::new(SessionId(id), identity)))
        })
        .collect();
    let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
    bundle.files[0].1 += "\n@id(\"shut\") forbid (principal, action == Action::\"connect\", resource);";
    let changes = vec![policy(&bundle), lab.revoke(&holders[0])];
    let effects = running.trust.fold(&lab.publish(changes), None, lab.now()).unwrap();
    assert_eq!(running.reviewer.cut(&effects), [SessionId(1000)], "before any table is made anew");
    assert_eq!(entered[0].session().end_ordered(), Some(DenyReason::Revoked));
    assert!(Reviewer::concern_all(&effects));
    assert_eq!(running.reviewer.renew(), [SessionId(1001)]);
    assert_eq!(entered[1].session().end_ordered(), Some(DenyReason::PolicyChanged));
    running.switch.stop();
}

/// R45: a supersession that comes while a session is let in, or looked at, is not forgotten for what was found before.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_overlap_in_whatever_order_its_judgements_come() {
    use super::Judge;
    use touchmark_status::{Change, Supersession};
    // `judge` asks, `note` writes down what was asked last, `change` is the feed's.
    let rows: &[&[&str]] = &[
        &["judge", "note", "change"],
        &["judge", "change", "note"],
        &["change", "judge", "note"],
        &["judge", "change", "note", "note"],
        &["judge", "note", "judge", "change", "note"],
    ];
    for row in rows {
        let lab = Lab::new();
        let running = lab.run(None);
        let holder = lab.device("pump-01");
        let identity = running.trust.identity_of(holder.certificate.der(), lab.now()).unwrap();
        let entered = running.sessions.enter(Arc::new(Session::new(SessionId(1000), identity)));
        let mut good_until = None;
        for step in *row {
            match *step {
                "judge" => {
                    let peer = entered.session().judge(&running.trust, Judge::Admit, lab.now()).unwrap();
                    good_until = Some(peer.good_until());
                }
                "note" => running.sessions.look_again_at(SessionId(1000), good_until.unwrap()),
                _ => {
                    let supersession = Supersession {
                        effective_at: lab.now().plus(Duration::from_secs(100)),
                        not_after: holder.certificate.validity().not_after(),
                    };
                    let (authority_version, serial) = (version(1), *holder.certificate.serial());
                    let change = Change::Supersede { authority_version, serial, supersession };
                    assert_eq!(running.fold(&lab, &lab.publish(vec![change])).await, 0, "not yet");
                }
            }
        }
        lab.pass(Duration::from_secs(101));
        let ordered = crate::lab::until(|| entered.session().end_ordered()).await;
        assert_eq!(ordered, DenyReason::Superseded, "{row:?}");
        running.switch.stop();
    }
}

/// Each change takes its basis from the sessions that it concerns before anything else is looked at, and from no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_cuts_the_sessions_it_concerns_at_once_and_no_other() {
    use super::Judge;
    use touchmark_status::{Change, Standing, Supersession};
    let elsewhere = Lab::new();
    let standing = |standing| Change::SetStanding { handle: "pump-01".parse().unwrap(), standing };
    let superseded = |lab: &Lab, holder: &crate::lab::Holder| Change::Supersede {
        authority_version: version(1),
        serial: *holder.certificate.serial(),
        supersession: Supersession {
            effective_at: lab.now(),
            not_after: holder.certificate.validity().not_after(),
        },
    };
    type Made<'a> = Box<dyn Fn(&Lab, &crate::lab::Holder) -> Change + 'a>;
    let rows: Vec<(&str, Made<'_>, Option<DenyReason>, bool)> = vec![
        ("revoked", Box::new(|lab, holder| lab.revoke(holder)), Some(DenyReason::Revoked), false),
        ("superseded", Box::new(superseded), Some(DenyReason::Superseded), false),
        (
            "key denied",
            Box::new(|_, holder| Change::DenyKey(holder.certificate.spki_hash())),
            Some(DenyReason::KeyDenied),
            false,
        ),
        ("banned", Box::new(|_, _| standing(Standing::Banned)), Some(DenyReason::Banned), false),
        (
            "quarantined",
            Box::new(|_, _| standing(Standing::Quarantined)),
            Some(DenyReason::Quarantined),
            false,
        ),
        ("anchors", Box::new(|_, _| elsewhere.anchors(None)), Some(DenyReason::UnknownIssuer), true),
        ("the same anchors", Box::new(|lab, _| lab.anchors(None)), None, false),
    ];
    for (name, change, expected, all) in rows {
        let lab = Lab::new();
        let running = lab.run(None);
        let holders = [lab.device("pump-01"), lab.device("pump-02")];
        let entered = [0, 1].map(|at| {
            let identity = running.trust.identity_of(holders[at].certificate.der(), lab.now()).unwrap();
            let entered =
                running.sessions.enter(Arc::new(Session::new(SessionId(1000 + at as u64), identity)));
            assert!(entered.session().judge(&running.trust, Judge::Admit, lab.now()).is_ok(), "{name}");
            entered
        });
        let wire = lab.publish(vec![change(&lab, &holders[0])]);
        let effects = running.trust.fold(&wire, None, lab.now()).unwrap();
        running.reviewer.cut(&effects);
        let ordered = [0, 1].map(|at: usize| entered[at].session().end_ordered());
        assert_eq!(ordered, [expected, expected.filter(|_| all)], "{name}");
        running.switch.stop();
    }
}

#[tokio::test]
async fn certificate_and_device_have_exactly_so_many_sessions() {
    use super::index::{CERTIFICATE_SESSIONS_MAX, DEVICE_SESSIONS_MAX};
    let lab = Lab::new();
    let (trust, sessions) = (lab.trust(StalenessClass::Standard), Arc::<Sessions>::default());
    let identity = |name| trust.identity_of(lab.device(name).certificate.der(), lab.now()).unwrap();
    let mut next = 0;
    let mut enter = |identity: &Arc<crate::trust::PathIdentity>| {
        next += 1;
        let entered = sessions.enter(Arc::new(Session::new(SessionId(next), Arc::clone(identity))));
        sessions.look_again_at(SessionId(next), lab.now());
        let room = sessions.has_room_for(entered.session());
        (entered, room)
    };
    let certificates: Vec<_> = (0..5).map(|_| identity("pump-01")).collect();
    let mut held = Vec::new();
    for certificate in &certificates[..DEVICE_SESSIONS_MAX / CERTIFICATE_SESSIONS_MAX] {
        for n in 0..CERTIFICATE_SESSIONS_MAX {
            let (entered, room) = enter(certificate);
            assert_eq!(room, Ok(()), "{n} of this certificate, {} of the device", held.len());
            held.push(entered);
        }
        let (_left, room) = enter(certificate);
        assert_eq!(room, Err(DenyReason::TooManySessions), "one more of the certificate");
    }
    assert_eq!(held.len(), DEVICE_SESSIONS_MAX);
    assert_eq!(enter(&certificates[4]).1, Err(DenyReason::TooManySessions), "one more of the device");
    assert_eq!(enter(&identity("pump-02")).1, Ok(()), "another device");
    held.pop();
    assert_eq!(enter(&certificates[4]).1, Ok(()), "one has left");
}
