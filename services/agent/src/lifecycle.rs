//! One environment's identity, from nothing to fresh for ever, as a state machine without I/O.
//!
//! In: what became of the last effect, and the device's clock. Out: the one effect to perform next.
//! What is held (the pair in force, the successor's stage) decides what is next; a power cut between any two
//! effects leaves a state that the same rules go on from. No socket, file, key or clock lives here.

mod anchors;
mod answers;
mod backoff;
mod chain;
mod clock;
mod effect;
mod input;
mod next;
mod record;
mod report;
mod rules;
mod standing;

pub use anchors::ANCHORS_MAX;
pub use chain::{Chain, Unfit, Wanted};
pub use effect::{Call, Effect, FirstProof, HookEvent, Write};
pub use input::{Answer, Input, LocalFault, Trouble};
pub use record::{Failure, Followed, RECORD_OCTETS_MAX, Renewed, RenewedBy, StateRecord};
pub use report::{CertificateReport, Needs, Progress, Report};
pub use rules::{BACKOFF_MAX, BACKOFF_MIN, Rules, Start, Wish};
pub use standing::Standing;

use anchors::Anchors;
use backoff::{DAY, DeviceSeed};
use clock::Watch;
use core::time::Duration;
use std::collections::VecDeque;
use touchmark_enrol::renewal::renew_at;
use touchmark_identity::{Fingerprint, SpkiHash, Timestamp};
use touchmark_x509::Certificate;

/// What the key store found at the start, with recovery done.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The pair in force: its chain. Its key is in the store.
    pub current: Option<Chain>,
    /// The pair on its way.
    pub successor: Option<StoredSuccessor>,
    /// What `anchors.pem` held; only what was followed on the word of a pinned anchor is believed.
    pub anchors: Vec<Certificate>,
    /// What was remembered.
    pub state: Option<StateRecord>,
}

/// A pair on its way.
#[derive(Clone, Debug)]
pub struct StoredSuccessor {
    /// Its key.
    pub key: SpkiHash,
    /// Its chain, once there is one.
    pub chain: Option<Chain>,
}

/// By which moment a server's certificate is judged (ADR 0011).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMoment {
    /// The time is known well enough: what has ended is refused. What begins later shows that the clock is behind.
    At(Timestamp),
    /// The clock is in doubt: valid now, or at any moment from the floor on.
    AtOrAfter {
        /// The best guess.
        now: Timestamp,
        /// Not before this.
        floor: Timestamp,
    },
}

/// How far the successor is. All but `Delivered`, `Confirmed` and `Abandoned` are also what a restart finds; from
/// those three it goes back by one, and the question that is asked again has the same answer.
#[derive(Clone, Debug)]
enum Stage {
    /// There is none.
    Absent,
    /// Key and request are durable: ask.
    Requested { key: SpkiHash },
    /// The certificate came and fits: make it durable.
    Delivered { chain: Chain },
    /// The whole pair is durable: prove to the server that it arrived.
    Kept { chain: Chain, alerts: u32 },
    /// The server has seen it in use: let it take over.
    Confirmed { chain: Chain },
    /// Refused for good: forget it. The pair in force is not touched.
    Abandoned,
}

/// The effect that is under way.
#[derive(Clone, Debug)]
enum Pending {
    Nothing,
    Write(Write),
    Call(Call),
    Hooks(HookEvent),
}

/// One environment's identity. Owns no socket, file, key or clock.
#[derive(Debug)]
pub struct Lifecycle {
    rules: Rules,
    seed: DeviceSeed,
    watch: Watch,
    anchors: Anchors,
    current: Option<Chain>,
    stage: Stage,
    pending: Pending,
    /// What a restart should know.
    memory: StateRecord,
    disk: Saved,
    /// Commands to be run.
    hooks: VecDeque<HookEvent>,
    /// A renewal was asked for by somebody.
    wished: bool,
    /// Somebody wants another first certificate in place of the pair in force, whatever that is worth.
    replaced: bool,
    /// The token, or initial certificate, was refused or is not there; a person may bring another.
    proof_refused: bool,
    this_life: ThisLife,
}

/// What of the memory is on disk.
#[derive(Debug)]
struct Saved {
    state: bool,
    floor: Timestamp,
    anchors: bool,
    /// After a failed write, not before this: a full disk stops no renewal.
    not_before: Timestamp,
}

/// What was done since the pair in force took over.
#[derive(Debug)]
struct ThisLife {
    anchors_asked: bool,
    /// The authorities that `cacerts` named: what stands between a certificate and an anchor. Bounded by the bag.
    authorities: Vec<Certificate>,
    hints_offered: bool,
    next_hint_at: Timestamp,
    warned: bool,
}

