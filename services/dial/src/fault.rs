//! Why a call did not succeed, told by who must act.

use crate::authority::NotTheAuthority;
use core::error::Error;
use core::time::Duration;
use rustls::CertificateError;
use std::io;
use touchmark_api::Problem;

/// Why dialling, or one request, failed.
#[derive(Debug, thiserror::Error)]
pub enum DialFault {
    /// The caller must correct the address.
    #[error("`{target}` is not usable as an address: {why}")]
    BadTarget {
        target: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The caller must correct the request: its path or a header cannot be written.
    #[error("the request cannot be sent: {why}")]
    BadRequest {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody answers there, or the connection broke; asking again later may help.
    #[error("cannot reach {target}: {why}")]
    Unreachable {
        /// `host:port`.
        target: String,
        /// The operating system's words.
        why: String,
    },
    /// The two ends do not trust or understand each other; asking again does not help.
    #[error("TLS with {target} failed: {reason}")]
    Tls {
        /// `host:port`.
        target: String,
        /// Which end refused, and why.
        reason: TlsReason,
    },
    /// No complete answer within the time allowed.
    #[error("no answer from {target} within {} ms", after.as_millis())]
    Timeout {
        /// `host:port`.
        target: String,
        /// Time allowed.
        after: Duration,
    },
    /// The answer's body is longer than the caller allows.
    #[error("the answer is longer than {octets_max} octets")]
    TooLarge {
        /// Longest body allowed.
        octets_max: usize,
    },
    /// The other end does not speak HTTP/1.1, or stopped in the middle of an answer.
    #[error("{target} sent no complete HTTP answer: {why}")]
    Protocol {
        /// `host:port`.
        target: String,
        /// What the parser said.
        why: String,
    },
    /// The server answered, and refused. A redirect counts as a refusal: none is followed.
    #[error("the server answered {status}: {problem}")]
    Status {
        /// HTTP status code.
        status: u16,
        /// The server's reasons.
        problem: Box<Problem>,
    },
    /// The server's answer is not the JSON that was expected: the two are of different versions.
    #[error("the answer is not what was expected: {why}")]
    Unexpected {
        /// What the reader said.
        why: String,
    },
}

/// Why a TLS connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsReason {
    /// No path from the server's certificate to our trust anchors.
    #[error("the server's certificate was not issued under a trusted anchor")]
    Untrusted,
    /// The server's certificate is for another name.
    #[error("the server's certificate is for another name")]
    WrongName,
    /// The server's certificate is not valid at this time (or this machine's clock is wrong).
    #[error("the server's certificate is expired or not yet valid; check this machine's clock too")]
    WrongTime,
    /// The server's certificate is good for this host, but not the authority's own, or revoked.
    #[error("the server is not the authority: {0}")]
    NotTheAuthority(String),
    /// The server's certificate is no good in another way.
    #[error("the server's certificate is unacceptable: {0}")]
    BadCertificate(String),
    /// The other end refused us, with a TLS alert (RFC 8446 §6).
    #[error("refused by the other end with alert {alert}")]
    Refused {
        /// The alert's name, like `CertificateRequired`.
        alert: String,
    },
    /// No common version or algorithm, or broken messages.
    #[error("{0}")]
    Protocol(String),
}

impl From<&rustls::Error> for TlsReason {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer => Self::Untrusted,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongName
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::WrongTime,
                CertificateError::Other(other) if other.0.is::<NotTheAuthority>() => {
                    Self::NotTheAuthority(other.to_string())
                }
                other => Self::BadCertificate(other.to_string()),
            },
            rustls::Error::AlertReceived(alert) => Self::Refused { alert: format!("{alert:?}") },
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// The TLS error somewhere below `error`: `io::Error` hides what it carries from `source()`.
pub(crate) fn tls_reason(error: &(dyn Error + 'static)) -> Option<TlsReason> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.into());
        }
        if let Some(carried) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            next = Some(carried);
        } else {
            next = error.source();
        }
    }
    None
}

impl DialFault {
    /// A fault of the stream to `target`: TLS if TLS is below it, else the operating system's.
    pub(crate) fn from_io(target: &str, error: &io::Error) -> Self {
        match tls_reason(error) {
            Some(reason) => Self::Tls { target: target.to_owned(), reason },
            None => Self::Unreachable { target: target.to_owned(), why: error.to_string() },
        }
    }
}
