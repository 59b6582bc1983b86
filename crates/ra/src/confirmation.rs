//! Succession: which certificate is the identity's current one, and what its predecessors become.
//!
//! A proof with the new key confirms the new certificate; one that was never proven is replaced at once.
//! No row that is dead is touched: each change demands the state that it was decided on.

use core::time::Duration;
use touchmark_identity::{Actor, CertificateId, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, DeviceRow, Precondition};
use touchmark_journal::{CertificateConfirmed, CertificateSuperseded, Draft, Envelope, Event, Standing};

/// The command that confirms `proven` and supersedes the identity's other certificates that are not newer.
///
/// `siblings` are the current certificates of the same identity. `None` when there is nothing to record: it is
/// confirmed already, not in a state that a proof can change, or `device`, whose it is, is held off, which stops its
/// succession. On a conflict a sibling changed meanwhile: the caller reads again.
pub fn confirm(
    actor: Actor,
    cause: &str,
    proven: &CertificateRow,
    device: Option<&DeviceRow>,
    siblings: &[CertificateRow],
    overlap: Duration,
    now: Timestamp,
) -> Option<Command> {
    if proven.state != CertificateState::Issued
        || device.is_some_and(|device| device.standing != Standing::Active)
    {
        return None;
    }
    let envelope = Envelope { scope: proven.scope.clone(), actor, cause: cause.into(), at: now };
    let confirmed = Event::CertificateConfirmed(CertificateConfirmed { certificate: proven.certificate });
    let mut command = Command {
        preconditions: vec![still(proven)],
        entries: vec![Draft { envelope: envelope.clone(), event: confirmed, private: None }],
    };
    command.preconditions.extend(
        proven.device.map(|device| Precondition::DeviceStanding { device, standing: Standing::Active }),
    );
    // Two tokens used at once could give one generation twice: then the first that is proven is the one.
    let others = siblings.iter().filter(|row| {
        row.certificate != proven.certificate
            && row.identity == proven.identity
            && row.generation <= proven.generation
            && matches!(row.state, CertificateState::Issued | CertificateState::Confirmed)
    });
    for row in others {
        command.preconditions.push(still(row));
        command.entries.push(superseded(&envelope, row, proven.certificate, now.plus(overlap)));
    }
    Some(command)
}

/// Adds to the command that makes certificate `by` durable: it takes the place of every certificate of the same
/// identity that nobody proved yet, at once, so that an identity has one unconfirmed successor at most.
///
/// `siblings` are all certificates of the identity. On a conflict about one of them it was confirmed or revoked
/// meanwhile: the caller reads again.
pub fn take_place(
    command: &mut Command,
    envelope: &Envelope,
    by: CertificateId,
    siblings: &[CertificateRow],
    now: Timestamp,
) {
    let unconfirmed = |row: &&CertificateRow| row.state == CertificateState::Issued && row.certificate != by;
    for row in siblings.iter().filter(unconfirmed) {
        command.preconditions.push(still(row));
        command.entries.push(superseded(envelope, row, by, now));
    }
}

fn still(row: &CertificateRow) -> Precondition {
    Precondition::CertificateInState { certificate: row.certificate, state: row.state }
}

fn superseded(
    envelope: &Envelope,
    row: &CertificateRow,
    by: CertificateId,
    effective_at: Timestamp,
) -> Draft {
    let event = Event::CertificateSuperseded(CertificateSuperseded {
        certificate: row.certificate,
        by,
        effective_at,
    });
    Draft { envelope: envelope.clone(), event, private: None }
}
