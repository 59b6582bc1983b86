//! What the lifecycle wants done next; exactly one thing at a time.

use super::chain::Chain;
use super::record::StateRecord;
use touchmark_identity::{SpkiHash, Timestamp};
use touchmark_x509::Certificate;

/// The one thing to do next. Its outcome is the next [`super::Input`].
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Change the key store; answered with what [`crate::store::CredentialStore::perform`] returns.
    Write(Write),
    /// Ask the server; answered with [`super::Input::Answered`].
    Call(Call),
    /// Run the operator's commands; answered with [`super::Input::Done`], however they ended.
    RunHooks(HookEvent),
    /// Nothing to do until this moment of the caller's own clock; then [`super::Input::Ready`].
    Wait {
        /// By the clock that was given as `now`, which may be far from the truth.
        until: Timestamp,
    },
}

/// A change of the key store. Doing one twice is the same as once: an outcome that was lost is asked for again.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// A new key and a request for it, durable as `.new`; what is whole of an attempt that was cut off is taken
    /// up, since the same request gets the same certificate. Answered with [`super::Input::Made`].
    MakeSuccessor,
    /// The certificate for the `.new` key.
    KeepSuccessor(Chain),
    /// The `.new` pair takes the place of the current one. The server has seen it in use.
    Swap {
        /// The new pair's key: what has taken its place already is not looked for again.
        key: SpkiHash,
    },
    /// Forget the `.new` files: what was asked for is refused for good.
    DropSuccessor,
    /// The anchors in force, for applications and for the next start.
    KeepAnchors(Vec<Certificate>),
    /// What is worth remembering.
    KeepState(Box<StateRecord>),
}

/// A question to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// GET EST's `cacerts`; with the current pair, where there is one.
    Anchors,
    /// POST the `.new` request to EST's `simpleenroll`.
    Enrol {
        /// On whose word.
        proof: FirstProof,
    },
    /// POST the `.new` request to EST's `simplereenroll`, with the current pair.
    Renew,
    /// POST nothing to [`touchmark_enrol::renewal::CONFIRM_PATH`], with the `.new` pair.
    Confirm,
    /// GET [`touchmark_enrol::renewal::RENEWAL_PATH`], with the current pair.
    Hint,
}

/// What a first certificate is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstProof {
    /// The token, by HTTP Basic.
    Token,
    /// The maker's certificate, in the TLS connection.
    Initial,
}

/// Why the operator's commands run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookEvent {
    /// A new pair is in force.
    Renewed,
    /// The server will not renew without somebody's help.
    Refused,
    /// Less than a sixth of the certificate's life is left, and renewals fail.
    Expiring,
}

impl HookEvent {
    /// The word for commands and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Refused => "refused",
            Self::Expiring => "expiring",
        }
    }
}
