//! How many certificates a second this authority makes: more would make everybody wait for everybody.

use crate::sha256;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use touchmark_identity::SpiffeId;
use touchmark_listen::Clock;
use touchmark_ra::{IssueSchedule, PlaceKey, Urgency};

/// What one core does at least, with room to spare: two commits shared by many, one signature, one handshake. It is
/// there for storms, not for tuning.
const PER_CORE: u32 = 4_000;

/// The schedule of all environments together: they share disk and processor.
pub(crate) struct Schedule {
    issue_schedule: Mutex<IssueSchedule>,
    clock: Clock,
}

impl Schedule {
    /// At most `per_second`; as many as the cores should do when nothing is said.
    pub(crate) fn new(per_second: Option<NonZeroU32>, clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let by_cores = PER_CORE.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX));
        let issue_schedule = IssueSchedule::new(per_second.map_or(by_cores, NonZeroU32::get));
        Self { issue_schedule: Mutex::new(issue_schedule), clock }
    }

    /// Lets an identity go on now, or says how long it waits.
    ///
    /// # Errors
    /// The wait.
    pub(crate) fn ask(&self, identity: &SpiffeId, urgency: Urgency) -> Result<(), Duration> {
        let mut key = [0; 8];
        key.copy_from_slice(&sha256(identity.to_string().as_bytes())[..8]);
        let key: PlaceKey = u64::from_be_bytes(key);
        self.issue_schedule.lock().unwrap_or_else(PoisonError::into_inner).ask(key, urgency, self.clock.now())
    }
}
