//! What each kind of port demands. One policy, one TLS configuration: nothing the client says selects another.

use crate::peer::{ClientCertificate, PeerVerifier};
use crate::server_identity::provider;
use crate::{Clock, PathCheck, ServerIdentity};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// The kinds of TLS port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortPolicy {
    /// Devices of a gateway: TLS 1.3, client certificate required.
    Device,
    /// EST: TLS 1.2 too, since real enrolment clients speak nothing newer; client certificate optional.
    Enrolment,
    /// Operators and services: TLS 1.3, client certificate required.
    Api,
}

impl PortPolicy {
    fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Device | Self::Api => vec![&rustls::version::TLS13],
            Self::Enrolment => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        }
    }

    fn demand(self) -> ClientCertificate {
        match self {
            Self::Device | Self::Api => ClientCertificate::Required,
            Self::Enrolment => ClientCertificate::Optional,
        }
    }
}

/// The TLS library refused a configuration: a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be configured: {0}")]
pub struct BadServerTls(String);

/// One port's TLS configuration; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    policy: PortPolicy,
}

impl ServerTls {
    /// Puts a port together. `identity` may be swapped later; `paths` judges every client certificate shown.
    ///
    /// # Errors
    /// [`BadServerTls`] when the library refuses.
    pub fn new(
        policy: PortPolicy,
        identity: &ServerIdentity,
        paths: Arc<dyn PathCheck>,
        clock: Clock,
    ) -> Result<Self, BadServerTls> {
        let provider = Arc::new(provider());
        let algorithms = provider.signature_verification_algorithms;
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock))
            .with_protocol_versions(&policy.versions())
            .map_err(|error| BadServerTls(error.to_string()))?
            .with_client_cert_verifier(Arc::new(PeerVerifier { paths, demand: policy.demand(), algorithms }))
            .with_cert_resolver(identity.resolver());
        // A resumed session restores the client's chain without asking the verifier again: a certificate
        // revoked or replaced in between would stay good. So no ticket, no stored session, no early data.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Ok(Self { config: Arc::new(config), policy })
    }

    /// The port's policy.
    pub fn policy(&self) -> PortPolicy {
        self.policy
    }
}
