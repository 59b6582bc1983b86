//! The HTTP port: mutual TLS, HTTP/1.1, two verbs of devices.
//!
//! In: connections whose handshake is done. Out: permitted requests to an HTTP service, a broker, the sink, or a file.
//! Nothing of a request goes on but its body and content type; the one identity header is the gateway's.
//! Each request is decided anew: a kept-alive connection keeps no right alive.

pub(crate) mod answer;
mod held;
pub(crate) mod path;
mod request;
mod slow_peer;
mod target;
#[cfg(test)]
mod tests;
mod while_permitted;

pub(crate) use target::{HttpService, PublishTarget, UpdateTarget};

use crate::admission::{Admission, Arrival, Opened};
use crate::arrivals::Standing;
use crate::permitted::{Permitted, Requests};
use crate::rates::Metered;
use crate::session::Session;
use ::http::header::HOST;
use ::http::uri::Authority;
use ::http::{HeaderValue, StatusCode, Version};
use answer::{Answer, closing, problem};
use core::convert::Infallible;
use core::time::Duration;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use slow_peer::{PeerRate, SlowPeerStream};
use std::sync::Arc;
use tokio::sync::Mutex;
use touchmark_decisions::CloseCause;
use touchmark_listen::{Accepted, Stop, check_host};
use touchmark_policy::Denial;

/// Time for the head of a request, and so for the idleness of a kept-alive connection.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// The same for a certificate that will be refused: time to be told why.
const HEAD_WAIT_KNOWN_BAD: Duration = Duration::from_secs(3);
/// Head of a request: ours are short.
const HEAD_OCTETS_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

pub(crate) struct HttpPort {
    pub(crate) admission: Arc<Admission>,
    pub(crate) publish: PublishTarget,
    pub(crate) updates: UpdateTarget,
}

/// One connection: its session opens with the first request, whose path is in the record.
pub(crate) struct Connection {
    port: Arc<HttpPort>,
    arrival: Arrival,
    /// What its messages are measured by.
    metered: Metered,
    /// How fast its peer has to take what it is sent.
    rate: PeerRate,
    opened: Mutex<Option<Opened>>,
    /// Whoever waits for an ordered end gets the session once it is open.
    session: tokio::sync::watch::Sender<Option<Arc<Session>>>,
}

/// The answer to a request that does not name its host. The connection ends with it: where a request begins is in doubt.
pub(crate) fn bad_host<B>(request: &::http::Request<B>) -> Option<Answer> {
    let fields = request.headers().get_all(HOST).into_iter().map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(Authority::as_str);
    let fault = check_host(request.version() >= Version::HTTP_11, fields, authority).err()?;
    Some(closing(problem(StatusCode::BAD_REQUEST, "host-invalid", &fault.to_string(), "send one Host field")))
}

impl HttpPort {
    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Arc<Self>, accepted: Accepted, mut stop: Stop) {
        let Some(arrival) = self.admission.arrival(&accepted) else { return };
        let patience = match arrival.standing() {
            Standing::Good => HEAD_WAIT,
            Standing::KnownBad => HEAD_WAIT_KNOWN_BAD,
        };
        let (rate, metered) = (PeerRate::default(), self.admission.metered(arrival.identity()));
        let (session, mut watched) = tokio::sync::watch::channel(None);
        let connection = Arc::new(Connection {
            port: self,
            arrival,
            metered,
            rate: rate.clone(),
            opened: Mutex::new(None),
            session,
        });
        let handler = Arc::clone(&connection);
        let service = service_fn(move |request: ::http::Request<Incoming>| {
            let connection = Arc::clone(&handler);
            async move {
                Ok::<Answer, Infallible>(match bad_host(&request) {
                    None => connection.answer(request).await,
                    Some(refused) => refused,
                })
            }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_buf_size(HEAD_OCTETS_MAX)
            .max_headers(HEADERS_MAX)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(SlowPeerStream::new(accepted.stream, rate)), service);
        let cut = async {
            match watched.wait_for(Option::is_some).await.map(|session| session.clone()) {
                Ok(Some(session)) => session.ended().await,
                _ => core::future::pending().await,
            }
        };
        let cause = tokio::select! {
            biased;
            reason = cut => CloseCause::Cut(reason),
            () = stop.stopped() => CloseCause::Shutdown,
            served = serving => if served.is_ok() { CloseCause::Peer } else { CloseCause::Lost },
        };
        if let Some(opened) = connection.opened.lock().await.as_mut() {
            opened.ends_by(cause);
        }
    }
}

impl Connection {
    /// The session, opened with the first request that may. Each refusal is decided and recorded by itself.
    async fn open(&self, path: &str) -> Result<Arc<Session>, Denial> {
        let mut opened = self.opened.lock().await;
        if let Some(opened) = opened.as_ref() {
            return Ok(Arc::clone(opened.session()));
        }
        let admission = &self.port.admission;
        let (begun, permitted) = admission.open(&self.arrival, path, None, Permitted::requests).await?;
        let Requests = permitted.sent();
        let session = Arc::clone(opened.insert(begun).session());
        self.session.send_replace(Some(Arc::clone(&session)));
        Ok(session)
    }
}
