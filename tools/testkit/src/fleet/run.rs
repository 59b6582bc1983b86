//! The run: events in the order of time, until the scenario is over.
//!
//! In: a [`Scenario`]. Out: an [`Outcome`]. Effects of an agent take no time, but for calls and rest.

use super::authority::Authority;
use super::chance::Chance;
use super::device::Device;
use super::invariant::{Invariant, Violation};
use super::network::Reply;
use super::scenario::{Driver, Happening, Scenario, Skew};
use super::server::{Request, Server};
use super::summary::{DeviceEnd, Outcome, Summary};
use super::timeline::Timeline;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use touchmark_agent::lifecycle::{Effect, Input, Wish, Write};
use touchmark_agent::store::{Directory as _, FileName, MemoryDirectory, StoreFault};
use touchmark_identity::{DeviceId, Fingerprint, Name, Timestamp};
use touchmark_journal::TokenSubject;

/// Effects in a row without a call or rest; a renewal has some ten.
const EFFECTS_MAX: usize = 100;
/// After a power cut a device starts again within this.
const POWER_BACK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// As the daemon does: files that cannot be believed are looked at again.
const GLANCE: Duration = Duration::from_secs(10);
/// After a power failure of the whole fleet its devices start within this.
const FLEET_STARTS: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
const VIOLATIONS_KEPT: usize = 100;
/// The token of the whole fleet; tests hold no secrets.
const FLEET_TOKEN: &str = "fleet";

/// What happens.
#[derive(Debug)]
pub(super) enum Happens {
    /// A device wakes from its rest.
    Wake { device: usize, boot: u32 },
    /// It is switched on, or has its power back.
    PowerOn { device: usize, boot: u32 },
    /// A request reaches the authority.
    Arrives(Request),
    /// It is its turn.
    Served(Request),
    /// An answer, or the want of one, reaches a device.
    Replied(Reply),
    /// A certificate ends: is its successor there?
    Ends { device: usize, fingerprint: Fingerprint },
    /// Its grace ends.
    GraceEnds { device: usize, fingerprint: Fingerprint },
    /// The scenario.
    Scenario(Happening),
    /// Refusals are recorded.
    Minute,
}

/// The end of an outage, and who is behind then.
#[derive(Debug)]
pub(super) struct Aftermath {
    pub(super) since: Timestamp,
    pub(super) behind: BTreeSet<usize>,
    /// Successors in each minute since.
    pub(super) minutes: BTreeMap<u64, u64>,
    /// The minute in which nine of ten were through.
    pub(super) nearly_through: Option<u64>,
}

/// A fleet, its authority, and the time.
pub struct Fleet {
    pub(super) scenario: Scenario,
    pub(super) now: Timestamp,
    pub(super) timeline: Timeline<Happens>,
    pub(super) devices: Vec<Device>,
    pub(super) authority: Authority,
    pub(super) server: Server,
    pub(super) network: Chance,
    pub(super) summary: Summary,
    pub(super) violations: Vec<Violation>,
    pub(super) waits_ms: Vec<u64>,
    pub(super) banned: BTreeSet<DeviceId>,
    pub(super) aftermath: Option<Aftermath>,
    /// By device: successors that were granted, and attempts that were refused, as we saw it.
    pub(super) seen: BTreeMap<DeviceId, (u64, u64)>,
    mishaps: Chance,
}

impl Fleet {
    /// Devices that are not switched on yet, and an authority with a token for all of them.
    pub fn new(scenario: Scenario) -> Self {
        let mut authority = Authority::new(&scenario);
        let uses = u32::try_from(scenario.devices).unwrap_or(u32::MAX).max(1);
        let subject = TokenSubject::Prefix("pump".parse().expect("the word is a name"));
        authority.new_token(subject, uses, FLEET_TOKEN, Scenario::start());
        let mut chance = Chance::new(scenario.seed, 2);
        let mut timeline = Timeline::default();
        let mut devices = Vec::with_capacity(scenario.devices);
        for number in 0..scenario.devices {
            let name: Name = format!("pump-{number:05}").parse().expect("the words are names");
            let skew = scenario.skew(number);
            let directory = MemoryDirectory::default();
            devices.push(Device::new(name, FLEET_TOKEN.to_owned(), skew, directory, chance.octets()));
            let at = Scenario::start().plus(chance.span(Duration::ZERO, scenario.enrol_within));
            timeline.add(at, Happens::PowerOn { device: number, boot: 0 });
        }
        for (at, what) in &scenario.happenings {
            timeline.add(Scenario::start().plus(*at), Happens::Scenario(*what));
        }
        timeline.add(Scenario::start().plus(MINUTE), Happens::Minute);
        Self {
            now: Scenario::start(),
            timeline,
            devices,
            authority,
            server: Server::new(scenario.capacity),
            network: Chance::new(scenario.seed, 3),
            mishaps: Chance::new(scenario.seed, 4),
            summary: Summary { devices: scenario.devices, ..Summary::default() },
            violations: Vec::new(),
            waits_ms: Vec::new(),
            banned: BTreeSet::new(),
            aftermath: None,
            seen: BTreeMap::new(),
            scenario,
        }
    }

