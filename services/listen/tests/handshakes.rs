//! Who gets through each kind of port, tried with `openssl s_client` and with clients that misbehave.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod lab;

use core::pin::Pin;
use core::task::{Context, Poll};
use lab::{CAP, Lab, Port, Seen};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use touchmark_listen::{Clock, Limits, PortPolicy, ServerTls};

const DEVICE: &str = "-cert device.pem -key device.key";
const FOREIGN: &str = "-cert foreign.pem -key foreign.key";
const SELF_SIGNED: &str = "-cert stranger.pem -key stranger.key";

#[tokio::test(flavor = "multi_thread")]
async fn each_port_lets_in_what_its_policy_says_and_nothing_else() {
    use PortPolicy::{Api, Device, Enrolment};
    const TLS_1_2: u16 = 0x0303;
    const TLS_1_3: u16 = 0x0304;
    let lab = Lab::new();
    /// `Ok`: the version, and whether a peer is known. `Err`: the reason counted, and what the client is told.
    type Outcome = Result<(u16, bool), (&'static str, &'static str)>;
    let rows: &[(&str, PortPolicy, String, Outcome)] = &[
        ("device with a certificate", Device, DEVICE.into(), Ok((TLS_1_3, true))),
        ("device without", Device, String::new(), Err(("no-certificate", "certificate required"))),
        (
            "no certificate, another name",
            Device,
            "-servername other".into(),
            Err(("no-certificate", "alert")),
        ),
        ("no certificate, no name", Device, "-noservername".into(), Err(("no-certificate", "alert"))),
        (
            "no certificate, odd case",
            Device,
            "-servername LocalHost".into(),
            Err(("no-certificate", "alert")),
        ),
        ("no certificate, ALPN", Device, "-alpn h2,mqtt".into(), Err(("no-certificate", "alert"))),
        ("TLS 1.2 on the device port", Device, format!("-tls1_2 {DEVICE}"), Err(("tls-version", "alert"))),
        ("self-signed", Device, SELF_SIGNED.into(), Err(("unknown-issuer", "certificate unknown"))),
        ("another authority", Device, FOREIGN.into(), Err(("unknown-issuer", "certificate unknown"))),
        ("operator", Api, DEVICE.into(), Ok((TLS_1_3, true))),
        ("operator without", Api, String::new(), Err(("no-certificate", "certificate required"))),
        ("TLS 1.2 on the api port", Api, format!("-tls1_2 {DEVICE}"), Err(("tls-version", "alert"))),
        ("enrolment, 1.3", Enrolment, String::new(), Ok((TLS_1_3, false))),
        ("enrolment, 1.2", Enrolment, "-tls1_2".into(), Ok((TLS_1_2, false))),
        ("renewal, 1.3", Enrolment, DEVICE.into(), Ok((TLS_1_3, true))),
        ("renewal, 1.2", Enrolment, format!("-tls1_2 {DEVICE}"), Ok((TLS_1_2, true))),
        ("renewal, self-signed", Enrolment, SELF_SIGNED.into(), Err(("unknown-issuer", "alert"))),
        (
            "renewal, self-signed, 1.2",
            Enrolment,
            format!("-tls1_2 {SELF_SIGNED}"),
            Err(("unknown-issuer", "alert")),
        ),
        (
            "TLS 1.1",
            Enrolment,
            "-tls1_1 -cipher ALL:@SECLEVEL=0".into(),
            Err(("tls-no-common-algorithm", "alert")),
        ),
    ];
    for (name, policy, arguments, expected) in rows {
        let mut port = Port::start(lab.tls(*policy), Limits::default());
        let said = lab.s_client(port.address, arguments).await;
        match (port.next().await, expected) {
            (Seen::Accepted(peer, tls), Ok((version, known))) => {
                assert_eq!((tls.version, peer.is_some()), (*version, *known), "{name}");
                assert_eq!(tls.group, 0x001d, "{name}: X25519");
                assert!(said.contains("hello"), "{name}: {said}");
                if let Some(peer) = peer {
                    assert_eq!(peer.leaf, lab.der("device"), "{name}");
                }
            }
            (Seen::Refused(code), Err((expected, told))) => {
                assert_eq!(code, *expected, "{name}");
                assert!(said.contains(told), "{name}: {said}");
                assert!(!said.contains("hello"), "{name}");
            }
            (seen, expected) => panic!("{name}: {seen:?}, not {expected:?}: {said}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_ever_resumed() {
    let lab = Lab::new();
    for policy in [PortPolicy::Device, PortPolicy::Api, PortPolicy::Enrolment] {
        let port = Port::start(lab.tls(policy), Limits::default());
        let said = lab.s_client(port.address, &format!("{DEVICE} -sess_out session.pem")).await;
        assert!(said.contains("hello"), "{policy:?}: {said}");
        assert!(!said.contains("Session Ticket"), "{policy:?}: {said}");
    }
    // TLS 1.2 knows session ids too: the client comes back five times and offers what it got.
    let port = Port::start(lab.tls(PortPolicy::Enrolment), Limits::default());
    let said = lab.s_client(port.address, &format!("-tls1_2 {DEVICE} -reconnect")).await;
    assert!(said.matches("New, TLSv1.2").count() >= 2, "{said}");
    assert!(!said.contains("Reused"), "{said}");
}

/// A client configuration for the lab's server, TLS 1.3, with a certificate and any key under it.
fn client(lab: &Lab, certificate: Option<(&str, &str)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(lab.der("root").into()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(lab.key(key).expose().clone());
            let key = aws_lc_rs::sign::any_supported_type(&key.into()).unwrap();
            let chain = vec![CertificateDer::from(lab.der(certificate))];
            builder.with_client_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))))
        }
    }
}

