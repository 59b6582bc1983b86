//! Revoking one certificate: a service's, an operator's, or one of several of a device.

use crate::containment::ContainmentFault;
use crate::mandate::{Act, Mandate};
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{CertificatesRevoked, Draft, Envelope, Event, RevokedCertificate};

/// Kills one certificate and denies its key, unless it only made way for its successor. Tokens are left alone: the holder may enrol again.
///
/// # Errors
/// [`ContainmentFault::NothingLive`] when it is dead already.
pub fn revoke_certificate(
    mandate: Mandate,
    row: &CertificateRow,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::CertificateRevoke {
        return Err(ContainmentFault::Mandate);
    }
    let live = row.state.is_live() || row.state == CertificateState::Intended;
    let Some(spki) = row.spki.filter(|_| live) else { return Err(ContainmentFault::NothingLive) };
    let event = Event::CertificatesRevoked(CertificatesRevoked {
        device: None,
        certificates: vec![RevokedCertificate { certificate: row.certificate, spki }],
        reason,
    });
    let envelope = Envelope {
        scope: row.scope.clone(),
        actor: mandate.actor().clone(),
        cause: "api/certificate/revoke".into(),
        at: now,
    };
    Ok(Command {
        preconditions: vec![Precondition::CertificateInState {
            certificate: row.certificate,
            state: row.state,
        }],
        entries: vec![Draft { envelope, event, private: None }],
    })
}
