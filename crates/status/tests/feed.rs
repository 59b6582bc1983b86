//! Writer and reader of the status feed, held against each other and against stored bytes.
#![allow(clippy::unwrap_used)]

mod support;

use core::time::Duration;
use support::*;
use touchmark_identity::{RevocationReason, SpkiHash, Timestamp};
use touchmark_status::{
    Anchor, AnchorRole, CLOCK_AHEAD_MAX, Change, Effect, FeedFault, FeedVerifier, FeedWriter, Head, Position,
    Standing, Status, StatusSet, Supersession,
};

/// Stored bytes of each body: a change here breaks every gateway in the field.
#[test]
fn each_body_has_the_stored_bytes() {
    let mut writer = writer();
    golden("delta", &writer.publish(every_change(), now(), &signer()).unwrap());
    golden("snapshot", &writer.snapshot(now(), &signer()).unwrap());
    golden("heartbeat", &writer.heartbeat(later(1), &signer()).unwrap());
}

/// Anchors of makers came later: a feed without them keeps the bytes above.
#[test]
fn anchors_of_makers_have_the_stored_bytes_and_are_read_back() {
    let anchor = |octet, role| Anchor {
        authority_version: authority(octet),
        role,
        certificate_der: vec![0x30, octet],
    };
    let anchors =
        vec![anchor(9, AnchorRole::Root), anchor(1, AnchorRole::Issuing), anchor(5, AnchorRole::Maker)];
    let mut writer = writer();
    let mut set = start(&mut writer);
    let delta = writer.publish(vec![Change::Anchors(anchors.clone())], now(), &signer()).unwrap();
    golden("delta-makers", &delta);
    assert_eq!(set.apply(&delta, now()).unwrap(), [Effect::AnchorsChanged]);
    assert_eq!(set.state().anchors(), anchors);
    assert_eq!(start(&mut writer).state().anchors(), anchors, "from a snapshot");
}

#[test]
fn a_reader_holds_what_the_writer_holds() {
    let mut writer = writer();
    let mut set = start(&mut writer);
    let delta = writer.publish(every_change(), now(), &signer()).unwrap();
    assert_eq!(set.apply(&delta, now()).unwrap().len(), every_change().len());
    assert_eq!((set.state(), set.head()), (writer.state(), writer.head()));
    let from_snapshot = start(&mut writer);
    assert_eq!((from_snapshot.state(), from_snapshot.head()), (writer.state(), writer.head()));
    assert_eq!(set.trust_domain().as_str(), "lab.touchmark.internal");
}

#[test]
fn every_flipped_bit_of_every_message_is_refused_and_changes_nothing() {
    let mut writer = writer();
    let mut set = start(&mut writer);
    let delta = writer.publish(every_change(), now(), &signer()).unwrap();
    let mut after = set.clone();
    after.apply(&delta, now()).unwrap();
    let snapshot = writer.snapshot(now(), &signer()).unwrap();
    let heartbeat = writer.heartbeat(now(), &signer()).unwrap();
    for (name, wire, set) in [
        ("snapshot", &snapshot, &mut set.clone()),
        ("delta", &delta, &mut set),
        ("heartbeat", &heartbeat, &mut after),
    ] {
        let (state, head) = (set.state().clone(), set.head());
        for index in 0..wire.len() {
            let mut wire = wire.clone();
            wire[index] ^= 1 << (index % 8);
            assert!(set.apply(&wire, now()).is_err(), "{name}, octet {index}");
            let fresh = StatusSet::from_snapshot(&wire, &signer().verifier(), &environment(), None, now());
            assert!(fresh.is_err(), "{name}, octet {index}");
        }
        assert_eq!((set.state(), set.head()), (&state, head), "{name}");
        assert!(set.apply(wire, now()).is_ok(), "{name}: unaltered it passes");
    }
}

