//! Why a connection never became one.

use crate::peer::certificate_fault;
use core::time::Duration;
use rustls::{Error, HandshakeType, PeerIncompatible};
use std::io;

/// Why a handshake did not finish. Nothing was proven about the peer, so these are counted, not logged one by one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptFault {
    /// The first octet starts no TLS handshake: the client must use TLS.
    #[error("the client does not speak TLS")]
    Plaintext,
    /// The port demands a client certificate and none came.
    #[error("the client showed no certificate")]
    NoCertificate,
    /// The path check refused the client's chain.
    #[error("the client's certificate has no acceptable path: {code}")]
    BadPath {
        /// The check's reason code.
        code: &'static str,
    },
    /// The client did not prove that it holds its certificate's key.
    #[error("the client did not prove possession of its key")]
    BadPossession,
    /// The client offers no TLS version of this port.
    #[error("the client offers no TLS version that this port speaks")]
    Version,
    /// The client and we have no algorithm in common.
    #[error("no common algorithm: {0}")]
    NoCommonAlgorithm(String),
    /// The client does not accept us: an operator may have given it the wrong trust anchors.
    #[error("the client refused us with alert {0}")]
    RefusedUs(String),
    /// The handshake was not finished in time.
    #[error("no finished handshake within {} ms", after.as_millis())]
    Timeout {
        /// Time allowed.
        after: Duration,
    },
    /// Too many handshakes were running for all of the time allowed.
    #[error("too many handshakes at once")]
    Busy,
    /// The client kept us waiting while newer connections needed the room.
    #[error("the connection waited longest while too many did")]
    Displaced,
    /// More octets than a ClientHello needs.
    #[error("the ClientHello is too long")]
    HelloTooLong,
    /// The client went away.
    #[error("the client closed the connection during the handshake")]
    Closed,
    /// Messages that are no proper TLS.
    #[error("broken handshake: {0}")]
    Protocol(String),
}

impl AcceptFault {
    /// Stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::NoCertificate => "no-certificate",
            Self::BadPath { code } => code,
            Self::BadPossession => "bad-possession",
            Self::Version => "tls-version",
            Self::NoCommonAlgorithm(_) => "tls-no-common-algorithm",
            Self::RefusedUs(_) => "tls-refused-us",
            Self::Timeout { .. } => "handshake-timeout",
            Self::Busy => "handshakes-busy",
            Self::Displaced => "handshake-displaced",
            Self::HelloTooLong => "hello-too-long",
            Self::Closed => "handshake-closed",
            Self::Protocol(_) => "tls-protocol",
        }
    }

    /// Reads the error that a handshake over a socket ended with.
    pub(crate) fn from_handshake(error: &io::Error) -> Self {
        match error.get_ref().and_then(|carried| carried.downcast_ref::<Error>()) {
            Some(error) => Self::from_tls(error),
            None => Self::Closed,
        }
    }

    pub(crate) fn from_tls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => certificate_fault(error),
            // A client that leaves its CertificateVerify out goes on to Finished.
            Error::InappropriateHandshakeMessage { expect_types, .. }
                if expect_types.contains(&HandshakeType::CertificateVerify) =>
            {
                Self::BadPossession
            }
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Version,
            Error::PeerIncompatible(reason) => Self::NoCommonAlgorithm(format!("{reason:?}")),
            Error::AlertReceived(alert) => Self::RefusedUs(format!("{alert:?}")),
            other => Self::Protocol(other.to_string()),
        }
    }
}
