//! Where permitted HTTP requests go: an HTTP service, a broker, the sink, or a file of the gateway's.

use super::answer::{Answer, no_content, problem};
use super::held::{Held, HeldOctets, NoRoom};
use super::slow_peer::PeerRate;
use crate::admission::Arrival;
use crate::mqtt::{BrokerAddress, is_loopback, publish_once};
use crate::permitted::{HttpMessage, Permitted, UpdateFile};
use crate::sink::{Message, Sink};
use crate::uplink::Uplink;
use ::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use core::fmt::Write as _;
use http_body_util::{BodyExt, channel::Channel};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use touchmark_dial::{BaseUrl, DialFault, HttpClient, Request};
use touchmark_listen::Clock;

/// The one identity header, made here; a client's own never gets past.
const IDENTITY_HEADER: &str = "touchmark-identity";
/// Longest update that is fetched from an HTTP service: it is held in memory once per request, and all of them
/// within [`HeldOctets`].
const FETCHED_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// Octets of a file that are read at once, and pieces that wait for a slow client.
const PIECE_OCTETS: usize = 64 * 1024;
const PIECES_WAITING: usize = 2;

/// An HTTP service behind the gateway.
pub(crate) struct HttpService {
    base: BaseUrl,
    uplink: Arc<Uplink>,
    held: HeldOctets,
}

impl HttpService {
    /// Plain text goes to loopback addresses only.
    pub(crate) fn new(url: &str, uplink: Arc<Uplink>) -> Result<Self, String> {
        let base: BaseUrl = url.parse().map_err(|error: DialFault| error.to_string())?;
        if !base.is_https() && !is_loopback(base.host()) {
            return Err(format!("`{url}` is not on this machine: use https://"));
        }
        Ok(Self { base, uplink, held: HeldOctets::default() })
    }

    pub(crate) fn is_protected(&self) -> bool {
        self.base.is_https()
    }

    async fn ask(&self, request: Request, arrival: &Arrival) -> Result<touchmark_dial::Response, DialFault> {
        let tls = self.base.is_https().then(|| self.uplink.upstream_tls());
        let client = HttpClient::new(self.base.clone(), tls)?;
        // Without TLS the host was a loopback address, or a name that has to be one.
        let mut client = if self.base.is_https() { client } else { client.on_loopback_only() };
        client.send(request.header(IDENTITY_HEADER, &arrival.uri())?).await
    }
}

/// Where messages go.
pub(crate) enum PublishTarget {
    Service(Arc<HttpService>),
    Broker { address: BrokerAddress, uplink: Arc<Uplink> },
    Sink { sink: Arc<Sink>, clock: Clock },
}

impl PublishTarget {
    /// Passes a permitted message on; the answer says whether the far end took it.
    pub(crate) async fn forward(&self, message: Permitted<HttpMessage<'_>>, arrival: &Arrival) -> Answer {
        match self {
            Self::Sink { sink, clock } => {
                let HttpMessage { topic, payload, .. } = message.sent();
                let message = Message {
                    n: 0,
                    at: clock.now(),
                    device: arrival.handle().as_str().into(),
                    topic: topic.into(),
                    qos: 1,
                    retain: false,
                    payload,
                };
                match sink.store(message) {
                    Ok(()) => no_content(),
                    Err(error) => target_fault(&error),
                }
            }
            Self::Broker { address, uplink } => {
                let handle = arrival.handle().as_str();
                match publish_once(message, address, uplink, handle).await {
                    Ok(()) => no_content(),
                    Err(error) => target_fault(&error),
                }
            }
            Self::Service(service) => {
                let HttpMessage { topic, content_type, payload } = message.sent();
                let kind = content_type.unwrap_or("application/octet-stream");
                let request = Request::post(format!("/publish/{}", encoded(topic)), kind, payload);
                let answered = match request {
                    Ok(request) => service.ask(request, arrival).await,
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(answer) if answer.status.is_success() => no_content(),
                    Ok(answer) => target_fault(&format!("it answered {}", answer.status)),
                    Err(error) => target_fault(&error),
                }
            }
        }
    }
}

/// Where updates come from.
pub(crate) enum UpdateTarget {
    Service(Arc<HttpService>),
    /// `DIRECTORY/MODEL/FILE`
    Directory(PathBuf),
}

