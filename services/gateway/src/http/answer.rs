//! Answers: problem details (RFC 9457), bodies, and streams.

use ::http::header::{CONNECTION, CONTENT_TYPE};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use core::convert::Infallible;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use touchmark_api::Problem;
use touchmark_policy::{Denial, DenyReason};

/// Any answer of a gateway's HTTP port.
pub(crate) type Answer = Response<BoxBody<Bytes, std::io::Error>>;

fn never(error: Infallible) -> std::io::Error {
    match error {}
}

/// A whole body.
pub(crate) fn whole(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).map_err(never).boxed());
    *answer.status_mut() = status;
    answer
}

/// A body of a type.
pub(crate) fn text(content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = whole(StatusCode::OK, body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Done, nothing to say.
pub(crate) fn no_content() -> Answer {
    whole(StatusCode::NO_CONTENT, Vec::new())
}

/// What went wrong, and what helps.
pub(crate) fn problem(status: StatusCode, code: &str, title: &str, fix: &str) -> Answer {
    let fix = Some(fix.to_owned());
    let problem = Problem { fix, ..Problem::new(Some(status.as_u16()), code, title) };
    // Texts and numbers always have a form in JSON.
    let mut answer = whole(status, serde_json::to_vec(&problem).unwrap_or_default());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

/// A denial: 403, or 503 where the gateway itself cannot decide.
pub(crate) fn denied(denial: &Denial) -> Answer {
    let reason = denial.reason;
    let status = match reason {
        DenyReason::LogUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        DenyReason::Rate => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::FORBIDDEN,
    };
    let title = match &denial.rule {
        Some(rule) => format!("{} Rule: {rule}.", reason.meaning()),
        None => reason.meaning().to_owned(),
    };
    problem(status, reason.code(), &title, reason.next_step())
}

/// The same, and the connection ends with it.
pub(crate) fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
