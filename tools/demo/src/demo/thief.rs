//! A client that shows one certificate and signs with another key. The library refuses to be configured so;
//! a thief would not use it, so the pair is handed to the handshake unchecked.

use crate::demo::arrivals::failed;
use bytes::BytesMut;
use core::time::Duration;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use touchmark_mqtt::{Connect, Packet, ProtocolVersion, Text};
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::home;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Unchecked(Arc<CertifiedKey>);

impl ResolvesClientCert for Unchecked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// How the thief was refused; an error if it was served.
pub(crate) async fn connect(
    address: String,
    chain: PathBuf,
    key: PathBuf,
    anchors: PathBuf,
) -> Result<String, Failure> {
    let (chain, key, anchors) = (home::read(&chain)?, home::read(&key)?, home::read(&anchors)?);
    let attempt = tokio::task::spawn_blocking(move || attempt(&address, &chain, &key, &anchors));
    attempt.await.map_err(|error| Failure::internal("the thief fell over").why(error.to_string()))?
}

fn attempt(address: &str, chain: &str, key: &str, anchors: &str) -> Result<String, Failure> {
    let unusable = |why: String| Failure::internal("the thief's files cannot be used").why(why);
    let certificates = |pem: &str| {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unusable(e.to_string()))
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let key = any_supported_type(&key).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(anchors)?);
    let pair = Arc::new(CertifiedKey::new(certificates(chain)?, key));
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Unchecked(pair)));
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
    let name = ServerName::try_from(host).map_err(|error| unusable(error.to_string()))?;
    let mut tls =
        ClientConnection::new(Arc::new(config), name).map_err(|error| unusable(error.to_string()))?;
    let unreachable = |error: std::io::Error| failed(&format!("the gateway cannot be reached: {error}"));
    let mut tcp = TcpStream::connect(address).map_err(unreachable)?;
    tcp.set_read_timeout(Some(TIMEOUT)).map_err(unreachable)?;
    let mut hello = BytesMut::new();
    let client_id = Text::new("pump-01/thief").map_err(|error| unusable(error.to_string()))?;
    Packet::from(Connect::new(ProtocolVersion::V5, client_id))
        .encode(ProtocolVersion::V5, &mut hello)
        .map_err(|error| unusable(error.to_string()))?;
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    // In TLS 1.3 the client is done before the server has judged it: the verdict comes with the first read.
    let answered = stream.write_all(&hello).and_then(|()| stream.read(&mut [0; 16]));
    match answered {
        Ok(octets) if octets > 0 => Err(failed("the thief was served")),
        Ok(_) => Ok("closed without a word".to_owned()),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => Ok(format!("tls alert {alert:?}")),
            _ if matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::BrokenPipe
                    | std::io::ErrorKind::UnexpectedEof
            ) =>
            {
                Ok(format!("closed: {error}"))
            }
            _ => Err(failed(&format!("no verdict: {error}"))),
        },
    }
}
