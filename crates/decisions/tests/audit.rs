//! What an auditor reads: whole decisions across frames, and proof that none is missing.
#![allow(clippy::unwrap_used)]

mod support;

use support::*;
use touchmark_decisions::{
    CloseCause, Continuation, Decision, DecisionReader, Proof, Record, SequenceCheck, SequenceFault, Verdict,
};
use touchmark_identity::Name;
use touchmark_policy::{Action, DenyReason, PolicyVersion};

fn only(decisions: &[Decision]) -> &Decision {
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    &decisions[0]
}

#[test]
fn an_act_is_joined_with_a_session_from_an_earlier_frame() {
    let mut reader = DecisionReader::new();
    reader.read(&frame(1, 0, &[epoch_opened(true), Record::SessionOpened(opened(7, 1, Verdict::Allow))]));
    let decisions = reader.read(&frame(1, 1, &[publish(7, 9, "plant/pump-01/t")]));
    let decision = only(&decisions);
    assert_eq!(decision.id.to_string(), "dec_gateway-1.1.1");
    assert_eq!(decision.at, later(9));
    assert_eq!(decision.device().map(Name::as_str), Some("pump-01"));
    assert_eq!(decision.certificate(), opened(7, 1, Verdict::Allow).certificate.map(|c| c.fingerprint));
    assert_eq!((decision.action, decision.verdict.as_str()), (Action::Publish, "allow"));
    assert_eq!(decision.resource.as_ref().unwrap().as_str(), "plant/pump-01/t");
    assert_eq!(decision.rule.as_ref().unwrap().as_str(), "starter-publish");
    assert_eq!(decision.policy, Some(PolicyVersion([0xaa; 32])));
    assert_eq!(decision.proof().map(Proof::as_str), Some("mtls"));
    assert_eq!(decision.tls().unwrap().to_string(), "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768");
    assert_eq!((decision.verdict.reason(), decision.count), (None, 1));
}

#[test]
fn a_session_is_forgotten_when_it_ends_or_its_process_does() {
    let rows: &[(&str, u32, Vec<Record>)] = &[
        ("closed", 1, vec![closed(7, 2, CloseCause::Lost), publish(7, 3, "t")]),
        ("another epoch", 2, vec![epoch_opened(false), publish(7, 3, "t")]),
        ("never opened", 1, vec![publish(8, 3, "t")]),
    ];
    for (name, epoch, records) in rows {
        let mut reader = DecisionReader::new();
        reader.read(&frame(1, 0, &[Record::SessionOpened(opened(7, 1, Verdict::Allow))]));
        assert_eq!(reader.open_sessions(), 1);
        let decisions = reader.read(&frame(*epoch, 1, records));
        let decision = only(&decisions);
        assert_eq!(
            (decision.device(), decision.proof(), decision.tls()),
            (None, None, None),
            "{name}: no data"
        );
    }
}

#[test]
fn a_refused_connect_keeps_no_session_and_is_a_whole_decision() {
    let mut reader = DecisionReader::new();
    let refused = opened(7, 1, Verdict::Deny(DenyReason::Revoked));
    let decisions = reader.read(&frame(1, 0, &[Record::SessionOpened(refused)]));
    let decision = only(&decisions);
    assert_eq!((decision.action, decision.verdict), (Action::Connect, Verdict::Deny(DenyReason::Revoked)));
    assert_eq!(decision.device().map(Name::as_str), Some("pump-01"));
    assert_eq!(reader.open_sessions(), 0);
}

#[test]
fn strangers_are_one_decision_per_second_and_reason() {
    let decisions = DecisionReader::new().read(&frame(1, 0, &[refused(2, 900)]));
    let decision = only(&decisions);
    assert_eq!((decision.at, decision.count, decision.proof()), (later(2000), 900, Some(Proof::None)));
    assert_eq!(decision.verdict.reason(), Some(DenyReason::BadPath));
}

#[test]
fn an_act_cites_the_policy_in_force_when_it_happened() {
    let mut reader = DecisionReader::new();
    let records = [
        Record::SessionOpened(opened(1, 0, Verdict::Allow)),
        publish(1, 1, "t"),
        policy_changed(2, 0xbb),
        publish(1, 3, "t"),
        Record::SessionOpened(opened(2, 4, Verdict::Allow)),
        publish(2, 5, "t"),
        publish(1, 6, "t"),
    ];
    let decisions = reader.read(&frame(1, 0, &records));
    let policies: Vec<_> = decisions.iter().map(|decision| decision.policy.unwrap().0[0]).collect();
    assert_eq!(policies, [0xaa, 0xaa, 0xbb, 0xaa, 0xaa, 0xbb]);
}

/// An act that the old table decided while the new policy took over is by the old one, whatever stands before it.
#[test]
fn an_act_of_an_old_table_cites_the_policy_that_decided_it() {
    let mut reader = DecisionReader::new();
    let records = [
        Record::SessionOpened(opened(1, 0, Verdict::Allow)),
        policy_changed(2, 0xbb),
        several(1, 3, "t", 1, Some(0xaa)),
        publish(1, 4, "t"),
        policy_changed(5, 0xcc),
        several(1, 6, "t/#", 30, Some(0xaa)),
        several(1, 7, "t/#", 30, Some(0xbb)),
        several(1, 8, "t/#", 40, None),
    ];
    let decisions = reader.read(&frame(1, 0, &records));
    let read: Vec<_> = decisions.iter().map(|d| (d.id.sequence, d.count, d.policy.unwrap().0[0])).collect();
    let expected = [(0, 1, 0xaa), (1, 1, 0xaa), (2, 1, 0xbb), (3, 30, 0xaa), (33, 30, 0xbb), (63, 40, 0xcc)];
    assert_eq!(read, expected);
    let named = |sequence| {
        let id = touchmark_decisions::DecisionId { gateway: gateway(), epoch: 1, sequence };
        decisions.iter().filter(|d| d.is_named(&id)).map(|d| d.id.sequence).collect::<Vec<_>>()
    };
    assert_eq!((named(2), named(32), named(63), named(102)), (vec![2], vec![3], vec![63], vec![63]));
    assert_eq!((named(103), named(u64::MAX)), (vec![], vec![]));
}

