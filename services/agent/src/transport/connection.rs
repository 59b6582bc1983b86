//! One exchange: connect, prove who each end is, ask, read the answer, close.
//!
//! Sessions are never resumed, so that every exchange proves possession of the key anew: the server takes such a
//! proof with a new certificate as its confirmation.

use super::address::ServerAddress;
use super::deadline::{Deadline, DeadlineStream};
use super::fault::CallFault;
use super::message::{Request, Response, read_response};
use super::verifier::ServerVerifier;
use crate::lifecycle::ServerMoment;
use core::time::Duration;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use touchmark_x509::{Certificate, SoftwareKey};

/// TLS 1.3 only: what our authority speaks, and less code on the device.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let cipher_suites = vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ];
        Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

/// Our certificate, what stands above it, and the key for it, as TLS shows and proves them.
#[derive(Clone, Debug)]
pub struct ClientIdentity(Arc<CertifiedKey>);

impl ClientIdentity {
    /// From a chain, leaf first, and its key.
    ///
    /// # Errors
    /// [`CallFault::Credential`] when the key is not the leaf's.
    pub fn new(chain: &[Certificate], key: &SoftwareKey) -> Result<Self, CallFault> {
        let chain = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
        let pkcs8 = PrivatePkcs8KeyDer::from(key.to_pkcs8().expose().clone());
        CertifiedKey::from_der(chain, pkcs8.into(), &provider())
            .map(|certified| Self(Arc::new(certified)))
            .map_err(|error| CallFault::Credential(error.to_string()))
    }
}

/// With whom, on whose word, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Where to.
    pub server: &'a ServerAddress,
    /// Nothing else is trusted.
    pub anchors: &'a [Certificate],
    /// What is shown when the server asks.
    pub identity: Option<&'a ClientIdentity>,
    /// The moment at which the server's certificate is judged.
    pub moment: ServerMoment,
    /// For all of it, from the name's lookup to the last octet.
    pub allowed: Duration,
}

impl Exchange<'_> {
    /// Asks once.
    ///
    /// # Errors
    /// [`CallFault`]. A redirect is one; every other status is an answer.
    pub fn ask(&self, request: &Request) -> Result<Response, CallFault> {
        let deadline = Deadline::after(self.allowed);
        let host = self.server.host();
        let stream = DeadlineStream::connect(self.server, deadline)?;
        let connection = ClientConnection::new(self.config()?, self.server.name().clone())
            .map_err(|error| CallFault::from_tls(&error, host))?;
        let mut tls = StreamOwned::new(connection, stream);
        let octets = request.to_octets(&self.server.authority());
        // A server that refuses says so, and closes: its words tell more than our broken write.
        let written = tls.write_all(octets.expose()).and_then(|()| tls.flush());
        let answer = read_response(&mut tls)
            .map_err(|fault| CallFault::from_message(fault, host, || deadline.fault()));
        let response = match (written, answer) {
            (_, Ok(response)) => response,
            (Ok(()), Err(fault)) => return Err(fault),
            (Err(error), Err(fault)) => {
                let alert = matches!(fault, CallFault::Alert { .. });
                return Err(if alert {
                    fault
                } else {
                    CallFault::from_io(&error, host, || deadline.fault())
                });
            }
        };
        tls.conn.send_close_notify();
        // The answer is whole: whether our goodbye arrives is all the same.
        let _ = tls.flush();
        match response.status {
            status @ 300..=399 => Err(CallFault::Redirect { status }),
            _ => Ok(response),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, CallFault> {
        let provider = provider();
        let verifier = ServerVerifier {
            anchors: self.anchors.to_vec(),
            moment: self.moment,
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| CallFault::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity {
            Some(ClientIdentity(certified)) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}
