//! Paths, their cache, and the judgement of peers.

use super::{PathIdentity, Trust};
use crate::lab::{Holder, Lab, policy, version};
use core::time::Duration;
use std::sync::Arc;
use touchmark_listen::Clock;
use touchmark_policy::{DenyReason, Topic};
use touchmark_policy_cedar::PolicyBundle;
use touchmark_status::{Anchor, AnchorRole, Change, StalenessClass, Standing, Supersession};

fn identity(lab: &Lab, trust: &Trust, holder: &Holder) -> Arc<PathIdentity> {
    trust.identity_of(holder.certificate.der(), lab.now()).unwrap()
}

#[test]
fn a_cached_path_is_still_held_against_status_time_and_anchors() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::LifeSafety);
    let holder = lab.device("pump-01");
    let found = identity(&lab, &trust, &holder);
    assert!(Arc::ptr_eq(&found, &identity(&lab, &trust, &holder)), "the second time from the cache");
    assert!(trust.admit(&found, lab.now()).is_ok());

    trust.fold(&lab.publish(vec![lab.revoke(&holder)]), None, lab.now()).unwrap();
    assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::Revoked));

    let other = lab.device("pump-02");
    let found = identity(&lab, &trust, &other);
    lab.pass(Duration::from_secs(31 * 86_400));
    assert_eq!(trust.identity_of(other.certificate.der(), lab.now()).err(), Some(DenyReason::Expired));
    assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::Expired));
}

#[test]
fn a_clock_that_is_set_back_stops_neither_revocations_nor_the_ends_of_certificates() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Strict);
    let machine = lab.now();
    let clock = trust.clock(Clock::new(move || machine));
    let (holder, brief) =
        (lab.device("pump-01"), lab.holder("spiffe://lab.touchmark.internal/d/b", &[], 3600));
    let (found, brief) = (identity(&lab, &trust, &holder), identity(&lab, &trust, &brief));
    assert!(trust.admit(&brief, clock.now()).is_ok());
    // The authority is two hours on, the clock here is not: as after a step back.
    lab.pass(Duration::from_secs(2 * 3600));
    trust.fold(&lab.publish(vec![lab.revoke(&holder)]), None, clock.now()).unwrap();
    assert_eq!(trust.admit(&found, clock.now()).err(), Some(DenyReason::Revoked));
    assert_eq!(trust.admit(&brief, clock.now()).err(), Some(DenyReason::Expired));
    assert!(clock.now().since(machine) >= Duration::from_secs(7199), "{}", clock.now());
    // A day later once more: each message is weighed against the time of the one before.
    lab.pass(Duration::from_secs(23 * 3600));
    trust.fold(&lab.heartbeat(), None, clock.now()).unwrap();
    assert!(clock.now().since(machine) >= Duration::from_secs(25 * 3600 - 1));
}

/// The clocks of authority and gateway jump ahead for a while, as on one host, or the authority's alone.
#[test]
fn a_feed_from_the_future_refuses_nobody_for_longer_than_the_clock_was_wrong() {
    for days in [0, 40] {
        let lab = Lab::new();
        let trust = lab.trust(StalenessClass::Standard);
        let begin = lab.now();
        // With 0 the clock here stays right, and the authority is twenty hours ahead.
        let clock = match days {
            0 => trust.clock(Clock::new(move || begin)),
            _ => trust.clock(lab.clock()),
        };
        let jump = Duration::from_secs(if days == 0 { 20 * 3600 } else { days * 86_400 });
        let holder = lab.holder("spiffe://lab.touchmark.internal/d/pump-01", &[], 3600);
        let found = identity(&lab, &trust, &holder);
        lab.pass(jump);
        trust.fold(&lab.heartbeat(), None, clock.now()).unwrap();
        assert_eq!(trust.admit(&found, clock.now()).err(), Some(DenyReason::Expired), "{days}");
        assert!(!trust.took_time_back(), "{days}");
        lab.go_back(jump);
        assert_eq!(
            trust.admit(&found, clock.now()).err(),
            Some(DenyReason::Expired),
            "{days}: one clock alone"
        );
        trust.fold(&lab.heartbeat(), None, clock.now()).unwrap();
        assert!(trust.took_time_back(), "{days}: a snapshot is asked for");
        assert!(trust.admit(&found, clock.now()).is_ok(), "{days}: recovered without a restart");
        trust.fold(&lab.snapshot(), None, clock.now()).unwrap();
        assert!(trust.admit(&found, clock.now()).is_ok(), "{days}");
        // And from here on it ages as ever: the moment in the future counts for nothing.
        let later = clock.now().plus(Duration::from_secs(25 * 3600));
        assert_eq!(trust.freshness(later), Some(touchmark_status::Freshness::DenyNew), "{days}");
    }
}

