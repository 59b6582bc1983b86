//! Recovery: an intent that never became a certificate is burned; its serial is spent and listed as revoked.

use touchmark_identity::{Actor, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{BurnCause, CertificateBurned, Draft, Envelope, Event};

/// The command that burns one open intent. A certificate may have been signed: listing it costs nothing,
/// not listing it could leave an orphan that nobody can revoke.
pub fn burn(actor: Actor, intent: &CertificateRow, cause: BurnCause, now: Timestamp) -> Command {
    let envelope = Envelope { scope: intent.scope.clone(), actor, cause: "recovery".into(), at: now };
    let event = Event::CertificateBurned(CertificateBurned {
        certificate: intent.certificate,
        cause,
        token: intent.token,
    });
    Command {
        preconditions: vec![Precondition::CertificateInState {
            certificate: intent.certificate,
            state: CertificateState::Intended,
        }],
        entries: vec![Draft { envelope, event, private: None }],
    }
}
