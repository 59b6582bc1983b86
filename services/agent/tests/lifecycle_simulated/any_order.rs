//! Whatever happens in whatever order: no panic, no circle, always a working pair, and in calm weather a fresh one.

use super::authority::{DAY, Standing};
use super::device::{Clock, Device};
use super::world::{Lose, World};
use proptest::prelude::*;
use std::time::Duration;
use touchmark_agent::lifecycle::{
    Answer, Call, Effect, FirstProof, Input, Lifecycle, LocalFault, Start, Stored, StoredSuccessor, Trouble,
    Wish, Write,
};
use touchmark_agent::store::{CredentialStore, MemoryDirectory, Mishap};
use touchmark_enrol::renewal::{RenewalHint, RenewalWindow};
use touchmark_identity::{SpkiHash, Timestamp};

/// One thing that happens to a device.
#[derive(Clone, Debug)]
enum Weather {
    Calm { hours: u32 },
    Asleep { hours: u32 },
    Outage { hours: u32 },
    Loses { call: Call, lose: Lose },
    Refuses { call: Call, status: u16, code: &'static str, retry_after_s: Option<u64> },
    Mishap { in_writes: usize, mishap: Mishap },
    FullDisk { hours: u32 },
    PowerCycle,
    ClockAt { skew_s: i64 },
    ClockWithoutBattery,
    Rotate,
    Quarantine { hours: u32 },
    Window { from_h: u64, width_h: u64 },
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        Just(Call::Anchors),
        Just(Call::Renew),
        Just(Call::Confirm),
        Just(Call::Hint),
        Just(Call::Enrol { proof: FirstProof::Token }),
    ]
}

fn refusal() -> impl Strategy<Value = (u16, &'static str)> {
    prop_oneof![
        Just((503, "est-unavailable")),
        Just((429, "est-too-soon")),
        Just((202, "est-pending")),
        Just((500, "")),
        Just((404, "")),
        Just((400, "csr-malformed")),
        Just((403, "key-not-usable")),
        Just((403, "device-quarantined")),
        Just((403, "device-banned")),
        Just((401, "")),
    ]
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        4 => (1..600u32).prop_map(|hours| Weather::Calm { hours }),
        1 => (1..300u32).prop_map(|hours| Weather::Asleep { hours }),
        1 => (1..100u32).prop_map(|hours| Weather::Outage { hours }),
        2 => (call(), prop_oneof![Just(Lose::Request), Just(Lose::Answer)])
            .prop_map(|(call, lose)| Weather::Loses { call, lose }),
        2 => (call(), refusal(), proptest::option::of(0..1_000_000u64)).prop_map(|(call, (status, code), retry_after_s)| {
            Weather::Refuses { call, status, code, retry_after_s }
        }),
        4 => (0..12usize, proptest::sample::select(Mishap::ALL.to_vec()))
            .prop_map(|(in_writes, mishap)| Weather::Mishap { in_writes, mishap }),
        1 => (1..100u32).prop_map(|hours| Weather::FullDisk { hours }),
        2 => Just(Weather::PowerCycle),
        1 => (-400_000_000..400_000_000i64).prop_map(|skew_s| Weather::ClockAt { skew_s }),
        1 => Just(Weather::ClockWithoutBattery),
        2 => Just(Weather::Rotate),
        1 => (1..100u32).prop_map(|hours| Weather::Quarantine { hours }),
        1 => (0..800u64, 0..100u64).prop_map(|(from_h, width_h)| Weather::Window { from_h, width_h }),
    ]
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(3600) * hours
}

