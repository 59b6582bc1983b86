//! Renewal on the word of a certificate: the same certificate with the same request gets the same successor while
//! nobody proved that one, so a lost answer locks nobody out.

use crate::commit::Commits;
use crate::confirmation::{Confirmations, Proven};
use crate::hierarchy::Hierarchy;
use crate::issuance::{Enrolled, EnrolmentFault, Issuance, may_come_again};
use crate::presented::{PresentedRows, Siblings};
use std::sync::Arc;
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::Fingerprint;
use touchmark_inventory::{CertificateState, Conflict, Precondition, StoreFault};
use touchmark_journal::RenewalManner;
use touchmark_listen::Clock;
use touchmark_ra::{Refusal, RenewalTerms, admit_renewal};
use touchmark_x509::Certificate;

/// The use case.
pub(crate) struct Renewals {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    issuance: Arc<Issuance>,
    confirmations: Arc<Confirmations>,
    clock: Clock,
}

impl Renewals {
    /// Wires it.
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
        let known = self.read(peer, Siblings::OfSuperseded)?;
        known.presented()?.may_renew(request.label(), self.clock.now())?;
        let identity = known.row.identity.as_ref().ok_or(Refusal::CertificateUnknown)?;
        let name = identity.name.clone();
        let _turn = self.issuance.turn((known.trust.environment.name.clone(), known.row.kind, name)).await;
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
        let mut read = self.read(peer, Siblings::OfSuperseded)?;
        read.presented()?.may_renew(request.label(), self.clock.now())?;
        if read.row.state == CertificateState::Issued {
            // Its key was proven to get here. Else its successor would replace it before it ever counted.
            self.confirmations.proven(peer, Proven::ForRenewal, cause).await?;
            read = self.read(peer, Siblings::OfSuperseded)?;
        }
        let digest = request.csr().digest();
        let before = self.commits.store().certificate_of_renewal(read.row.certificate, &digest)?;
        if let Some(before) = before.filter(|before| may_come_again(before, self.clock.now()))
            && let Some(again) = self.issuance.again(before, &read.trust).await?
        {
            return Ok(again);
        }
        let read = self.read(peer, Siblings::Current)?;
        let kind = read.row.kind;
        let form = read.trust.form(kind).ok_or(EnrolmentFault::NoProfile)?;
        let der = read.row.der.as_deref().ok_or(Refusal::CertificateUnknown)?;
        let of_key = self.commits.store().certificates_by_key(&request.csr().public_key().spki_hash())?;
        let terms = RenewalTerms { old: &Certificate::from_der(der)?, of_key: &of_key, form, manner };
        let admitted = admit_renewal(request, &read.presented()?, &terms, cause, self.clock.now())?;
        self.issuance.issue(admitted, &read.trust, kind).await
    }

    fn read(&self, peer: &Fingerprint, siblings: Siblings) -> Result<PresentedRows, EnrolmentFault> {
        PresentedRows::read(&**self.commits.store(), &self.hierarchy, peer, siblings)
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
