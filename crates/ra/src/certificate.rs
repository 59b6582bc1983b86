//! Revoking one certificate: a service's, an operator's, or one of several of a device.

use crate::containment::{ContainmentFault, revocation_of};
use crate::mandate::{Act, Mandate};
use touchmark_identity::{DeviceId, EnvironmentName, Permission, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, Command, Precondition, lives};
use touchmark_journal::{CertificateRevoked, Event, Reach};

/// Kill one certificate and the successors that were given on its word and never proven, and deny their keys. Tokens
/// are left alone: the holder may enrol again.
#[derive(Clone, Debug)]
pub struct RevokeCertificate {
    /// Which, whoever holds it.
    pub certificate: CertificateRow,
    /// What an operator must reach to act on its holder.
    pub reach: Reach,
    pub reason: RevocationReason,
}

impl Act for RevokeCertificate {
    fn permission(&self) -> Permission {
        revocation_of(self.certificate.kind)
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.certificate.scope.environment.as_ref()
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn cause(&self) -> &'static str {
        "api/certificate/revoke"
    }

    fn device(&self) -> Option<DeviceId> {
        self.certificate.device
    }
}

/// The command that kills one certificate.
///
/// # Errors
/// [`ContainmentFault::NothingLive`] when it is dead already.
pub fn revoke_certificate(
    mandate: Mandate<RevokeCertificate>,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    let RevokeCertificate { certificate: row, reason, .. } = mandate.act();
    if row.spki.is_none() || !lives(row, now) {
        return Err(ContainmentFault::NothingLive);
    }
    let event = Event::CertificateRevoked(CertificateRevoked {
        certificate: row.certificate,
        certificates: Vec::new(),
        reason: *reason,
    });
    Ok(Command {
        preconditions: vec![Precondition::CertificateAlive(row.certificate)],
        entries: vec![mandate.draft(&row.scope, now, event, None)],
    })
}
