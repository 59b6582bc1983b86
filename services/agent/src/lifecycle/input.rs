//! What became of the last effect.

use super::StoredSuccessor;
use core::time::Duration;
use touchmark_enrol::RenewalHint;
use touchmark_identity::Timestamp;
use touchmark_x509::Certificate;

/// What the lifecycle is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Start, or woken: by time, or by a wish. While an effect is under way it means that its outcome was lost.
    Ready,
    /// The effect is done.
    Done,
    /// [`super::Write::MakeSuccessor`] is done, or found the work of an attempt that was cut off.
    Made(StoredSuccessor),
    /// The device itself could not do it.
    Failed(LocalFault),
    /// The server answered, or did not.
    Answered {
        /// What it said.
        answer: Answer,
        /// The Date of the answer, only where the server proved to be who it should be.
        server_time: Option<Timestamp>,
    },
}

/// What the server said.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`super::Call::Enrol`] and [`super::Call::Renew`]. Nothing of it is believed yet.
    Certificates {
        /// Every certificate of the answer, in its order.
        certificates: Vec<Certificate>,
        /// The header beside them.
        hint: Option<RenewalHint>,
    },
    /// To [`super::Call::Anchors`]. Nothing of it is believed yet.
    Anchors {
        /// Every certificate of the answer.
        certificates: Vec<Certificate>,
    },
    /// To [`super::Call::Confirm`]: 204.
    Confirmed,
    /// To [`super::Call::Hint`].
    Hint(RenewalHint),
    /// Any other HTTP answer.
    Refused {
        /// HTTP status code.
        status: u16,
        /// The stable code in the text; empty where there is none.
        code: String,
        /// The server's words, for people.
        says: String,
        /// Value of Retry-After.
        retry_after: Option<Duration>,
    },
    /// No HTTP answer, or none that can be read.
    Unreachable {
        /// What is wrong.
        why: Trouble,
        /// Details, for people.
        says: String,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server's name has no address.
    Dns,
    /// Nobody takes the connection.
    Connect,
    /// The whole exchange took too long.
    Timeout,
    /// The server's certificate leads to no anchor of ours, or names another host.
    TlsUntrusted,
    /// The server's certificate is expired, or not yet valid.
    TlsExpired,
    /// The server ended the handshake with this alert (RFC 8446 §6).
    TlsAlert(u8),
    /// Broken TLS, HTTP, or a body that is not what was asked for.
    Protocol,
    /// More octets than any good answer has.
    TooLarge,
    /// The server points elsewhere; nobody follows.
    Redirect,
}

impl Trouble {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Dns => "server-name",
            Self::Connect => "server-unreachable",
            Self::Timeout => "server-timeout",
            Self::TlsUntrusted => "server-untrusted",
            Self::TlsExpired => "server-expired",
            Self::TlsAlert(_) => "server-alert",
            Self::Protocol => "server-protocol",
            Self::TooLarge => "server-too-large",
            Self::Redirect => "server-redirect",
        }
    }
}

/// What the device itself could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalFault {
    /// A file could not be written or read: whoever runs the device makes room, or sets permissions.
    Disk {
        /// What was tried, and what the system said.
        says: String,
    },
    /// The successor's files are not what they should be: somebody removed or replaced one. They are made anew.
    Gone {
        /// Which, and what is wrong with it.
        says: String,
    },
    /// No key was made, or it did not sign.
    Key {
        /// The provider's words.
        says: String,
    },
    /// There is no token, or no initial certificate, where the configuration says.
    NoProof {
        /// Which file, and what is wrong with it.
        says: String,
    },
}

impl LocalFault {
    pub(super) const DISK: &str = "local-disk";
    pub(super) const KEY: &str = "local-key";

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disk { .. } => Self::DISK,
            Self::Gone { .. } => "local-gone",
            Self::Key { .. } => Self::KEY,
            Self::NoProof { .. } => "local-no-proof",
        }
    }

    /// What happened, for people.
    pub fn says(&self) -> &str {
        match self {
            Self::Disk { says } | Self::Gone { says } | Self::Key { says } | Self::NoProof { says } => says,
        }
    }
}
