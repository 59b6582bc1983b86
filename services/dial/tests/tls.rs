//! The TLS client against a server with certificates made by `openssl`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use core::time::Duration;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use touchmark_dial::{
    BadClientTls, ClientIdentity, ClientTls, DialFault, HttpClient, KnownStatus, Request, TlsReason,
    TlsVersions,
};
use touchmark_identity::Secret;
use touchmark_x509::Certificate;

const CAP: Duration = Duration::from_secs(60);

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        for name in ["root", "stranger"] {
            lab.openssl(&format!("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"));
        }
        let id = |path: &str| format!(",URI:spiffe://lab.touchmark.internal/{path}");
        for (name, days, uri) in [
            ("server", 2, String::new()),
            ("old", -1, String::new()),
            ("client", 2, String::new()),
            ("authority", 2, id("s/authority")),
            ("gateway", 2, id("s/gateway")),
            ("device", 2, id("d/authority")),
            ("two", 2, id("s/authority") + &id("s/gateway")),
        ] {
            let extensions =
                format!("subjectAltName=DNS:localhost,IP:127.0.0.1{uri}\nbasicConstraints=CA:FALSE\n");
            std::fs::write(lab.path("extensions"), extensions).unwrap();
            lab.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            lab.openssl(&format!("x509 -req -in {name}.csr -CA root.pem -CAkey root.key -CAcreateserial -days {days} -extfile extensions -out {name}.pem"));
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .current_dir(self.0.path())
            .args(arguments.split_whitespace())
            .output()
            .expect("these tests need the program `openssl`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()
    }

    fn identity(&self) -> ClientIdentity {
        ClientIdentity::from_pem_files(&self.path("client.pem"), &self.path("client.key")).unwrap()
    }

    fn tls(&self, anchor: &str, identity: Option<ClientIdentity>, versions: TlsVersions) -> ClientTls {
        ClientTls::new(&[self.der(anchor).to_vec()], identity, versions).unwrap()
    }

    /// A server that answers every connection with one HTTP response, once it has read something.
    async fn serve(
        &self,
        name: &str,
        demand: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> SocketAddr {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = if demand {
            let mut roots = RootCertStore::empty();
            roots.add(self.der("root")).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        let config = builder.with_single_cert(vec![self.der(name)], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).into_fallible().await;
                    match stream {
                        Ok(mut stream) => {
                            let mut request = [0; 4096];
                            while stream.read(&mut request).await.is_ok_and(|octets| octets > 0) {
                                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
                                stream.write_all(answer).await.unwrap();
                            }
                        }
                        // Read on, so that the alert is not overtaken by a reset.
                        Err((_, mut stream)) => drop(stream.read_to_end(&mut Vec::new()).await),
                    }
                });
            }
        });
        address
    }
}

async fn ask(address: SocketAddr, tls: ClientTls, name: Option<&str>) -> Result<(), DialFault> {
    let http = HttpClient::new(format!("https://{address}").parse()?, Some(tls))?;
    let mut http = if let Some(name) = name { http.with_server_name(name) } else { http };
    let response = http.send(Request::get("/").timeout(CAP)).await?;
    assert_eq!(response.body, "x");
    Ok(())
}

