//! The TLS client: what it trusts, whom it claims to be, and one function that connects.
//!
//! Sessions are never resumed, so each connection proves possession of the key anew: a server that
//! waits for such a proof (confirmation of a renewed certificate) gets one every time.

use crate::authority::{AuthorityVerifier, KnownStatus};
use crate::{DialFault, TlsReason};
use core::time::Duration;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use touchmark_identity::Secret;

/// Longest PEM file read: hundreds of certificates, and no accident with a device file.
const PEM_OCTETS_MAX: u64 = 1024 * 1024;

/// Why a client configuration cannot be made; an operator must correct a file or an argument.
#[derive(Debug, thiserror::Error)]
pub enum BadClientTls {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        path: PathBuf,
        /// The operating system's words.
        why: String,
    },
    /// Text that should hold certificates or a key in PEM does not.
    #[error("{what} is not PEM of the expected kind")]
    Pem {
        /// What was being read.
        what: &'static str,
    },
    /// There is no trust anchor: nothing could ever be trusted.
    #[error("no trust anchor was given")]
    NoAnchor,
    /// A trust anchor is no certificate.
    #[error("a trust anchor is no certificate")]
    Anchor,
    /// The key is unreadable or does not belong to the certificate.
    #[error("the client certificate and its key cannot be used: {0}")]
    Identity(String),
    /// The cryptographic provider refused the configuration.
    #[error("TLS cannot be configured: {0}")]
    Config(String),
}

/// A client certificate with its chain, and the private key for it.
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientIdentity {
    /// From a chain in DER, leaf first, and a PKCS#8 key in DER.
    pub fn from_der(chain: Vec<Vec<u8>>, pkcs8: &Secret<Vec<u8>>) -> Self {
        Self {
            chain: chain.into_iter().map(CertificateDer::from).collect(),
            key: PrivatePkcs8KeyDer::from(pkcs8.expose().clone()).into(),
        }
    }

    /// From a chain in PEM, leaf first, and a key in PEM (PKCS#8, SEC 1 or PKCS#1).
    ///
    /// # Errors
    /// [`BadClientTls::Pem`] when either holds nothing of its kind.
    pub fn from_pem(chain: &[u8], key: &Secret<Vec<u8>>) -> Result<Self, BadClientTls> {
        Ok(Self {
            chain: certificates(chain, "the client certificate")?,
            key: PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|_| BadClientTls::Pem { what: "the client key" })?,
        })
    }

    /// From two PEM files.
    ///
    /// # Errors
    /// [`BadClientTls::File`] or [`BadClientTls::Pem`].
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Self, BadClientTls> {
        Self::from_pem(&read_file(chain)?, &Secret::new(read_file(key)?))
    }
}

/// Which TLS versions are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.3 only: what our own servers speak.
    #[default]
    Tls13,
    /// TLS 1.2 as well, for a server that is not ours.
    Tls12And13,
    /// TLS 1.2 only, to try a server's behaviour towards old clients.
    Tls12,
}

impl TlsVersions {
    fn list(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls13 => vec![&rustls::version::TLS13],
            Self::Tls12And13 => vec![&rustls::version::TLS13, &rustls::version::TLS12],
            Self::Tls12 => vec![&rustls::version::TLS12],
        }
    }
}