    /// Runs to the end of the scenario.
    pub fn run(mut self) -> Outcome {
        let end = Scenario::start().plus(self.scenario.length);
        while let Some((at, event)) = self.timeline.next() {
            if at > end {
                break;
            }
            self.now = at;
            self.summary.events += 1;
            self.happens(event);
        }
        self.now = end;
        self.authority.flush(end);
        self.judge_the_end();
        self.sum_up();
        let devices = (0..self.devices.len()).map(|device| self.end_of(device)).collect();
        Outcome { summary: self.summary, violations: self.violations, devices }
    }

    fn happens(&mut self, event: Happens) {
        match event {
            Happens::Wake { device, boot } => {
                if self.is_on(device, boot) {
                    self.step(device, Input::Ready);
                }
            }
            Happens::PowerOn { device, boot } => {
                if self.devices[device].boot == boot {
                    self.power_on(device);
                }
            }
            Happens::Arrives(request) => self.arrives(request),
            Happens::Served(request) => self.served(&request),
            Happens::Replied(reply) => self.replied(reply),
            Happens::Ends { device, fingerprint } => self.certificate_ends(device, &fingerprint),
            Happens::GraceEnds { device, fingerprint } => self.grace_ends(device, &fingerprint),
            Happens::Scenario(what) => self.scenario_says(what),
            Happens::Minute => {
                self.authority.flush(self.now);
                self.timeline.add(self.now.plus(MINUTE), Happens::Minute);
            }
        }
    }

    fn scenario_says(&mut self, what: Happening) {
        match what {
            Happening::ServerLost => self.server.up = false,
            Happening::ServerBack => {
                self.server.up = true;
                self.outage_ends();
            }
            Happening::FleetDark => (0..self.devices.len()).for_each(|device| self.power_off(device)),
            Happening::FleetLit => {
                for device in 0..self.devices.len() {
                    let after = self.mishaps.span(Duration::ZERO, FLEET_STARTS);
                    self.power_on_after(device, after);
                }
                self.outage_ends();
            }
            Happening::Asleep(device) => self.power_off(device),
            Happening::Awake(device) => self.power_on_after(device, Duration::ZERO),
            Happening::Ban(device) => {
                let id = self.authority.ban(&self.devices[device].name, self.now);
                self.banned.insert(id);
                for device in self.same_name(device) {
                    self.devices[device].excused = true;
                }
            }
            Happening::NewToken(device) => {
                let name = self.devices[device].name.clone();
                let password = format!("new-token-{device}-{}", self.now.unix_ms());
                self.authority.new_token(TokenSubject::Named(name), 1, &password, self.now);
                let device = &mut self.devices[device];
                device.password = password;
                if let Some(lifecycle) = &mut device.lifecycle {
                    lifecycle.wish(Wish::NewToken);
                }
            }
            Happening::Copy(device) => {
                self.devices[device].excused = true;
                let files = self.devices[device].store.directory().clone_files();
                let name = self.devices[device].name.clone();
                let password = self.devices[device].password.clone();
                let mut copy = Device::new(name, password, Skew::None, files, self.mishaps.octets());
                copy.excused = true;
                self.devices.push(copy);
                self.power_on_after(self.devices.len() - 1, Duration::ZERO);
            }
        }
    }

    /// A device and its copies.
    fn same_name(&self, device: usize) -> Vec<usize> {
        let name = &self.devices[device].name;
        (0..self.devices.len()).filter(|other| self.devices[*other].name == *name).collect()
    }

    pub(super) fn is_on(&self, device: usize, boot: u32) -> bool {
        self.devices[device].boot == boot && self.devices[device].lifecycle.is_some()
    }

    fn power_off(&mut self, device: usize) {
        self.summary.power_cuts += 1;
        self.devices[device].power_off();
        self.trace(device, 1);
    }

    fn power_on_after(&mut self, device: usize, after: Duration) {
        let boot = self.devices[device].boot;
        self.timeline.add(self.now.plus(after), Happens::PowerOn { device, boot });
    }

    fn power_on(&mut self, device: usize) {
        self.trace(device, 2);
        let environment = self.authority.trust.environment.name.clone();
        let started = self.devices[device].power_on(&environment, &self.authority.trust.root, self.now);
        self.look(device);
        match started {
            Ok(()) => {
                self.judge_what_is_held(device);
                self.step(device, Input::Ready);
            }
            Err(StoreFault::Mixed) => {
                self.violated(Invariant::NoMixedPair, device, "the store says so at a start");
            }
            // A write at the start met a mishap.
            Err(_) => {
                self.after_mishap(device);
                self.power_on_after(device, GLANCE);
            }
        }
    }