#[test]
fn a_message_out_of_place_is_refused_with_what_to_do() {
    let mut writer = writer();
    let set = start(&mut writer);
    let one = writer.publish(vec![], now(), &signer()).unwrap();
    let old_snapshot = writer.snapshot(now(), &signer()).unwrap();
    let old_heartbeat = writer.heartbeat(now(), &signer()).unwrap();
    let two = writer.publish(vec![], now(), &signer()).unwrap();
    let heartbeat = writer.heartbeat(now(), &signer()).unwrap();
    let mut at_one = set.clone();
    at_one.apply(&one, now()).unwrap();
    let mut at_two = at_one.clone();
    at_two.apply(&two, now()).unwrap();

    let mut fork = FeedWriter::resume(environment(), trust_domain(), Head::rebuilt(1, 1), Default::default());
    let forked = fork.publish(vec![Change::DenyKey(SpkiHash([9; 32]))], now(), &signer()).unwrap();
    let forked_heartbeat = {
        let mut fork =
            FeedWriter::resume(environment(), trust_domain(), Head::rebuilt(1, 1), Default::default());
        fork.heartbeat(now(), &signer()).unwrap()
    };
    let mut next_epoch = FeedWriter::new(environment(), trust_domain(), 2);
    let epoch_heartbeat = next_epoch.heartbeat(now(), &signer()).unwrap();
    let mut elsewhere = FeedWriter::new("plant".parse().unwrap(), trust_domain(), 1);
    let elsewhere = elsewhere.publish(vec![], now(), &signer()).unwrap();
    let mut other_domain = FeedWriter::new(environment(), "lab.example.com".parse().unwrap(), 1);
    let other_domain = other_domain.publish(vec![], now(), &signer()).unwrap();
    let mut ahead = FeedWriter::new(environment(), trust_domain(), 1);
    let ahead_at = now().plus(CLOCK_AHEAD_MAX + Duration::from_millis(1));
    let ahead = ahead.publish(vec![], ahead_at, &signer()).unwrap();

    let at = |epoch, seq| Position { epoch, seq };
    let gap = |have, got| FeedFault::Gap { have, got };
    let older = |have, got| FeedFault::Older { have, got };
    let rows: &[(&str, &StatusSet, &[u8], FeedFault)] = &[
        ("a missing delta", &set, &two, gap(at(1, 0), at(1, 2))),
        ("a heartbeat after a missing delta", &set, &heartbeat, gap(at(1, 0), at(1, 2))),
        ("a heartbeat of the next epoch", &set, &epoch_heartbeat, gap(at(1, 0), at(2, 0))),
        ("a delta again", &at_one, &one, older(at(1, 1), at(1, 1))),
        ("an older delta", &at_two, &one, older(at(1, 2), at(1, 1))),
        ("an older snapshot", &at_two, &old_snapshot, older(at(1, 2), at(1, 1))),
        ("an older heartbeat", &at_two, &old_heartbeat, older(at(1, 2), at(1, 1))),
        ("another history", &at_one, &forked, FeedFault::BrokenChain { at: at(1, 2) }),
        ("another history's heartbeat", &at_one, &forked_heartbeat, FeedFault::BrokenChain { at: at(1, 1) }),
        (
            "another environment",
            &set,
            &elsewhere,
            FeedFault::WrongEnvironment { got: "plant (lab.touchmark.internal)".into() },
        ),
        (
            "another trust domain",
            &set,
            &other_domain,
            FeedFault::WrongEnvironment { got: "lab (lab.example.com)".into() },
        ),
        ("too far ahead", &set, &ahead, FeedFault::FromTheFuture { issued_at: ahead_at, now: now() }),
        ("nothing", &set, &[], FeedFault::Malformed("cut short or of another type")),
    ];
    for (name, set, wire, fault) in rows {
        let mut set = (*set).clone();
        let before = (set.state().clone(), set.head(), set.issued_at());
        assert_eq!(set.apply(wire, now()).as_ref(), Err(fault), "{name}");
        assert_eq!((set.state().clone(), set.head(), set.issued_at()), before, "{name}: nothing moved");
    }
    let mut set = set;
    assert_eq!(set.apply(&ahead, now().plus(Duration::from_millis(1))).map(drop), Ok(()), "a day is borne");
}

