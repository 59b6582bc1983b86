//! Fleets on simulated time against the real RA, CA and store: each claim one test. docs/simulation.md tells more.
//!
//! TOUCHMARK_FLEET is the size of the storm (10,000; up to 50,000), TOUCHMARK_SEED the seed of every run.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::Duration;
use touchmark_agent::lifecycle::Needs;
use touchmark_journal::CloneResponse;
use touchmark_testkit::fleet::{Chances, Driver, Fleet, Happening, Invariant, Outcome, Scenario, Skew};
use touchmark_x509::KeyPlace;

/// What the storm is sized by: at this rate a fleet of any size is through in 500 s, so 600 s is a fifth more.
const STORM_S: u64 = 500;

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Certificates of a day, grace and lead of eight hours; enrolled within the first hour.
fn fleet(devices: usize) -> Scenario {
    Scenario::new(devices, hours(24)).seeded(setting("TOUCHMARK_SEED", 1))
}

fn run(name: &str, scenario: Scenario) -> Outcome {
    let outcome = Fleet::new(scenario).run();
    println!("{name}: {}\n", outcome.summary);
    outcome
}

fn assert_all_fresh(outcome: &Outcome) {
    let stale: Vec<_> = (0..).zip(&outcome.devices).filter(|(_, device)| !device.fresh).collect();
    assert!(stale.is_empty(), "{} devices have no valid certificate: {:?}", stale.len(), stale.first());
}

/// R7: every device of a fleet is renewed, time and again, with nobody at a keyboard.
#[test]
fn a_fleet_in_peace_stays_fresh_and_nobody_is_asked_for_anything() {
    let outcome = run("peace", fleet(200));
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    let summary = &outcome.summary;
    assert_eq!((summary.expired, summary.refused, summary.unanswered), (0, 0, 0));
    assert_eq!(outcome.devices.iter().map(|device| device.renewals).sum::<u64>(), summary.renewed);
    assert!(outcome.devices.iter().all(|device| device.renewals >= 2 && device.needs == Some(Needs::Nobody)));
}

/// The power of the whole fleet fails for a day, in which every device becomes due; then all start within half a
/// minute. The authority's rate is such that it needs `storm_s` for all of them.
fn storm(devices: u64, storm_s: u64) -> Scenario {
    let issue_schedule = u32::try_from(devices / storm_s).unwrap().max(1);
    let scenario = Scenario {
        issue_schedule,
        capacity: 500.max(issue_schedule * 2),
        enrol_within: hours(1),
        length: hours(66),
        ..Scenario::new(usize::try_from(devices).unwrap(), hours(72))
    };
    scenario
        .seeded(setting("TOUCHMARK_SEED", 1))
        .with(hours(40), Happening::FleetDark)
        .with(hours(64), Happening::FleetLit)
}

#[test]
fn a_storm_of_the_whole_fleet_drains_in_its_number_by_the_rate_and_a_fifth_and_none_expires() {
    let outcome = run("storm", storm(setting("TOUCHMARK_FLEET", 10_000), STORM_S));
    outcome.assert_sound();
    let summary = &outcome.summary;
    assert_eq!((summary.due_then, summary.expired), (summary.devices, 0));
    let fair = Duration::from_secs(STORM_S * 12 / 10);
    assert!(summary.drained_in.is_some_and(|span| span <= fair), "{summary}");
    assert!(summary.wait_p99 <= Duration::from_secs(600), "{summary}");
    assert!(summary.minute_worst * 10 >= summary.minute_best * 7, "goodput: {summary}");
}

#[test]
fn a_storm_of_more_than_ten_minutes_drains_as_steadily() {
    let outcome = run("long storm", storm(2000, 2000));
    outcome.assert_sound();
    let summary = &outcome.summary;
    assert_eq!((summary.due_then, summary.expired), (summary.devices, 0));
    assert!(summary.drained_in.is_some_and(|span| span <= Duration::from_secs(2000 * 12 / 10)), "{summary}");
}

#[test]
fn first_enrolments_wait_until_a_storm_of_renewals_is_through() {
    let new = 900..1000;
    let off = |scenario: Scenario, device| scenario.with(Duration::ZERO, Happening::Asleep(device));
    let outcome = run("storm with new devices", new.fold(storm(1000, STORM_S), off));
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!((outcome.summary.due_then, outcome.summary.expired), (900, 0));
    let fair = Duration::from_secs(900 * STORM_S / 1000 * 12 / 10);
    assert!(outcome.summary.drained_in.is_some_and(|span| span <= fair), "{}", outcome.summary);
}

#[test]
fn a_machine_slower_than_its_pace_does_not_drain_in_time() {
    let scenario = Scenario { capacity: 1, ..storm(1000, STORM_S) };
    let outcome = run("slow machine", scenario);
    let fair = Duration::from_secs(STORM_S * 12 / 10);
    assert!(outcome.summary.drained_in.is_none_or(|span| span > fair), "{}", outcome.summary);
}