/// A client's TLS configuration; cheap to clone, used for HTTP and MQTT alike.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl ClientTls {
    /// Trusts `anchors` (DER certificates) only, and presents `identity` when a server asks.
    ///
    /// # Errors
    /// [`BadClientTls`] when there is no usable anchor or the key does not fit its certificate.
    pub fn new(
        anchors: &[Vec<u8>],
        identity: Option<ClientIdentity>,
        versions: TlsVersions,
    ) -> Result<Self, BadClientTls> {
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(CertificateDer::from(anchor.as_slice())).map_err(|_| BadClientTls::Anchor)?;
        }
        if roots.is_empty() {
            return Err(BadClientTls::NoAnchor);
        }
        let roots = Arc::new(roots);
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&versions.list())
            .map_err(|error| BadClientTls::Config(error.to_string()))?
            .with_root_certificates(Arc::clone(&roots));
        let mut config = match identity {
            Some(ClientIdentity { chain, key }) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| BadClientTls::Identity(error.to_string()))?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), roots })
    }

    /// The same client towards EST and the management API: only the authority's own certificate is taken, none of
    /// another service under the same anchor, and none that `status` knows to be revoked. Nothing may be sent to the
    /// authority through a client that was not made here.
    ///
    /// # Errors
    /// [`BadClientTls::Config`].
    pub fn to_authority(&self, status: Option<Arc<dyn KnownStatus>>) -> Result<Self, BadClientTls> {
        let mut config = ClientConfig::clone(&self.config);
        let provider = Arc::clone(config.crypto_provider());
        let verifier = AuthorityVerifier::new(Arc::clone(&self.roots), provider, status)?;
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Ok(Self { config: Arc::new(config), roots: Arc::clone(&self.roots) })
    }

    /// The same from PEM text of the anchors.
    ///
    /// # Errors
    /// [`BadClientTls`], see [`ClientTls::new`].
    pub fn from_pem(
        anchors: &[u8],
        identity: Option<ClientIdentity>,
        versions: TlsVersions,
    ) -> Result<Self, BadClientTls> {
        let anchors: Vec<Vec<u8>> =
            certificates(anchors, "the trust anchors")?.into_iter().map(|anchor| anchor.to_vec()).collect();
        Self::new(&anchors, identity, versions)
    }

    /// From PEM files: the anchors, and optionally a certificate chain with its key. TLS 1.3 only.
    ///
    /// # Errors
    /// [`BadClientTls`], see [`ClientTls::new`].
    pub fn from_pem_files(anchors: &Path, identity: Option<(&Path, &Path)>) -> Result<Self, BadClientTls> {
        let identity = identity.map(|(chain, key)| ClientIdentity::from_pem_files(chain, key)).transpose()?;
        Self::from_pem(&read_file(anchors)?, identity, TlsVersions::default())
    }

    /// Connects to `address` (`host:port`) and demands a certificate for `server_name` (a name or an IP address).
    ///
    /// In TLS 1.3 the server judges the client's certificate after this returns: its refusal
    /// arrives as an alert with the first read.
    ///
    /// # Errors
    /// [`DialFault::BadTarget`], [`DialFault::Unreachable`], [`DialFault::Tls`] or [`DialFault::Timeout`].
    pub async fn connect(
        &self,
        address: &str,
        server_name: &str,
        timeout: Duration,
    ) -> Result<TlsStream<TcpStream>, DialFault> {
        let name = ServerName::try_from(server_name.to_owned()).map_err(|_| DialFault::BadTarget {
            target: server_name.to_owned(),
            why: "it is neither a host name nor an IP address",
        })?;
        let dialled = tokio::time::timeout(timeout, async {
            let stream = connect_tcp(address).await?;
            TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map_err(|error| {
                match DialFault::from_io(address, &error) {
                    // Closed in the middle of a handshake: a port without TLS does that.
                    DialFault::Unreachable { target, why } => {
                        DialFault::Tls { target, reason: TlsReason::Protocol(why) }
                    }
                    fault => fault,
                }
            })
        });
        dialled
            .await
            .unwrap_or_else(|_| Err(DialFault::Timeout { target: address.to_owned(), after: timeout }))
    }
}

/// A TCP connection without delay for small writes; no time limit of its own.
pub(crate) async fn connect_tcp(address: &str) -> Result<TcpStream, DialFault> {
    let unreachable =
        |error: std::io::Error| DialFault::Unreachable { target: address.to_owned(), why: error.to_string() };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, BadClientTls> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|found| !found.is_empty()).ok_or(BadClientTls::Pem { what })
}

fn read_file(path: &Path) -> Result<Vec<u8>, BadClientTls> {
    let fault = |why: String| BadClientTls::File { path: path.to_owned(), why };
    let file = std::fs::File::open(path).map_err(|error| fault(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(PEM_OCTETS_MAX + 1).read_to_end(&mut bytes).map_err(|error| fault(error.to_string()))?;
    if bytes.len() as u64 > PEM_OCTETS_MAX {
        return Err(fault("longer than any PEM file of ours".to_owned()));
    }
    Ok(bytes)
}
