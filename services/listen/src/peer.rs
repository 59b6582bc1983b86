//! The client's side of a handshake: its chain is judged by the caller, possession of its key by rustls.

use crate::AcceptFault;
use core::fmt;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use touchmark_identity::Timestamp;

/// Most certificates in a client's message that are handed to the path check: a leaf and seven above it.
const CERTIFICATES_MAX: usize = 8;
/// Most octets in them: makers' certificates have up to 4 KiB each, ours less than one.
const CHAIN_OCTETS_MAX: usize = 32 * 1024;

/// The chain a client presented. Possession of the leaf's key is proven; its path was accepted by the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerChain {
    /// The client's certificate, in DER.
    pub leaf: Vec<u8>,
    /// What it sent along, in its order, in DER.
    pub rest: Vec<Vec<u8>>,
}

/// Judges a client's chain inside the handshake, so that a bad one ends in a TLS alert.
///
/// Called on a network thread: it may compute, and must not wait. It says nothing about revocation or
/// permission; those are told after the handshake, in words. A cache of results is the implementor's matter.
pub trait PathCheck: Send + Sync {
    /// Whether there is a path from `leaf` to a trust anchor, at `now`, for a client.
    ///
    /// # Errors
    /// [`PathRefusal`] with a stable code.
    fn check(&self, leaf: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal>;
}

impl<F> PathCheck for F
where
    F: Fn(&[u8], &[&[u8]], Timestamp) -> Result<(), PathRefusal> + Send + Sync,
{
    fn check(&self, leaf: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        self(leaf, intermediates, now)
    }
}

/// Why a chain is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no acceptable path: {code}")]
pub struct PathRefusal {
    /// Stable reason code, as it will stand in counters and logs.
    pub code: &'static str,
}

/// Whether a port goes on without a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    Required,
    Optional,
}

pub(crate) struct PeerVerifier {
    pub(crate) paths: Arc<dyn PathCheck>,
    pub(crate) demand: ClientCertificate,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier").field("demand", &self.demand).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == ClientCertificate::Required
    }

    /// Empty: hints would tell strangers whose devices come here, and a long list breaks small clients.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let rest: Vec<&[u8]> = intermediates.iter().map(|certificate| certificate.as_ref()).collect();
        let octets: usize = leaf.len() + rest.iter().map(|certificate| certificate.len()).sum::<usize>();
        let judged = if rest.len() < CERTIFICATES_MAX && octets <= CHAIN_OCTETS_MAX {
            self.paths.check(leaf, &rest, Timestamp::from_unix_s(now.as_secs()))
        } else {
            Err(PathRefusal { code: "chain-too-long" })
        };
        judged.map(|()| ClientCertVerified::assertion()).map_err(|refusal| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
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

/// Reads back the refusal that [`PeerVerifier`] put into an error; any other certificate error is a
/// failed proof of possession, since only the signature check can have raised it.
pub(crate) fn certificate_fault(error: &CertificateError) -> AcceptFault {
    if let CertificateError::Other(other) = error
        && let Some(refusal) = other.0.downcast_ref::<PathRefusal>()
    {
        return AcceptFault::BadPath { code: refusal.code };
    }
    AcceptFault::BadPossession
}