/// R45: the first snapshot after a start is held against the floor as well.
#[test]
fn a_first_snapshot_below_the_floor_begins_nothing() {
    let lab = Lab::new();
    let trust = Trust::new("lab".parse().unwrap(), lab.signer.verifier(), StalenessClass::Standard);
    let position = |epoch, seq| Some(touchmark_status::Position { epoch, seq });
    for (name, floor) in [("a later number", position(1, 2)), ("a later epoch", position(2, 0))] {
        let refused = trust.fold(&lab.snapshot(), floor, lab.now());
        assert!(matches!(refused, Err(touchmark_status::FeedFault::Older { .. })), "{name}: {refused:?}");
        assert_eq!(trust.position(), None, "{name}");
    }
    trust.fold(&lab.snapshot(), position(1, 1), lab.now()).unwrap();
    assert_eq!(trust.position(), position(1, 1));
}

/// An authority that was set back, or somebody who plays its old feed: small messages are folded into the set in use,
/// large ones are verified beside it.
#[test]
fn nothing_of_an_earlier_epoch_is_taken_over() {
    let lab = Lab::new();
    let standing =
        |n| Change::SetStanding { handle: format!("d{n}").parse().unwrap(), standing: Standing::Banned };
    let small = [lab.publish(vec![standing(0)]), lab.snapshot(), lab.heartbeat()];
    let large = [lab.publish((0..3_000).map(standing).collect()), lab.snapshot()];
    let next = touchmark_status::FeedWriter::new(
        "lab".parse().unwrap(),
        "lab.touchmark.internal".parse().unwrap(),
        2,
    );
    *lab.writer.lock().unwrap() = next;
    lab.publish(vec![lab.anchors(None), policy(&PolicyBundle::starter())]);
    let trust = lab.trust(StalenessClass::Standard);
    let position = trust.position();
    for (n, wire) in small.iter().chain(&large).enumerate() {
        let refused = trust.fold(wire, None, lab.now());
        assert!(matches!(refused, Err(touchmark_status::FeedFault::Older { .. })), "{n}: {refused:?}");
        assert_eq!(trust.position(), position, "{n}");
    }
    trust.fold(&lab.publish(vec![standing(1)]), None, lab.now()).unwrap();
}

#[test]
fn other_anchors_empty_the_cache_and_end_the_old_authoritys_paths() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Standard);
    let holder = lab.device("pump-01");
    let found = identity(&lab, &trust, &holder);
    assert_eq!(trust.cached_paths(), 1);
    let successor = Lab::new();
    let anchor = |role, octet, certificate: &touchmark_x509::Certificate| Anchor {
        authority_version: version(octet),
        role,
        certificate_der: certificate.der().to_vec(),
    };
    let anchors = vec![
        anchor(AnchorRole::Root, 19, &successor.root.certificate),
        anchor(AnchorRole::Issuing, 11, &successor.issuing.certificate),
    ];
    trust.fold(&lab.publish(vec![Change::Anchors(anchors)]), None, lab.now()).unwrap();
    assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::UnknownIssuer));
    assert_eq!(trust.identity_of(holder.certificate.der(), lab.now()).err(), Some(DenyReason::UnknownIssuer));
    let newer = successor.device("pump-01");
    assert!(trust.identity_of(newer.certificate.der(), lab.now()).is_ok());
    assert_eq!(trust.cached_paths(), 1, "only the new authority's");
}

