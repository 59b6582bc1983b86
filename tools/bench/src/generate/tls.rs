//! One TLS client for all servers: rustls, TLS 1.3, no resumption, the same certificates, the same groups.

use super::wire::Wire;
use crate::fault::{Outcome, While as _};
use crate::stock::Identity;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a client gets.
pub(super) type Stream = TlsStream<Wire>;

/// A server that needs longer for one operation has failed it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Key exchange that the client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Groups {
    /// X25519 alone: what every peer can do.
    Classical,
    /// X25519MLKEM768 alone.
    Hybrid,
}

/// Where to connect, and whom to believe there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    /// `host:port` on loopback.
    pub(crate) address: String,
    /// PEM file.
    pub(crate) anchors: PathBuf,
    pub(crate) groups: Groups,
}

impl Target {
    /// With X25519.
    pub(crate) fn new(address: impl Into<String>, anchors: impl Into<PathBuf>) -> Self {
        Self { address: address.into(), anchors: anchors.into(), groups: Groups::Classical }
    }

    /// Makes clients for this target.
    pub(super) fn clients(&self) -> Outcome<Clients> {
        let mut roots = RootCertStore::empty();
        for anchor in CertificateDer::pem_file_iter(&self.anchors).while_("the anchors")? {
            roots.add(anchor?)?;
        }
        let groups = match self.groups {
            Groups::Classical => vec![aws_lc_rs::kx_group::X25519],
            Groups::Hybrid => vec![aws_lc_rs::kx_group::X25519MLKEM768],
        };
        let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
        Ok(Clients { address: self.address.clone(), roots: Arc::new(roots), provider: Arc::new(provider) })
    }
}

/// Clients of one target, all alike but for their identity.
pub(super) struct Clients {
    pub(super) address: String,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Clients {
    /// A client with a certificate, or without one.
    pub(super) fn client(&self, identity: Option<&Identity>) -> Outcome<Client> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots.clone());
        let mut config = match identity {
            Some(identity) => {
                let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.clone()));
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Client { address: self.address.clone(), config: Arc::new(config) })
    }
}

/// One client; connects as often as asked.
#[derive(Clone)]
pub(super) struct Client {
    address: String,
    config: Arc<ClientConfig>,
}

impl Client {
    pub(super) async fn connect(&self) -> Outcome<Stream> {
        let tcp = Wire::new(plain(&self.address).await?);
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        TlsConnector::from(self.config.clone()).connect(name, tcp).await.while_("TLS")
    }
}

pub(super) async fn plain(address: &str) -> Outcome<TcpStream> {
    let tcp = TcpStream::connect(address).await.while_("connect")?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// Closes with a reset: no port waits for a minute, and the peer does not answer a farewell.
pub(super) fn cut(stream: Stream) {
    stream.into_inner().0.cut();
}
