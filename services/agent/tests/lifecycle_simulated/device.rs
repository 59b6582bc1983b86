//! A device: its clock, its disk, its token, and the loop that performs effects, as the daemon does.

use super::world::{Caller, World};
use std::time::Duration;
use touchmark_agent::lifecycle::{
    BACKOFF_MAX, BACKOFF_MIN, Call, Effect, FirstProof, HookEvent, Input, Lifecycle, LocalFault, Report,
    Rules, Start, Wish,
};
use touchmark_agent::store::{CredentialStore, MemoryDirectory, Pair};
use touchmark_identity::Timestamp;
use touchmark_x509::{Certificate, Signer as _};

/// More effects than any honest span of these tests needs: a device that is busier runs in a circle.
const EFFECTS_MAX: usize = 20_000;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Off by so many seconds.
    Skewed(i64),
    /// No battery: 1970 at the last start, which was then.
    SinceStart(Timestamp),
}

pub(crate) struct Device {
    pub(crate) rules: Rules,
    pub(crate) seed: [u8; 16],
    pub(crate) clock: Clock,
    pub(crate) token: Option<String>,
    pub(crate) store: CredentialStore<MemoryDirectory>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) hooks: Vec<HookEvent>,
    pub(crate) starts: usize,
    input: Input,
    had_a_pair: bool,
    /// The next so many calls of this kind fail on the device's own side.
    pub(crate) own_faults: (Option<Call>, usize),
    /// The authority was told to cut this device off: then no pair works, rightly.
    pub(crate) cut_off: bool,
    /// Every command of the operator ends the agent, which starts again.
    pub(crate) hooks_end_it: bool,
    /// How long the operator's commands take.
    pub(crate) hooks_take: Duration,
}

impl Device {
    pub(crate) fn new(world: &World, name: &str, start: Start) -> Self {
        let rules = Rules {
            identity: name.parse().unwrap(),
            environment: "lab".parse().unwrap(),
            start,
            pinned: vec![world.authority.root.certificate.clone()],
            built_at: Timestamp::from_unix_s(super::world::START_S - 365 * 86_400),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        };
        let mut store = CredentialStore::new(MemoryDirectory::default(), rules.identity.clone());
        let stored = store.load().unwrap();
        let seed = [7; 16];
        let lifecycle = Lifecycle::resume(rules.clone(), stored, seed, world.now);
        Self {
            rules,
            seed,
            clock: Clock::Skewed(0),
            token: None,
            store,
            lifecycle,
            hooks: Vec::new(),
            starts: 1,
            input: Input::Ready,
            had_a_pair: false,
            own_faults: (None, 0),
            cut_off: false,
            hooks_end_it: false,
            hooks_take: Duration::ZERO,
        }
    }

    /// With a good token, and enrolled.
    pub(crate) fn enrolled(world: &mut World, name: &str) -> Self {
        world.authority.token("secret");
        let mut device = Self::new(world, name, Start::Token);
        device.token = Some("secret".to_owned());
        device.run(world, Duration::from_secs(5));
        assert!(device.current().is_some(), "{:?}", device.report(world));
        world.calls.clear();
        device
    }

    pub(crate) fn shows(&self, now: Timestamp) -> Timestamp {
        match self.clock {
            Clock::Skewed(seconds) => {
                let ms = i64::try_from(now.unix_ms()).unwrap() + seconds * 1000;
                Timestamp::from_unix_ms(u64::try_from(ms).unwrap_or(0))
            }
            Clock::SinceStart(start) => {
                Timestamp::from_unix_ms(now.since(start).as_millis().try_into().unwrap())
            }
        }
    }

    /// The power comes back: everything but the disk is new.
    pub(crate) fn restart(&mut self, world: &World) {
        if let Clock::SinceStart(start) = &mut self.clock {
            *start = world.now;
        }
        self.store.directory_mut().power_on();
        let clock = self.shows(world.now);
        self.lifecycle = match self.store.load() {
            Ok(stored) => Lifecycle::resume(self.rules.clone(), stored, self.seed, clock),
            // The mishap struck the recovery itself; it stands ready for the next start.
            Err(_) => {
                self.store.directory_mut().power_on();
                let stored = self.store.load().expect("a second start, without a mishap, recovers");
                Lifecycle::resume(self.rules.clone(), stored, self.seed, clock)
            }
        };
        self.input = Input::Ready;
        self.starts += 1;
    }

    pub(crate) fn wish(&mut self, wish: Wish) {
        self.lifecycle.wish(wish);
    }

    pub(crate) fn report(&self, world: &World) -> Report {
        self.lifecycle.report(self.shows(world.now))
    }

    pub(crate) fn current(&self) -> Option<Pair> {
        self.store.current().expect("never a mixed pair")
    }

    pub(crate) fn certificate(&self) -> Certificate {
        self.current().unwrap().chain.leaf().clone()
    }