/// R6, R15: who made a device grants nothing.
#[test]
fn a_makers_device_is_known_for_what_it_is_and_let_in_nowhere() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::LifeSafety);
    let maker = Lab::maker("maker", None);
    let factory = Lab::maker("factory", Some(&maker));
    let ours = lab.device("pump-01");
    let (direct, below) = (lab.initial("pump-01", &maker), lab.initial("pump-01", &factory));
    let intermediate = [factory.certificate.der()];
    let known = |holder: &Holder, sent_along: &[&[u8]]| {
        let found = trust.known(holder.certificate.der(), sent_along, lab.now());
        found.map(|identity| (identity.is_initial(), identity.id().name.as_str() == "pump-01"))
    };
    assert_eq!(known(&direct, &[]), Err(DenyReason::UnknownIssuer), "no maker is registered");

    trust.fold(&lab.publish(vec![lab.anchors(Some(&maker))]), None, lab.now()).unwrap();
    let (operational, initial) = (Ok((false, true)), Ok((true, false)));
    let rows: &[(&str, &Holder, &[&[u8]], _)] = &[
        ("ours", &ours, &[], operational),
        ("the maker's", &direct, &[], initial),
        ("of a factory that is shown", &below, &intermediate, initial),
        ("of a factory that is not shown", &below, &[], Err(DenyReason::UnknownIssuer)),
    ];
    for (name, holder, sent_along, expected) in rows {
        assert_eq!(known(holder, sent_along), *expected, "{name}");
    }
    for holder in [&direct, &below] {
        let found = trust.known(holder.certificate.der(), &intermediate, lab.now()).unwrap();
        assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::InitialIdentity));
        assert_eq!(trust.review(&found, lab.now()).err(), Some(DenyReason::InitialIdentity));
        assert_eq!(
            trust.identity_of(holder.certificate.der(), lab.now()).err(),
            Some(DenyReason::UnknownIssuer)
        );
    }
    assert_eq!(trust.cached_paths(), 1, "only ours");

    let found = trust.known(direct.certificate.der(), &intermediate[..0], lab.now()).unwrap();
    trust.fold(&lab.publish(vec![lab.anchors(None)]), None, lab.now()).unwrap();
    assert_eq!(known(&direct, &[]), Err(DenyReason::UnknownIssuer), "withdrawn");
    assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::InitialIdentity));
    assert_eq!(known(&ours, &[]), Ok((false, true)));
}

#[test]
fn the_cache_is_bounded() {
    let cache = super::cache::PathCache::default();
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Standard);
    let found = identity(&lab, &trust, &lab.device("pump-01"));
    for _ in 0..20_000 {
        cache.put(0, &found);
    }
    assert_eq!(cache.len(), 1, "one place for one certificate");
    assert!(cache.get(0, &found.fingerprint()).is_some());
    assert!(cache.get(1, &found.fingerprint()).is_none(), "another generation");
    assert_eq!(cache.len(), 0);
}

#[test]
fn an_old_feed_refuses_by_its_class() {
    use StalenessClass::{LifeSafety, Standard, Strict};
    let rows: &[(StalenessClass, u64, bool, bool)] = &[
        (Strict, 299, true, true),
        (Strict, 301, false, true),
        (Strict, 899, false, true),
        (Strict, 901, false, false),
        (Standard, 24 * 3600 - 2, true, true),
        (Standard, 24 * 3600 + 1, false, true),
        (Standard, 72 * 3600 + 1, false, false),
        (LifeSafety, 20 * 24 * 3600, true, true),
    ];
    for (class, age_s, new, live) in rows {
        let lab = Lab::new();
        let trust = lab.trust(*class);
        let found = identity(&lab, &trust, &lab.device("pump-01"));
        lab.pass(Duration::from_secs(*age_s));
        let stale = |good: bool| (!good).then_some(DenyReason::StatusStale);
        assert_eq!(trust.admit(&found, lab.now()).err(), stale(*new), "{class} new at {age_s} s");
        assert_eq!(trust.review(&found, lab.now()).err(), stale(*live), "{class} live at {age_s} s");
        trust.fold(&lab.heartbeat(), None, lab.now()).unwrap();
        assert!(trust.admit(&found, lab.now()).is_ok(), "{class}: a heartbeat heals");
    }
}

