//! How a use case asks for what it cannot do itself: each step is data, with what follows its answer.
//!
//! Out: a [`Step`]. [`Step::advance`] carries out what can be answered at once, from a [`World`]; what may wait, a turn
//! or a commit, is the caller's. Servers and simulators are two worlds under the same use cases.

use crate::fault::Notice;
use crate::issue_schedule::{IssueSchedule, PlaceKey, Urgency};
use crate::suspicion::Alarms;
use std::sync::{Arc, Mutex, PoisonError};
use touchmark_ca::{IssueFault, Signed, Unsigned};
use touchmark_identity::{AuthorityVersionId, CertificateId, EnvironmentName, Name, SpiffeId, Timestamp};
use touchmark_inventory::{Command, Facts, PartyRow, Query, Receipt, Store, StoreFault};
use touchmark_journal::{IdentityKind, Reach};
use touchmark_x509::{Signer, SigningFault};

/// Octets of randomness that one step may need.
pub const RANDOM_OCTETS: usize = 26 + 26 + 16 + 16;

/// When a step goes on, and with what randomness.
#[derive(Debug)]
pub struct Moment {
    pub now: Timestamp,
    /// For a new device's identifier and its salt.
    pub(crate) device: [u8; 26],
    /// For a serial number and a row's identifier.
    pub(crate) plan: [u8; 26],
    pub(crate) intent_salt: [u8; 16],
    pub(crate) result_salt: [u8; 16],
}

impl Moment {
    pub fn new(now: Timestamp, random: [u8; RANDOM_OCTETS]) -> Self {
        let mut moment =
            Self { now, device: [0; 26], plan: [0; 26], intent_salt: [0; 16], result_salt: [0; 16] };
        let (device, rest) = random.split_at(26);
        let (plan, rest) = rest.split_at(26);
        let (intent, result) = rest.split_at(16);
        moment.device.copy_from_slice(device);
        moment.plan.copy_from_slice(plan);
        moment.intent_salt.copy_from_slice(intent);
        moment.result_salt.copy_from_slice(result);
        moment
    }
}

/// What follows an answer.
pub type Then<I, T, E> = Box<dyn FnOnce(I, Moment) -> Result<Step<T, E>, E> + Send>;

/// What follows where nothing is asked.
pub type Next<T, E> = Box<dyn FnOnce() -> Result<Step<T, E>, E> + Send>;

/// What a use case needs next, or its outcome.
pub enum Step<T, E> {
    /// One fact read.
    Read(Query, Then<Option<Facts>, T, E>),
    /// Nobody else may work on this identity until the end; the answer says whether somebody did meanwhile.
    Turn(Turn, Then<bool, T, E>),
    /// May a certificate for this identity be made now? Else the wait.
    Pace(SpiffeId, Urgency, Then<Result<(), core::time::Duration>, T, E>),
    /// Whether an operator with these roles instead of its own leaves nobody who can let others in.
    WayIn(Box<PartyRow>, Vec<String>, Reach, Then<bool, T, E>),
    Sign(Box<Unsigned>, AuthorityVersionId, Then<Result<Signed, IssueFault>, T, E>),
    Commit(Command, Then<Result<Receipt, StoreFault>, T, E>),
    /// Whether the alarm for this certificate was quiet long enough.
    Ring(CertificateId, Then<bool, T, E>),
    /// It was not recorded, and may ring again.
    Unring(CertificateId, Next<T, E>),
    /// For people.
    Tell(Notice, Next<T, E>),
    Done(T),
}

/// Whose turn it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub identity: (EnvironmentName, IdentityKind, Name),
    /// Whether it may change who can let operators in, which one may do at a time.
    pub changes_roles: bool,
}

/// What is remembered between requests; a restart forgets it.
#[derive(Debug)]
pub struct Memory {
    pub schedule: IssueSchedule,
    pub(crate) alarms: Alarms,
}

impl Memory {
    /// For an authority that makes at most so many certificates a second.
    pub fn new(per_second: u32) -> Self {
        Self { schedule: IssueSchedule::new(per_second), alarms: Alarms::default() }
    }
}

/// What answers at once.
pub trait World {
    fn store(&self) -> &dyn Store;
    fn moment(&mut self) -> Moment;
    fn memory(&self) -> &Mutex<Memory>;
    /// Takes a turn if it is free; it is given back with this world.
    fn take_turn(&mut self, turn: &Turn) -> bool;
    /// The key of an authority version.
    fn signer(&self, version: AuthorityVersionId) -> Option<Arc<dyn Signer>>;
    /// See [`Step::WayIn`].
    ///
    /// # Errors
    /// [`StoreFault`].
    fn closes_last_way_in(
        &self,
        party: &PartyRow,
        roles: &[String],
        reach: Reach,
    ) -> Result<bool, StoreFault>;
    fn tell(&self, notice: &Notice);
}

impl<T, E: From<StoreFault>> Step<T, E> {
    /// Goes on to the outcome, a commit, or a turn that somebody else has.
    ///
    /// # Errors
    /// The use case's; nothing is left half-done.
    pub fn advance(mut self, world: &mut dyn World) -> Result<Self, E> {
        loop {
            self = match self {
                Self::Read(query, then) => {
                    let facts = world.store().facts(&query)?;
                    then(facts, world.moment())?
                }
                Self::Turn(turn, then) => match world.take_turn(&turn) {
                    true => then(false, world.moment())?,
                    false => return Ok(Self::Turn(turn, then)),
                },
                Self::Pace(identity, urgency, then) => {
                    let moment = world.moment();
                    let key = place_key(&identity);
                    let asked = with(world, |memory| memory.schedule.ask(key, urgency, moment.now));
                    then(asked, moment)?
                }
                Self::WayIn(party, roles, reach, then) => {
                    let closes = world.closes_last_way_in(&party, &roles, reach)?;
                    then(closes, world.moment())?
                }
                Self::Sign(unsigned, version, then) => {
                    let signed = match world.signer(version) {
                        Some(signer) => unsigned.sign(&*signer),
                        None => Err(SigningFault::Keeper.into()),
                    };
                    then(signed, world.moment())?
                }
                Self::Ring(certificate, then) => {
                    let moment = world.moment();
                    let rings = with(world, |memory| memory.alarms.ring(certificate, moment.now));
                    then(rings, moment)?
                }
                Self::Unring(certificate, next) => {
                    with(world, |memory| memory.alarms.unring(certificate));
                    next()?
                }
                Self::Tell(notice, next) => {
                    world.tell(&notice);
                    next()?
                }
                Self::Commit(..) | Self::Done(_) => return Ok(self),
            };
        }
    }
}

fn with<R>(world: &dyn World, act: impl FnOnce(&mut Memory) -> R) -> R {
    act(&mut world.memory().lock().unwrap_or_else(PoisonError::into_inner))
}

fn place_key(identity: &SpiffeId) -> PlaceKey {
    let mut key = [0; 8];
    key.copy_from_slice(&sha256(identity.to_string().as_bytes())[..8]);
    PlaceKey::from_be_bytes(key)
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    hash
}
