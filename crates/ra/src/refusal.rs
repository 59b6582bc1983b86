//! Why the RA said no. Each variant names who must act, so the edge maps it without reading text.

use crate::initial::InitialRefusal;
use core::time::Duration;
use touchmark_identity::{CertificateId, DeviceId, EnvironmentName, Name, Timestamp};
use touchmark_journal::Standing;
use touchmark_x509::csr::CsrFault;

/// A refused enrolment, renewal or confirmation.
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
        device: DeviceId,
        /// What it is.
        standing: Standing,
    },
    /// A token for new devices cannot name one that exists.
    #[error("device `{name}` exists; a token for new devices cannot enrol it")]
    DeviceExists { name: Name },
    /// The key is denied, or another identity holds it.
    #[error("this key cannot be used: it was revoked, or another identity holds it")]
    Key,
    /// The certificate of the connection is none that we made.
    #[error("this certificate is not in the inventory")]
    CertificateUnknown,
    /// The certificate belongs elsewhere.
    #[error("the certificate is of environment `{certificate}`, the request is for `{asked}`")]
    CertificateEnvironment {
        /// Where the certificate is good.
        certificate: EnvironmentName,
        /// What the label named.
        asked: EnvironmentName,
    },
    /// Another certificate took its place.
    #[error("this certificate was replaced{}", if newer.is_some() { " by one whose key was proven" } else { "" })]
    Superseded {
        /// The proven one; with it this is a clone, or a device that fell back.
        newer: Option<CertificateId>,
    },
    /// It is dead.
    #[error("this certificate was revoked")]
    Revoked,
    /// Past its end.
    #[error("this certificate ended at {not_after}")]
    Expired {
        /// Its last moment.
        not_after: Timestamp,
    },
    /// Past its end and past the grace.
    #[error("this certificate ended at {not_after}, and could be renewed for {} s after that", grace.as_secs())]
    Late {
        /// Its last moment.
        not_after: Timestamp,
        /// How long after it a renewal was possible.
        grace: Duration,
    },
    /// It was given as many certificates as may be in so short a time.
    #[error("this identity was given many certificates in a short time; the next one in {} s", wait.as_secs())]
    TooSoon {
        /// When to ask for another.
        wait: Duration,
    },
    /// The request brings a key that was in use before.
    #[error("the request is for a key that this identity used before")]
    SameKey,
    /// A confirmation names another certificate than that of its connection.
    #[error("only the certificate of this connection can be confirmed here")]
    OtherCertificate,
    /// The token's roles would leave nobody who can let an operator of the organisation in.
    #[error("this is the last operator of the organisation who can let others in, and these roles cannot")]
    LastWayIn,
    /// A maker's certificate opened nothing.
    #[error(transparent)]
    Initial(#[from] InitialRefusal),
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
            Self::CertificateUnknown => "certificate-unknown",
            Self::CertificateEnvironment { .. } => "certificate-environment",
            Self::Superseded { .. } => "certificate-superseded",
            Self::Revoked => "certificate-revoked",
            Self::Expired { .. } => "certificate-expired",
            Self::Late { .. } => "renewal-late",
            Self::TooSoon { .. } => "renewal-too-soon",
            Self::SameKey => "renewal-same-key",
            Self::OtherCertificate => "confirm-other",
            Self::LastWayIn => "last-administrator",
            Self::Initial(refusal) => refusal.code(),
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
            Self::Key | Self::SameKey => "make a new key pair on the device and send a request for it",
            Self::CertificateUnknown => "use the certificate that this authority issued",
            Self::CertificateEnvironment { .. } => {
                "leave the label out of the EST path, or name the certificate's own environment"
            }
            Self::Superseded { .. } => {
                "use the newest certificate; if the device lost it: touchmark token create --device NAME"
            }
            Self::Revoked | Self::Late { .. } => {
                "ask an operator for a new token: touchmark token create --device NAME"
            }
            Self::TooSoon { .. } => {
                "use the newest one, or ask for it again with its key: the same key gets the same certificate"
            }
            Self::Expired { .. } => "renew it first: POST to simplereenroll with it",
            Self::OtherCertificate => "connect with the certificate that is to be confirmed",
            Self::LastWayIn => {
                "let another one in first: touchmark token create --kind operator --role admin --organisation --device NAME"
            }
            Self::Initial(refusal) => refusal.fix(),
        }
    }
}
