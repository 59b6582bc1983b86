//! One handshake on one accepted socket, within a time limit; a slot is held only while we compute (ADR 0017).

use crate::hello::read_hello;
use crate::table::{Entry, WaitsFor};
use crate::{AcceptFault, PeerChain, ServerTls};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use rustls::{HandshakeKind, ServerConnection};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

/// Time for a whole handshake: a small device on a bad link needs seconds, a stalling client gets no more.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
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

/// What was negotiated, by the numbers of IANA's registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlsFacts {
    /// 0x0303 for TLS 1.2 (RFC 5246), 0x0304 for TLS 1.3 (RFC 8446).
    pub version: u16,
    pub cipher_suite: u16,
    /// Of the key exchange.
    pub group: u16,
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

/// The whole handshake. `slots` bounds those that compute at once: one is held for a step of our own, never while the
/// peer has the next word. `entry` says all along whose turn it is.
pub(crate) async fn handshake(
    tls: &ServerTls,
    stream: TcpStream,
    remote: SocketAddr,
    limit: Duration,
    slots: &Semaphore,
    entry: &mut Entry,
) -> Result<Accepted, Box<Refused>> {
    let end = Instant::now() + limit;
    let hello = match read_hello(&stream, limit, entry).await {
        Ok(hello) => hello,
        // An alert was written, or the words for one who speaks no TLS must be found elsewhere.
        Err(fault) => return Err(Box::new(Refused { fault, stream: Some(stream) })),
    };
    // Small writes of a session must not wait for each other's acknowledgement.
    stream.set_nodelay(true).map_err(|_| Refused::at_once(AcceptFault::Closed))?;
    let config = Arc::clone(&tls.config);
    // Computing begins with the first poll.
    let rest = async { StartHandshake::from_parts(hello, stream).into_stream(config).into_fallible().await };
    let shaken = timeout_at(end, in_slots(slots, entry, rest)).await;
    let stream = match shaken {
        Ok(Some(Ok(stream))) => Box::new(stream),
        Ok(Some(Err((error, stream)))) => {
            let fault = AcceptFault::from_handshake(&error);
            return Err(Box::new(Refused { fault, stream: Some(stream) }));
        }
        Ok(None) => return Err(Refused::at_once(AcceptFault::Busy)),
        Err(_) if entry.is_our_turn() => return Err(Refused::at_once(AcceptFault::Busy)),
        Err(_) => return Err(Refused::at_once(AcceptFault::Timeout { after: limit })),
    };
    let session = stream.get_ref().1;
    let tls = facts(session).ok_or_else(|| {
        Refused::at_once(AcceptFault::Protocol("a session was resumed, or has no known facts".to_owned()))
    })?;
    let peer = peer_chain(session);
    Ok(Accepted { stream, remote, peer, tls })
}

/// Polls `work` with a slot in hand, and gives the slot back whenever `work` waits for the network.
/// `None` when there are no slots any more.
async fn in_slots<W: Future>(slots: &Semaphore, entry: &mut Entry, work: W) -> Option<W::Output> {
    let mut work = pin!(work);
    loop {
        let slot = match slots.try_acquire() {
            Ok(slot) => slot,
            Err(TryAcquireError::NoPermits) => {
                entry.waits(WaitsFor::Us);
                slots.acquire().await.ok()?
            }
            Err(TryAcquireError::Closed) => return None,
        };
        let step = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        drop(slot);
        if let Poll::Ready(done) = step {
            return Some(done);
        }
        entry.waits(WaitsFor::Peer);
        woken().await;
    }
}

/// Returns at the next wake of the task, whoever asked for it.
async fn woken() {
    let mut asleep = false;
    poll_fn(|_| match core::mem::replace(&mut asleep, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// `None` for anything but a full handshake: should resumption ever be switched on, nothing gets in by it.
fn facts(session: &ServerConnection) -> Option<TlsFacts> {
    match session.handshake_kind()? {
        HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => {}
        HandshakeKind::Resumed => return None,
    }
    Some(TlsFacts {
        version: session.protocol_version()?.into(),
        cipher_suite: session.negotiated_cipher_suite()?.suite().into(),
        group: session.negotiated_key_exchange_group()?.name().into(),
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