#[tokio::test]
async fn a_server_is_believed_only_under_its_name_anchor_and_time() {
    use TlsVersions::{Tls12, Tls12And13, Tls13};
    let both = &[&rustls::version::TLS13, &rustls::version::TLS12][..];
    let lab = Lab::new();
    let good = lab.serve("server", false, both).await;
    let old = lab.serve("old", false, both).await;
    let only12 = lab.serve("server", false, &[&rustls::version::TLS12]).await;
    type Expected = fn(&Result<(), DialFault>) -> bool;
    type Row<'a> = (&'a str, SocketAddr, &'a str, TlsVersions, Option<&'a str>, Expected);
    let rows: &[Row<'_>] = &[
        ("by address", good, "root", Tls13, None, Result::is_ok),
        ("by name", good, "root", Tls13, Some("localhost"), Result::is_ok),
        ("TLS 1.2", good, "root", Tls12, None, Result::is_ok),
        ("an old server, by default", only12, "root", Tls13, None, |done| {
            matches!(done, Err(DialFault::Tls { .. }))
        }),
        ("an old server, allowed", only12, "root", Tls12And13, None, Result::is_ok),
        ("another name", good, "root", Tls13, Some("other"), |done| {
            matches!(done, Err(DialFault::Tls { reason: TlsReason::WrongName, .. }))
        }),
        ("another anchor", good, "stranger", Tls13, None, |done| {
            matches!(done, Err(DialFault::Tls { reason: TlsReason::Untrusted, .. }))
        }),
        ("expired", old, "root", Tls13, None, |done| {
            matches!(done, Err(DialFault::Tls { reason: TlsReason::WrongTime, .. }))
        }),
        ("no name at all", good, "root", Tls13, Some("not a name"), |done| {
            matches!(done, Err(DialFault::BadTarget { .. }))
        }),
    ];
    for (name, address, anchor, versions, server_name, expected) in rows {
        let done = ask(*address, lab.tls(anchor, None, *versions), *server_name).await;
        assert!(expected(&done), "{name}: {done:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_our_certificate_is_told_as_the_servers_alert() {
    let lab = Lab::new();
    for (name, version, offered) in [
        ("1.3", &rustls::version::TLS13, TlsVersions::Tls13),
        ("1.2", &rustls::version::TLS12, TlsVersions::Tls12),
    ] {
        let address = lab.serve("server", true, &[version]).await;
        ask(address, lab.tls("root", Some(lab.identity()), offered), None).await.unwrap();
        match ask(address, lab.tls("root", None, offered), None).await {
            Err(DialFault::Tls { reason: TlsReason::Refused { alert }, .. }) => {
                assert!(
                    ["CertificateRequired", "HandshakeFailure"].contains(&alert.as_str()),
                    "{name}: {alert}"
                );
            }
            done => panic!("{name}: {done:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_can_carry_any_protocol_and_dialling_has_an_end() {
    let lab = Lab::new();
    let address = lab.serve("server", true, &[&rustls::version::TLS13]).await;
    let tls = lab.tls("root", Some(lab.identity()), TlsVersions::Tls13);
    let mut stream = tls.connect(&address.to_string(), "localhost", CAP).await.unwrap();
    stream.write_all(b"anything").await.unwrap();
    stream.read_u8().await.unwrap();

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let fault = tls.connect(&address, "localhost", Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(fault, DialFault::Timeout { .. }), "{fault:?}");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move { plain.accept().await.unwrap().0.write_all(b"220 no TLS here\r\n").await });
    let fault = tls.connect(&address, "localhost", CAP).await.unwrap_err();
    assert!(matches!(fault, DialFault::Tls { reason: TlsReason::Protocol(_), .. }), "{fault:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_when_it_is_made() {
    let lab = Lab::new();
    let pem = |name: &str| std::fs::read(lab.path(name)).unwrap();
    let root = pem("root.pem");
    let none = TlsVersions::Tls13;
    assert!(ClientTls::from_pem(&root, None, none).is_ok());
    assert!(matches!(ClientTls::new(&[], None, none), Err(BadClientTls::NoAnchor)));
    assert!(matches!(ClientTls::new(&[vec![0; 9]], None, none), Err(BadClientTls::Anchor)));
    assert!(matches!(ClientTls::from_pem(b"", None, none), Err(BadClientTls::Pem { .. })));
    assert!(matches!(ClientTls::from_pem(&pem("root.key"), None, none), Err(BadClientTls::Pem { .. })));
    let other = ClientIdentity::from_pem(&pem("client.pem"), &Secret::new(pem("server.key"))).unwrap();
    assert!(matches!(ClientTls::from_pem(&root, Some(other), none), Err(BadClientTls::Identity(_))));
    let (chain, key, anchors) = (lab.path("client.pem"), lab.path("client.key"), lab.path("root.pem"));
    assert!(ClientTls::from_pem_files(&anchors, Some((&chain, &key))).is_ok());
    assert!(matches!(ClientTls::from_pem_files(&lab.path("none"), None), Err(BadClientTls::File { .. })));
    let base = |url: &str| url.parse().unwrap();
    let tls = || Some(lab.tls("root", None, none));
    assert!(matches!(HttpClient::new(base("https://localhost"), None), Err(DialFault::BadTarget { .. })));
    assert!(matches!(HttpClient::new(base("http://localhost"), tls()), Err(DialFault::BadTarget { .. })));
}

struct Revoked(bool);

impl KnownStatus for Revoked {
    fn is_revoked(&self, _leaf: &Certificate, _above: &[Certificate]) -> bool {
        self.0
    }
}

/// A stolen gateway pair names the right host; without the authority's identity it is told nothing.
#[tokio::test]
async fn only_the_authoritys_own_certificate_passes_as_the_authority() {
    let lab = Lab::new();
    let rows = [
        ("authority", None, None),
        ("authority", Some(false), None),
        ("authority", Some(true), Some("it is the authority's own, and revoked")),
        ("gateway", None, Some("spiffe://lab.touchmark.internal/s/gateway, not the authority's own")),
        ("device", None, Some("spiffe://lab.touchmark.internal/d/authority, not the authority's own")),
        ("server", None, Some("it names nobody, and the authority's own certificate does")),
        ("two", None, Some("it names nobody, and the authority's own certificate does")),
    ];
    for (name, known, refused) in rows {
        let address = lab.serve(name, false, &[&rustls::version::TLS13]).await;
        let any = lab.tls("root", None, TlsVersions::Tls13);
        assert!(ask(address, any.clone(), None).await.is_ok(), "{name}: the host and the path are right");
        let status = known.map(|revoked| Arc::new(Revoked(revoked)) as Arc<dyn KnownStatus>);
        let answer = ask(address, any.to_authority(status).unwrap(), None).await;
        match (answer, refused) {
            (Ok(_), None) => {}
            (Err(DialFault::Tls { reason: TlsReason::NotTheAuthority(why), .. }), Some(expected)) => {
                assert!(why.ends_with(expected), "{name}: {why}");
            }
            (answer, _) => panic!("{name} {known:?}: {answer:?}"),
        }
    }
    // What rustls refuses stays refused, with its own reason.
    let address = lab.serve("authority", false, &[&rustls::version::TLS13]).await;
    let strangers = lab.tls("stranger", None, TlsVersions::Tls13).to_authority(None).unwrap();
    let answer = ask(address, strangers, None).await;
    assert!(matches!(answer, Err(DialFault::Tls { reason: TlsReason::Untrusted, .. })), "{answer:?}");
}