fn meet(weather: &Weather, device: &mut Device, world: &mut World) {
    match weather {
        Weather::Calm { hours: span } => device.run(world, hours(*span)),
        Weather::Asleep { hours: span } => {
            world.pass(hours(*span));
            device.restart(world);
        }
        Weather::Outage { hours: span } => {
            world.reachable = false;
            device.run(world, hours(*span));
            world.reachable = true;
        }
        Weather::Loses { call, lose } => world.losses.push_back((*call, *lose)),
        Weather::Refuses { call, status, code, retry_after_s } => {
            world.refusals.push_back((*call, *status, code, retry_after_s.map(Duration::from_secs)));
        }
        Weather::Mishap { in_writes, mishap } => {
            let next = device.store.directory().writes();
            device.store.directory_mut().mishap_at(next + in_writes, *mishap);
        }
        Weather::FullDisk { hours: span } => {
            device.store.directory_mut().set_full(true);
            device.run(world, hours(*span));
            device.store.directory_mut().set_full(false);
        }
        Weather::PowerCycle => device.restart(world),
        Weather::ClockAt { skew_s } => device.clock = Clock::Skewed(*skew_s),
        Weather::ClockWithoutBattery => {
            device.clock = Clock::SinceStart(world.now);
            device.restart(world);
        }
        Weather::Rotate => device.wish(Wish::RenewNow),
        Weather::Quarantine { hours: span } => {
            world.authority.standing = Standing::Quarantined;
            device.run(world, hours(*span));
            world.authority.standing = Standing::Active;
        }
        Weather::Window { from_h, width_h } => {
            let from = device.certificate().validity().not_before().plus(Duration::from_secs(from_h * 3600));
            let window = RenewalWindow::new(from, from.plus(Duration::from_secs(width_h * 3600))).unwrap();
            world.hint = Some(RenewalHint { window, retry_after: None });
            device.run(world, hours(12));
            world.hint = None;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 5, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A fifth of the usual cases: each is months of a life.
    ///
    /// P19, P20, P23. The device itself checks after each effect that a start at this moment finds a working pair.
    #[test]
    fn no_weather_leaves_a_device_without_a_working_pair(seed: [u8; 16], weather in proptest::collection::vec(weather(), 1..24)) {
        let mut world = World::new(30 * DAY);
        // The authority's mercy is not what is tested here.
        world.authority.grace = 4000 * DAY;
        let mut device = Device::enrolled(&mut world, "pump-01");
        device.seed = seed;
        for weather in &weather {
            meet(weather, &mut device, &mut world);
        }
        // The weather is over: a person rotates, and the pair is fresh within two days, whatever the clock shows.
        (world.hint, world.reachable) = (None, true);
        world.losses.clear();
        world.refusals.clear();
        device.store.directory_mut().forget_mishap();
        device.run(&mut world, 2 * DAY);
        let before = device.certificate();
        device.wish(Wish::RenewNow);
        device.run_until(&mut world, 2 * DAY, |device, _| device.is_past(&before));
        prop_assert!(device.certificate().validity().contains(world.now));
        prop_assert_eq!(device.report(&world).failures, 0);
    }
}

/// Any input, in turn or not.
fn any_input() -> impl Strategy<Value = Input> {
    let moment = || any::<u64>().prop_map(Timestamp::from_unix_ms);
    let trouble = prop_oneof![
        Just(Trouble::Dns),
        Just(Trouble::Connect),
        Just(Trouble::Timeout),
        Just(Trouble::TlsUntrusted),
        Just(Trouble::TlsExpired),
        any::<u8>().prop_map(Trouble::TlsAlert),
        Just(Trouble::Redirect),
    ];
    let answer = prop_oneof![
        Just(Answer::Confirmed),
        Just(Answer::Certificates { certificates: Vec::new(), hint: None }),
        Just(Answer::Anchors { certificates: Vec::new() }),
        (moment(), moment()).prop_map(|(a, b)| {
            Answer::Hint(RenewalHint::from(RenewalWindow::new(a.min(b), a.max(b)).unwrap()))
        }),
        (any::<u16>(), ".{0,40}", proptest::option::of(any::<u64>())).prop_map(|(status, code, wait)| {
            Answer::Refused { status, says: code.clone(), code, retry_after: wait.map(Duration::from_secs) }
        }),
        (trouble, ".{0,400}").prop_map(|(why, says)| Answer::Unreachable { why, says }),
    ];
    prop_oneof![
        1 => Just(Input::Ready),
        4 => Just(Input::Done),
        2 => any::<[u8; 32]>().prop_map(|key| Input::Made(StoredSuccessor { key: SpkiHash(key), chain: None })),
        1 => ".{0,40}".prop_map(|says| Input::Failed(LocalFault::Disk { says })),
        1 => ".{0,40}".prop_map(|says| Input::Failed(LocalFault::NoProof { says })),
        6 => (answer, proptest::option::of(moment()))
            .prop_map(|(answer, server_time)| Input::Answered { answer, server_time }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The machine is total: any input at any time of any clock, with the store and the server both lying.
    #[test]
    fn no_input_at_no_time_panics_or_swaps_what_was_not_confirmed(
        has_pair: bool, inputs in proptest::collection::vec((any::<u64>(), any_input()), 1..80),
    ) {
        let mut world = World::new(30 * DAY);
        let (rules, stored) = if has_pair {
            let mut device = Device::enrolled(&mut world, "pump-01");
            (device.rules.clone(), device.store.load().unwrap())
        } else {
            let device = Device::new(&world, "pump-01", Start::Token);
            (device.rules.clone(), Stored::default())
        };
        let mut lifecycle = Lifecycle::resume(rules.clone(), stored, [9; 16], world.now);
        let mut store = CredentialStore::new(MemoryDirectory::default(), rules.identity);
        for (clock, input) in inputs {
            let clock = Timestamp::from_unix_ms(clock);
            let effect = lifecycle.step(clock, input);
            let _ = (lifecycle.report(clock), lifecycle.server_moment(clock));
            match effect {
                Effect::Write(Write::Swap { .. } | Write::KeepSuccessor(_)) => prop_assert!(false, "nothing came"),
                Effect::Write(write) => drop(store.perform(&write)),
                Effect::Wait { until } => prop_assert!(until > clock || until == Timestamp::MAX),
                Effect::Call(_) | Effect::RunHooks(_) => {}
            }
        }
    }
}
