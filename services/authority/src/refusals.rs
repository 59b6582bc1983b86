//! Refusals as journal entries (every trust decision leaves a record), counted per second so that a flood of
//! strangers costs one entry a second and reason, not one each.

use crate::commit::Commits;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use touchmark_identity::{Actor, DeviceId, EnvironmentName, Fingerprint, OrganisationName};
use touchmark_inventory::{Command, StoreFault};
use touchmark_journal::{Draft, Envelope, Event, Refused, RenewalRefused, Scope};
use touchmark_listen::Clock;

/// Distinct (environment, cause, code, device) in one second; what comes on top is counted under `overflow`.
const KINDS_MAX: usize = 256;

/// What is counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    environment: Option<EnvironmentName>,
    cause: String,
    code: String,
    device: Option<DeviceId>,
    /// A device's own attempt to renew, with its key proven: counted in its history.
    renewal: bool,
}

impl Kind {
    fn event(&self, count: u64) -> Event {
        let code = self.code.clone();
        match self.device.filter(|_| self.renewal) {
            Some(device) => Event::RenewalRefused(RenewalRefused { device, code, count }),
            None => Event::Refused(Refused { code, count, device: self.device }),
        }
    }
}

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
        self.add(Kind {
            environment: environment.cloned(),
            cause: cause.to_owned(),
            code: code.to_owned(),
            device,
            renewal: false,
        });
    }

    /// Counts a refused renewal by the certificate whose key was proven; if it is no device's, like any refusal.
    pub(crate) fn count_renewal(
        &self,
        asked: Option<&EnvironmentName>,
        cause: &str,
        code: &str,
        peer: &Fingerprint,
    ) {
        let row = self.commits.store().certificate_by_fingerprint(peer).ok().flatten();
        let device = row.as_ref().and_then(|row| row.device);
        // Its history is kept where it lives, wherever it asked.
        let home = row.and_then(|row| row.scope.environment);
        self.add(Kind {
            environment: home.or_else(|| asked.cloned()),
            cause: cause.to_owned(),
            code: code.to_owned(),
            device,
            renewal: device.is_some(),
        });
    }

    fn add(&self, kind: Kind) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if counts.len() < KINDS_MAX || counts.contains_key(&kind) {
            kind
        } else {
            Kind { environment: None, code: "overflow".to_owned(), device: None, renewal: false, ..kind }
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
        let entries = counts.iter().map(|(kind, count)| Draft {
            envelope: Envelope {
                scope: Scope {
                    organisation: self.organisation.clone(),
                    environment: kind.environment.clone(),
                },
                actor: Actor::automation("admission".parse().expect("the word is a name")),
                cause: kind.cause.clone(),
                at,
            },
            event: kind.event(*count),
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
