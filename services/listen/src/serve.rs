//! Accept loops: bounded in connections and handshakes, calm when the system is out of descriptors, and ended by a switch.
//!
//! A connection has two stages with bounds of their own (ADR 0017): while its handshake is unfinished it stands in one
//! table, afterwards it holds one of the port's places.

use crate::accept::{HANDSHAKE_TIMEOUT, concerns_one_connection, handshake};
use crate::places::{Place, Places};
use crate::table::{ConnectionTable, Holder, Share, WaitsFor};
use crate::{AcceptFault, Accepted, Bound, ServerTls, Stop};
use core::time::Duration;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

/// First and longest pause after `accept(2)` failed for want of descriptors or memory.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Unfinished handshakes of one port: with 500 new ones in a second that come to nothing after our answer, each still
/// gets four seconds. A thousand devices behind one router come back at once after a power cut.
const UNFINISHED_MAX: usize = 2048;
/// Of them without a whole ClientHello, from one address or IPv6 network of 64 bits: with 500 new ones in a second each
/// still gets half a second to send it.
const SILENT_OF_ONE_ADDRESS_MAX: usize = 256;
/// Handshakes of one port that compute at once, or stand in the run queue to do so. More would not be faster on fewer
/// processors than this, and every other task, so also another port's, would wait for all of them.
const HANDSHAKES_MAX: usize = 32;

/// What becomes of a connection that finds all places taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the kernel's queue: the connections are sessions, and none ends for another.
    Wait,
    /// The oldest connection of whoever holds the most ends for it: the connections are requests, and a client comes back.
    /// Nobody, certificate or address, holds more than half of the places.
    Displace,
}

/// What a port may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once whose handshake is finished.
    pub connections_max: usize,
    /// Connections at once, beside the others, whose handshake is unfinished.
    pub unfinished_max: usize,
    /// What becomes of more.
    pub when_full: WhenFull,
    /// Handshakes that compute at once; more wait within their own time limit.
    pub handshakes_max: usize,
    /// Time for one handshake.
    pub handshake_timeout: Duration,
    /// Time that running connections get to end after the switch; then they are cut.
    pub drain: Duration,
}

impl Limits {
    /// For a port that may hold so many descriptors: a quarter of them, and no more than 2048, for handshakes, so that those never take the places of sessions, nor sessions theirs.
    pub fn of(descriptors: usize, when_full: WhenFull) -> Self {
        let unfinished_max = (descriptors / 4).clamp(1, UNFINISHED_MAX);
        Self {
            connections_max: descriptors.saturating_sub(unfinished_max).max(1),
            unfinished_max,
            when_full,
            handshakes_max: HANDSHAKES_MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            drain: Duration::from_secs(5),
        }
    }
}

impl Default for Limits {
    /// For one gateway or authority within 20,000 descriptors.
    fn default() -> Self {
        Self::of(18_000, WhenFull::Wait)
    }
}

/// How an accept loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that did not end in time and were cut.
    pub cut: usize,
}

/// Accepts TLS connections until `stop`, each in a task of its own that ends with `on_connection`'s future.
///
/// `on_fault` hears of each connection that never became one. Connections get a [`Stop`] of their own
/// and should end soon after it.
pub async fn serve_tls<C, F, E>(
    bound: Bound,
    tls: ServerTls,
    limits: Limits,
    stop: Stop,
    on_connection: C,
    on_fault: E,
) -> Drained
where
    C: Fn(Accepted, Stop) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
    E: Fn(SocketAddr, &AcceptFault) + Send + Sync + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.handshakes_max));
    let of_one_address = Share {
        silent: SILENT_OF_ONE_ADDRESS_MAX.min(limits.unfinished_max.div_ceil(2)),
        all: limits.unfinished_max,
    };
    let unfinished = ConnectionTable::new(limits.unfinished_max, of_one_address);
    let places = Places::new(limits.connections_max, limits.when_full);
    let room = Room { places: places.clone(), unfinished: Some(Arc::clone(&unfinished)) };
    let on_connection = Arc::new(on_connection);
    let on_fault = Arc::new(on_fault);
    let certificates = RandomState::new();
    let each = move |stream: TcpStream, remote: SocketAddr, mut stop: Stop| {
        let (mut entry, displaced) = unfinished.enter(remote.ip().into(), WaitsFor::Us);
        let (tls, slots, places) = (tls.clone(), Arc::clone(&slots), places.clone());
        let (on_connection, on_fault) = (Arc::clone(&on_connection), Arc::clone(&on_fault));
        let certificates = certificates.clone();
        async move {
            let limit = limits.handshake_timeout;
            let shaken = async {
                let accepted = match handshake(&tls, stream, remote, limit, &slots, &mut entry).await {
                    Ok(accepted) => accepted,
                    Err(refused) => {
                        on_fault(remote, &refused.fault);
                        entry.waits(WaitsFor::Peer);
                        refused.linger().await;
                        return None;
                    }
                };
                let holder = match &accepted.peer {
                    Some(peer) => Holder::Certificate(certificates.hash_one(&peer.leaf)),
                    None => remote.ip().into(),
                };
                let place = timeout(limit, places.take(holder)).await.ok().flatten();
                if place.is_none() {
                    on_fault(remote, &AcceptFault::Busy);
                }
                Some((accepted, place?))
            };
            let (accepted, place) = tokio::select! {
                biased;
                () = stop.stopped() => return None,
                Ok(()) = displaced => {
                    on_fault(remote, &AcceptFault::Displaced);
                    return None;
                }
                shaken = shaken => shaken?,
            };
            Some((Box::pin(on_connection(accepted, stop)) as Rest, place))
        }
    };
    accept_loop(bound, limits.drain, stop, room, each).await
}

