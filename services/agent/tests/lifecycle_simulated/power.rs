//! Power cuts, lost acknowledgements and full disks, at every write of every journey (P19, P20).

use super::authority::DAY;
use super::device::Device;
use super::world::{Lose, World};
use std::time::Duration;
use touchmark_agent::lifecycle::{Call, Needs, Start, Wish};
use touchmark_agent::store::{Directory as _, FileName, Mishap};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_mishap_at_any_write_of_an_enrolment_costs_no_second_token() {
    let writes = {
        let mut world = World::new(30 * DAY);
        Device::enrolled(&mut world, "pump-01").store.directory().writes()
    };
    assert!(writes >= 6, "key, request, chain, two renames and the tidying: {writes}");
    for mishap in Mishap::ALL {
        for write in 0..writes {
            let mut world = World::new(30 * DAY);
            world.authority.token("secret");
            let mut device = Device::new(&world, "pump-01", Start::Token);
            device.token = Some("secret".to_owned());
            device.store.directory_mut().mishap_at(write, mishap);
            device.run_until(&mut world, HOUR, |device, _| device.current().is_some());
            device.run(&mut world, HOUR);
            assert_eq!(world.authority.issued.len(), 1, "{mishap:?} at write {write}");
            assert_eq!(tidy(&device), Vec::<FileName>::new(), "{mishap:?} at write {write}");
            let cut = matches!(mishap, Mishap::CutBefore | Mishap::CutAfter);
            assert_eq!(device.starts > 1, cut, "{mishap:?} at write {write} did happen");
        }
    }
}

#[test]
fn a_mishap_at_any_write_of_a_renewal_leaves_a_working_pair_and_a_renewal() {
    let (from, to) = {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let from = device.store.directory().writes();
        device.wish(Wish::RenewNow);
        device.run(&mut world, Duration::from_secs(5));
        (from, device.store.directory().writes())
    };
    assert!(to - from >= 6, "{from}..{to}");
    for mishap in Mishap::ALL {
        for write in from..to {
            let mut world = World::new(30 * DAY);
            let mut device = Device::enrolled(&mut world, "pump-01");
            let before = device.certificate();
            device.store.directory_mut().mishap_at(write, mishap);
            device.wish(Wish::RenewNow);
            device.run(&mut world, Duration::from_secs(5));
            // A wish is gone with the power; the renewal itself is on the disk, or due in its own time.
            device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
            device.run(&mut world, HOUR);
            assert_eq!(world.authority.issued.len(), 2, "{mishap:?} at write {write}");
            assert_eq!(tidy(&device), Vec::<FileName>::new(), "{mishap:?} at write {write}");
        }
    }
}

#[test]
fn power_that_fails_again_and_again_in_a_renewal_wears_nobody_out() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.wish(Wish::RenewNow);
    for cut in 0..40 {
        let next = device.store.directory().writes();
        let mishap = if cut % 2 == 0 { Mishap::CutAfter } else { Mishap::CutBefore };
        device.store.directory_mut().mishap_at(next, mishap);
        device.run(&mut world, Duration::from_secs(300));
    }
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
}

#[test]
fn a_full_disk_touches_no_pair_and_is_told_and_got_over() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.store.directory_mut().set_full(true);
    device.run(&mut world, 22 * DAY);
    assert_eq!(device.certificate(), before);
    let report = device.report(&world);
    assert_eq!(report.needs, Needs::DeviceKeeper, "{report:?}");
    assert_eq!(report.failure.unwrap().code, "local-disk");
    assert_eq!(world.count(Call::Renew), 0, "nothing is asked for that could not be kept");
    device.store.directory_mut().set_full(false);
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert_eq!(device.report(&world).needs, Needs::Nobody);
}

