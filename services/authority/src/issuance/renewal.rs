//! Renewal on the word of a certificate: the same certificate with the same request gets the same successor while
//! nobody proved that one, so a lost answer locks nobody out.

use crate::issuance::confirmation::{Confirmations, Proven};
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::presented::PresentedRows;
use crate::issuance::{Enrolled, EnrolmentFault, Issuance, given_before};
use crate::store::commit::Commits;
use std::sync::Arc;
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{Fingerprint, SpkiHash};
use touchmark_inventory::{CertificateRow, CertificateState, Conflict, Precondition, StoreFault};
use touchmark_journal::RenewalManner;
use touchmark_listen::Clock;
use touchmark_ra::{Refusal, RenewalTerms, admit_renewal};
use touchmark_x509::Certificate;

pub(crate) struct Renewals {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    issuance: Arc<Issuance>,
    confirmations: Arc<Confirmations>,
    clock: Clock,
}

impl Renewals {
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        issuance: Arc<Issuance>,
        confirmations: Arc<Confirmations>,
        clock: Clock,
    ) -> Self {
        Self { commits, hierarchy, issuance, confirmations, clock }
    }

    /// Gives the certificate's holder its successor. `peer` is the certificate whose key this very connection proved.
    ///
    /// # Errors
    /// [`EnrolmentFault`]; the old certificate serves on.
    pub(crate) async fn renew(
        &self,
        request: &EnrolmentRequest,
        peer: &Fingerprint,
        manner: RenewalManner,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let known = self.presented(peer)?;
        known.presented()?.may_renew(request.label(), self.clock.now())?;
        let identity = known.facts.row.identity.as_ref().ok_or(Refusal::CertificateUnknown)?;
        let name = identity.name.clone();
        let _turn =
            self.issuance.turn((known.trust.environment.name.clone(), known.facts.row.kind, name)).await;
        match self.renew_in_turn(request, peer, manner, cause).await {
            // A revocation or a confirmation came between reading and committing: read once more.
            Err(EnrolmentFault::Store(StoreFault::Conflict(_))) => {
                self.renew_in_turn(request, peer, manner, cause).await.map_err(refused_by_commit)
            }
            outcome => outcome,
        }
    }

    async fn renew_in_turn(
        &self,
        request: &EnrolmentRequest,
        peer: &Fingerprint,
        manner: RenewalManner,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let key = request.csr().public_key().spki_hash();
        let mut read = self.read(peer, Some(&key))?;
        read.presented()?.may_renew(request.label(), self.clock.now())?;
        if read.facts.row.state == CertificateState::Issued {
            // Its key was proven to get here. Else its successor would replace it before it ever counted.
            self.confirmations.proven(peer, Proven::ForRenewal, cause).await?;
            read = self.read(peer, Some(&key))?;
            read.presented()?.may_renew(request.label(), self.clock.now())?;
        }
        let mine = read.facts.row.certificate;
        let on_its_word = |row: &CertificateRow| row.token.is_none() && row.replaces == Some(mine);
        let now = self.clock.now();
        if let Some(before) = given_before(request, &read.facts.of.current, on_its_word, &read.trust, now)? {
            if let Some(again) = self.issuance.again(before, &read.trust).await? {
                return Ok(again);
            }
            // It was burned just now.
            read = self.read(peer, Some(&key))?;
        }
        let kind = read.facts.row.kind;
        let form = read.trust.form(kind).ok_or(EnrolmentFault::NoProfile)?;
        let der = read.facts.row.der.as_deref().ok_or(Refusal::CertificateUnknown)?;
        let key_proven = read.facts.of.key_proven;
        let terms = RenewalTerms { old: &Certificate::from_der(der)?, key_proven, form, manner };
        let admitted = admit_renewal(request, &read.presented()?, &terms, cause, self.clock.now())?;
        self.issuance.issue(admitted, &read.trust, kind).await
    }

    /// The rows behind a certificate whose key was proven.
    ///
    /// # Errors
    /// [`EnrolmentFault`].
    pub(crate) fn presented(&self, peer: &Fingerprint) -> Result<PresentedRows, EnrolmentFault> {
        self.read(peer, None)
    }

    fn read(&self, peer: &Fingerprint, key: Option<&SpkiHash>) -> Result<PresentedRows, EnrolmentFault> {
        PresentedRows::read(&**self.commits.store(), &self.hierarchy, peer, key)
    }
}

/// What the commit of an intent found, and reading again did not show, as the refusal that it means.
fn refused_by_commit(fault: EnrolmentFault) -> EnrolmentFault {
    match fault {
        EnrolmentFault::Store(StoreFault::Conflict(Conflict { failed: Precondition::KeyUsable { .. } })) => {
            Refusal::Key.into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
