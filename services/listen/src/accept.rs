//! One handshake on one accepted socket, within a time limit.

use crate::{AcceptFault, PeerChain, ServerTls};
use core::time::Duration;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time for a whole handshake: a small device on a bad link needs seconds, a stalling client gets no more.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// First octet of a TLS handshake record (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// After a refusal we read on for so long and so much: closing with unread data would reset the
/// connection, and the reset can overtake the alert that says why.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_OCTETS_MAX: u64 = 64 * 1024;

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted {
    /// The protected stream; boxed, since it is large and each future that it passes through would hold a copy.
    pub stream: Box<TlsStream<TcpStream>>,
    /// The other end's address.
    pub remote: SocketAddr,
    /// The client's chain, if it showed one: possession proven, path accepted by the check.
    pub peer: Option<PeerChain>,
    /// What was negotiated.
    pub tls: TlsFacts,
}

/// What was negotiated, by the standards' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlsFacts {
    /// Protocol version.
    pub version: TlsVersion,
    /// Cipher suite, like `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: &'static str,
    /// Key exchange group, like `X25519MLKEM768`.
    pub group: &'static str,
}

/// The two versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// Performs the handshake on `stream`, within `limit` ([`HANDSHAKE_TIMEOUT`] unless a test is in a hurry).
///
/// # Errors
/// [`AcceptFault`]; the client has been sent an alert, where TLS has one for it.
pub async fn accept(tls: &ServerTls, stream: TcpStream, limit: Duration) -> Result<Accepted, AcceptFault> {
    match handshake(tls, stream, limit, None).await {
        Ok(accepted) => Ok(accepted),
        Err(refused) => {
            let fault = refused.fault.clone();
            refused.linger().await;
            Err(fault)
        }
    }
}

/// A handshake that failed, with the socket over which the alert may still be on its way.
pub(crate) struct Refused {
    pub(crate) fault: AcceptFault,
    stream: Option<TcpStream>,
}

impl Refused {
    fn at_once(fault: AcceptFault) -> Box<Self> {
        Box::new(Self { fault, stream: None })
    }

    /// Lets the alert arrive, within bounds.
    pub(crate) async fn linger(self: Box<Self>) {
        let Some(mut stream) = self.stream else { return };
        let drain = async {
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(LINGER_OCTETS_MAX), &mut tokio::io::sink()).await
        };
        // The connection is over either way.
        let _ = timeout(LINGER, drain).await;
    }
}

/// `slots` bounds the handshakes that compute at once; a client that has sent nothing yet takes no slot.
pub(crate) async fn handshake(
    tls: &ServerTls,
    stream: TcpStream,
    limit: Duration,
    slots: Option<&Semaphore>,
) -> Result<Accepted, Box<Refused>> {
    let mut waits_for_slot = false;
    let attempt = async {
        let remote = stream.peer_addr().map_err(|_| Refused::at_once(AcceptFault::Closed))?;
        let mut first = [0; 1];
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return Err(Refused::at_once(AcceptFault::Closed)),
            Ok(_) if first != [HANDSHAKE_RECORD] => {
                return Err(Box::new(Refused { fault: AcceptFault::Plaintext, stream: Some(stream) }));
            }
            Ok(_) => {}
        }
        waits_for_slot = true;
        let _slot = match slots {
            Some(slots) => Some(slots.acquire().await.map_err(|_| Refused::at_once(AcceptFault::Busy))?),
            None => None,
        };
        waits_for_slot = false;
        // Small writes of a session must not wait for each other's acknowledgement.
        stream.set_nodelay(true).map_err(|_| Refused::at_once(AcceptFault::Closed))?;
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
        match acceptor.accept(stream).into_fallible().await {
            Ok(stream) => Ok((Box::new(stream), remote)),
            Err((error, stream)) => {
                Err(Box::new(Refused { fault: AcceptFault::from_handshake(&error), stream: Some(stream) }))
            }
        }
    };
    let (stream, remote) = match timeout(limit, attempt).await {
        Ok(done) => done?,
        Err(_) if waits_for_slot => return Err(Refused::at_once(AcceptFault::Busy)),
        Err(_) => return Err(Refused::at_once(AcceptFault::Timeout { after: limit })),
    };
    let session = stream.get_ref().1;
    let tls = facts(session).ok_or_else(|| {
        Refused::at_once(AcceptFault::Protocol("a session was resumed, or has no known facts".to_owned()))
    })?;
    let peer = peer_chain(session);
    Ok(Accepted { stream, remote, peer, tls })
}

/// `None` for anything but a full handshake: should resumption ever be switched on, nothing gets in by it.
fn facts(session: &ServerConnection) -> Option<TlsFacts> {
    match session.handshake_kind()? {
        HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => {}
        HandshakeKind::Resumed => return None,
    }
    let version = match session.protocol_version()? {
        ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
        ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
        _ => return None,
    };
    Some(TlsFacts {
        version,
        cipher_suite: session.negotiated_cipher_suite()?.suite().as_str()?,
        group: session.negotiated_key_exchange_group()?.name().as_str()?,
    })
}

fn peer_chain(session: &ServerConnection) -> Option<PeerChain> {
    let (leaf, rest) = session.peer_certificates()?.split_first()?;
    Some(PeerChain {
        leaf: leaf.to_vec(),
        rest: rest.iter().map(|certificate| certificate.to_vec()).collect(),
    })
}

/// Whether `accept(2)` failed for one connection only, so that the next may be taken at once.
pub(crate) fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}