/// Shows a certificate with whatever key, fitting or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// Writes one octet at a time, so that every message arrives in pieces.
struct Dribble(TcpStream);

impl AsyncRead for Dribble {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Dribble {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let one = bytes.get(..1).unwrap_or_default();
        Pin::new(&mut self.0).poll_write(cx, one)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects, reads to the end, and tells what was read or why it failed.
async fn greet(config: ClientConfig, port: &Port, dribble: bool) -> io::Result<String> {
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(port.address).await?;
    stream.set_nodelay(true)?;
    let mut said = String::new();
    if dribble {
        connector.connect(name, Dribble(stream)).await?.read_to_string(&mut said).await?;
    } else {
        connector.connect(name, stream).await?.read_to_string(&mut said).await?;
    }
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_in_pieces_is_the_same_hello() {
    let lab = Lab::new();
    for (name, dribble, record) in [
        ("whole", false, None),
        ("octet by octet", true, None),
        ("in records of 32", false, Some(32)),
        ("both", true, Some(32)),
    ] {
        let mut port = Port::start(lab.tls(PortPolicy::Device), Limits::default());
        let mut good = client(&lab, Some(("device", "device")));
        good.max_fragment_size = record;
        assert_eq!(greet(good, &port, dribble).await.unwrap(), "hello\n", "{name}");
        match port.next().await {
            Seen::Accepted(Some(_), tls) => assert_eq!(tls.group, 0x11ec, "{name}: X25519MLKEM768"),
            seen => panic!("{name}: {seen:?}"),
        }

        let mut nameless = client(&lab, None);
        nameless.max_fragment_size = record;
        assert!(greet(nameless, &port, dribble).await.is_err(), "{name}");
        assert!(matches!(port.next().await, Seen::Refused("no-certificate")), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_is_refused_in_the_handshake() {
    let lab = Lab::new();
    let mut port = Port::start(lab.tls(PortPolicy::Device), Limits::default());
    let stolen = client(&lab, Some(("device", "foreign")));
    let refused = greet(stolen, &port, false).await.unwrap_err();
    assert!(refused.to_string().contains("alert"), "{refused}");
    assert!(matches!(port.next().await, Seen::Refused("bad-possession")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_is_told_apart() {
    let lab = Lab::new();
    let mut port = Port::start(lab.tls(PortPolicy::Device), Limits::default());
    let rows: &[(&str, &[u8], &str)] = &[
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", "plaintext"),
        ("MQTT", &[0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0], "plaintext"),
        ("SSL 2", &[0x80, 0x2e, 1, 0, 2], "plaintext"),
        ("nothing", b"", "handshake-closed"),
        ("a record of the wrong version", &[0x16, 9, 9, 0, 1, 0], "tls-protocol"),
        ("a record that is too long", &[0x16, 3, 1, 0xff, 0xff, 0], "tls-protocol"),
        ("half a record", &[0x16, 3, 1, 0, 80, 1], "handshake-closed"),
    ];
    for (name, bytes, expected) in rows {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        match port.next().await {
            Seen::Refused(code) => assert_eq!(code, *expected, "{name}"),
            seen @ Seen::Accepted(..) => panic!("{name}: {seen:?}"),
        }
        let closed = tokio::time::timeout(CAP, stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "{name}: the port closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_certificate_is_shown_from_the_next_handshake_on() {
    let lab = Lab::new();
    let identity = lab.server_identity();
    let tls = ServerTls::new(PortPolicy::Enrolment, &identity, lab.paths(), Clock::system()).unwrap();
    let port = Port::start(tls, Limits::default());
    assert!(lab.s_client(port.address, "").await.contains("CN = server\n"));
    assert!(identity.swap(vec![lab.der("server2")], &lab.key("server")).is_err(), "a key of another");
    assert!(identity.swap(Vec::new(), &lab.key("server")).is_err(), "no certificate");
    assert!(lab.s_client(port.address, "").await.contains("CN = server\n"), "the old one stays");
    identity.swap(vec![lab.der("server2")], &lab.key("server2")).unwrap();
    assert!(lab.s_client(port.address, "").await.contains("CN = server2\n"));
    assert_eq!(identity.leaf_der(), lab.der("server2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_judged_by_the_given_clock() {
    let lab = Lab::new();
    let later = Clock::new(|| Clock::system().now().plus(core::time::Duration::from_secs(10 * 86_400)));
    let tls = ServerTls::new(PortPolicy::Device, &lab.server_identity(), lab.paths(), later).unwrap();
    let mut port = Port::start(tls, Limits::default());
    assert!(greet(client(&lab, Some(("device", "device"))), &port, false).await.is_err());
    assert!(matches!(port.next().await, Seen::Refused("unknown-issuer")));
}
