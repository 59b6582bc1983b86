//! What the sink shows, by plain HTTP on loopback: `GET /last/TOPIC` and `GET /messages?after=N`.

use super::Sink;
use crate::http::answer::{Answer, problem, text};
use crate::http::bad_host;
use crate::http::path::decoded;
use ::http::{HeaderValue, Method, Request, StatusCode};
use core::convert::Infallible;
use core::time::Duration;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::net::TcpStream;
use touchmark_listen::Stop;

/// A reader on the same machine sends its request at once.
const HEADERS_WAIT: Duration = Duration::from_secs(10);

/// Serves one connection.
pub(crate) async fn serve_page(sink: Arc<Sink>, stream: TcpStream, mut stop: Stop) {
    let service = service_fn(move |request: Request<Incoming>| {
        let sink = Arc::clone(&sink);
        async move { Ok::<_, Infallible>(bad_host(&request).unwrap_or_else(|| answer(&sink, &request))) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WAIT)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.stopped() => {}
        // A reader that breaks off harms nobody.
        _ = connection => {}
    }
}

fn answer(sink: &Sink, request: &Request<Incoming>) -> Answer {
    if request.method() != Method::GET {
        return problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "the sink only shows",
            "use GET",
        );
    }
    let path = request.uri().path();
    if path == "/messages" {
        let after = request.uri().query().and_then(|query| query.strip_prefix("after=")).unwrap_or("0");
        return match after.parse() {
            Ok(after) => text(
                "application/x-ndjson",
                sink.after(after).iter().map(super::Message::to_line).collect::<String>().into_bytes(),
            ),
            Err(_) => problem(
                StatusCode::BAD_REQUEST,
                "query-invalid",
                "`after` is not a number",
                "use /messages?after=N with the `n` of the last message seen",
            ),
        };
    }
    let topic = path.strip_prefix("/last/").and_then(decoded);
    match topic.as_deref().map(|topic| sink.last(topic)) {
        Some(Some(message)) => {
            let mut shown = text("application/octet-stream", message.payload.to_vec());
            for (name, value) in
                [("touchmark-device", message.device.as_ref()), ("touchmark-at", &message.at.to_string())]
            {
                if let Ok(value) = HeaderValue::from_str(value) {
                    shown.headers_mut().insert(name, value);
                }
            }
            shown
        }
        Some(None) => problem(
            StatusCode::NOT_FOUND,
            "topic-unknown",
            "nothing was published on this topic since the start",
            "publish on it, or look at /messages",
        ),
        None => problem(
            StatusCode::NOT_FOUND,
            "path-unknown",
            "the sink has no such page",
            "use /last/TOPIC or /messages?after=N",
        ),
    }
}
