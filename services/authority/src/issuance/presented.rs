//! The rows behind a certificate whose key a connection proved, read at one time.

use crate::issuance::EnrolmentFault;
use crate::issuance::clones::was_superseded;
use crate::issuance::hierarchy::{Hierarchy, Trust};
use std::sync::Arc;
use touchmark_identity::Fingerprint;
use touchmark_inventory::{CertificateRow, DeviceRow, IssueRow, Store};
use touchmark_ra::{ISSUES_AT_ONCE, Presented, Refusal, holder};

/// Which certificates of the identity are read beside the presented one: a device that renews every two minutes has
/// thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Siblings {
    /// Those that are current, and what was given last: what an order needs.
    Current,
    /// Only if another one took the presented one's place: then the question is which.
    OfSuperseded,
}

/// What the RA judges.
pub(crate) struct PresentedRows {
    /// The certificate's.
    pub row: CertificateRow,
    /// Its device's.
    pub device: Option<DeviceRow>,
    /// The identity's certificates that were asked for.
    pub certificates: Vec<CertificateRow>,
    /// What the identity was given last; empty where no order is meant.
    pub issues: Vec<IssueRow>,
    pub trust: Arc<Trust>,
}

impl PresentedRows {
    /// Reads them.
    ///
    /// # Errors
    /// [`Refusal::CertificateUnknown`] for a certificate that we did not make; storage faults.
    pub(crate) fn read(
        store: &dyn Store,
        hierarchy: &Hierarchy,
        peer: &Fingerprint,
        siblings: Siblings,
    ) -> Result<Self, EnrolmentFault> {
        let row = store.certificate_by_fingerprint(peer)?.ok_or(Refusal::CertificateUnknown)?;
        let holder = holder(&row).ok_or(Refusal::CertificateUnknown)?;
        let environment = row.scope.environment.as_ref().ok_or(Refusal::CertificateUnknown)?;
        let trust = hierarchy.trust_of(environment).ok_or(EnrolmentFault::UnknownEnvironment)?;
        let device = match row.device {
            Some(device) => Some(store.device(device)?.ok_or(Refusal::CertificateUnknown)?),
            None => None,
        };
        // Never its whole history: whoever holds an old certificate may ask as often as it likes.
        let certificates = match siblings {
            Siblings::OfSuperseded if !was_superseded(&row) => Vec::new(),
            Siblings::OfSuperseded | Siblings::Current => store.current_certificates(&holder)?,
        };
        let issues = match siblings {
            Siblings::OfSuperseded => Vec::new(),
            Siblings::Current => store.newest_issues(&holder, ISSUES_AT_ONCE)?,
        };
        Ok(Self { row, device, certificates, issues, trust })
    }

    /// For the RA.
    ///
    /// # Errors
    /// [`EnrolmentFault::NoProfile`].
    pub(crate) fn presented(&self) -> Result<Presented<'_>, EnrolmentFault> {
        let profile = self.trust.profiles.get(&self.row.kind).ok_or(EnrolmentFault::NoProfile)?;
        Ok(Presented {
            row: &self.row,
            environment: &self.trust.environment,
            device: self.device.as_ref(),
            certificates: &self.certificates,
            issues: &self.issues,
            grace: profile.grace,
        })
    }
}