/// Accepts plain TCP connections until `stop`, for what is public and signed by itself.
pub async fn serve_plain<C, F>(bound: Bound, limits: Limits, stop: Stop, on_connection: C) -> Drained
where
    C: Fn(TcpStream, SocketAddr, Stop) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Places::new(limits.connections_max, limits.when_full);
    let room = Room { places: places.clone(), unfinished: None };
    let on_connection = Arc::new(on_connection);
    let each = move |stream: TcpStream, remote: SocketAddr, stop: Stop| {
        let (places, on_connection) = (places.clone(), Arc::clone(&on_connection));
        let place = places.take_at_once(remote.ip().into());
        async move {
            let place = match place {
                Some(place) => place,
                None => places.take(remote.ip().into()).await?,
            };
            Some((Box::pin(on_connection(stream, remote, stop)) as Rest, place))
        }
    };
    accept_loop(bound, limits.drain, stop, room, each).await
}

/// What is left to do for a connection after its handshake: a task of its own, so that the handshake's state,
/// which is large, is gone while the connection lives.
type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;
type Continued = (Rest, Place);

/// Where a port's next connection will stand.
struct Room {
    places: Places,
    unfinished: Option<Arc<ConnectionTable>>,
}

#[expect(clippy::disallowed_methods, reason = "a task for each connection, whose panic is its own")]
async fn accept_loop<C, F>(bound: Bound, drain: Duration, mut stop: Stop, room: Room, each: C) -> Drained
where
    C: Fn(TcpStream, SocketAddr, Stop) -> F,
    F: Future<Output = Option<Continued>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut pause = PAUSE_MIN;
    // Set while the system has no descriptor or memory for one more; those that are here go on meanwhile.
    let mut rests: Option<Pin<Box<Sleep>>> = None;
    loop {
        tokio::select! {
            biased;
            () = stop.stopped() => break,
            Some(ended) = running.join_next() => match ended {
                Ok(None) => {}
                Ok(Some(continued)) => go_on(&mut running, continued),
                Err(error) if error.is_panic() => {
                    tracing::error!(port = bound.address().port(), %error, "a connection's task panicked");
                }
                Err(_) => {}
            },
            () = rest(&mut rests), if rests.is_some() => rests = None,
            next = next_connection(&bound.listener, &room), if rests.is_none() => match next {
                Ok((stream, remote)) => {
                    pause = PAUSE_MIN;
                    running.spawn(each(stream, remote, stop.clone()));
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: the same call would fail again at once, for ever.
                    tracing::warn!(port = bound.address().port(), %error, ?pause, "cannot accept connections");
                    rests = Some(Box::pin(sleep(pause)));
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            },
        }
    }
    drop(bound);
    let ended = async {
        while let Some(ended) = running.join_next().await {
            // It has a stop of its own, and hears it at once.
            if let Ok(Some(continued)) = ended {
                go_on(&mut running, continued);
            }
        }
    };
    let in_time = timeout(drain, ended).await.is_ok();
    let cut = if in_time { 0 } else { running.len() };
    running.shutdown().await;
    Drained { cut }
}

async fn rest(rests: &mut Option<Pin<Box<Sleep>>>) {
    if let Some(rests) = rests {
        rests.await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a task for each connection, whose panic is its own")]
fn go_on(running: &mut JoinSet<Option<Continued>>, (rest, place): Continued) {
    running.spawn(async move {
        if place.hold(rest).await {
            tracing::debug!("a connection ended for a newer one: all places were taken");
        }
        None
    });
}

/// The next connection, taken only when there is room for it. Safe to drop at any await.
async fn next_connection(listener: &TcpListener, room: &Room) -> std::io::Result<(TcpStream, SocketAddr)> {
    room.places.has_room().await;
    if let Some(unfinished) = &room.unfinished {
        unfinished.has_room().await;
    }
    listener.accept().await
}
