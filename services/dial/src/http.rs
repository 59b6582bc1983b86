//! A small HTTP/1.1 client: one server, one kept connection, one request at a time, everything bounded.
//!
//! A request is sent again only if it provably never left, or if it is a GET on a kept connection
//! that turned out to be closed. Redirects are answers like any other.

use crate::fault::tls_reason;
use crate::tls::connect_tcp;
use crate::{BaseUrl, ClientTls, DialFault, problem};
use ::http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use bytes::Bytes;
use core::time::Duration;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Time for one request, connecting included, unless the request says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that connecting takes of it, the TLS handshake included: a server that lives needs far less, even one that is
/// overrun, and one that does not answer is known by then.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest body read unless the request says otherwise: a page of any of our lists.
const RESPONSE_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Most headers read of an answer, and the buffer they must fit in.
const HEADERS_MAX: usize = 64;
const HEAD_OCTETS_MAX: usize = 64 * 1024;
/// A connection that failed ends at once; waiting longer for its last words would only hide the fault.
const ENDING_MAX: Duration = Duration::from_secs(1);
/// A connection that was idle longer is not trusted to be open still.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(String, HeaderValue)>,
    body: Bytes,
    timeout: Duration,
    response_octets_max: usize,
}

impl Request {
    /// A request with a method and a path (with its query) below the base URL.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: TIMEOUT,
            response_octets_max: RESPONSE_OCTETS_MAX,
        }
    }

    /// GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// POST of a body of a given type.
    ///
    /// # Errors
    /// [`DialFault::BadRequest`] when the type cannot stand in a header.
    pub fn post(
        path: impl Into<String>,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Self, DialFault> {
        Self::new(Method::POST, path).body(body).header("content-type", content_type)
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With this header.
    ///
    /// # Errors
    /// [`DialFault::BadRequest`] when the value cannot stand in a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, DialFault> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| DialFault::BadRequest { why: "a header's value has characters it may not have" })?;
        // Kept out of every Debug print, since a request is cloned and may be logged by its caller.
        value.set_sensitive(name.eq_ignore_ascii_case("authorization"));
        self.headers.push((name.to_owned(), value));
        Ok(self)
    }

    /// With this time for the whole exchange: long polls ask for more.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With this longest response body.
    pub fn response_octets_max(mut self, octets: usize) -> Self {
        self.response_octets_max = octets;
        self
    }

    fn into_http(self, host: &str) -> Result<::http::Request<Full<Bytes>>, DialFault> {
        let bad = |why| DialFault::BadRequest { why };
        if !self.path.starts_with('/') {
            return Err(bad("a path starts with `/`"));
        }
        let uri: Uri = self.path.parse().map_err(|_| bad("the path has characters that must be escaped"))?;
        let mut request = ::http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| bad("the host cannot be written"))?);
        headers
            .insert(USER_AGENT, HeaderValue::from_static(concat!("touchmark/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).map_err(|_| bad("a header's name is none"))?;
            headers.insert(name, value);
        }
        Ok(request)
    }
}

/// One answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// A header's text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Itself if the status is 2xx.
    ///
    /// # Errors
    /// [`DialFault::Status`] with the server's reasons for every other status.
    pub fn ok(self) -> Result<Self, DialFault> {
        if self.status.is_success() {
            return Ok(self);
        }
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        Err(DialFault::Status {
            status: self.status.as_u16(),
            problem: Box::new(problem::read(kind, &self.body)),
        })
    }
}

/// A client of one server. A clone has a connection of its own: one for a long poll, one for the rest.
#[derive(Debug)]
pub struct HttpClient {
    base: BaseUrl,
    tls: Option<(ClientTls, String)>,
    loopback_only: bool,
    live: Option<Live>,
}

#[derive(Debug)]
struct Live {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<Result<(), hyper::Error>>,
    used_at: Instant,
}

