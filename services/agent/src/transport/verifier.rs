//! Who is at the other end: a path to a pinned anchor, the authority's own identity (ADR 0023), the host's name, and a
//! moment at which to judge it (ADR 0011). A gateway's certificate may name the same host, and is refused.
//!
//! A certificate from the future, issued under a pinned anchor, shows that the clock is behind: it is judged at its
//! own first moment. One from the past shows nothing, so it is taken only where the clock is in doubt (the device's
//! own certificate seems expired too, or it has none), and never if it ended before the floor, which is the latest
//! moment that the device knows to have passed.

use crate::lifecycle::ServerMoment;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use touchmark_x509::Certificate;
use touchmark_x509::path::{DEPTH_MAX, PRESENTED_MAX, PathFault, Purpose, validate};

/// Why a server's chain was refused, kept until the handshake has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untrusted {
    #[error(transparent)]
    Path(PathFault),
    #[error("{0}")]
    Unreadable(String),
    /// Somebody under our anchor, but not the authority.
    #[error("it is the certificate of {0}, not the authority's own")]
    NotTheAuthority(String),
}

/// Judges the server inside the handshake.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) anchors: Vec<Certificate>,
    pub(super) moment: ServerMoment,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    fn path(&self, leaf: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<(), Untrusted> {
        if intermediates.len() > PRESENTED_MAX {
            return Err(Untrusted::Path(PathFault::TooManyPresented { count: intermediates.len() }));
        }
        let read =
            |der: &[u8]| Certificate::from_der(der).map_err(|fault| Untrusted::Unreadable(fault.to_string()));
        let leaf = read(leaf)?;
        let presented = intermediates.iter().map(|der| read(der)).collect::<Result<Vec<_>, _>>()?;
        judge(&leaf, &presented, &self.anchors, self.moment).map_err(Untrusted::Path)?;
        match leaf.spiffe_id() {
            Ok(id) if id.is_authority() => Ok(()),
            Ok(id) => Err(Untrusted::NotTheAuthority(id.to_string())),
            Err(_) => Err(Untrusted::NotTheAuthority("somebody without an identity".to_owned())),
        }
    }
}

fn judge(
    leaf: &Certificate,
    presented: &[Certificate],
    anchors: &[Certificate],
    moment: ServerMoment,
) -> Result<(), PathFault> {
    let at = |moment| validate(leaf, presented, anchors, moment, Purpose::Server).map(drop);
    let (now, mut earliest) = match moment {
        ServerMoment::At(now) => (now, now),
        ServerMoment::AtOrAfter { now, floor } => (now, floor),
    };
    let fault = match at(now) {
        Err(fault @ (PathFault::Expired { .. } | PathFault::NotYetValid { .. })) => fault,
        judged => return judged,
    };
    // To the first moment that may be now, and at which all certificates of the path have begun.
    for _ in 0..DEPTH_MAX {
        match at(earliest) {
            Ok(()) => return Ok(()),
            Err(PathFault::NotYetValid { not_before, .. }) => earliest = not_before,
            Err(_) => break,
        }
    }
    Err(fault)
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.path(leaf, intermediates).map_err(|refused| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
        })?;
        verify_server_name(&ParsedCertificate::try_from(leaf)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
