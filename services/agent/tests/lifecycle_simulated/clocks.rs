//! Clocks that are wrong (ADR 0011): at 1970, ten years ahead, set while the device runs; and servers that lie about the time.

use super::authority::DAY;
use super::device::{Clock, Device};
use super::world::{Lose, World};
use std::time::Duration;
use touchmark_agent::lifecycle::{Call, ServerMoment, Start, Wish};

const HOUR: Duration = Duration::from_secs(3600);
const TEN_YEARS_S: i64 = 10 * 31_536_000;

/// P23: at most three round trips from a clock at 1970 to a fresh pair.
#[test]
fn a_device_at_1970_enrols() {
    let mut world = World::new(30 * DAY);
    world.authority.token("secret");
    let mut device = Device::new(&world, "pump-01", Start::Token);
    device.token = Some("secret".to_owned());
    device.clock = Clock::SinceStart(world.now);
    device.restart(&world);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.current().is_some());
    assert_eq!(world.calls.len(), 3, "{:?}", world.calls);
}

#[test]
fn a_device_at_1970_renews_in_time_for_ever() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.clock = Clock::SinceStart(world.now);
    for start in 0..4 {
        device.restart(&world);
        let before = device.certificate();
        device.run(&mut world, 25 * DAY);
        assert_ne!(device.certificate(), before, "start {start}");
        assert!(device.certificate().validity().contains(world.now), "start {start}");
        // Off for a while: longer than the floor can know.
        world.pass(4 * DAY);
    }
}

#[test]
fn a_device_at_1970_that_was_off_past_its_moment_learns_the_time_and_renews_at_once() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.clock = Clock::SinceStart(world.now);
    world.pass(28 * DAY);
    device.restart(&world);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.is_past(&before));
    assert_eq!(world.calls.len(), 3, "{:?}", world.calls);
}

#[test]
fn a_device_at_1970_does_not_renew_before_its_time() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.clock = Clock::SinceStart(world.now);
    world.pass(5 * DAY);
    device.restart(&world);
    device.run(&mut world, DAY);
    assert_eq!((world.count(Call::Anchors), world.count(Call::Renew)), (1, 0), "asked for the time only");
}

#[test]
fn a_device_at_1970_keeps_asking_for_the_time_while_nobody_answers() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.clock = Clock::SinceStart(world.now);
    world.pass(25 * DAY);
    world.reachable = false;
    device.restart(&world);
    device.run(&mut world, DAY);
    assert!(world.count(Call::Anchors) > 20, "{}", world.count(Call::Anchors));
    world.reachable = true;
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
}

#[test]
fn a_device_at_1970_renews_at_a_server_that_cannot_tell_its_anchors() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.clock = Clock::SinceStart(world.now);
    world.pass(28 * DAY);
    world.losses.extend([(Call::Anchors, Lose::Answer); 1000]);
    device.restart(&world);
    device.run_until(&mut world, DAY, |device, _| device.is_past(&before));
}

#[test]
fn a_clock_ten_years_ahead_learns_the_time_and_renews_nothing_early() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.clock = Clock::Skewed(TEN_YEARS_S);
    device.restart(&world);
    device.run(&mut world, DAY);
    assert_eq!((world.count(Call::Anchors), world.count(Call::Renew)), (1, 0));
    let before = device.certificate();
    device.run(&mut world, 25 * DAY);
    assert_ne!(device.certificate(), before, "and renews when it is time");
    assert!(device.certificate().validity().contains(world.now));
}

#[test]
fn a_device_ten_years_ahead_enrols() {
    let mut world = World::new(30 * DAY);
    world.authority.token("secret");
    let mut device = Device::new(&world, "pump-01", Start::Token);
    device.token = Some("secret".to_owned());
    device.clock = Clock::Skewed(TEN_YEARS_S);
    device.restart(&world);
    device.run_until(&mut world, Duration::from_secs(5), |device, _| device.current().is_some());
}

#[test]
fn a_clock_set_right_while_the_device_runs_is_believed() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    for clock in [Clock::SinceStart(world.now), Clock::Skewed(TEN_YEARS_S), Clock::Skewed(-TEN_YEARS_S)] {
        device.clock = clock;
        device.restart(&world);
        device.run(&mut world, HOUR);
        device.clock = Clock::Skewed(0);
        device.run(&mut world, 2 * HOUR);
        let used = device.report(&world).now;
        assert!(
            used.since(world.now).max(world.now.since(used)) < Duration::from_secs(10),
            "{clock:?}: {used}"
        );
    }
}

#[test]
fn a_pause_that_was_counted_by_a_wrong_clock_does_not_outlast_its_correction() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.reachable = false;
    device.clock = Clock::Skewed(TEN_YEARS_S);
    device.wish(Wish::RenewNow);
    device.run(&mut world, 2 * HOUR);
    world.reachable = true;
    device.clock = Clock::Skewed(0);
    device.run_until(&mut world, 3 * HOUR, |device, _| device.is_past(&before));
}

#[test]
fn a_server_that_states_a_far_future_makes_nobody_refuse_everything() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    world.date_skew_s = 70 * 31_536_000;
    device.run(&mut world, DAY);
    device.restart(&world);
    device.run(&mut world, DAY);
    let before = device.certificate();
    assert!(device.report(&world).floor < before.validity().not_after());
    assert!(world.count(Call::Renew) <= 50, "no circle: {}", world.count(Call::Renew));
    world.date_skew_s = 0;
    world.calls.clear();
    device.restart(&world);
    device.run(&mut world, 5 * DAY);
    assert!(world.count(Call::Renew) <= 1, "calm again: {}", world.count(Call::Renew));
    device.run_until(&mut world, 31 * DAY, |device, _| device.is_past(&before));
    assert!(device.certificate().validity().contains(world.now));
}

#[test]
fn a_server_that_states_a_past_before_the_floor_is_not_believed() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    world.date_skew_s = -TEN_YEARS_S;
    device.run(&mut world, 25 * DAY);
    let used = device.report(&world).now;
    assert!(used.since(world.now).max(world.now.since(used)) < Duration::from_secs(10), "{used}");
}

#[test]
fn only_a_device_that_cannot_know_the_time_takes_a_server_of_another_time() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let strict = |device: &Device, world: &World| {
        matches!(device.lifecycle.server_moment(device.shows(world.now)), ServerMoment::At(_))
    };
    assert!(strict(&device, &world), "a living certificate and a clock after the floor");
    device.clock = Clock::SinceStart(world.now);
    device.restart(&world);
    assert!(!strict(&device, &world), "a clock before the floor");
    device.run(&mut world, HOUR);
    assert!(strict(&device, &world), "the server told the time");
    device.clock = Clock::Skewed(TEN_YEARS_S);
    device.restart(&world);
    assert!(!strict(&device, &world), "our certificate seems expired");
    let fresh = Device::new(&world, "pump-02", Start::Token);
    assert!(!strict(&fresh, &world), "no certificate yet");
}
