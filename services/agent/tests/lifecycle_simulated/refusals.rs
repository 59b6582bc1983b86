//! What the authority may say no with, and what becomes of the device.

use super::authority::{DAY, Standing};
use super::device::Device;
use super::world::World;
use std::time::Duration;
use touchmark_agent::lifecycle::{Call, FirstProof, HookEvent, Needs, Start, Wish};

const HOUR: Duration = Duration::from_secs(3600);
const TOKEN: Call = Call::Enrol { proof: FirstProof::Token };

#[test]
fn a_banned_device_asks_once_a_day_and_keeps_its_pair() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.authority.standing = Standing::Banned;
    device.run(&mut world, 40 * DAY);
    assert_eq!(device.certificate(), before);
    let report = device.report(&world);
    assert_eq!((report.needs, report.failure.unwrap().code.as_str()), (Needs::NewDevice, "device-banned"));
    let asked = world.count(Call::Renew) + world.count(TOKEN);
    assert!((15..=22).contains(&asked), "{asked} in 20 days");
    assert_eq!(device.hooks.iter().filter(|event| **event == HookEvent::Refused).count(), 1);
    device.restart(&world);
    device.run(&mut world, HOUR);
    assert!(world.count(Call::Renew) + world.count(TOKEN) <= asked + 1, "a restart is no new hope");
    assert_eq!(device.report(&world).needs, Needs::NewDevice);
}

#[test]
fn a_quarantined_device_comes_back_by_itself_after_its_release() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.authority.standing = Standing::Quarantined;
    device.run(&mut world, 25 * DAY);
    assert_eq!(device.report(&world).needs, Needs::Release);
    assert!(world.count(Call::Renew) < 200, "{}", world.count(Call::Renew));
    world.authority.standing = Standing::Active;
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert_eq!(device.report(&world).needs, Needs::Nobody);
}

#[test]
fn a_device_quarantined_before_its_confirmation_keeps_the_successor() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.wish(Wish::RenewNow);
    device.run_until(&mut world, HOUR, |_, world| world.count(Call::Renew) == 1);
    world.authority.standing = Standing::Quarantined;
    device.run(&mut world, DAY);
    world.authority.standing = Standing::Active;
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert_eq!((world.count(Call::Renew), world.authority.issued.len()), (1, 2));
}

#[test]
fn a_revoked_device_says_that_it_needs_a_token_and_takes_the_next_one() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.cut_off = true;
    world.authority.revoke_all();
    device.run(&mut world, 22 * DAY);
    let report = device.report(&world);
    assert_eq!(report.needs, Needs::NewProof, "{report:?}");
    assert_eq!(device.certificate(), before, "nothing is thrown away");
    assert!(device.hooks.contains(&HookEvent::Refused));
    assert_eq!(world.count(TOKEN), 1, "a used token is tried once");
    world.authority.token("second");
    device.token = Some("second".to_owned());
    device.wish(Wish::NewToken);
    device.run_until(&mut world, Duration::from_secs(60), |device, _| device.is_past(&before));
    assert_eq!(device.report(&world).needs, Needs::Nobody);
}

#[test]
fn a_pair_that_lives_is_replaced_with_a_token_where_somebody_wants_that() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.token = Some("used".to_owned());
    device.wish(Wish::Replace);
    device.run(&mut world, Duration::from_secs(5));
    assert_eq!((world.count(TOKEN), world.count(Call::Renew)), (1, 0), "what is wanted, and nothing else");
    assert_eq!(device.certificate(), before, "a refused token takes nothing away");
    world.authority.token("second");
    device.token = Some("second".to_owned());
    device.wish(Wish::Replace);
    device.run_until(&mut world, Duration::from_secs(60), |device, _| device.is_past(&before));
    assert_eq!((world.count(TOKEN), world.count(Call::Renew)), (2, 0));
    device.run(&mut world, 21 * DAY);
    assert_eq!((world.count(TOKEN), world.count(Call::Renew)), (2, 1), "from then on it is renewed");
}

#[test]
fn a_revoked_device_with_a_makers_certificate_enrols_again_by_itself() {
    let mut world = World::new(30 * DAY);
    world.authority.knows_maker = true;
    let mut device = Device::new(&world, "pump-01", Start::Initial);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.current().is_some());
    let before = device.certificate();
    device.cut_off = true;
    world.authority.revoke_all();
    device.run_until(&mut world, 22 * DAY, |device, _| device.is_past(&before));
    assert_eq!(world.count(Call::Enrol { proof: FirstProof::Initial }), 2);
}

#[test]
fn a_revocation_that_is_told_with_the_window_is_acted_on_at_once() {
    let mut world = World::new(30 * DAY);
    world.authority.knows_maker = true;
    let mut device = Device::new(&world, "pump-01", Start::Initial);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.current().is_some());
    let before = device.certificate();
    device.cut_off = true;
    world.authority.revoke_all();
    world.refusals.push_back((Call::Hint, 403, "certificate-revoked", None));
    device.run_until(&mut world, 7 * HOUR, |device, _| device.is_past(&before));
    assert_eq!(world.count(Call::Renew), 0, "the old pair is not even tried");
}

#[test]
fn a_makers_certificate_that_is_not_registered_yet_is_tried_again() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::new(&world, "pump-01", Start::Initial);
    device.run(&mut world, DAY);
    assert_eq!(device.report(&world).needs, Needs::NewProof);
    assert!(world.calls.len() < 60, "{}", world.calls.len());
    world.authority.knows_maker = true;
    device.run_until(&mut world, 2 * HOUR, |device, _| device.current().is_some());
}