/// A crash shows as a gap with its bounds; an end in order, and a log without an earlier epoch, as none.
#[test]
fn a_crash_leaves_a_gap_with_bounds() {
    let first = frame(1, 0, &[epoch_opened(true), publish(1, 10, "t"), several(1, 40, "t/#", 5, None)]);
    let rows = [("crash", false, Some((6, 40, 90))), ("end in order", true, None)];
    for (name, clean, expected) in rows {
        let mut gaps = touchmark_decisions::Gaps::default();
        assert_eq!(gaps.before(&first), None, "{name}");
        assert_eq!(gaps.before(&frame(1, 6, &[closed(1, 39, CloseCause::Lost)])), None, "{name}");
        let opened = Record::EpochOpened(touchmark_decisions::EpochOpened {
            at: later(90),
            previous_epoch_clean: clean,
            status: None,
        });
        let gap = gaps.before(&frame(2, 0, &[opened]));
        let found = gap.as_ref().map(|gap| (gap.from.epoch, gap.from.sequence, gap.after, gap.before));
        // The newest record that was kept bounds it, also when an older one was written after it.
        let expected = expected.map(|(sequence, after, before)| (1, sequence, later(after), later(before)));
        assert_eq!(found, expected, "{name}");
        assert_eq!(gaps.before(&frame(2, 0, &[publish(1, 99, "t")])), None, "{name}: told once");
    }
}

#[test]
fn a_missing_or_repeated_frame_is_found() {
    use SequenceFault::*;
    let id = |epoch, sequence| touchmark_decisions::DecisionId { gateway: gateway(), epoch, sequence };
    let first = frame(1, 0, &[epoch_opened(true), publish(1, 1, "t"), publish(1, 2, "t")]);
    let second = frame(1, 2, &[publish(1, 3, "t"), closed(1, 4, CloseCause::Peer)]);
    let third = frame(1, 3, &[publish(1, 5, "t")]);
    let crashed = frame(2, 0, &[epoch_opened(false), publish(1, 6, "t")]);
    let unopened = frame(2, 0, &[publish(1, 6, "t")]);
    let late = frame(2, 5, &[epoch_opened(true), publish(1, 6, "t")]);
    let twice = frame(1, 2, &[publish(1, 3, "t"), epoch_opened(true)]);
    let fourth_epoch = frame(4, 0, &[epoch_opened(true)]);
    let mut elsewhere = first.clone();
    elsewhere.gateway = "gateway-2".parse().unwrap();
    let same = Ok(Continuation::SameEpoch);
    let new = |previous_epoch_clean| Ok(Continuation::NewEpoch { previous_epoch_clean });
    let gap = |expected, got| Err(Gap { expected, got });
    let rows = [
        (
            "whole",
            vec![
                (&first, new(true)),
                (&second, same.clone()),
                (&third, same.clone()),
                (&crashed, new(false)),
            ],
        ),
        (
            "one lost, told once",
            vec![(&first, new(true)), (&third, gap(id(1, 2), id(1, 3))), (&crashed, new(false))],
        ),
        ("one twice", vec![(&first, new(true)), (&second, same.clone()), (&second, gap(id(1, 3), id(1, 2)))]),
        ("the beginning lost", vec![(&second, Err(NotOpened { epoch: 1 }))]),
        ("no opening record", vec![(&first, new(true)), (&unopened, Err(NotOpened { epoch: 2 }))]),
        ("an epoch's beginning lost", vec![(&first, new(true)), (&late, gap(id(2, 0), id(2, 5)))]),
        ("an epoch lost", vec![(&first, new(true)), (&fourth_epoch, Err(EpochGap { have: 1, got: 4 }))]),
        ("an epoch comes back", vec![(&crashed, new(false)), (&first, Err(EpochGap { have: 2, got: 1 }))]),
        ("opened twice", vec![(&first, new(true)), (&twice, Err(OpenedTwice { epoch: 1 }))]),
        (
            "another gateway",
            vec![(&elsewhere, Err(OtherGateway { expected: gateway(), got: "gateway-2".parse().unwrap() }))],
        ),
    ];
    for (name, frames) in rows {
        let mut check = SequenceCheck::new(gateway());
        for (frame, expected) in frames {
            assert_eq!(check.check(frame), expected, "{name}");
        }
    }
    let refused = [&third, &twice, &late, &fourth_epoch, &elsewhere];
    for bad in refused {
        let mut check = SequenceCheck::new(gateway());
        check.check(&first).unwrap();
        for _ in 0..2 {
            check.check(bad).unwrap_err();
            assert_eq!(check.next(), Some((1, 2)), "a refused frame does not count");
        }
        assert_eq!(check.check(&second), same, "what was wanted before is wanted still");
        assert_eq!(check.check(&third), same);
    }
    let mut resumed = SequenceCheck::resume(gateway(), 1, 2);
    assert_eq!(resumed.check(&second), same);
    assert_eq!(resumed.next(), Some((1, 3)));
}
