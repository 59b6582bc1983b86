//! What a run came to: numbers for people, and what tests ask.

use super::invariant::{Invariant, Violation};
use core::fmt;
use core::time::Duration;
use touchmark_agent::lifecycle::{Call, Needs};

/// Requests that arrived, by what they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Anchors.
    pub anchors: u64,
    /// First certificates.
    pub enrol: u64,
    /// Successors.
    pub renew: u64,
    /// Confirmations.
    pub confirm: u64,
    /// Windows.
    pub hint: u64,
}

impl Requests {
    pub(super) fn count(&mut self, call: Call) {
        let counter = match call {
            Call::Anchors => &mut self.anchors,
            Call::Enrol { .. } => &mut self.enrol,
            Call::Renew => &mut self.renew,
            Call::Confirm => &mut self.confirm,
            Call::Hint => &mut self.hint,
        };
        *counter += 1;
    }

    pub fn all(&self) -> u64 {
        self.anchors + self.enrol + self.renew + self.confirm + self.hint
    }
}

/// The numbers of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Devices at the start.
    pub devices: usize,
    /// Events that were simulated.
    pub events: u64,
    /// First certificates that were made.
    pub enrolled: u64,
    /// Successors that were made.
    pub renewed: u64,
    /// Times that a new pair took over at a device.
    pub swapped: u64,
    /// Requests that arrived.
    pub requests: Requests,
    /// Calls that found nobody, or got no answer.
    pub unanswered: u64,
    /// Requests that were told to come back.
    pub sent_away: u64,
    /// Refusals by the rules of admission.
    pub refused: u64,
    /// Times that a device lost its power.
    pub power_cuts: u64,
    /// Devices whose certificate ended before its successor took over.
    pub expired: u64,
    /// Devices that were still without one when the grace was over.
    pub locked_out: u64,
    /// Most requests in the queue at once.
    pub queued_most: usize,
    /// Most identities with a place in the schedule at once.
    pub waiting_most: usize,
    /// From the end of the last outage to the last device that was due then and is fresh; `None` if one is not.
    pub drained_in: Option<Duration>,
    /// How many were due at the end of that outage.
    pub due_then: usize,
    /// From the first request for a successor that the authority heard to the successor: the middle one.
    pub wait_median: Duration,
    /// The same for all but one in a hundred.
    pub wait_p99: Duration,
    /// Successors in the best minute after the last outage.
    pub minute_best: u64,
    /// Successors in the worst whole minute while most of those that were due were still waiting.
    pub minute_worst: u64,
    /// Most answers that a device with a wrong clock and a certificate needed before it knew the time.
    pub round_trips_most: u32,
    /// Alarms about clones.
    pub clone_alarms: u64,
    /// Everything that happened, as one number: equal for equal runs.
    pub trace: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = &self.requests;
        writeln!(
            f,
            "{} devices, {} events: {} enrolled, {} renewed, {} taken over; {} expired, {} locked out",
            self.devices,
            self.events,
            self.enrolled,
            self.renewed,
            self.swapped,
            self.expired,
            self.locked_out
        )?;
        writeln!(
            f,
            "{} requests ({} anchors, {} enrol, {} renew, {} confirm, {} hint), {} told to come back, {} refused, \
             {} unanswered; {} power cuts",
            requests.all(),
            requests.anchors,
            requests.enrol,
            requests.renew,
            requests.confirm,
            requests.hint,
            self.sent_away,
            self.refused,
            self.unanswered,
            self.power_cuts
        )?;
        write!(
            f,
            "wait for a successor: median {:.1} s, p99 {:.1} s; queue {} at most, {} with a place",
            self.wait_median.as_secs_f64(),
            self.wait_p99.as_secs_f64(),
            self.queued_most,
            self.waiting_most
        )?;
        if self.due_then > 0 {
            let drained =
                self.drained_in.map_or("not all of them".to_owned(), |span| format!("{} s", span.as_secs()));
            write!(
                f,
                "\nafter the outage {} were due, fresh within {drained}; {} to {} renewals a minute",
                self.due_then, self.minute_worst, self.minute_best
            )?;
        }
        Ok(())
    }
}

/// One device at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceEnd {
    /// It holds a certificate that is valid now.
    pub fresh: bool,
    /// Who must act, as the agent's status says; `None` while it is switched off.
    pub needs: Option<Needs>,
    /// Successors that were granted, as the authority's records say.
    pub renewals: u64,
    /// Attempts that were refused, as the records say.
    pub refused: u64,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Numbers.
    pub summary: Summary,
    /// Invariants that did not hold, in the order of time; at most a hundred are kept.
    pub violations: Vec<Violation>,
    /// The devices, in their order, copies last.
    pub devices: Vec<DeviceEnd>,
}

impl Outcome {
    /// Whether this invariant held throughout.
    pub fn held(&self, invariant: Invariant) -> bool {
        self.violations.iter().all(|violation| violation.invariant != invariant)
    }

    /// Every invariant held.
    ///
    /// # Panics
    /// When one did not.
    pub fn assert_sound(&self) {
        let told: Vec<String> = self.violations.iter().take(10).map(ToString::to_string).collect();
        assert!(
            told.is_empty(),
            "{} violations:\n{}\n{}",
            self.violations.len(),
            told.join("\n"),
            self.summary
        );
    }
}
