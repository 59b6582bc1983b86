//! The least that a TLS proxy in Rust can do: end mutual TLS and copy bytes. It reads nothing and decides nothing.

use super::{Peer, PeerFiles};
use crate::fault::{Outcome, While as _};
use crate::process::{OURSELVES, Process, free_port};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::process::Command;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Starts it in front of a broker.
pub(crate) fn byte_proxy(files: &PeerFiles, broker: &str) -> Outcome<Peer> {
    let port = free_port()?;
    let mut command = Command::new(OURSELVES);
    command.arg("proxy").arg(port.to_string()).arg(broker);
    command.args([&files.chain, &files.key, &files.anchors]);
    let process = Process::serve("byte-proxy", &mut command, &files.folder, port)?;
    let version = String::from("tokio-rustls, in this program");
    Ok(Peer { version, process, address: format!("127.0.0.1:{port}") })
}

/// `touchmark-bench proxy PORT BROKER CHAIN KEY ANCHORS`.
pub(crate) fn main(port: u16, broker: String, files: &[std::path::PathBuf]) -> Outcome<()> {
    let [chain, key, anchors] = files else { return Err("chain, key and anchors are needed".into()) };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_file_iter(anchors)? {
        roots.add(anchor?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.while_("listen")?;
        loop {
            let (near, _) = listener.accept().await?;
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                let copy = async {
                    near.set_nodelay(true)?;
                    let mut near = acceptor.accept(near).await?;
                    let mut far = TcpStream::connect(&broker).await?;
                    far.set_nodelay(true)?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                };
                // A client that went away is no news.
                let _ = copy.await;
            });
        }
    })
}
