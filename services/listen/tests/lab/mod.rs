//! A small world for these tests: certificates made by `openssl`, a port that says hello, and what it saw.
#![allow(dead_code, reason = "each test file uses its part")]

use core::time::Duration;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use touchmark_identity::{Secret, Timestamp};
use touchmark_listen::{
    Clock, Drained, Limits, PathCheck, PathRefusal, PeerChain, PortPolicy, ServerIdentity, ServerTls,
    StopSwitch, TlsFacts, bind, serve_tls,
};

/// Far longer than anything here takes: tests wait on conditions, this only ends a hang.
pub(crate) const CAP: Duration = Duration::from_secs(60);

pub(crate) struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self { directory: tempfile::tempdir().unwrap() };
        lab.authority("root");
        lab.authority("stranger");
        lab.leaf("server", "root", "subjectAltName=DNS:localhost,IP:127.0.0.1");
        lab.leaf("server2", "root", "subjectAltName=DNS:localhost,IP:127.0.0.1");
        lab.leaf("device", "root", "subjectAltName=URI:spiffe://lab.touchmark.internal/d/pump");
        lab.leaf("foreign", "stranger", "subjectAltName=URI:spiffe://lab.touchmark.internal/d/pump");
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn authority(&self, name: &str) {
        let (key, certificate) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.pem")));
        openssl(
            self.directory.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {} -out {}",
                key.display(),
                certificate.display()
            ),
        );
    }

    fn leaf(&self, name: &str, issuer: &str, extension: &str) {
        let directory = self.directory.path();
        openssl(
            directory,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ),
        );
        std::fs::write(self.path("extensions"), format!("{extension}\nbasicConstraints=CA:FALSE\n")).unwrap();
        openssl(
            directory,
            &format!(
                "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 2 -extfile extensions -out {name}.pem"
            ),
        );
    }

    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap().to_vec()
    }

    pub(crate) fn key(&self, name: &str) -> Secret<Vec<u8>> {
        let key = PrivatePkcs8KeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        Secret::new(key.secret_pkcs8_der().to_vec())
    }

    pub(crate) fn server_identity(&self) -> ServerIdentity {
        ServerIdentity::new(vec![self.der("server")], &self.key("server")).unwrap()
    }

    /// Judges like the product's path engine does, with another implementation.
    pub(crate) fn paths(&self) -> Arc<dyn PathCheck> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der("root").into()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(aws_lc_rs::default_provider()),
        )
        .build()
        .unwrap();
        Arc::new(move |leaf: &[u8], rest: &[&[u8]], now: Timestamp| {
            let rest: Vec<CertificateDer<'_>> = rest.iter().map(|der| CertificateDer::from(*der)).collect();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_s()));
            verifier
                .verify_client_cert(&CertificateDer::from(leaf), &rest, now)
                .map(drop)
                .map_err(|_| PathRefusal { code: "unknown-issuer" })
        })
    }

    pub(crate) fn tls(&self, policy: PortPolicy) -> ServerTls {
        ServerTls::new(policy, &self.server_identity(), self.paths(), Clock::system()).unwrap()
    }

    /// Runs `openssl s_client` against a port; it reads to the end and reports both its outputs.
    pub(crate) async fn s_client(&self, address: SocketAddr, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        command
            .current_dir(self.directory.path())
            .args(["s_client", "-connect", &address.to_string(), "-CAfile", "root.pem"])
            .args(["-verify_return_error", "-ign_eof"])
            .args(arguments.split_whitespace())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(arguments.split_whitespace())
        .output()
        .expect("these tests need the program `openssl`");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a port saw of one connection.
#[derive(Debug)]
pub(crate) enum Seen {
    Accepted(Option<PeerChain>, TlsFacts),
    Refused(&'static str),
}

/// A running port that greets each accepted connection with `hello` and closes.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) switch: StopSwitch,
    pub(crate) running: JoinHandle<Drained>,
}

impl Port {
    pub(crate) fn start(tls: ServerTls, limits: Limits) -> Self {
        let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
        let address = bound.address();
        let (switch, stop) = StopSwitch::new();
        let (report, seen) = mpsc::unbounded_channel();
        let faults = report.clone();
        let running = tokio::spawn(serve_tls(
            bound,
            tls,
            limits,
            stop,
            move |mut accepted, _| {
                report.send(Seen::Accepted(accepted.peer.take(), accepted.tls)).unwrap();
                async move {
                    let _ = accepted.stream.write_all(b"hello\n").await;
                    let _ = accepted.stream.shutdown().await;
                }
            },
            move |_, fault| faults.send(Seen::Refused(fault.code())).unwrap(),
        ));
        Self { address, seen, switch, running }
    }

    pub(crate) async fn next(&mut self) -> Seen {
        tokio::time::timeout(CAP, self.seen.recv()).await.expect("the port reports").unwrap()
    }
}