impl Clone for HttpClient {
    fn clone(&self) -> Self {
        Self { base: self.base.clone(), tls: self.tls.clone(), loopback_only: self.loopback_only, live: None }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpClient {
    /// A client for `base`; nothing is connected yet. `https` takes a TLS configuration and `http` takes none.
    ///
    /// # Errors
    /// [`DialFault::BadTarget`] when scheme and configuration do not fit: nothing falls back to plain text.
    pub fn new(base: BaseUrl, tls: Option<ClientTls>) -> Result<Self, DialFault> {
        let host = base.host().to_owned();
        let tls = match (base.is_https(), tls) {
            (true, Some(tls)) => Some((tls, host)),
            (false, None) => None,
            (true, None) => {
                return Err(DialFault::BadTarget {
                    target: base.to_string(),
                    why: "https needs trust anchors",
                });
            }
            (false, Some(_)) => {
                return Err(DialFault::BadTarget {
                    target: base.to_string(),
                    why: "a connection that should be protected needs https://",
                });
            }
        };
        Ok(Self { base, tls, loopback_only: false, live: None })
    }

    /// Speaks with loopback addresses only: a name is resolved by the system, and may mean another machine.
    pub fn on_loopback_only(mut self) -> Self {
        self.loopback_only = true;
        self
    }

    /// Demands a certificate for this name in place of the base URL's host.
    pub fn with_server_name(mut self, name: &str) -> Self {
        if let Some((_, expected)) = &mut self.tls {
            name.clone_into(expected);
        }
        self
    }

    /// Where this client asks.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends one request and reads the whole answer; a status of refusal is an answer too (see [`Response::ok`]).
    ///
    /// # Errors
    /// Every [`DialFault`] but [`DialFault::Status`] and [`DialFault::Unexpected`].
    pub async fn send(&mut self, request: Request) -> Result<Response, DialFault> {
        let after = request.timeout;
        let octets_max = request.response_octets_max;
        let safe = request.method == Method::GET || request.method == Method::HEAD;
        let mut message = request.into_http(&self.base.authority())?;
        // Taken out while in use: a request that is given up takes its half-read connection with it.
        let kept = match self.live.take() {
            Some(live) => live.still_open().await,
            None => None,
        };
        let exchange = async {
            if let Some(mut live) = kept {
                let again = safe.then(|| message.clone());
                match live.exchange(message, octets_max).await {
                    Ok((response, reusable)) => return Ok((response, reusable.then_some(live))),
                    Err(Broken { unsent: Some(unsent), .. }) => message = *unsent,
                    Err(Broken { unsent: None, closed: true, error }) => match again {
                        Some(again) => message = again,
                        None => return Err(live.fault(error, octets_max, &self.base).await),
                    },
                    Err(Broken { error, .. }) => {
                        return Err(live.fault(error, octets_max, &self.base).await);
                    }
                }
            }
            let mut live = self.connect(after.min(CONNECT_MAX)).await?;
            match live.exchange(message, octets_max).await {
                Ok((response, reusable)) => Ok((response, reusable.then_some(live))),
                Err(Broken { error, .. }) => Err(live.fault(error, octets_max, &self.base).await),
            }
        };
        let timed = tokio::time::timeout(after, exchange).await;
        let (response, live) =
            timed.map_err(|_| DialFault::Timeout { target: self.base.authority(), after })??;
        self.live = live;
        Ok(response)
    }

    /// The short form of [`HttpClient::send`].
    ///
    /// # Errors
    /// See [`HttpClient::send`].
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, DialFault> {
        let request = Request::new(method, path).body(body);
        let request =
            headers.iter().try_fold(request, |request, (name, value)| request.header(name, value))?;
        self.send(request).await
    }

    /// Whether plain text may go to the address that a name was resolved to.
    fn speaks_plain_with(&self, peer: Option<SocketAddr>) -> bool {
        !self.loopback_only || peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    async fn connect(&self, timeout: Duration) -> Result<Live, DialFault> {
        let address = self.base.authority();
        match &self.tls {
            Some((tls, name)) => Live::start(tls.connect(&address, name, timeout).await?, &address).await,
            None => {
                let stream = tokio::time::timeout(timeout, connect_tcp(&address)).await;
                let late = |_| DialFault::Timeout { target: address.clone(), after: timeout };
                let stream = stream.map_err(late)??;
                if !self.speaks_plain_with(stream.peer_addr().ok()) {
                    return Err(DialFault::BadTarget {
                        target: self.base.to_string(),
                        why: "it is no loopback address of this machine, and plain text goes to no other",
                    });
                }
                Live::start(stream, &address).await
            }
        }
    }
}

/// An exchange that did not come to its end.
struct Broken {
    /// The request, where it provably never left.
    unsent: Option<Box<::http::Request<Full<Bytes>>>>,
    /// Whether the connection was found closed before any answer.
    closed: bool,
    error: Box<dyn core::error::Error + Send + Sync>,
}

impl Live {
    #[expect(
        clippy::disallowed_methods,
        reason = "it belongs to one connection, whose caller hears of its end"
    )]
    async fn start<S>(stream: S, target: &str) -> Result<Self, DialFault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_OCTETS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| DialFault::Protocol { target: target.to_owned(), why: error.to_string() })?;
        Ok(Self { sender, task: tokio::spawn(connection), used_at: Instant::now() })
    }

    /// This connection, unless it is too old or the far end has closed it meanwhile.
    ///
    /// A runtime that only turns while somebody asks ([`crate::BlockingHttp`]) has not read the far end's
    /// close yet: the first turn takes it from the operating system, the second lets the connection see it.
    async fn still_open(self) -> Option<Self> {
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        (!self.sender.is_closed() && self.used_at.elapsed() < IDLE_MAX).then_some(self)
    }

    /// Whether the connection may be used again comes back beside the answer.
    async fn exchange(
        &mut self,
        message: ::http::Request<Full<Bytes>>,
        octets_max: usize,
    ) -> Result<(Response, bool), Broken> {
        if let Err(error) = self.sender.ready().await {
            return Err(Broken { unsent: Some(Box::new(message)), closed: true, error: error.into() });
        }
        let answer = self.sender.try_send_request(message).await.map_err(|mut refused| {
            let unsent = refused.take_message().map(Box::new);
            let error = refused.into_error();
            let reset = std::iter::successors(core::error::Error::source(&error), |error| error.source())
                .any(|error| error.is::<std::io::Error>());
            let closed = error.is_incomplete_message() || (reset && tls_reason(&error).is_none());
            Broken { unsent, closed, error: error.into() }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, octets_max)
            .collect()
            .await
            .map_err(|error| Broken { unsent: None, closed: false, error })?
            .to_bytes();
        self.used_at = Instant::now();
        let reusable = !self.sender.is_closed();
        Ok((Response { status: head.status, headers: head.headers, body }, reusable))
    }

    /// Names the fault; the connection's own end may know more than the request's error does.
    async fn fault(
        mut self,
        error: Box<dyn core::error::Error + Send + Sync>,
        octets_max: usize,
        base: &BaseUrl,
    ) -> DialFault {
        let target = base.authority();
        if error.is::<LengthLimitError>() {
            return DialFault::TooLarge { octets_max };
        }
        if let Some(reason) = tls_reason(&*error) {
            return DialFault::Tls { target, reason };
        }
        if let Ok(Ok(Err(ended))) = tokio::time::timeout(ENDING_MAX, &mut self.task).await
            && let Some(reason) = tls_reason(&ended)
        {
            return DialFault::Tls { target, reason };
        }
        match error.downcast_ref::<hyper::Error>() {
            Some(error) if error.is_parse() => DialFault::Protocol { target, why: error.to_string() },
            Some(_) | None => DialFault::Unreachable { target, why: deepest(&*error) },
        }
    }
}

/// The words of the innermost cause: the outer ones only say that something failed.
fn deepest(error: &(dyn core::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_resolved_to_another_machine_gets_no_plain_text() {
        let base: BaseUrl = "http://localhost:80".parse().unwrap();
        let client = HttpClient::new(base, None).unwrap();
        let bound = client.clone().on_loopback_only();
        let rows = [
            ("127.0.0.1:80", true),
            ("127.8.8.8:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("192.0.2.7:80", false),
            ("10.0.0.1:80", false),
            ("[fe80::1]:80", false),
            ("[::ffff:192.0.2.7]:80", false),
        ];
        for (peer, may) in rows {
            let peer = Some(peer.parse().unwrap());
            assert_eq!(bound.speaks_plain_with(peer), may, "{peer:?}");
            assert!(client.speaks_plain_with(peer), "{peer:?}: where nothing was said");
            assert_eq!(bound.clone().speaks_plain_with(peer), may, "{peer:?}: a clone");
        }
        assert!(!bound.speaks_plain_with(None));
    }
}