#[test]
fn a_set_starts_only_from_a_good_snapshot() {
    let mut writer = writer();
    let delta = writer.publish(every_change(), now(), &signer()).unwrap();
    let snapshot = writer.snapshot(now(), &signer()).unwrap();
    let other_key = FeedVerifier::new([9; 32]);
    let floor = |epoch, seq| Some(Position { epoch, seq });
    let own = signer().verifier();
    let plant = "plant".parse().unwrap();
    let lab = environment();
    let long_ago = Timestamp::from_unix_ms(0);
    let rows = [
        ("good", &snapshot[..], own, &lab, None, now(), true),
        ("at the floor", &snapshot, own, &lab, floor(1, 1), now(), true),
        ("below the floor's seq", &snapshot, own, &lab, floor(1, 2), now(), false),
        ("below the floor's epoch", &snapshot, own, &lab, floor(2, 0), now(), false),
        ("another environment", &snapshot, own, &plant, None, now(), false),
        ("another key", &snapshot, other_key, &lab, None, now(), false),
        ("clock here far behind", &snapshot, own, &lab, None, long_ago, false),
        ("a delta", &delta, own, &lab, None, now(), false),
        ("nothing", &[], own, &lab, None, now(), false),
        ("cut", &snapshot[..snapshot.len() - 1], own, &lab, None, now(), false),
    ];
    for (name, wire, verifier, environment, floor, now, good) in rows {
        let read = StatusSet::from_snapshot(wire, &verifier, environment, floor, now);
        assert_eq!(read.is_ok(), good, "{name}: {:?}", read.err());
    }
}

#[test]
fn a_snapshot_heals_a_gap_and_says_that_everything_is_new() {
    let mut writer = writer();
    let mut set = start(&mut writer);
    let _lost = writer.publish(vec![revoke(1)], now(), &signer()).unwrap();
    let delta = writer.publish(vec![revoke(2)], now(), &signer()).unwrap();
    assert!(matches!(set.apply(&delta, now()), Err(FeedFault::Gap { .. })));
    let snapshot = writer.snapshot(now(), &signer()).unwrap();
    assert_eq!(set.apply(&snapshot, now()), Ok(vec![Effect::Replaced]));
    assert_eq!(set.state().revoked_len(), 2);
    let next = writer.publish(vec![revoke(3)], now(), &signer()).unwrap();
    assert_eq!(
        set.apply(&next, now()),
        Ok(vec![Effect::Revoked { authority_version: authority(1), serial: serial(3) }])
    );
}

#[test]
fn a_restarted_writer_continues() {
    let mut before = writer();
    let mut set = start(&mut before);
    set.apply(&before.publish(vec![revoke(1)], now(), &signer()).unwrap(), now()).unwrap();
    let stored = (before.head(), before.state().clone());

    let mut resumed = FeedWriter::resume(environment(), trust_domain(), stored.0, stored.1.clone());
    let delta = resumed.publish(vec![revoke(2)], now(), &signer()).unwrap();
    assert!(set.clone().apply(&delta, now()).is_ok(), "with its head: the chain goes on");

    let head = Head::rebuilt(1, 1);
    let mut rebuilt = FeedWriter::resume(environment(), trust_domain(), head, stored.1);
    let delta = rebuilt.publish(vec![revoke(2)], now(), &signer()).unwrap();
    assert_eq!(set.apply(&delta, now()), Err(FeedFault::BrokenChain { at: Position { epoch: 1, seq: 2 } }));
    let snapshot = rebuilt.snapshot(now(), &signer()).unwrap();
    assert_eq!(set.apply(&snapshot, now()), Ok(vec![Effect::Replaced]), "with numbers only: one snapshot");
    let delta = rebuilt.publish(vec![revoke(3)], now(), &signer()).unwrap();
    assert!(set.apply(&delta, now()).is_ok());
}

