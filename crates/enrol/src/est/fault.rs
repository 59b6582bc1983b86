//! EST's refusals: who must act, the HTTP status, a stable code, and a text for the person at the device
//! (RFC 7030 §4.2.3, RFC 8951 §5: plain text).

use core::time::Duration;
use touchmark_identity::printable;
use touchmark_x509::csr::CsrFault;

/// Why a body is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// PEM without the expected block.
    #[error("the PEM in the body is of another kind")]
    OtherPem,
    /// Broken base64, cut off, or something else altogether.
    #[error("the body is neither DER nor base64")]
    NeitherDerNorBase64,
}

/// Why EST does not answer with what was asked. What the RA says is put into the last groups by the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstFault {
    /// The client must correct the address.
    #[error("there is no such EST path; it is /.well-known/est/[environment/]operation")]
    UnknownPath,
    /// The client must use another operation.
    #[error("this server does not offer {operation}")]
    NotOffered {
        /// As in the path.
        operation: &'static str,
    },
    /// The client must use another method.
    #[error("this operation takes {allow} only")]
    WrongMethod { allow: &'static str },
    /// The client must send another type.
    #[error("send the request with Content-Type: application/pkcs10")]
    MediaType,
    /// The client must send less.
    #[error("the request is too long")]
    TooLarge,
    /// The client must send faster.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// The client must send a PKCS#10 request.
    #[error("send a PKCS#10 request in base64: {0}")]
    Body(BadBody),
    /// The client must change its request.
    #[error(transparent)]
    Csr(CsrFault),
    /// No credential, or one that is not good (any more): which of these is never told.
    #[error("no valid credential")]
    Unauthorised,
    /// The credential is known, and does not allow this.
    #[error("{says}")]
    Forbidden {
        /// The RA's reason code.
        code: &'static str,
        /// The RA's words to the device's keeper.
        says: String,
    },
    /// Somebody has to approve; the same request is to be sent again.
    #[error("the request waits for approval; send the same request again later")]
    Pending {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Too often: nobody need act.
    #[error("too many requests; try again later")]
    TooSoon {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The server cannot do it now: its operator may have to act.
    #[error("the service is not available now; try again later")]
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Nothing can be recorded for want of space: the server's operator must act.
    #[error("the disk of the authority is full; its operator must make space, then ask again")]
    DiskFull {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Nothing can be dated: the server's operator must act.
    #[error("the clock of the authority went back; its operator must set it, then ask again")]
    Clock {
        /// When to ask again.
        retry_after: Duration,
    },
    /// A fault of ours; its words stay in our log.
    #[error("internal error")]
    Internal,
}

/// A refusal as HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstRefusal {
    /// HTTP status code.
    pub status: u16,
    /// All headers but Content-Length.
    pub headers: Vec<(&'static str, String)>,
    /// Plain text; empty for 401.
    pub body: String,
}

impl EstFault {
    /// HTTP status code.
    pub fn status(&self) -> u16 {
        match self {
            Self::Pending { .. } => 202,
            Self::Body(_) | Self::Csr(_) => 400,
            Self::Unauthorised => 401,
            Self::Forbidden { .. } => 403,
            Self::UnknownPath | Self::NotOffered { .. } => 404,
            Self::WrongMethod { .. } => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::TooSoon { .. } => 429,
            Self::Internal => 500,
            Self::Unavailable { .. } | Self::DiskFull { .. } | Self::Clock { .. } => 503,
        }
    }

    /// Stable reason code, for logs, counters and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "est-unknown-path",
            Self::NotOffered { .. } => "est-not-offered",
            Self::WrongMethod { .. } => "est-method",
            Self::MediaType => "est-media-type",
            Self::TooLarge => "est-too-large",
            Self::TooSlow => "est-too-slow",
            Self::Body(BadBody::Empty) => "est-body-empty",
            Self::Body(BadBody::OtherPem) => "est-body-pem",
            Self::Body(BadBody::NeitherDerNorBase64) => "est-body-encoding",
            Self::Csr(fault) => fault.code(),
            Self::Unauthorised => "est-unauthorised",
            Self::Forbidden { code, .. } => code,
            Self::Pending { .. } => "est-pending",
            Self::TooSoon { .. } => "est-too-soon",
            Self::Unavailable { .. } => "est-unavailable",
            Self::DiskFull { .. } => "disk-full",
            Self::Clock { .. } => "clock",
            Self::Internal => "est-internal",
        }
    }

    /// When to ask again, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Pending { retry_after }
            | Self::TooSoon { retry_after }
            | Self::Unavailable { retry_after }
            | Self::DiskFull { retry_after }
            | Self::Clock { retry_after } => Some(*retry_after),
            Self::UnknownPath
            | Self::NotOffered { .. }
            | Self::WrongMethod { .. }
            | Self::MediaType
            | Self::TooLarge
            | Self::TooSlow
            | Self::Body(_)
            | Self::Csr(_)
            | Self::Unauthorised
            | Self::Forbidden { .. }
            | Self::Internal => None,
        }
    }

    /// The refusal as HTTP. A 401 has no body, since BouncyCastle's client fails on one that does.
    pub fn to_refusal(&self) -> EstRefusal {
        let mut headers = Vec::new();
        if let Some(wait) = self.retry_after() {
            // Rounded up: asking early would only be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.push(("Retry-After", seconds.max(1).to_string()));
        }
        if let Self::WrongMethod { allow } = self {
            headers.push(("Allow", (*allow).to_owned()));
        }
        if matches!(self, Self::Unauthorised) {
            headers.push(("WWW-Authenticate", "Basic realm=\"touchmark\"".to_owned()));
            return EstRefusal { status: self.status(), headers, body: String::new() };
        }
        headers.push(("Content-Type", "text/plain; charset=utf-8".to_owned()));
        let says = printable(&self.to_string());
        EstRefusal { status: self.status(), headers, body: format!("{says} ({})\n", self.code()) }
    }
}
