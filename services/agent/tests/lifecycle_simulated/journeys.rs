//! The ordinary life, and a server that is gone, slow or wants something else.

use super::authority::DAY;
use super::device::Device;
use super::world::{Lose, World};
use std::time::Duration;
use touchmark_agent::lifecycle::{Call, FirstProof, HookEvent, Needs, RenewedBy, Start, Wish};
use touchmark_enrol::renewal::{RenewalHint, RenewalWindow, renew_at};

const TOKEN: Call = Call::Enrol { proof: FirstProof::Token };
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_device_enrols_by_token_and_renews_by_itself_for_ten_lives() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    assert_eq!(device.hooks, [HookEvent::Renewed]);
    for life in 1..=10 {
        let before = device.certificate();
        let due = renew_at(before.validity(), 0x0707);
        device.run_until(&mut world, 31 * DAY, |device, _| device.is_past(&before));
        assert!(world.now >= due && world.now.since(due) < MINUTE, "life {life}: at its own moment");
        assert_ne!(device.certificate().spki_hash(), before.spki_hash(), "a new key for each life");
    }
    device.run(&mut world, HOUR);
    for (call, times) in [(Call::Anchors, 10), (Call::Renew, 10), (Call::Confirm, 10), (TOKEN, 0)] {
        assert_eq!(world.count(call), times, "{call:?}");
    }
    assert_eq!(world.authority.issued.len(), 11);
    assert_eq!(device.hooks, [HookEvent::Renewed; 11]);
    let report = device.report(&world);
    assert_eq!((report.needs, report.failures), (Needs::Nobody, 0));
    assert_eq!(report.renewed.map(|renewed| renewed.by), Some(RenewedBy::Itself));
    assert_eq!(
        report.certificate.unwrap().identity.unwrap().to_string(),
        "spiffe://lab.touchmark.internal/d/pump-01"
    );
}

#[test]
fn a_life_of_two_minutes_is_kept_up_for_an_hour() {
    let mut world = World::new(2 * MINUTE);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.run(&mut world, HOUR);
    assert!((40..=60).contains(&world.count(Call::Renew)), "{}", world.count(Call::Renew));
    assert_eq!(world.count(Call::Confirm), world.count(Call::Renew));
}

/// P19: the same question has the same answer, so nothing is issued twice and nobody is locked out.
#[test]
fn an_answer_lost_at_any_step_is_asked_for_again_and_nothing_is_issued_twice() {
    for (name, call) in [("cacerts", Call::Anchors), ("renew", Call::Renew), ("confirm", Call::Confirm)] {
        for lose in [Lose::Request, Lose::Answer] {
            let mut world = World::new(30 * DAY);
            let mut device = Device::enrolled(&mut world, "pump-01");
            let before = device.certificate();
            world.losses.extend([(call, lose); 3]);
            device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
            assert_eq!(world.authority.issued.len(), 2, "{name}, {lose:?}");
            assert_eq!(device.report(&world).failures, 0, "{name}, {lose:?}");
        }
    }
}

#[test]
fn an_enrolment_whose_answer_is_lost_costs_no_second_token() {
    for lose in [Lose::Request, Lose::Answer] {
        let mut world = World::new(30 * DAY);
        world.authority.token("once");
        let mut device = Device::new(&world, "pump-01", Start::Token);
        device.token = Some("once".to_owned());
        world.losses.extend([(TOKEN, lose), (TOKEN, lose), (Call::Confirm, lose)]);
        device.run_until(&mut world, HOUR, |device, _| device.current().is_some());
        assert_eq!((world.count(TOKEN), world.authority.issued.len()), (3, 1), "{lose:?}");
    }
}

#[test]
fn a_server_that_is_gone_for_a_week_is_asked_with_patience_and_nothing_expires() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.run(&mut world, 19 * DAY);
    world.reachable = false;
    world.calls.clear();
    device.run(&mut world, 7 * DAY);
    assert_eq!(device.certificate(), before);
    let asked = world.calls.iter().filter(|(_, call)| *call != Call::Hint).count();
    assert!((150..=600).contains(&asked), "about two an hour: {asked}");
    assert_eq!(device.report(&world).needs, Needs::Authority);
    assert!(device.hooks.contains(&HookEvent::Expiring), "26 of 30 days are gone");
    world.reachable = true;
    let drained = device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert!(drained <= HOUR + MINUTE, "{drained:?}");
    assert_eq!(device.report(&world).failures, 0);
}

#[test]
fn a_short_life_in_a_long_outage_does_not_hammer_the_server() {
    let mut world = World::new(2 * MINUTE);
    world.authority.grace = 30 * DAY;
    let mut device = Device::enrolled(&mut world, "pump-01");
    world.reachable = false;
    device.run(&mut world, 7 * DAY);
    world.calls.clear();
    device.run(&mut world, DAY);
    assert!(world.calls.len() < 100, "{} calls on the eighth day", world.calls.len());
    world.reachable = true;
    let before = device.certificate();
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
}