#[test]
fn a_device_that_slept_past_its_expiry_comes_back_within_the_grace_and_not_beyond() {
    for (name, asleep, comes_back) in [("within", 35, true), ("beyond", 75, false)] {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        world.pass(asleep * DAY);
        device.restart(&world);
        device.run(&mut world, 2 * HOUR);
        assert_eq!(device.certificate() != before, comes_back, "{name}");
        if comes_back {
            continue;
        }
        let report = device.report(&world);
        assert_eq!(report.needs, Needs::NewProof, "{report:?}");
        device.run(&mut world, 2 * DAY);
        assert!(world.calls.len() < 120, "{} calls in two days", world.calls.len());
        // The operator lengthens the grace instead of bringing a token.
        world.authority.grace = 100 * DAY;
        device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    }
}

#[test]
fn a_pair_put_there_by_other_means_is_only_kept_fresh() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.rules.start = Start::None;
    device.token = None;
    device.restart(&world);
    let before = device.certificate();
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
    device.cut_off = true;
    world.authority.revoke_all();
    device.run(&mut world, 25 * DAY);
    assert_eq!(device.report(&world).needs, Needs::NewProof);
    assert_eq!(world.count(TOKEN), 0);
    let mut nothing = Device::new(&world, "pump-02", Start::None);
    world.calls.clear();
    nothing.run(&mut world, DAY);
    assert_eq!((nothing.report(&world).needs, world.calls.len()), (Needs::DeviceKeeper, 0));
}

#[test]
fn a_token_that_is_missing_or_used_up_waits_for_a_person() {
    let mut world = World::new(30 * DAY);
    world.authority.tokens.insert("used".to_owned(), Some([9; 32]));
    for token in [None, Some("used"), Some("unknown")] {
        let mut device = Device::new(&world, "pump-01", Start::Token);
        device.token = token.map(str::to_owned);
        world.calls.clear();
        device.run(&mut world, DAY);
        assert_eq!(device.report(&world).needs, Needs::NewProof, "{token:?}");
        assert!(world.calls.len() < 60, "{token:?}: {}", world.calls.len());
    }
    let mut device = Device::new(&world, "pump-01", Start::Token);
    device.run(&mut world, DAY);
    world.authority.token("good");
    device.token = Some("good".to_owned());
    device.wish(Wish::NewToken);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.current().is_some());
}

#[test]
fn a_successor_that_the_server_will_not_have_is_dropped_and_asked_for_anew() {
    for (status, code) in [(403, "certificate-superseded"), (409, "certificate-revoked"), (401, "")] {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        world.refusals.push_back((Call::Confirm, status, code, None));
        device.wish(Wish::RenewNow);
        device.run_until(&mut world, HOUR, |device, _| device.is_past(&before));
        assert_eq!((world.count(Call::Renew), world.authority.issued.len()), (2, 3), "{status} {code}");
    }
}

#[test]
fn a_refused_request_is_made_anew_and_a_busy_server_gets_the_same_again() {
    let rows: &[(&str, u16, &str, usize)] = &[
        ("malformed", 400, "csr-malformed", 1),
        ("key denied", 403, "key-not-usable", 1),
        ("busy", 503, "est-unavailable", 1),
        ("too often", 429, "est-too-soon", 1),
        ("broken", 500, "", 1),
    ];
    for (name, status, code, issued) in rows {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        world.refusals.push_back((Call::Renew, *status, code, None));
        device.wish(Wish::RenewNow);
        device.run_until(&mut world, HOUR, |_, world| world.count(Call::Renew) == 1);
        let first = device.store.request().unwrap().unwrap();
        device.run_until(&mut world, HOUR, |_, world| world.count(Call::Renew) == 2);
        let second = device.store.request().unwrap().unwrap();
        assert_eq!(first == second, *status >= 429, "{name}");
        device.run_until(&mut world, HOUR, |device, _| device.is_past(&before));
        assert_eq!(world.authority.issued.len(), 1 + issued, "{name}");
    }
}

/// A wrong answer of a moment must not cost a pair that works.
#[test]
fn a_pair_that_was_refused_once_is_tried_again_before_it_ends() {
    for (name, start) in [("token", Start::Token), ("maker", Start::Initial), ("none", Start::None)] {
        for life in [Duration::from_secs(120), HOUR, 30 * DAY] {
            let mut world = World::new(life);
            world.authority.grace = Duration::ZERO;
            let mut device = Device::enrolled(&mut world, "pump-01");
            device.rules.start = start;
            device.restart(&world);
            let before = device.certificate();
            world.refusals.push_back((Call::Renew, 403, "", None));
            device.run_until(&mut world, life, |device, _| device.is_past(&before));
            assert_eq!(device.report(&world).needs, Needs::Nobody, "{name} {life:?}");
        }
    }
}

#[test]
fn a_server_that_asks_to_come_back_at_once_is_asked_less_and_less() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.wish(Wish::RenewNow);
    for _ in 0..1000 {
        world.refusals.push_back((Call::Renew, 503, "", Some(Duration::ZERO)));
    }
    device.run(&mut world, 10 * HOUR);
    assert!((5..60).contains(&world.count(Call::Renew)), "{}", world.count(Call::Renew));
}
