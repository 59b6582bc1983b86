//! What is simulated: how many devices, under which rules, and what goes wrong when.

use core::time::Duration;
use touchmark_identity::Timestamp;
use touchmark_journal::CloneResponse;
use touchmark_x509::KeyPlace;

/// One run, from its seed to its end.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Everything that is drawn is drawn from it, but for keys and signatures, which nothing depends on.
    pub seed: u64,
    /// How many devices there are; the fleet is numbered from 0.
    pub devices: usize,
    /// Life of a certificate.
    pub lifetime: Duration,
    /// How long past its end it may still be renewed.
    pub grace: Duration,
    /// What a suspected clone leads to.
    pub on_clone: CloneResponse,
    /// Certificates a second that the authority plans for.
    pub issue_schedule: u32,
    /// Certificates a second that its machine can make.
    pub capacity: u32,
    /// The devices are switched on for the first time evenly within this span.
    pub enrol_within: Duration,
    /// How long the run is.
    pub length: Duration,
    /// What happens besides, counted from the start.
    pub happenings: Vec<(Duration, Happening)>,
    /// What goes wrong by chance.
    pub chances: Chances,
    /// What the devices' clocks show: device number n has the one at n modulo their number. Empty means the time.
    pub clocks: Vec<Skew>,
    /// Who drives the agents.
    pub driver: Driver,
    /// Where the authority's key lives.
    pub key: KeyPlace,
}

impl Scenario {
    /// A fleet under the rules of a new environment (grace: a third of the life), where nothing goes wrong.
    pub fn new(devices: usize, lifetime: Duration) -> Self {
        Self {
            seed: 1,
            devices,
            lifetime,
            grace: lifetime / 3,
            on_clone: CloneResponse::Alarm,
            issue_schedule: 1000,
            capacity: 2000,
            enrol_within: lifetime / 24,
            length: lifetime * 2,
            happenings: Vec::new(),
            chances: Chances::default(),
            clocks: Vec::new(),
            driver: Driver::Faithful,
            key: KeyPlace::Inside,
        }
    }

    /// The first moment of every run: 2027-01-15, later than everything that an agent knows of the past.
    pub fn start() -> Timestamp {
        Timestamp::from_unix_s(1_800_000_000)
    }

    /// The same from another seed.
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same, and `what` happens at `at` from the start.
    pub fn with(mut self, at: Duration, what: Happening) -> Self {
        self.happenings.push((at, what));
        self
    }

    pub(super) fn skew(&self, device: usize) -> Skew {
        let place = device.checked_rem(self.clocks.len());
        place.and_then(|place| self.clocks.get(place)).copied().unwrap_or(Skew::None)
    }
}

/// Something that happens at a known moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Nobody reaches the authority any more.
    ServerLost,
    /// Everybody does again.
    ServerBack,
    /// The whole fleet loses its power.
    FleetDark,
    /// It has it again: every device starts within half a minute.
    FleetLit,
    /// One device is switched off, or sleeps.
    Asleep(usize),
    /// It is switched on again.
    Awake(usize),
    /// An operator bans a device.
    Ban(usize),
    /// An operator makes a token for one device by name, and somebody brings it there.
    NewToken(usize),
    /// Somebody copies a device's files, and runs the copy. Copies are numbered on after the last device.
    Copy(usize),
}

/// How often in a thousand something goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chances {
    /// A request does not arrive.
    pub request_lost: u32,
    /// It arrives, and its answer does not.
    pub answer_lost: u32,
    /// A commit of the authority is lost.
    pub commit_lost: u32,
    /// A commit is stored, and reported as lost.
    pub commit_reported_lost: u32,
    /// A write to a device's store is lost, stored but reported lost, or meets a power cut just before or after it.
    pub write_mishap: u32,
}

/// What a device's clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// The time.
    None,
    /// 1970 at each start: a clock without a battery.
    Since1970,
    /// Ahead by this.
    Ahead(Duration),
    /// Behind by this.
    Behind(Duration),
}

/// Who drives the agents. The other drivers are wrong on purpose: they show that the invariants can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// As the daemon does.
    Faithful,
    /// Tells the lifecycle that its certificate is confirmed without asking the authority.
    TakesConfirmationForGranted,
    /// Puts the new chain in place before the new key, and loses its power in between.
    SwapsTheChainFirst,
}
