//! Who answers as the authority: its own service identity, not any certificate under our anchor with a matching host.
//!
//! A gateway's certificate names a host too, and is good for a TLS server. Whoever stole one must not be handed tokens,
//! nor serve a status feed's long poll (ADR 0023). In: the chain as shown. Out: rustls's verdict on path and host, and
//! then ours on the identity and, where somebody knows it, on the status.

use crate::BadClientTls;
use core::fmt;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use touchmark_x509::Certificate;

/// What is known against a certificate of the authority: asked in each handshake, so it must not block.
pub trait KnownStatus: Send + Sync {
    /// Whether `leaf`, shown with the certificates of `above`, is known to be revoked.
    fn is_revoked(&self, leaf: &Certificate, above: &[Certificate]) -> bool;
}

/// Why a server with a good path and host is refused as the authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTheAuthority {
    #[error("it is the certificate of {0}, not the authority's own")]
    Other(String),
    #[error("it names nobody, and the authority's own certificate does")]
    Nobody,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it is the authority's own, and revoked")]
    Revoked,
}

pub(crate) struct AuthorityVerifier {
    path_and_host: Arc<WebPkiServerVerifier>,
    status: Option<Arc<dyn KnownStatus>>,
}

impl fmt::Debug for AuthorityVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityVerifier").finish_non_exhaustive()
    }
}

impl AuthorityVerifier {
    pub(crate) fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        status: Option<Arc<dyn KnownStatus>>,
    ) -> Result<Self, BadClientTls> {
        let path_and_host = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| BadClientTls::Config(error.to_string()))?;
        Ok(Self { path_and_host, status })
    }

    fn judge(&self, leaf: &[u8], above: &[CertificateDer<'_>]) -> Result<(), NotTheAuthority> {
        let read = |der: &[u8]| {
            Certificate::from_der(der).map_err(|fault| NotTheAuthority::Unreadable(fault.to_string()))
        };
        let leaf = read(leaf)?;
        match leaf.spiffe_id() {
            Ok(id) if id.is_authority() => {}
            Ok(id) => return Err(NotTheAuthority::Other(id.to_string())),
            Err(_) => return Err(NotTheAuthority::Nobody),
        }
        let Some(status) = &self.status else { return Ok(()) };
        let above = above.iter().map(|der| read(der)).collect::<Result<Vec<_>, _>>()?;
        if status.is_revoked(&leaf, &above) { Err(NotTheAuthority::Revoked) } else { Ok(()) }
    }
}

impl ServerCertVerifier for AuthorityVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.path_and_host.verify_server_cert(leaf, intermediates, server_name, ocsp_response, now)?;
        // After the path: of strangers' certificates nothing is read.
        self.judge(leaf, intermediates).map_err(|refused| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path_and_host.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path_and_host.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.path_and_host.supported_verify_schemes()
    }
}
