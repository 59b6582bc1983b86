//! Confirmation: a proof with the new key makes the new certificate the identity's current one.

use core::time::Duration;
use touchmark_identity::{Actor, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{CertificateConfirmed, CertificateSuperseded, Draft, Envelope, Event};

/// The command that confirms `proven` and supersedes the identity's older live certificates.
///
/// `siblings` are all certificates of the same identity. `None` when there is nothing to record: it is
/// confirmed already, or not in a state that a proof can change.
pub fn confirm(
    actor: Actor,
    cause: &str,
    proven: &CertificateRow,
    siblings: &[CertificateRow],
    overlap: Duration,
    now: Timestamp,
) -> Option<Command> {
    if proven.state != CertificateState::Issued {
        return None;
    }
    let envelope = Envelope { scope: proven.scope.clone(), actor, cause: cause.into(), at: now };
    let draft = |event| Draft { envelope: envelope.clone(), event, private: None };
    let mut entries =
        vec![draft(Event::CertificateConfirmed(CertificateConfirmed { certificate: proven.certificate }))];
    let older = siblings.iter().filter(|row| {
        row.certificate != proven.certificate
            && row.identity == proven.identity
            && row.generation < proven.generation
            && matches!(row.state, CertificateState::Issued | CertificateState::Confirmed)
    });
    entries.extend(older.map(|row| {
        draft(Event::CertificateSuperseded(CertificateSuperseded {
            certificate: row.certificate,
            by: proven.certificate,
            effective_at: now.plus(overlap),
        }))
    }));
    let preconditions = vec![Precondition::CertificateInState {
        certificate: proven.certificate,
        state: CertificateState::Issued,
    }];
    Some(Command { preconditions, entries })
}
