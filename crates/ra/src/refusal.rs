//! Why the RA said no. Each variant names who must act, so the edge maps it without reading text.

use touchmark_identity::{DeviceId, EnvironmentName, Name};
use touchmark_journal::Standing;
use touchmark_x509::csr::CsrFault;

/// A refused enrolment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The device must change its request; repeating it is pointless.
    #[error("the request asks for what is not granted: {0}")]
    Request(#[from] CsrFault),
    /// No token, or not one of ours, or not for this name. One answer for all three: no oracle for strangers.
    #[error("the token is not valid for this name")]
    Token,
    /// The token was good once.
    #[error("the token has expired")]
    TokenExpired,
    /// All uses are made, by other requests.
    #[error("the token is used up")]
    TokenUsed,
    /// A revocation or ban made it void.
    #[error("the token was made before the device was revoked and is void")]
    TokenVoid,
    /// The token belongs elsewhere.
    #[error("the token is for environment `{token}`, the request is for `{asked}`")]
    Environment {
        /// Where the token is good.
        token: EnvironmentName,
        /// What the label named.
        asked: EnvironmentName,
    },
    /// An operator must release the device first.
    #[error("device {device} is {}", standing.as_str())]
    Standing {
        /// Which.
        device: DeviceId,
        /// What it is.
        standing: Standing,
    },
    /// A token for new devices cannot name one that exists.
    #[error("device `{name}` exists; a token for new devices cannot enrol it")]
    DeviceExists {
        /// The name.
        name: Name,
    },
    /// The key is denied, or another identity holds it.
    #[error("this key cannot be used: it was revoked, or another identity holds it")]
    Key,
}

impl Refusal {
    /// The stable code in answers, logs and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(fault) => fault.code(),
            Self::Token => "token-invalid",
            Self::TokenExpired => "token-expired",
            Self::TokenUsed => "token-used",
            Self::TokenVoid => "token-void",
            Self::Environment { .. } => "token-environment",
            Self::Standing { standing: Standing::Banned, .. } => "device-banned",
            Self::Standing { .. } => "device-quarantined",
            Self::DeviceExists { .. } => "device-exists",
            Self::Key => "key-not-usable",
        }
    }

    /// What the person who can act does next.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Request(_) => "leave the names and extensions out of the request: only its key is taken",
            Self::Token | Self::TokenExpired | Self::TokenUsed | Self::TokenVoid => {
                "ask an operator for a new token: touchmark token create --device NAME"
            }
            Self::Environment { .. } => "use the EST path with the token's own environment as its label",
            Self::Standing { standing: Standing::Banned, .. } => "a ban is final; the device cannot return",
            Self::Standing { .. } => "an operator releases it: touchmark device release NAME",
            Self::DeviceExists { .. } => {
                "make a token for this device by name: touchmark token create --device NAME"
            }
            Self::Key => "make a new key pair on the device and enrol with it",
        }
    }
}