impl UpdateTarget {
    /// Fetches a permitted file.
    pub(crate) async fn fetch(
        &self,
        file: Permitted<UpdateFile<'_>>,
        arrival: &Arrival,
        rate: &PeerRate,
    ) -> Answer {
        let UpdateFile { model, file } = file.sent();
        match self {
            Self::Service(service) => {
                let mut room = match service.held.reserve(arrival.handle(), FETCHED_OCTETS_MAX).await {
                    Ok(room) => room,
                    Err(NoRoom::OfThisDevice) => return one_at_a_time(),
                    Err(NoRoom::AtAll) => return busy(),
                };
                let request = Request::get(format!("/updates/{}/{}", encoded(model), encoded(file)))
                    .response_octets_max(FETCHED_OCTETS_MAX);
                match service.ask(request, arrival).await {
                    Ok(answer) if answer.status.is_success() => {
                        let kind = answer.headers.get(CONTENT_TYPE).cloned();
                        room.shrink_to(answer.body.len());
                        let mut fetched = Response::new(Held::new(answer.body, room, rate).boxed());
                        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
                        fetched.headers_mut().insert(CONTENT_TYPE, kind);
                        fetched
                    }
                    Ok(answer) if answer.status == StatusCode::NOT_FOUND => no_file(),
                    Ok(answer) => target_fault(&format!("it answered {}", answer.status)),
                    Err(error) => target_fault(&error),
                }
            }
            Self::Directory(directory) => {
                let path = directory.join(model).join(file);
                let opened = tokio::task::spawn_blocking(move || {
                    let file = std::fs::File::open(path)?;
                    let metadata = file.metadata()?;
                    Ok::<_, std::io::Error>(metadata.is_file().then_some((file, metadata.len())))
                });
                match opened.await {
                    Ok(Ok(Some((file, octets)))) => streamed(file, octets),
                    Ok(Ok(None) | Err(_)) | Err(_) => no_file(),
                }
            }
        }
    }
}

/// Sends a file piece by piece, as fast as the client takes it.
#[expect(clippy::disallowed_methods, reason = "it belongs to one answer, and ends with it")]
fn streamed(file: std::fs::File, octets: u64) -> Answer {
    let (mut sender, body) = Channel::<Bytes, std::io::Error>::new(PIECES_WAITING);
    tokio::spawn(async move {
        let mut file = Some(file);
        while let Some(mut open) = file.take() {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = Vec::with_capacity(PIECE_OCTETS);
                (&mut open).take(PIECE_OCTETS as u64).read_to_end(&mut piece).map(|_| (open, piece))
            });
            match read.await {
                Ok(Ok((_, piece))) if piece.is_empty() => return,
                Ok(Ok((open, piece))) => {
                    if sender.send_data(Bytes::from(piece)).await.is_err() {
                        return;
                    }
                    file = Some(open);
                }
                Ok(Err(error)) => return sender.abort(error),
                Err(_) => return sender.abort(std::io::Error::other("the reading task failed")),
            }
        }
    });
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(octets));
    answer
}

fn one_at_a_time() -> Answer {
    problem(
        StatusCode::TOO_MANY_REQUESTS,
        "updates-busy",
        "the device fetches another update already",
        "fetch one update after the other",
    )
}

fn busy() -> Answer {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "updates-busy",
        "the gateway holds as many updates in memory as it may",
        "try again later; put large updates into the gateway's data directory to have them streamed",
    )
}

fn no_file() -> Answer {
    problem(
        StatusCode::NOT_FOUND,
        "update-unknown",
        "there is no such update file",
        "put it under updates/MODEL/FILE in the gateway's data directory, or ask for another",
    )
}

fn target_fault(error: &dyn core::fmt::Display) -> Answer {
    tracing::warn!(%error, "the service behind did not take a permitted request");
    problem(
        StatusCode::BAD_GATEWAY,
        "upstream-failed",
        "the service behind the gateway did not take it",
        "try again; the gateway's log says what failed",
    )
}

/// Percent-encodes a topic or name for a path; slashes stay (RFC 3986 §3.3).
fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'/' | b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{octet:02X}");
        }
    }
    path
}
