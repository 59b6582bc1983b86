//! Revoking one certificate: a service's, an operator's, or one of several of a device.

use crate::containment::ContainmentFault;
use crate::mandate::{Act, Mandate};
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, Command, Precondition, lives};
use touchmark_journal::{CertificateRevoked, Draft, Envelope, Event};

/// Kills one certificate and the successors that were given on its word and never proven, and denies their keys.
/// Tokens are left alone: the holder may enrol again.
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
    if row.spki.is_none() || !lives(row, now) {
        return Err(ContainmentFault::NothingLive);
    }
    let event = Event::CertificateRevoked(CertificateRevoked {
        certificate: row.certificate,
        certificates: Vec::new(),
        reason,
    });
    let envelope = Envelope {
        scope: row.scope.clone(),
        actor: mandate.actor().clone(),
        cause: "api/certificate/revoke".into(),
        at: now,
    };
    Ok(Command {
        preconditions: vec![Precondition::CertificateAlive(row.certificate)],
        entries: vec![Draft { envelope, event, private: None }],
    })
}
