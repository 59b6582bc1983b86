//! Recovery: an intent that never became a certificate is burned; its serial is spent and listed as revoked.

use touchmark_identity::{Actor, CertificateId, Timestamp, TokenId};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{BurnCause, CertificateBurned, Draft, Envelope, Event, Scope};

/// The command that burns one open intent. A certificate may have been signed: listing it costs nothing,
/// not listing it could leave an orphan that nobody can revoke.
pub fn burn(intent: &CertificateRow, cause: BurnCause, now: Timestamp) -> Command {
    burn_intent(intent.scope.clone(), intent.certificate, intent.token, cause, now)
}

pub(crate) fn burn_intent(
    scope: Scope,
    certificate: CertificateId,
    token: Option<TokenId>,
    cause: BurnCause,
    now: Timestamp,
) -> Command {
    let envelope = Envelope { scope, actor: recovery_actor(), cause: "recovery".into(), at: now };
    let event = Event::CertificateBurned(CertificateBurned { certificate, cause, token });
    Command {
        preconditions: vec![Precondition::CertificateInState {
            certificate,
            state: CertificateState::Intended,
        }],
        entries: vec![Draft { envelope, event, private: None }],
    }
}

/// Who burns what a crash left.
pub(crate) fn recovery_actor() -> Actor {
    Actor::automation("recovery".parse().expect("the word is a name"))
}
