//! Confirmation by use: a certificate whose key was proven at any listener of ours becomes the current one.

use crate::audit::archive::Witnessed;
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::presented::PresentedRows;
use crate::issuance::{EnrolmentFault, recovery_actor};
use crate::store::commit::Commits;
use std::sync::Arc;
use std::time::Duration;
use touchmark_identity::{EnvironmentName, Fingerprint, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Conflict, Holder, Precondition, StoreFault};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_ra::{confirm, holder_actor};

/// Before whom a key was proven.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proven<'a> {
    /// Before us: the handshake was our own.
    Here,
    /// Before us, in a renewal that was allowed: perhaps past the certificate's end.
    ForRenewal,
    /// Before a gateway, which wrote it down. Its word is good for devices of its own environment.
    AtGateway {
        /// The gateway's.
        environment: &'a EnvironmentName,
        /// What it wrote.
        witnessed: &'a Witnessed,
    },
}

impl Proven<'_> {
    /// Whether this proof says anything about the certificate.
    pub(crate) fn covers(self, row: &CertificateRow, now: Timestamp) -> bool {
        match self {
            // One that is over may only be renewed: it must not take the place of one that is not.
            Self::Here => row.validity.contains(now),
            Self::ForRenewal => true,
            Self::AtGateway { environment, witnessed } => {
                row.kind == IdentityKind::Operational
                    && row.scope.environment.as_ref() == Some(environment)
                    && witnessed.environment == *environment
                    && row.fingerprint == Some(witnessed.fingerprint)
                    && row.identity.as_ref().is_some_and(|identity| identity.name == witnessed.handle)
            }
        }
    }
}

/// How often a confirmation is decided again when rows change under it; a later use tries again anyway.
const TRIES: usize = 4;

pub(crate) struct Confirmations {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    clock: Clock,
}

impl Confirmations {
    pub(crate) fn new(commits: Commits, hierarchy: Arc<Hierarchy>, clock: Clock) -> Self {
        Self { commits, hierarchy, clock }
    }

    /// Records that the key of this certificate was proven; does nothing when that is known, when whoever says so has no
    /// say about it, or while the device is held off. Gives the row as it was found last; `None` for none of ours.
    ///
    /// # Errors
    /// [`StoreFault`]; a later use confirms it.
    pub(crate) async fn proven(
        &self,
        fingerprint: &Fingerprint,
        proven: Proven<'_>,
        cause: &str,
    ) -> Result<Option<CertificateRow>, StoreFault> {
        let mut last = None;
        for _ in 0..TRIES {
            let Some(row) = self.commits.store().certificate_by_fingerprint(fingerprint)? else {
                return Ok(None);
            };
            if row.state != CertificateState::Issued {
                return Ok(Some(row));
            }
            if !proven.covers(&row, self.clock.now()) {
                match proven {
                    // Its holder may do so as often as it likes.
                    Proven::Here | Proven::ForRenewal => {
                        tracing::debug!(certificate = %row.certificate, "proven past its end: it may only be renewed");
                    }
                    Proven::AtGateway { environment, .. } => {
                        tracing::warn!(certificate = %row.certificate, %environment, "a proof by a gateway that has no say about it");
                    }
                }
                return Ok(Some(row));
            }
            let device = row.device.map(|device| self.commits.store().device(device)).transpose()?.flatten();
            let siblings = self.siblings(&row)?;
            let (actor, overlap) = (holder_actor(&row).unwrap_or_else(recovery_actor), self.overlap(&row));
            let now = self.clock.now();
            let Some(command) = confirm(actor, cause, &row, device.as_ref(), &siblings, overlap, now) else {
                return Ok(Some(row));
            };
            match self.commits.commit(command).await {
                // It, or a sibling, changed meanwhile: look again.
                Err(StoreFault::Conflict(_)) => last = Some(row),
                outcome => return outcome.map(|_| Some(row)),
            }
        }
        Ok(last)
    }

    /// The holder asks for it by name: the certificate of its connection, and no other.
    ///
    /// # Errors
    /// [`EnrolmentFault`]: the RA's refusal, or the rows.
    pub(crate) async fn confirm(
        &self,
        peer: &Fingerprint,
        meant: Option<&Fingerprint>,
        cause: &str,
    ) -> Result<(), EnrolmentFault> {
        let read = || PresentedRows::read(&**self.commits.store(), &self.hierarchy, peer, None);
        read()?.presented()?.may_confirm(meant, self.clock.now())?;
        self.proven(peer, Proven::Here, cause).await?;
        let after = read()?;
        after.presented()?.may_confirm(meant, self.clock.now())?;
        match after.facts.row.state {
            CertificateState::Issued => {
                let failed = Precondition::CertificateInState {
                    certificate: after.facts.row.certificate,
                    state: CertificateState::Confirmed,
                };
                Err(StoreFault::from(Conflict { failed }).into())
            }
            _ => Ok(()),
        }
    }

    fn siblings(&self, row: &CertificateRow) -> Result<Vec<CertificateRow>, StoreFault> {
        Holder::of(row)
            .map_or_else(|| Ok(Vec::new()), |holder| self.commits.store().current_certificates(&holder))
    }

    fn overlap(&self, row: &CertificateRow) -> Duration {
        let trust = row.scope.environment.as_ref().and_then(|name| self.hierarchy.trust_of(name));
        trust
            .and_then(|trust| trust.profiles.get(&row.kind).map(|profile| profile.overlap))
            .unwrap_or_default()
    }
}
