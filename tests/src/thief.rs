//! Somebody who copied a certificate chain, which is public, and signs with a key of their own. TLS libraries refuse
//! to be configured so; a thief would not use them as they are.

use crate::device::Key;
use crate::lab::Lab;
use crate::patience::PATIENCE;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use touchmark_x509::Certificate;

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

/// A connection to `address` that shows `chain` and signs with `key`, for octets of a test's own.
pub fn tls(
    lab: &Lab,
    address: &str,
    chain: &[Certificate],
    key: &Key,
) -> StreamOwned<ClientConnection, TcpStream> {
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let own = PrivatePkcs8KeyDer::from(key.pkcs8().expose().clone()).into();
    let pair = Arc::new(CertifiedKey::new(chain, any_supported_type(&own).unwrap()));
    let mut roots = RootCertStore::empty();
    let anchors = std::fs::read_to_string(lab.anchors()).unwrap();
    for anchor in Certificate::from_pem_many(&anchors).unwrap() {
        roots.add(CertificateDer::from(anchor.der().to_vec())).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Unchecked(pair)));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

/// Shows `stolen` at `address` and says `octets`; gives whatever the server says, or why it says nothing.
///
/// # Errors
/// How the connection ended.
pub fn thief(lab: &Lab, address: &str, stolen: &[Certificate], octets: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = tls(lab, address, stolen, &Key::new());
    let mut heard = vec![0; 4096];
    let read = stream.write_all(octets).and_then(|()| stream.read(&mut heard));
    match read {
        Ok(0) => Err("closed".to_owned()),
        Ok(length) => {
            heard.truncate(length);
            Ok(heard)
        }
        Err(error) => Err(error.to_string()),
    }
}
