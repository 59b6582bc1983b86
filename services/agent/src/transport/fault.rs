//! Why an exchange brought no answer, in words and by who must act.

use super::message::BadMessage;
use super::verifier::Untrusted;
use crate::lifecycle::Trouble;
use core::time::Duration;
use rustls::CertificateError;
use std::io;
use touchmark_x509::path::PathFault;

/// What stood between us and an answer. Nothing of it is the server's text.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// The name server does not know the host, or is not there.
    #[error("`{host}` has no address: {why}")]
    Dns {
        /// The host's name.
        host: String,
        /// The operating system's words.
        why: String,
    },
    /// Nobody answers there.
    #[error("cannot reach {server}: {why}")]
    Connect {
        /// `host:port`.
        server: String,
        /// The operating system's words.
        why: String,
    },
    /// No complete answer within the time allowed.
    #[error("no complete answer within {} s", after.as_secs())]
    Timeout {
        /// Time allowed.
        after: Duration,
    },
    /// No path from the server's certificate to a pinned anchor.
    #[error("the server's certificate leads to no pinned anchor: {0}")]
    Untrusted(PathFault),
    /// A certificate under a pinned anchor, but a gateway's, another service's or a device's.
    #[error("the server is not the authority: {0}")]
    NotTheAuthority(String),
    /// The server's certificate is not of this time, or this machine's clock is wrong.
    #[error("the server's certificate is not valid now, or this machine's clock is wrong: {0}")]
    NotInTime(PathFault),
    /// The server's certificate is for another name.
    #[error("the server's certificate is not for `{host}`")]
    WrongName {
        /// The name it should be for.
        host: String,
    },
    /// The server's certificate cannot be read, or its key's proof failed.
    #[error("the server's certificate is unacceptable: {0}")]
    BadCertificate(String),
    /// The server refused us with a TLS alert.
    #[error("the server ended the connection with alert {name}")]
    Alert {
        /// Its number (RFC 8446 §6).
        number: u8,
        /// Its name, like `CertificateExpired`.
        name: String,
    },
    /// What answers speaks no TLS 1.3.
    #[error("no TLS 1.3 at the other end: {0}")]
    Tls(String),
    /// The answer is longer than any that is expected.
    #[error("{0}")]
    TooLarge(String),
    /// The answer is not HTTP, or broke off.
    #[error("{0}")]
    Protocol(String),
    /// The server points elsewhere; nobody goes there.
    #[error("the server answered {status} and points elsewhere, which is not followed: correct its address")]
    Redirect {
        /// HTTP status code.
        status: u16,
    },
    /// The answer is HTTP and not what was asked for.
    #[error("the answer is not what was asked for: {0}")]
    Content(String),
    /// Our own certificate or key cannot be used.
    #[error("our own credential cannot be used: {0}")]
    Credential(String),
}

impl CallFault {
    /// What the lifecycle makes of it.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Dns { .. } => Trouble::Dns,
            Self::Connect { .. } => Trouble::Connect,
            Self::Timeout { .. } => Trouble::Timeout,
            Self::Untrusted(_)
            | Self::NotTheAuthority(_)
            | Self::WrongName { .. }
            | Self::BadCertificate(_) => Trouble::TlsUntrusted,
            Self::NotInTime(_) => Trouble::TlsExpired,
            Self::Alert { number, .. } => Trouble::TlsAlert(*number),
            Self::TooLarge(_) => Trouble::TooLarge,
            Self::Redirect { .. } => Trouble::Redirect,
            Self::Tls(_) | Self::Protocol(_) | Self::Content(_) | Self::Credential(_) => Trouble::Protocol,
        }
    }

    pub(super) fn from_message(fault: BadMessage, host: &str, timeout: impl FnOnce() -> Self) -> Self {
        match fault {
            BadMessage::HeadTooLarge | BadMessage::BodyTooLarge => Self::TooLarge(fault.to_string()),
            BadMessage::Malformed(_) | BadMessage::CutOff => Self::Protocol(fault.to_string()),
            BadMessage::Io(error) => Self::from_io(&error, host, timeout),
        }
    }

    pub(super) fn from_io(error: &io::Error, host: &str, timeout: impl FnOnce() -> Self) -> Self {
        let tls = error.get_ref().and_then(|carried| carried.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(tls), _) => Self::from_tls(tls, host),
            (None, io::ErrorKind::TimedOut) => timeout(),
            (None, io::ErrorKind::UnexpectedEof) => Self::Protocol("the connection was closed".to_owned()),
            (None, _) => Self::Connect { server: host.to_owned(), why: error.to_string() },
        }
    }

    pub(super) fn from_tls(error: &rustls::Error, host: &str) -> Self {
        use CertificateError as C;
        match error {
            rustls::Error::InvalidCertificate(C::Other(other)) => match other.0.downcast_ref::<Untrusted>() {
                Some(Untrusted::Path(fault)) if in_time(fault) => Self::Untrusted(fault.clone()),
                Some(Untrusted::Path(fault)) => Self::NotInTime(fault.clone()),
                Some(Untrusted::Unreadable(why)) => Self::BadCertificate(why.clone()),
                Some(fault @ Untrusted::NotTheAuthority(_)) => Self::NotTheAuthority(fault.to_string()),
                None => Self::BadCertificate(error.to_string()),
            },
            rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
                Self::WrongName { host: host.to_owned() }
            }
            rustls::Error::InvalidCertificate(other) => Self::BadCertificate(other.to_string()),
            rustls::Error::AlertReceived(alert) => {
                Self::Alert { number: u8::from(*alert), name: format!("{alert:?}") }
            }
            other => Self::Tls(other.to_string()),
        }
    }
}

fn in_time(fault: &PathFault) -> bool {
    !matches!(fault, PathFault::Expired { .. } | PathFault::NotYetValid { .. })
}
