//! The rows behind a certificate whose key a connection proved, read at one time.

use crate::issuance::EnrolmentFault;
use crate::issuance::hierarchy::{Hierarchy, Trust};
use std::sync::Arc;
use touchmark_identity::{Fingerprint, SpkiHash};
use touchmark_inventory::{CertificateFacts, Holder, Store};
use touchmark_ra::{Presented, Refusal};

/// What the RA judges.
pub(crate) struct PresentedRows {
    pub facts: CertificateFacts,
    pub trust: Arc<Trust>,
}

impl PresentedRows {
    /// Reads them; `key` is the one that a successor is asked for.
    ///
    /// # Errors
    /// [`Refusal::CertificateUnknown`] for a certificate that we did not make; storage faults.
    pub(crate) fn read(
        store: &dyn Store,
        hierarchy: &Hierarchy,
        peer: &Fingerprint,
        key: Option<&SpkiHash>,
    ) -> Result<Self, EnrolmentFault> {
        let facts = store.certificate_facts(peer, key)?.ok_or(Refusal::CertificateUnknown)?;
        Holder::of(&facts.row).ok_or(Refusal::CertificateUnknown)?;
        let environment = facts.row.scope.environment.as_ref().ok_or(Refusal::CertificateUnknown)?;
        let trust = hierarchy.trust_of(environment).ok_or(EnrolmentFault::UnknownEnvironment)?;
        if facts.row.device.is_some() && facts.of.device.is_none() {
            return Err(Refusal::CertificateUnknown.into());
        }
        Ok(Self { facts, trust })
    }

    /// For the RA.
    ///
    /// # Errors
    /// [`EnrolmentFault::NoProfile`].
    pub(crate) fn presented(&self) -> Result<Presented<'_>, EnrolmentFault> {
        let CertificateFacts { row, of } = &self.facts;
        let profile = self.trust.profiles.get(&row.kind).ok_or(EnrolmentFault::NoProfile)?;
        Ok(Presented {
            row,
            environment: &self.trust.environment,
            device: of.device.as_ref(),
            certificates: &of.current,
            issues: &of.issues,
            grace: profile.grace,
        })
    }
}
