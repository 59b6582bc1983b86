//! Accept loops: bounded in connections and handshakes, calm when the system is out of descriptors, and ended by a switch.

use crate::accept::{concerns_one_connection, handshake};
use crate::{AcceptFault, Accepted, Bound, HANDSHAKE_TIMEOUT, ServerTls, Stop};
use core::time::Duration;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

/// First and longest pause after `accept(2)` failed for want of descriptors or memory.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a port may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, those in a handshake included; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Handshakes that compute at once; more wait within their own time limit.
    pub handshakes_max: usize,
    /// Time for one handshake.
    pub handshake_timeout: Duration,
    /// Time that running connections get to end after the switch; then they are cut.
    pub drain: Duration,
}

impl Default for Limits {
    /// For one gateway or authority within 20,000 descriptors.
    fn default() -> Self {
        Self {
            connections_max: 18_000,
            handshakes_max: 256,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            drain: Duration::from_secs(5),
        }
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
    let on_connection = Arc::new(on_connection);
    let on_fault = Arc::new(on_fault);
    let each = move |stream: TcpStream, remote: SocketAddr, mut stop: Stop| {
        let (tls, slots) = (tls.clone(), Arc::clone(&slots));
        let (on_connection, on_fault) = (Arc::clone(&on_connection), Arc::clone(&on_fault));
        async move {
            let shaken = tokio::select! {
                biased;
                () = stop.stopped() => return None,
                shaken = handshake(&tls, stream, limits.handshake_timeout, Some(&slots)) => shaken,
            };
            match shaken {
                Ok(accepted) => Some(Box::pin(on_connection(accepted, stop)) as Rest),
                Err(refused) => {
                    on_fault(remote, &refused.fault);
                    refused.linger().await;
                    None
                }
            }
        }
    };
    accept_loop(bound, limits, stop, each).await
}

/// Accepts plain TCP connections until `stop`, for what is public and signed by itself.
pub async fn serve_plain<C, F>(bound: Bound, limits: Limits, stop: Stop, on_connection: C) -> Drained
where
    C: Fn(TcpStream, SocketAddr, Stop) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let each = move |stream, remote, stop| {
        let connection = on_connection(stream, remote, stop);
        async move {
            connection.await;
            None
        }
    };
    accept_loop(bound, limits, stop, each).await
}

/// What is left to do for a connection after its handshake: a task of its own, so that the handshake's state,
/// which is large, is gone while the connection lives.
type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn accept_loop<C, F>(bound: Bound, limits: Limits, mut stop: Stop, each: C) -> Drained
where
    C: Fn(TcpStream, SocketAddr, Stop) -> F,
    F: Future<Output = Option<Rest>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections_max));
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
                Ok(Some((rest, place))) => go_on(&mut running, rest, place),
                Err(error) if error.is_panic() => {
                    tracing::error!(port = bound.address().port(), %error, "a connection's task panicked");
                }
                Err(_) => {}
            },
            () = rest(&mut rests), if rests.is_some() => rests = None,
            (next, place) = next_connection(&bound.listener, &places), if rests.is_none() => match next {
                Ok((stream, remote)) => {
                    pause = PAUSE_MIN;
                    let connection = each(stream, remote, stop.clone());
                    running.spawn(async move { connection.await.map(|rest| (rest, place)) });
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
            if let Ok(Some((rest, place))) = ended {
                go_on(&mut running, rest, place);
            }
        }
    };
    let in_time = tokio::time::timeout(limits.drain, ended).await.is_ok();
    let cut = if in_time { 0 } else { running.len() };
    running.shutdown().await;
    Drained { cut }
}

async fn rest(rests: &mut Option<Pin<Box<Sleep>>>) {
    if let Some(rests) = rests {
        rests.await;
    }
}

fn go_on(running: &mut JoinSet<Option<Continued>>, rest: Rest, place: Place) {
    running.spawn(async move {
        rest.await;
        drop(place);
        None
    });
}

/// A connection's place among those that the port holds at once.
type Place = Option<OwnedSemaphorePermit>;
type Continued = (Rest, Place);
type Arrival = std::io::Result<(TcpStream, SocketAddr)>;

/// The next connection, taken only when there is a place for it. Safe to drop at any await.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (Arrival, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed; if it were, the connection would count against no limit.
    match Arc::clone(places).acquire_owned().await {
        Ok(place) => (listener.accept().await, Some(place)),
        Err(closed) => (Err(std::io::Error::other(closed)), None),
    }
}