/// Nobody reaches the authority from before the first device is due.
fn outage(devices: usize, outage: Duration) -> Scenario {
    Scenario { length: hours(60), ..fleet(devices) }
        .with(hours(13), Happening::ServerLost)
        .with(hours(13) + outage, Happening::ServerBack)
}

#[test]
fn no_device_expires_while_the_outage_is_shorter_than_the_lead() {
    let outcome = run("outage of 6 h", outage(500, hours(6)));
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!((outcome.summary.due_then, outcome.summary.expired), (500, 0));
    // The longest pause of an agent, and the drain.
    assert!(
        outcome.summary.drained_in.is_some_and(|span| span <= hours(1) + hours(1) / 5),
        "{}",
        outcome.summary
    );
}

#[test]
fn a_longer_outage_within_the_grace_locks_nobody_out() {
    let outcome = run("outage of 16 h", outage(300, hours(16)));
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!((outcome.summary.expired, outcome.summary.locked_out), (300, 0));
}

#[test]
fn without_a_grace_the_same_outage_locks_devices_out_and_the_invariant_says_so() {
    let outcome = run("no grace", Scenario { grace: Duration::ZERO, ..outage(50, hours(16)) });
    assert!(outcome.summary.locked_out > 0, "{}", outcome.summary);
    assert!(!outcome.held(Invariant::NobodyLockedOut));
}

#[test]
fn drivers_that_are_wrong_on_purpose_break_the_invariants_of_the_pair() {
    let rows = [
        (Driver::TakesConfirmationForGranted, Invariant::ProvenBeforeSwap),
        (Driver::SwapsTheChainFirst, Invariant::NoMixedPair),
    ];
    for (driver, invariant) in rows {
        let outcome = Fleet::new(Scenario { driver, ..fleet(10) }).run();
        assert!(!outcome.held(invariant), "{driver:?} goes unnoticed");
    }
}

#[test]
fn lost_requests_and_answers_lock_nobody_out() {
    let chances = Chances { request_lost: 50, answer_lost: 100, ..Chances::default() };
    let outcome = run("lossy network", Scenario { chances, ..fleet(300) });
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert!(outcome.summary.unanswered > 300 && outcome.summary.expired == 0, "{}", outcome.summary);
}

#[test]
fn commits_that_are_lost_or_reported_lost_give_no_serial_twice_and_lock_nobody_out() {
    let chances = Chances { commit_lost: 40, commit_reported_lost: 40, ..Chances::default() };
    for key in [KeyPlace::Inside, KeyPlace::Outside] {
        let outcome = run("faulty storage", Scenario { chances, key, ..fleet(300) });
        outcome.assert_sound();
        assert_all_fresh(&outcome);
        assert_eq!(outcome.summary.expired, 0, "{key:?}");
    }
}

#[test]
fn power_cuts_at_any_write_leave_every_device_a_whole_pair() {
    let chances = Chances { write_mishap: 60, ..Chances::default() };
    let outcome = run("power cuts", Scenario { chances, ..fleet(300) });
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert!(outcome.summary.power_cuts > 150, "{}", outcome.summary);
}

#[test]
fn wrong_clocks_keep_no_device_from_its_certificate_and_are_mended_in_three_answers() {
    let clocks = vec![
        Skew::None,
        Skew::Since1970,
        Skew::Ahead(hours(87_600)),
        Skew::Ahead(Duration::from_secs(420)),
        Skew::Behind(Duration::from_secs(420)),
    ];
    let scenario = Scenario { clocks, ..fleet(200) };
    // A start in the middle of life, with a pair at hand.
    let scenario = scenario.with(hours(9), Happening::FleetDark).with(hours(10), Happening::FleetLit);
    let outcome = run("wrong clocks", scenario);
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!(outcome.summary.expired, 0);
    assert!((1..=3).contains(&outcome.summary.round_trips_most), "{}", outcome.summary.round_trips_most);
}

#[test]
fn a_device_without_the_time_that_starts_in_an_outage_renews_soon_after_it() {
    // Pauses were counted by the corrected clock, which the start forgot.
    let scenario = Scenario { clocks: vec![Skew::Since1970], ..outage(50, hours(5)) };
    let scenario = scenario.with(hours(16), Happening::FleetDark).with(hours(17), Happening::FleetLit);
    let outcome = run("starts in an outage", scenario);
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!(outcome.summary.expired, 0);
    assert!(
        outcome.summary.drained_in.is_some_and(|span| span <= hours(1) + hours(1) / 5),
        "{}",
        outcome.summary
    );
}