#[test]
fn the_feeds_scope_takes_the_place_of_the_certificates() {
    let lab = Lab::new();
    let mut bundle = PolicyBundle::starter();
    bundle.files[0].1 += "\n@id(\"hold\") forbid (principal, action == Action::\"publish\", resource in Topics::\"own\") when { principal.groups.contains(\"held\") };";
    let trust = lab.trust(StalenessClass::Standard);
    trust.fold(&lab.publish(vec![policy(&bundle)]), None, lab.now()).unwrap();
    let found = identity(&lab, &trust, &lab.device("pump-01"));
    let may = |trust: &Trust| {
        let table = trust.admit(&found, lab.now()).ok().unwrap().specialise();
        table.publish(&Topic::new("plant/pump-01/t").unwrap()).permitted().is_ok()
    };
    assert!(may(&trust));
    let handle = || "pump-01".parse().unwrap();
    let held = Change::SetScope { handle: handle(), scope: vec!["group:held".into()] };
    trust.fold(&lab.publish(vec![held]), None, lab.now()).unwrap();
    assert!(!may(&trust));
    trust.fold(&lab.publish(vec![Change::ClearScope(handle())]), None, lab.now()).unwrap();
    assert!(may(&trust));
    let suspended = Change::SetStanding { handle: handle(), standing: Standing::Suspended };
    trust.fold(&lab.publish(vec![suspended]), None, lab.now()).unwrap();
    assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::Quarantined));
}

#[test]
fn a_superseded_certificate_is_good_until_the_overlap_ends() {
    let lab = Lab::new();
    let trust = lab.trust(StalenessClass::Standard);
    let holder = lab.device("pump-01");
    let found = identity(&lab, &trust, &holder);
    let effective_at = lab.now().plus(Duration::from_secs(300));
    let supersede = Change::Supersede {
        authority_version: version(1),
        serial: *holder.certificate.serial(),
        supersession: Supersession { effective_at, not_after: holder.certificate.validity().not_after() },
    };
    trust.fold(&lab.publish(vec![supersede]), None, lab.now()).unwrap();
    assert_eq!(trust.admit(&found, lab.now()).ok().unwrap().good_until(), effective_at);
    lab.pass(Duration::from_secs(301));
    assert_eq!(trust.review(&found, lab.now()).err(), Some(DenyReason::Superseded));
}

#[test]
fn a_policy_that_does_not_compile_or_is_not_what_it_says_permits_nothing() {
    let lab = Lab::new();
    let broken = PolicyBundle { files: vec![("a.cedar".into(), "permit (".into())], topics: String::new() };
    let mislabelled = touchmark_status::PolicyBundle {
        version: [5; 32],
        files: PolicyBundle::starter().files,
        topics: PolicyBundle::starter().topics,
    };
    for (name, change) in [("broken", policy(&broken)), ("mislabelled", Change::Policies(mislabelled))] {
        let trust = lab.trust(StalenessClass::Standard);
        let found = identity(&lab, &trust, &lab.device("pump-01"));
        trust.fold(&lab.publish(vec![change]), None, lab.now()).unwrap();
        assert_eq!(trust.admit(&found, lab.now()).err(), Some(DenyReason::PolicyMissing), "{name}");
        trust.fold(&lab.publish(vec![policy(&PolicyBundle::starter())]), None, lab.now()).unwrap();
        assert!(trust.admit(&found, lab.now()).is_ok(), "{name}: healed");
    }
}
