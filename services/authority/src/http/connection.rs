//! One connection: HTTP/1.1 with limits on heads, time and requests, and the peer that TLS proved. Names of fields in
//! answers are written in title case: some EST clients compare them so.

use axum::Router;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use touchmark_identity::Fingerprint;
use touchmark_listen::{Accepted, BadHost, PeerChain, Stop, check_host};
use touchmark_x509::Certificate;

/// A client that sends its head slower than this is cut.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Request line and headers together; SCEP-sized URLs fit, header floods do not.
const HEAD_OCTETS_MAX: usize = 16 * 1024;

/// The client certificate of the connection; possession and path were checked in the handshake.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Option<Fingerprint>);

/// The whole chain as it was shown: what a maker's device leads to its anchor.
#[derive(Clone, Debug)]
pub(crate) struct PresentedChain(pub(crate) Arc<PeerChain>);

impl Peer {
    fn of(chain: Option<&PeerChain>) -> Self {
        let leaf = chain.and_then(|chain| Certificate::from_der(&chain.leaf).ok());
        Self(leaf.map(|leaf| leaf.fingerprint()))
    }
}

/// Serves requests until the peer goes, or the listener stops.
pub(crate) async fn serve_http(accepted: Accepted, stop: Stop, router: Router) {
    let peer = Peer::of(accepted.peer.as_ref());
    let shown = accepted.peer.map(|chain| PresentedChain(Arc::new(chain)));
    let routes = TowerToHyperService::new(router);
    let finished = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        if let Some(shown) = shown.clone() {
            request.extensions_mut().insert(shown);
        }
        to_the_end(routes.call(request))
    });
    run(TokioIo::new(accepted.stream), stop, finished).await;
}

/// The same without TLS, for what is public.
pub(crate) async fn serve_http_plain(stream: TcpStream, stop: Stop, router: Router) {
    let routes = TowerToHyperService::new(router);
    let public = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(None));
        routes.call(request)
    });
    run(TokioIo::new(stream), stop, public).await;
}

/// Finishes what was begun, whether or not the client still listens: a revocation that is durable must reach
/// the gateways, a recorded intent its certificate.
#[expect(clippy::disallowed_methods, reason = "it belongs to one request, whose caller hears of a panic")]
async fn to_the_end<A>(answer: A) -> Result<Response, Infallible>
where
    A: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    match tokio::spawn(answer).await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(%panic, "a request handler failed");
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// Why a head is refused before anybody asks what it is for.
#[derive(Debug, thiserror::Error)]
enum BadHead {
    #[error(transparent)]
    Host(#[from] BadHost),
    #[error("two Authorization fields: which one counts would be anybody's guess; send one")]
    Authorization,
    #[error("the body is encoded ({0}); send it as it is, without Content-Encoding")]
    Encoded(String),
}

fn check_head(request: &Request<Incoming>) -> Result<(), BadHead> {
    let fields = request.headers().get_all(header::HOST).into_iter().map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(Authority::as_str);
    check_host(request.version() >= Version::HTTP_11, fields, authority)?;
    if request.headers().get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(BadHead::Authorization);
    }
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(BadHead::Encoded(encoding.as_bytes().escape_ascii().take(64).map(char::from).collect()))
        }
        _ => Ok(()),
    }
}

/// The connection ends with it: where a request begins is in doubt.
fn bad_head(fault: &BadHead) -> Response {
    let status = match fault {
        BadHead::Host(_) | BadHead::Authorization => StatusCode::BAD_REQUEST,
        BadHead::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    let mut response = (status, format!("{fault}\n")).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn run<I, S>(io: I, mut stop: Stop, service: S)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    let hosted = service_fn(move |request| {
        let answer = check_head(&request).map(|()| service.call(request));
        async move {
            match answer {
                Ok(answer) => answer.await,
                Err(fault) => Ok(bad_head(&fault)),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_OCTETS_MAX)
        .title_case_headers(true)
        .keep_alive(true)
        .serve_connection(io, hosted);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A peer that breaks off is its own affair; what was durable stays durable.
        _ = connection.as_mut() => {}
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
