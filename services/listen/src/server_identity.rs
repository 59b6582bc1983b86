//! The server's own certificate and key, replaceable while connections run.

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use touchmark_identity::Secret;

/// The certificate and key cannot serve; what was served before stays.
#[derive(Debug, thiserror::Error)]
pub enum BadServerIdentity {
    /// There is no certificate.
    #[error("the server's chain is empty")]
    NoCertificate,
    /// The key is unreadable, of an unknown kind, or belongs to another certificate.
    #[error("the server's certificate and key cannot be used together: {0}")]
    Unusable(String),
}

/// What the server shows on every port that shares it. Clones share: a swap is seen by all.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ServerIdentity {
    /// From a chain in DER, leaf first, and the leaf's key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`BadServerIdentity`] when the chain is empty or the key does not fit.
    pub fn new(chain: Vec<Vec<u8>>, pkcs8: &Secret<Vec<u8>>) -> Result<Self, BadServerIdentity> {
        let key = certified_key(chain, pkcs8)?;
        Ok(Self { current: Arc::new(Current(ArcSwap::from(key))) })
    }

    /// Shows another certificate from the next handshake on; running connections keep the old one.
    ///
    /// # Errors
    /// [`BadServerIdentity`]; the old certificate is shown further.
    pub fn swap(&self, chain: Vec<Vec<u8>>, pkcs8: &Secret<Vec<u8>>) -> Result<(), BadServerIdentity> {
        self.current.0.store(certified_key(chain, pkcs8)?);
        Ok(())
    }

    /// The leaf that is shown now, in DER.
    pub fn leaf_der(&self) -> Vec<u8> {
        self.current.0.load().cert.first().map(|leaf| leaf.to_vec()).unwrap_or_default()
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>
    }
}

impl ResolvesServerCert for Current {
    // The name that the client asks for (SNI) is not looked at: it must not choose anything.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn certified_key(
    chain: Vec<Vec<u8>>,
    pkcs8: &Secret<Vec<u8>>,
) -> Result<Arc<CertifiedKey>, BadServerIdentity> {
    if chain.is_empty() {
        return Err(BadServerIdentity::NoCertificate);
    }
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(pkcs8.expose().clone()).into();
    CertifiedKey::from_der(chain, key, &provider())
        .map(Arc::new)
        .map_err(|error| BadServerIdentity::Unusable(error.to_string()))
}

/// The one set of algorithms, named here and not taken from a process-wide default.
pub(crate) fn provider() -> CryptoProvider {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    }
}
