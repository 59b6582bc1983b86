//! Refusals as journal entries (every trust decision leaves a record), counted per second so that a flood of
//! strangers costs one entry a second and reason, not one each.

use crate::commit::Commits;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use touchmark_identity::{Actor, DeviceId, EnvironmentName, OrganisationName};
use touchmark_inventory::{Command, StoreFault};
use touchmark_journal::{Draft, Envelope, Event, Refused, Scope};
use touchmark_listen::Clock;

/// Distinct (environment, cause, code, device) in one second; what comes on top is counted under `overflow`.
const KINDS_MAX: usize = 256;

type Kind = (Option<EnvironmentName>, String, String, Option<DeviceId>);

/// The counters of the running second.
pub(crate) struct Refusals {
    commits: Commits,
    organisation: OrganisationName,
    clock: Clock,
    counts: Mutex<BTreeMap<Kind, u64>>,
}

impl Refusals {
    /// Wires it.
    pub(crate) fn new(commits: Commits, organisation: OrganisationName, clock: Clock) -> Self {
        Self { commits, organisation, clock, counts: Mutex::default() }
    }

    /// Counts one refusal.
    pub(crate) fn count(
        &self,
        environment: Option<&EnvironmentName>,
        cause: &str,
        code: &str,
        device: Option<DeviceId>,
    ) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (environment.cloned(), cause.to_owned(), code.to_owned(), device);
        let kind = if counts.len() < KINDS_MAX || counts.contains_key(&kind) {
            kind
        } else {
            (None, cause.to_owned(), "overflow".to_owned(), None)
        };
        *counts.entry(kind).or_default() += 1;
    }

    /// Records what was counted.
    ///
    /// # Errors
    /// [`StoreFault`]; the counts are kept for the next try.
    pub(crate) async fn flush(&self) -> Result<(), StoreFault> {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return Ok(());
        }
        let at = self.clock.now();
        let entries = counts.iter().map(|((environment, cause, code, device), count)| Draft {
            envelope: Envelope {
                scope: Scope { organisation: self.organisation.clone(), environment: environment.clone() },
                actor: Actor::automation("admission".parse().expect("the word is a name")),
                cause: cause.clone(),
                at,
            },
            event: Event::Refused(Refused { code: code.clone(), count: *count, device: *device }),
            private: None,
        });
        let command = Command { preconditions: Vec::new(), entries: entries.collect() };
        let outcome = self.commits.commit(command).await;
        if outcome.is_err() {
            let mut now = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (kind, count) in counts {
                *now.entry(kind).or_default() += count;
            }
        }
        outcome.map(drop)
    }
}