#[test]
fn the_servers_window_is_kept_to_wherever_it_lies_in_the_life() {
    for (name, from_day, to_day) in [("early", 5, 6), ("late", 25, 26), ("a single moment", 12, 12)] {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        let start = before.validity().not_before();
        let window = RenewalWindow::new(start.plus(from_day * DAY), start.plus(to_day * DAY)).unwrap();
        world.hint = Some(RenewalHint { window, retry_after: Some(DAY) });
        device.run(&mut world, 7 * HOUR);
        assert_eq!(world.count(Call::Hint), 1, "{name}: asked within six hours");
        assert_eq!(device.report(&world).window, Some(window), "{name}");
        device.run_until(&mut world, 29 * DAY, |device, _| device.is_past(&before));
        assert!(world.now >= window.start(), "{name}: {}", world.now);
        assert!(world.now <= window.end().plus(MINUTE), "{name}: {}", world.now);
    }
}

#[test]
fn a_window_beside_the_certificate_counts_and_survives_a_restart() {
    let mut world = World::new(30 * DAY);
    let start = world.now;
    let window = RenewalWindow::new(start.plus(3 * DAY), start.plus(3 * DAY)).unwrap();
    world.hint = Some(RenewalHint::from(window));
    let mut device = Device::enrolled(&mut world, "pump-01");
    assert_eq!(device.report(&world).window, Some(window));
    device.restart(&world);
    assert_eq!(device.report(&world).window, Some(window));
    let before = device.certificate();
    let took = device.run_until(&mut world, 4 * DAY, |device, _| device.is_past(&before));
    assert!(took >= 2 * DAY, "{took:?}");
}

#[test]
fn a_server_that_always_says_now_is_not_obeyed_in_a_circle() {
    let mut world = World::new(30 * DAY);
    let long_ago = RenewalWindow::new(world.now, world.now).unwrap();
    world.hint = Some(RenewalHint { window: long_ago, retry_after: Some(Duration::from_secs(1)) });
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.run(&mut world, DAY);
    assert!(world.count(Call::Renew) <= 25, "{} renewals in a day", world.count(Call::Renew));
}

#[test]
fn a_server_without_windows_is_not_asked_again_in_this_life() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.run(&mut world, 10 * DAY);
    assert_eq!(world.count(Call::Hint), 1);
}

#[test]
fn rotate_now_changes_key_and_certificate_at_once_and_says_so() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.run(&mut world, DAY);
    let before = device.certificate();
    device.wish(Wish::RenewNow);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.is_past(&before));
    assert_eq!(device.report(&world).renewed.unwrap().by, RenewedBy::Wish);
    device.run(&mut world, 10 * DAY);
    assert_eq!(world.count(Call::Renew), 1, "a wish is one renewal");
}

#[test]
fn a_wish_ends_a_pause() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.reachable = false;
    device.wish(Wish::RenewNow);
    device.run(&mut world, 2 * DAY);
    world.reachable = true;
    device.wish(Wish::RenewNow);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.is_past(&before));
}

#[test]
fn environments_are_independent() {
    let mut lab = World::new(30 * DAY);
    let mut plant = World::new(30 * DAY);
    let mut in_lab = Device::enrolled(&mut lab, "pump-01");
    let mut in_plant = Device::enrolled(&mut plant, "pump-01");
    lab.reachable = false;
    let before = in_plant.certificate();
    in_lab.run(&mut lab, 25 * DAY);
    in_plant.run(&mut plant, 25 * DAY);
    assert_eq!(in_plant.report(&plant).failures, 0);
    assert_ne!(in_plant.certificate(), before);
    assert!(in_lab.report(&lab).failures > 0);
}

#[test]
fn retry_after_is_kept_to_and_a_fleet_does_not_come_back_at_once() {
    let mut back = Vec::new();
    for seed in 0..20u8 {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        device.seed =
            [0, 0, seed, seed, seed, seed, seed, seed, seed, seed, seed, seed, seed, seed, seed, seed];
        device.restart(&world);
        let before = device.certificate();
        world.refusals.push_back((Call::Renew, 503, "est-unavailable", Some(2 * HOUR)));
        device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
        let asked: Vec<_> = world.calls.iter().filter(|(_, call)| *call == Call::Renew).collect();
        let pause = asked[1].0.since(asked[0].0);
        assert!(pause >= 2 * HOUR && pause <= 2 * HOUR + 13 * MINUTE, "{pause:?}");
        back.push(pause.as_secs());
    }
    back.sort_unstable();
    back.dedup();
    assert!(back.len() >= 18, "spread: {back:?}");
}
