//! Confirmation by use: a certificate whose key was proven at any listener of ours becomes the current one.

use crate::commit::Commits;
use crate::feed::{Feeds, supersession};
use crate::hierarchy::Hierarchy;
use std::sync::Arc;
use std::time::Duration;
use touchmark_identity::{Actor, Fingerprint};
use touchmark_inventory::{CertificateRow, CertificateState, StoreFault};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_ra::confirm;

/// The use case.
pub(crate) struct Confirmations {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    feeds: Arc<Feeds>,
    clock: Clock,
}

impl Confirmations {
    /// Wires it.
    pub(crate) fn new(commits: Commits, hierarchy: Arc<Hierarchy>, feeds: Arc<Feeds>, clock: Clock) -> Self {
        Self { commits, hierarchy, feeds, clock }
    }

    /// Records that the key of this certificate was proven; does nothing when that is known.
    ///
    /// # Errors
    /// [`StoreFault`]; a later use confirms it.
    pub(crate) async fn proven(&self, fingerprint: &Fingerprint, cause: &str) -> Result<(), StoreFault> {
        let store = self.commits.store();
        let Some(row) = store.certificate_by_fingerprint(fingerprint)? else { return Ok(()) };
        if row.state != CertificateState::Issued {
            return Ok(());
        }
        let siblings = self.siblings(&row)?;
        let actor = self.actor(&row);
        let overlap = self.overlap(&row);
        let Some(command) = confirm(actor, cause, &row, &siblings, overlap, self.clock.now()) else {
            return Ok(());
        };
        match self.commits.commit(command).await {
            // Another use confirmed it first.
            Err(StoreFault::Conflict(_)) => return Ok(()),
            outcome => outcome?,
        };
        self.announce(&siblings)
    }

    fn siblings(&self, row: &CertificateRow) -> Result<Vec<CertificateRow>, StoreFault> {
        let store = self.commits.store();
        match (row.device, &row.identity) {
            (Some(device), _) => store.certificates_of_device(device),
            (None, Some(identity)) => store.certificates_of_party(row.kind, &identity.name),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn actor(&self, row: &CertificateRow) -> Actor {
        let name = row.device.map(|device| device.to_string()).and_then(|text| text.parse().ok());
        match (name, &row.identity) {
            (Some(name), _) => Actor::device(name),
            (None, Some(identity)) if row.kind == IdentityKind::Operator => {
                Actor::person(identity.name.clone())
            }
            (None, Some(identity)) => Actor::automation(identity.name.clone()),
            (None, None) => crate::enrolment::recovery_actor(),
        }
    }

    fn overlap(&self, row: &CertificateRow) -> Duration {
        let trust = row.scope.environment.as_ref().and_then(|name| self.hierarchy.trust_of(name));
        trust
            .and_then(|trust| trust.profiles.get(&row.kind).map(|profile| profile.overlap))
            .unwrap_or_default()
    }

    /// Tells gateways which older certificates are refused, and from when.
    fn announce(&self, siblings: &[CertificateRow]) -> Result<(), StoreFault> {
        let store = self.commits.store();
        for before in siblings.iter().filter(|row| row.state != CertificateState::Superseded) {
            let Some(now) = store.certificate(before.certificate)? else { continue };
            let superseded = now.state == CertificateState::Superseded;
            if let (true, Some(environment), Some(change)) =
                (superseded, &now.scope.environment, supersession(&now))
            {
                let published = self.feeds.publish(environment, vec![change], self.clock.now());
                if let Err(fault) = published {
                    tracing::error!(%fault, "a supersession is recorded but not in the feed");
                }
            }
        }
        Ok(())
    }
}
