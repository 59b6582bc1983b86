//! Refusals as journal entries: every trust decision leaves a record, and a flood of strangers costs a bounded number
//! of them (`fold`).

mod fold;

use crate::store::commit::Commits;
use fold::{Fold, Kind, Party};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use touchmark_identity::{Actor, DeviceId, EnvironmentName, Fingerprint, OrganisationName};
use touchmark_inventory::{Command, StoreFault};
use touchmark_journal::{Draft, Envelope, Scope};
use touchmark_listen::Clock;

/// The counters.
pub(crate) struct Refusals {
    commits: Commits,
    organisation: OrganisationName,
    clock: Clock,
    /// What pauses are measured from, so that the wall clock may jump.
    start: Instant,
    fold: Mutex<Fold>,
}

impl Refusals {
    pub(crate) fn new(commits: Commits, organisation: OrganisationName, clock: Clock) -> Self {
        Self { commits, organisation, clock, start: Instant::now(), fold: Mutex::default() }
    }

    /// Counts one refusal of a party that has an identity of ours.
    pub(crate) fn count(
        &self,
        environment: Option<&EnvironmentName>,
        cause: &str,
        code: &str,
        device: Option<DeviceId>,
    ) {
        self.add(Party::Known, environment.cloned(), cause, code, device);
    }

    /// Counts one refusal of anybody.
    pub(crate) fn count_stranger(&self, environment: Option<&EnvironmentName>, cause: &str, code: &str) {
        self.add(Party::Stranger, environment.cloned(), cause, code, None);
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
        let party = match &row {
            Some(_) if device.is_some() => Party::Renewing,
            Some(_) => Party::Known,
            None => Party::Stranger,
        };
        // Its history is kept where it lives, wherever it asked.
        let home = row.and_then(|row| row.scope.environment);
        self.add(party, home.or_else(|| asked.cloned()), cause, code, device);
    }

    fn add(
        &self,
        party: Party,
        environment: Option<EnvironmentName>,
        cause: &str,
        code: &str,
        device: Option<DeviceId>,
    ) {
        let kind = Kind { party, environment, cause: cause.to_owned(), code: code.to_owned(), device };
        self.with_fold(|fold| fold.add(kind, 1, self.start.elapsed()));
    }

    fn with_fold<T>(&self, act: impl FnOnce(&mut Fold) -> T) -> T {
        act(&mut self.fold.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records what is due.
    ///
    /// # Errors
    /// [`StoreFault`]; the counts are kept for the next try.
    pub(crate) async fn flush(&self) -> Result<(), StoreFault> {
        self.flush_at(self.start.elapsed()).await
    }

    /// `now`: since the start.
    async fn flush_at(&self, now: Duration) -> Result<(), StoreFault> {
        let counts = self.with_fold(|fold| fold.due(now));
        self.record(counts, now).await
    }

    /// Records all that was counted: nobody will ask again.
    ///
    /// # Errors
    /// [`StoreFault`]; the counts are kept for the next try.
    pub(crate) async fn finish(&self) -> Result<(), StoreFault> {
        let counts = self.with_fold(Fold::all);
        self.record(counts, self.start.elapsed()).await
    }

    async fn record(&self, counts: Vec<(Kind, u64)>, now: Duration) -> Result<(), StoreFault> {
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
            self.with_fold(|fold| counts.into_iter().for_each(|(kind, count)| fold.add(kind, count, now)));
        }
        outcome.map(drop)
    }
}

#[cfg(test)]
mod tests;