    /// Lets the agent go on until it asks somebody, or rests.
    pub(super) fn step(&mut self, device: usize, input: Input) {
        let mut input = input;
        for _ in 0..EFFECTS_MAX {
            let clock = self.devices[device].clock(self.now);
            let Some(lifecycle) = self.devices[device].lifecycle.as_mut() else { return };
            match lifecycle.step(clock, input) {
                Effect::Wait { until } => {
                    let boot = self.devices[device].boot;
                    let at = self.now.plus(until.since(clock));
                    self.timeline.add(at, Happens::Wake { device, boot });
                    return;
                }
                Effect::RunHooks(_) => input = Input::Done,
                Effect::Call(call) => {
                    self.trace(device, 3);
                    return self.ask(device, call);
                }
                Effect::Write(Write::Swap { .. })
                    if self.scenario.driver == Driver::SwapsTheChainFirst
                        && self.devices[device].held.is_some() =>
                {
                    let directory = self.devices[device].store.directory_mut();
                    directory.rename(FileName::NewChain, FileName::Chain).expect("it was kept");
                    self.power_off(device);
                    return self.power_on_after(device, POWER_BACK.0);
                }
                Effect::Write(write) => {
                    if write == Write::DropSuccessor {
                        self.judge_a_drop(device);
                    }
                    input = self.devices[device].store.perform(&write);
                    self.look(device);
                    if self.devices[device].store.directory().is_dark() {
                        self.power_off(device);
                        let after = self.mishaps.span(POWER_BACK.0, POWER_BACK.1);
                        self.power_on_after(device, after);
                    }
                    self.after_mishap(device);
                }
            }
        }
        self.violated(Invariant::AgentRests, device, "no call and no rest after a hundred effects");
    }

    fn after_mishap(&mut self, device: usize) {
        self.devices[device].plan_mishap(self.scenario.chances.write_mishap, &mut self.mishaps);
    }

    /// From now on it counts how long the devices that are due need.
    fn outage_ends(&mut self) {
        let due = |device: &Device| {
            device.held.as_ref().filter(|_| !device.excused).is_some_and(|held| {
                held.validity.not_before().plus(held.validity.lifetime() * 2 / 3) <= self.now
            })
        };
        let behind: BTreeSet<usize> =
            (0..self.devices.len()).filter(|device| due(&self.devices[*device])).collect();
        self.summary.due_then = behind.len();
        self.summary.drained_in = None;
        self.aftermath =
            Some(Aftermath { since: self.now, behind, minutes: BTreeMap::new(), nearly_through: None });
    }

    pub(super) fn violated(&mut self, invariant: Invariant, device: usize, found: &str) {
        let name = self.devices.get(device).map_or("the authority", |device| device.name.as_str());
        if self.violations.len() < VIOLATIONS_KEPT {
            let found = format!("{name}: {found}");
            self.violations.push(Violation { invariant, at: self.now, found });
        }
    }

    pub(super) fn trace(&mut self, device: usize, what: u64) {
        let word = self.now.unix_ms() ^ ((device as u64) << 44) ^ (what << 60);
        self.summary.trace = (self.summary.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    fn sum_up(&mut self) {
        self.waits_ms.sort_unstable();
        let at = |part: usize| {
            let place = (self.waits_ms.len() * part / 100).min(self.waits_ms.len().saturating_sub(1));
            Duration::from_millis(self.waits_ms.get(place).copied().unwrap_or_default())
        };
        (self.summary.wait_median, self.summary.wait_p99) = (at(50), at(99));
        self.summary.queued_most = self.server.queued_most;
        self.summary.waiting_most = self.authority.waiting_most;
        if let Some(aftermath) = &self.aftermath {
            let whole = |minute: &u64| aftermath.nearly_through.is_none_or(|last| *minute < last);
            let minutes =
                aftermath.minutes.iter().filter(|(minute, _)| whole(minute)).map(|(_, count)| *count);
            self.summary.minute_best = aftermath.minutes.values().copied().max().unwrap_or_default();
            self.summary.minute_worst = minutes.min().unwrap_or_default();
        }
    }

    fn end_of(&self, device: usize) -> DeviceEnd {
        let device = &self.devices[device];
        let clock = device.clock(self.now);
        let (renewals, refused) = self.records_of(&device.name);
        DeviceEnd {
            fresh: device.held.as_ref().is_some_and(|held| held.validity.contains(self.now)),
            needs: device.lifecycle.as_ref().map(|lifecycle| lifecycle.report(clock).needs),
            renewals,
            refused,
        }
    }
}
