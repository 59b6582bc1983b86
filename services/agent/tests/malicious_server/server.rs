//! A blocking server that does what a test says, on a port of its own, until it is dropped.

// Each test program uses a part of it.
#![allow(dead_code)]

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use touchmark_x509::{Certificate, SoftwareKey};

pub(crate) type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Ends a hang of a test, far later than anything takes.
const CAP: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Each connection is handed to `serve` in a thread of its own.
    pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = Arc::new(serve);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(CAP)).unwrap();
                stream.set_write_timeout(Some(CAP)).unwrap();
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { port, stop, thread: Some(thread) }
    }

    /// TLS first; then one request is read and handed over with the connection.
    pub(crate) fn tls(
        config: Arc<ServerConfig>,
        answer: impl Fn(Request, &mut Tls) + Send + Sync + 'static,
    ) -> Self {
        Self::raw(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(connection, stream);
            if let Some(request) = Request::read(&mut tls) {
                answer(request, &mut tls);
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A server's configuration, with client certificates under `clients` taken if they are shown.
pub(crate) fn config(
    (key, chain): &(SoftwareKey, Vec<Certificate>),
    clients: &[Certificate],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = if clients.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        clients.iter().for_each(|anchor| roots.add(CertificateDer::from(anchor.der())).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
    };
    let chain = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivatePkcs8KeyDer::from(key.to_pkcs8().expose().clone());
    Arc::new(builder.with_single_cert(chain, key.into()).unwrap())
}

/// What a client asked.
#[derive(Debug)]
pub(crate) struct Request {
    /// First line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The certificate that it showed, DER.
    pub(crate) client: Option<Vec<u8>>,
}

impl Request {
    fn read(tls: &mut Tls) -> Option<Self> {
        let mut octets = Vec::new();
        let mut piece = [0; 4096];
        let head_end = loop {
            match tls.read(&mut piece) {
                Ok(count) if count > 0 => octets.extend_from_slice(&piece[..count]),
                Ok(_) | Err(_) => return None,
            }
            if let Some(place) = octets.windows(4).position(|window| window == b"\r\n\r\n") {
                break place + 4;
            }
        };
        let head = String::from_utf8(octets[..head_end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |digits| digits.parse().unwrap());
        while octets.len() < head_end + length {
            match tls.read(&mut piece) {
                Ok(count) if count > 0 => octets.extend_from_slice(&piece[..count]),
                Ok(_) | Err(_) => return None,
            }
        }
        let client = tls.conn.peer_certificates().map(|chain| chain[0].to_vec());
        Some(Self { head, body: octets[head_end..].to_vec(), client })
    }

    /// `POST /path`.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/1.1").next().unwrap()
    }
}

/// Writes a whole answer; the client may be gone.
pub(crate) fn say(tls: &mut Tls, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    let _ = tls.write_all(head.as_bytes()).and_then(|()| tls.write_all(body));
}