#[test]
fn a_disk_that_fills_up_after_the_answer_keeps_the_answer() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    device.wish(Wish::RenewNow);
    device.run_until(&mut world, HOUR, |_, world| world.count(Call::Anchors) == 1);
    device.run_until(&mut world, HOUR, |device, _| {
        device.store.directory().names().contains(&FileName::NewRequest)
    });
    device.store.directory_mut().set_full(true);
    device.run(&mut world, DAY);
    assert_eq!(device.certificate(), before);
    device.store.directory_mut().set_full(false);
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert_eq!(world.count(Call::Renew), 1, "asked once");
}

#[test]
fn a_successors_file_that_somebody_removes_is_made_anew() {
    for until in [Call::Anchors, Call::Renew, Call::Confirm] {
        for remove in [FileName::NewKey, FileName::NewRequest, FileName::NewChain] {
            let mut world = World::new(30 * DAY);
            let mut device = Device::enrolled(&mut world, "pump-01");
            let before = device.certificate();
            // The answer is lost, so that the device has to ask with what is left.
            world.losses.push_back((until, Lose::Answer));
            device.wish(Wish::RenewNow);
            device.run_until(&mut world, HOUR, |_, world| world.count(until) == 1);
            device.store.directory_mut().remove(remove).unwrap();
            device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
            device.run(&mut world, HOUR);
            assert_eq!(tidy(&device), Vec::<FileName>::new(), "{remove:?} after {until:?}");
        }
    }
}

/// The server has confirmed the new pair and will end the old one: asking with the old one again would be too late.
#[test]
fn a_disk_that_cannot_be_read_for_a_while_after_a_lost_confirmation_locks_nobody_out() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.losses.push_back((Call::Confirm, Lose::Answer));
    device.wish(Wish::RenewNow);
    device.run_until(&mut world, HOUR, |_, world| world.count(Call::Confirm) == 1);
    device.own_faults = (Some(Call::Confirm), 100);
    device.run(&mut world, 4 * DAY);
    device.own_faults = (None, 0);
    device.run_until(&mut world, 2 * HOUR, |device, _| device.is_past(&before));
    assert_eq!((world.count(Call::Renew), world.authority.issued.len()), (1, 2));
}

#[test]
fn a_state_record_that_is_lost_or_garbage_costs_no_identity() {
    for garbage in [None, Some(&b"{}"[..]), Some(b"\xff\0"), Some(b"{\"version\":2}")] {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let before = device.certificate();
        match garbage {
            None => device.store.directory_mut().remove(FileName::State).unwrap(),
            Some(bytes) => device.store.directory_mut().replace(FileName::State, bytes).unwrap(),
        }
        device.restart(&world);
        device.run(&mut world, HOUR);
        assert_eq!(device.certificate(), before);
        device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
    }
}

/// Files of a successor that is on nobody's mind any more.
fn tidy(device: &Device) -> Vec<FileName> {
    let new = [FileName::NewKey, FileName::NewRequest, FileName::NewChain];
    device.store.directory().names().into_iter().filter(|name| new.contains(name)).collect()
}

/// A command that reboots the device, or takes so much memory that the agent goes with it.
#[test]
fn a_command_that_ends_the_agent_each_time_stops_no_renewal_and_costs_no_memory() {
    let mut world = World::new(Duration::from_secs(3600));
    let mut device = Device::enrolled(&mut world, "pump-01");
    device.hooks_end_it = true;
    device.hooks_take = Duration::from_secs(10);
    for _ in 0..3 {
        let before = device.certificate();
        device.run_until(&mut world, Duration::from_secs(3600), |device, _| device.is_past(&before));
    }
    device.run_until(&mut world, Duration::from_secs(60), |device, _| device.starts > 3);
    assert!(device.report(&world).renewed.is_some(), "{:?}", device.report(&world));
    world.authority.standing = super::authority::Standing::Banned;
    device.wish(Wish::RenewNow);
    device.run(&mut world, Duration::from_secs(600));
    assert_eq!(device.report(&world).needs, Needs::NewDevice);
    let asked = world.count(Call::Renew);
    device.run(&mut world, Duration::from_secs(3600));
    assert_eq!(world.count(Call::Renew), asked, "a ban is remembered");
}