#[test]
fn a_clock_ten_years_ahead_makes_no_device_ask_too_seldom_for_its_short_life() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let clocks = vec![Skew::Ahead(hours(87_600))];
    let scenario = Scenario { clocks, length: minutes(180), ..Scenario::new(60, hours(1)) };
    let scenario = scenario
        .seeded(setting("TOUCHMARK_SEED", 1))
        .with(minutes(30), Happening::ServerLost)
        .with(minutes(40), Happening::FleetDark)
        .with(minutes(41), Happening::FleetLit)
        .with(minutes(45), Happening::ServerBack);
    let outcome = run("ten years ahead", scenario);
    outcome.assert_sound();
    assert_all_fresh(&outcome);
    assert_eq!(outcome.summary.expired, 0);
}

#[test]
fn a_device_that_slept_past_its_end_returns_by_itself_within_the_grace_and_with_a_token_beyond_it() {
    let scenario = Scenario { length: hours(60), ..fleet(20) }
        .with(hours(10), Happening::Asleep(0))
        .with(hours(30), Happening::Awake(0))
        .with(hours(10), Happening::Asleep(1))
        .with(hours(40), Happening::Awake(1))
        .with(hours(10), Happening::Asleep(2))
        .with(hours(40), Happening::Awake(2))
        .with(hours(50), Happening::NewToken(2));
    let outcome = run("sleepers", scenario);
    outcome.assert_sound();
    let needs: Vec<_> = outcome.devices.iter().take(3).map(|device| (device.fresh, device.needs)).collect();
    let fine = (true, Some(Needs::Nobody));
    assert_eq!(needs, [fine, (false, Some(Needs::NewProof)), fine]);
    assert_eq!((outcome.summary.expired, outcome.summary.locked_out), (3, 2));
}

#[test]
fn a_banned_device_gets_no_certificate_and_knows_why() {
    let scenario = Scenario { length: hours(72), ..fleet(20) }.with(hours(10), Happening::Ban(3));
    let outcome = run("ban", scenario);
    outcome.assert_sound();
    let banned = outcome.devices[3];
    assert_eq!((banned.fresh, banned.renewals, banned.needs), (false, 0, Some(Needs::NewDevice)));
    assert!(banned.refused > 0, "its attempts are on record");
}

#[test]
fn a_copied_identity_raises_an_alarm_within_one_renewal_and_quarantine_stops_both() {
    let until_renewed = Scenario { length: hours(10 + 24), on_clone: CloneResponse::Quarantine, ..fleet(20) }
        .with(hours(10), Happening::Copy(5));
    let outcome = run("copy, one life", until_renewed.clone());
    outcome.assert_sound();
    assert!(outcome.summary.clone_alarms > 0, "no alarm within one life");
    let outcome = run("copy, later", Scenario { length: hours(96), ..until_renewed });
    outcome.assert_sound();
    // Whoever renewed last waits for a release; the other one's certificate is of no use after it, either.
    let holders = [outcome.devices[5], *outcome.devices.last().unwrap()];
    assert!(holders.iter().all(|holder| !holder.fresh), "{holders:?}");
    assert!(holders.iter().any(|holder| holder.needs == Some(Needs::Release)), "{holders:?}");
    assert!(holders.iter().all(|holder| holder.needs != Some(Needs::Nobody)), "{holders:?}");
}

#[test]
fn everything_at_once_from_several_seeds_breaks_no_invariant() {
    for seed in 0..4 {
        let scenario = Scenario {
            seed: setting("TOUCHMARK_SEED", 1) * 100 + seed,
            length: hours(72),
            on_clone: CloneResponse::Quarantine,
            issue_schedule: 1,
            chances: Chances {
                request_lost: 30,
                answer_lost: 50,
                commit_lost: 20,
                commit_reported_lost: 20,
                write_mishap: 30,
            },
            clocks: vec![Skew::None, Skew::Since1970, Skew::Ahead(hours(87_600)), Skew::Behind(hours(1))],
            ..fleet(80)
        };
        let scenario = scenario
            .with(hours(9), Happening::Copy(7))
            .with(hours(12), Happening::ServerLost)
            .with(hours(14), Happening::Ban(8))
            .with(hours(15), Happening::FleetDark)
            .with(hours(17), Happening::FleetLit)
            .with(hours(18), Happening::ServerBack);
        let outcome = run("everything", scenario);
        outcome.assert_sound();
        assert_eq!((outcome.summary.expired, outcome.summary.locked_out), (0, 0), "seed {seed}");
        let held_off = [7, 8, 80];
        let others = (0..).zip(&outcome.devices).filter(|(device, _)| !held_off.contains(device));
        assert!(others.into_iter().all(|(_, device)| device.fresh), "seed {seed}");
    }
}

#[test]
fn one_seed_is_one_run_and_another_seed_another() {
    let chances = Chances { answer_lost: 100, write_mishap: 50, commit_lost: 20, ..Chances::default() };
    let summary = |seed| Fleet::new(Scenario { seed, chances, ..fleet(30) }).run().summary;
    let first = summary(11);
    assert_eq!(summary(11), first);
    assert_ne!(summary(12).trace, first.trace);
}