#[test]
fn a_peer_is_told_the_fault_that_is_hardest_to_undo() {
    let stood = |standing| Change::SetStanding { handle: handle(), standing };
    let denied = Change::DenyKey(SpkiHash([3; 32]));
    let superseded = |effective_at| Change::Supersede {
        authority_version: authority(1),
        serial: serial(1),
        supersession: Supersession { effective_at, not_after: end() },
    };
    let other_authority = match revoke(1) {
        Change::Revoke { serial, revocation, .. } => {
            Change::Revoke { authority_version: authority(2), serial, revocation }
        }
        change => change,
    };
    let revoked = Status::Revoked { at: now(), reason: RevocationReason::KeyCompromise };
    let rows: &[(&str, Vec<Change>, Status)] = &[
        ("nothing known", vec![], Status::Good),
        ("another serial", vec![revoke(2)], Status::Good),
        ("the same serial of another authority", vec![other_authority], Status::Good),
        ("revoked", vec![revoke(1)], revoked),
        ("superseded", vec![superseded(now())], Status::Superseded),
        ("in the overlap", vec![superseded(later(1))], Status::Good),
        ("revoked and superseded", vec![revoke(1), superseded(now())], revoked),
        ("key denied", vec![denied.clone()], Status::KeyDenied),
        ("key allowed again", vec![denied.clone(), Change::AllowKey(SpkiHash([3; 32]))], Status::Good),
        ("quarantined", vec![stood(Standing::Quarantined)], Status::Quarantined),
        ("released", vec![stood(Standing::Quarantined), Change::ClearStanding(handle())], Status::Good),
        ("suspended", vec![stood(Standing::Suspended)], Status::Suspended),
        ("banned and revoked", vec![stood(Standing::Banned), revoke(1)], Status::Banned),
        ("revoked and quarantined", vec![stood(Standing::Quarantined), revoke(1)], revoked),
        ("key denied and quarantined", vec![stood(Standing::Quarantined), denied], Status::KeyDenied),
    ];
    for (name, changes, expected) in rows {
        let mut writer = writer();
        writer.publish(changes.clone(), now(), &signer()).unwrap();
        assert_eq!(start(&mut writer).check(&presented(now())), *expected, "{name}");
    }
    assert_eq!(start(&mut writer()).check(&presented(end().plus(Duration::from_secs(1)))), Status::Expired);
    assert_eq!(start(&mut writer()).check(&presented(end())), Status::Good, "the last second is whole");
}

#[test]
fn entries_end_with_their_certificates_and_only_by_both_clocks() {
    let mut writer = writer();
    let mut set = start(&mut writer);
    let changes = every_change();
    set.apply(&writer.publish(changes, now(), &signer()).unwrap(), now()).unwrap();
    let past = end().plus(Duration::from_secs(1));
    assert_eq!(set.prune(past), 0, "our clock alone forgets nothing");
    set.apply(&writer.heartbeat(end(), &signer()).unwrap(), end()).unwrap();
    assert_eq!(set.prune(past), 0, "the last second is whole");
    set.apply(&writer.heartbeat(past, &signer()).unwrap(), past).unwrap();
    assert_eq!(set.prune(now()), 0, "the authority's clock alone forgets nothing");
    assert_eq!(set.prune(past), 2);
    assert_eq!(set.check(&presented(past)), Status::KeyDenied, "keys stay denied");
}

#[test]
fn a_heartbeat_makes_the_feed_young_and_an_earlier_one_does_not_make_it_old() {
    let mut writer = writer();
    let mut set = start(&mut writer);
    let early = writer.heartbeat(later(5), &signer()).unwrap();
    let late = writer.heartbeat(later(10), &signer()).unwrap();
    assert_eq!(set.age(later(10)), Duration::from_secs(10));
    assert_eq!(set.apply(&late, later(10)), Ok(vec![]));
    assert_eq!(set.age(later(10)), Duration::ZERO);
    assert_eq!(set.apply(&early, later(10)), Ok(vec![]));
    assert_eq!(set.age(later(12)), Duration::from_secs(2));
    assert_eq!(CLOCK_AHEAD_MAX, Duration::from_secs(86_400));
}

#[test]
fn changes_that_a_reader_would_refuse_are_not_published() {
    let mut writer = writer();
    let scope = vec!["x".repeat(257)];
    let refused = writer.publish(vec![Change::SetScope { handle: handle(), scope }], now(), &signer());
    assert!(matches!(refused, Err(FeedFault::TooLarge(_))));
    assert_eq!((writer.position(), writer.state().scope(&handle())), (Position { epoch: 1, seq: 0 }, None));
}