    /// Whether another certificate took over, on the disk and in the lifecycle.
    pub(crate) fn is_past(&self, before: &Certificate) -> bool {
        let known = self.lifecycle.current().map(|chain| chain.leaf());
        known.is_some_and(|leaf| leaf != before) && self.certificate() != *before
    }

    /// Performs effects for `span` of true time; restarts when the power goes.
    pub(crate) fn run(&mut self, world: &mut World, span: Duration) {
        let end = world.now.plus(span);
        let mut effects = 0;
        while world.now < end {
            effects += 1;
            assert!(effects < EFFECTS_MAX, "the device runs in a circle: {:?}", self.report(world));
            self.effect(world, end);
        }
    }

    /// Runs until `done`, for at most `span`; says how long it took.
    pub(crate) fn run_until(
        &mut self,
        world: &mut World,
        span: Duration,
        done: impl Fn(&Self, &World) -> bool,
    ) -> Duration {
        let (start, end) = (world.now, world.now.plus(span));
        while !done(self, world) {
            assert!(world.now < end, "not within {span:?}: {:?}", self.report(world));
            self.effect(world, end);
        }
        world.now.since(start)
    }

    fn effect(&mut self, world: &mut World, end: Timestamp) {
        let clock = self.shows(world.now);
        let input = core::mem::replace(&mut self.input, Input::Ready);
        let effect = self.lifecycle.step(clock, input);
        // Only these two change what a start would find, or whom the authority takes.
        let matters = matches!(effect, Effect::Write(_) | Effect::Call(Call::Confirm));
        match effect {
            Effect::Write(write) => self.input = self.store.perform(&write),
            Effect::Call(call) => self.input = self.call(world, call),
            Effect::RunHooks(event) => {
                self.hooks.push(event);
                self.input = Input::Done;
                world.pass(self.hooks_take);
                if self.hooks_end_it {
                    self.restart(world);
                }
            }
            Effect::Wait { until } => {
                let wait = until.since(clock);
                assert!(!wait.is_zero(), "a rest is a rest");
                world.pass(wait.min(end.since(world.now)));
                self.input = Input::Ready;
            }
        }
        if self.store.directory().is_dark() {
            self.restart(world);
        }
        if matters {
            self.check(world);
        }
    }

    fn call(&mut self, world: &mut World, call: Call) -> Input {
        if self.own_faults.0 == Some(call) && self.own_faults.1 > 0 {
            self.own_faults.1 -= 1;
            return Input::Failed(LocalFault::Disk { says: "cannot read".to_owned() });
        }
        if call == (Call::Enrol { proof: FirstProof::Token }) && self.token.is_none() {
            return Input::Failed(LocalFault::NoProof { says: "no token file".to_owned() });
        }
        let gone = |says: &str| Input::Failed(LocalFault::Disk { says: says.to_owned() });
        let request = self.store.request().unwrap();
        if matches!(call, Call::Enrol { .. } | Call::Renew) && request.is_none() {
            return gone("no request");
        }
        let successor = self.store.successor().unwrap();
        if call == Call::Confirm && successor.is_none() {
            return gone("no successor");
        }
        let caller = Caller {
            name: &self.rules.identity,
            password: self.token.as_deref(),
            request,
            current: self.current(),
            successor,
            anchors: self.lifecycle.anchors(),
            moment: self.lifecycle.server_moment(self.shows(world.now)),
        };
        world.call(call, &caller)
    }

    /// What must hold at every moment, seen as a start at this moment would see it.
    fn check(&mut self, world: &World) {
        let mut twin =
            CredentialStore::new(self.store.directory().clone_files(), self.rules.identity.clone());
        let stored = twin.load().expect("recovery never fails without a mishap");
        let pair = twin.current().expect("never a mixed pair");
        self.had_a_pair |= pair.is_some();
        assert_eq!(pair.is_some(), self.had_a_pair, "a device that had a pair keeps one");
        let Some(pair) = pair else { return };
        assert_eq!(pair.key.public_key().spki_hash(), pair.chain.key());
        let issued = &world.authority.issued[&pair.chain.leaf().fingerprint()];
        assert!(issued.confirmed, "only what the server has seen in use takes over");
        let successor = twin.successor().unwrap();
        assert_eq!(
            successor.as_ref().map(|pair| pair.chain.key()),
            stored.successor.and_then(|one| one.chain).map(|chain| chain.key())
        );
        let lives = |pair: &Pair| {
            let issued = &world.authority.issued[&pair.chain.leaf().fingerprint()];
            !issued.revoked && issued.superseded_at.is_none_or(|at| at > world.now)
        };
        let works = lives(&pair) || successor.as_ref().is_some_and(lives);
        assert!(works || self.cut_off, "a working pair at every moment: {:?}", self.report(world));
    }
}