impl Lifecycle {
    /// Takes up what the store found. `seed` is drawn once per device; `clock` is what the device's clock shows.
    pub fn resume(rules: Rules, stored: Stored, seed: [u8; 16], clock: Timestamp) -> Self {
        let Stored { current, successor, anchors: kept, state } = stored;
        let seed = DeviceSeed::new(seed);
        let mut disk = Saved {
            state: state.is_some(),
            floor: state.as_ref().map_or(rules.built_at, |record| record.floor),
            anchors: false,
            not_before: clock,
        };
        let mut memory = state.unwrap_or_else(|| StateRecord::empty(rules.built_at));
        let stage = successor.map_or(Stage::Absent, Stage::of);
        let ours = [current.as_ref(), stage.chain()].into_iter().flatten();
        let floor = ours
            .map(|chain| chain.leaf().validity().not_before())
            .fold(rules.built_at.max(memory.floor), Timestamp::max);
        let watch = Watch::start(floor, clock);
        let now = watch.now();
        memory.floor = floor;
        // A record written by a clock far ahead must not silence the device, and what a pause is worth to a clock that
        // starts from the floor nobody knows: it asks at once, and learns the time by it.
        let known = memory.retry_at.filter(|_| !watch.is_in_doubt());
        memory.retry_at = known.map(|at| at.min(now.plus(DAY)));
        let anchors = Anchors::restore(rules.pinned.clone(), &kept, &memory.followed);
        memory.followed = anchors.words().to_vec();
        let mut hooks = VecDeque::new();
        if let Some(current) = &current
            && memory.announced != Some(current.leaf().fingerprint())
        {
            hooks.push_back(HookEvent::Renewed);
        }
        (disk.anchors, disk.not_before) = (anchors.to_vec() == kept, now);
        let mut lifecycle = Self {
            rules,
            seed,
            watch,
            anchors,
            current,
            stage,
            pending: Pending::Nothing,
            memory,
            disk,
            hooks,
            wished: false,
            replaced: false,
            proof_refused: false,
            this_life: ThisLife::begin(now),
        };
        lifecycle.this_life.next_hint_at = now.plus(lifecycle.first_hint_after());
        lifecycle
    }

    /// The one thing to do next, given what became of the last one. Total: an input out of turn is dropped, and
    /// the effect that is due is asked for again.
    pub fn step(&mut self, clock: Timestamp, input: Input) -> Effect {
        let before = self.watch.now();
        self.watch.tick(clock);
        if let Input::Answered { server_time: Some(time), .. } = &input {
            self.learn_time(*time);
        }
        self.bring_back(before.since(self.watch.now()));
        self.absorb(input);
        let effect = self.next();
        self.pending = match &effect {
            Effect::Write(write) => Pending::Write(write.clone()),
            Effect::Call(call) => Pending::Call(*call),
            Effect::RunHooks(event) => Pending::Hooks(*event),
            Effect::Wait { .. } => Pending::Nothing,
        };
        effect
    }

    /// Takes a wish; the next [`Lifecycle::step`] acts on it.
    pub fn wish(&mut self, wish: Wish) {
        self.proof_refused = false;
        match wish {
            Wish::RenewNow => {
                self.wished = true;
                self.memory.retry_at = None;
            }
            Wish::Replace => {
                self.replaced = true;
                self.memory.retry_at = None;
            }
            Wish::NewToken if self.asks_for_a_first_certificate() => self.memory.retry_at = None,
            Wish::NewToken => {}
        }
    }

    /// On whose wish a renewal is under way, or would be.
    pub fn renewed_by(&self) -> RenewedBy {
        if self.wished || self.replaced { RenewedBy::Wish } else { RenewedBy::Itself }
    }

    /// The chain in force.
    pub fn current(&self) -> Option<&Chain> {
        self.current.as_ref()
    }

    /// The anchors in force, the pinned ones first.
    pub fn anchors(&self) -> Vec<Certificate> {
        self.anchors.to_vec()
    }

    /// By which moment a server's certificate is judged while the clock shows `clock`. Any moment from the floor on
    /// will do only for a device that cannot know better: without a certificate, with one that seems expired, or
    /// with a clock before the floor. It could not ask anybody for the time otherwise.
    pub fn server_moment(&self, clock: Timestamp) -> ServerMoment {
        let (now, floor) = (self.watch.at(clock), self.watch.floor());
        let alive = self.current.as_ref().is_some_and(|chain| chain.leaf().validity().not_after() >= now);
        if alive && !self.watch.is_in_doubt() {
            ServerMoment::At(now)
        } else {
            ServerMoment::AtOrAfter { now, floor }
        }
    }

    /// An authenticated time corrects the clock. It raises the floor as well, but never past the moment at which our
    /// newest certificate is renewed at the earliest: a server that states a far future must not make us refuse
    /// everything for ever.
    fn learn_time(&mut self, time: Timestamp) {
        self.watch.correct(time);
        let ours = [self.current.as_ref(), self.stage.chain()].into_iter().flatten();
        if let Some(most) = ours.map(|chain| renew_at(chain.leaf().validity(), u16::MAX)).max() {
            self.raise_floor(time.min(most));
        }
    }

    /// The time turned out to be earlier: every pause that was counted by the wrong one ends as much earlier.
    fn bring_back(&mut self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let Self { memory, disk, this_life, .. } = self;
        let moments =
            [&mut disk.not_before, &mut this_life.next_hint_at].into_iter().chain(&mut memory.retry_at);
        for moment in moments {
            *moment = Timestamp::from_unix_ms(moment.unix_ms().saturating_sub(by_ms));
        }
    }

    fn raise_floor(&mut self, time: Timestamp) {
        self.watch.raise_floor(time);
        self.memory.floor = self.watch.floor();
    }

    fn current_fingerprint(&self) -> Option<Fingerprint> {
        self.current.as_ref().map(|chain| chain.leaf().fingerprint())
    }
}

impl Stage {
    /// As far as it is durable.
    fn of(successor: StoredSuccessor) -> Self {
        let StoredSuccessor { key, chain } = successor;
        match chain.filter(|chain| chain.key() == key) {
            Some(chain) => Self::Kept { chain, alerts: 0 },
            None => Self::Requested { key },
        }
    }

    /// The new certificate, once it came.
    fn chain(&self) -> Option<&Chain> {
        match self {
            Self::Absent | Self::Requested { .. } | Self::Abandoned => None,
            Self::Delivered { chain } | Self::Kept { chain, .. } | Self::Confirmed { chain } => Some(chain),
        }
    }
}

impl ThisLife {
    fn begin(now: Timestamp) -> Self {
        Self {
            anchors_asked: false,
            authorities: Vec::new(),
            hints_offered: true,
            next_hint_at: now,
            warned: false,
        }
    }
}
