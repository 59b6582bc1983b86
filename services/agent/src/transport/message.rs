//! HTTP/1.1 as far as one question and one answer need it (RFC 9112): what is sent, and what is taken back.
//!
//! In: a request of ours; octets of a stranger. Out: octets; a [`Response`] within bounds, or the bound it broke.

use super::body::{Framing, read_body};
use std::io::{self, Read};
use touchmark_identity::Secret;

/// Longest head of an answer, all interim answers included: ours have 300 octets.
pub const HEAD_OCTETS_MAX: usize = 16 * 1024;
/// Most header fields in one head.
pub const HEADERS_MAX: usize = 64;
/// Longest body: the largest bag of certificates that is read, in base64, has 340 KiB; ours have 4 KiB.
pub const BODY_OCTETS_MAX: usize = 256 * 1024;
/// What is read from the connection at once.
const PIECE_OCTETS: usize = 4096;

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One question. Path and headers are this program's own words and names that passed their grammar.
#[derive(Debug)]
pub struct Request {
    /// Which method.
    pub method: Method,
    /// Path below the server's address.
    pub path: String,
    /// All headers but Host, Connection, Content-Length, User-Agent and Authorization.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Value of Authorization.
    pub authorization: Option<Secret<String>>,
    /// The body; a GET has none.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { method: Method::Get, path: path.into(), headers, authorization: None, body }
    }

    /// A POST without a body.
    pub fn post(path: impl Into<String>) -> Self {
        Self { method: Method::Post, ..Self::get(path) }
    }

    /// As octets; secret, since a token's password may be among them.
    pub(super) fn to_octets(&self, host: &str) -> Secret<Vec<u8>> {
        let authorization = self.authorization.as_ref().map_or("", |value| value.expose().as_str());
        // Reserved in one piece: a growing buffer would leave copies of the password behind.
        let mut octets = Vec::with_capacity(1024 + self.path.len() + authorization.len() + self.body.len());
        let mut put =
            |parts: &[&str]| parts.iter().for_each(|part| octets.extend_from_slice(part.as_bytes()));
        put(&[self.method.as_str(), " ", &self.path, " HTTP/1.1\r\nHost: ", host, "\r\n"]);
        put(&["Connection: close\r\nUser-Agent: touchmark-agent/", env!("CARGO_PKG_VERSION"), "\r\n"]);
        for (name, value) in &self.headers {
            put(&[name, ": ", value, "\r\n"]);
        }
        if self.authorization.is_some() {
            put(&["Authorization: ", authorization, "\r\n"]);
        }
        if self.method == Method::Post {
            put(&["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        put(&["\r\n"]);
        octets.extend_from_slice(&self.body);
        Secret::new(octets)
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status code, 200 to 599.
    pub status: u16,
    /// Header fields, names in lower case, values trimmed.
    headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why octets are no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("the head of the answer is longer than {HEAD_OCTETS_MAX} octets or {HEADERS_MAX} fields")]
    HeadTooLarge,
    #[error("the body of the answer is longer than {BODY_OCTETS_MAX} octets")]
    BodyTooLarge,
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(&'static str),
    #[error("the answer was cut off")]
    CutOff,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads one answer.
pub(super) fn read_response(source: &mut impl Read) -> Result<Response, BadMessage> {
    let mut incoming = Incoming { source, octets: Vec::new(), at: 0 };
    let mut allowed = HEAD_OCTETS_MAX;
    loop {
        let head = incoming.head(allowed)?;
        allowed -= head.len();
        let (status, headers) = parse_head(&head)?;
        match status {
            // Interim answers are skipped; we never ask to switch protocols.
            101 => return Err(BadMessage::Malformed("the protocol was switched unasked")),
            100..=199 => {}
            200..=599 => {
                let framing = Framing::of(status, &headers)?;
                let body = read_body(&mut incoming, framing)?;
                return Ok(Response { status, headers, body });
            }
            _ => return Err(BadMessage::Malformed("the status is none of 200 to 599")),
        }
    }
}

fn parse_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>), BadMessage> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(BadMessage::Malformed("its head does not end")),
        Err(httparse::Error::TooManyHeaders) => return Err(BadMessage::HeadTooLarge),
        Err(_) => return Err(BadMessage::Malformed("its head cannot be read")),
    }
    let status = parsed.code.ok_or(BadMessage::Malformed("it has no status"))?;
    let headers = parsed.headers.iter().map(|field| {
        let value = String::from_utf8_lossy(field.value).trim().to_owned();
        (field.name.to_ascii_lowercase(), value)
    });
    Ok((status, headers.collect()))
}

/// Octets as they come, with what was read too far.
pub(super) struct Incoming<'a, R> {
    source: &'a mut R,
    octets: Vec<u8>,
    at: usize,
}

impl<R: Read> Incoming<'_, R> {
    /// Up to and with the empty line.
    fn head(&mut self, octets_max: usize) -> Result<Vec<u8>, BadMessage> {
        self.until(b"\r\n\r\n", octets_max, BadMessage::HeadTooLarge)
    }

    /// One line with its end, of at most so many octets.
    pub(super) fn line(&mut self, octets_max: usize) -> Result<Vec<u8>, BadMessage> {
        self.until(b"\r\n", octets_max, BadMessage::Malformed("a line of its framing does not end"))
    }

    fn until(&mut self, end: &[u8], octets_max: usize, too_long: BadMessage) -> Result<Vec<u8>, BadMessage> {
        let mut searched = self.at;
        loop {
            let found = self.octets[searched..].windows(end.len()).position(|window| window == end);
            if let Some(place) = found {
                let after = searched + place + end.len();
                if after - self.at > octets_max {
                    return Err(too_long);
                }
                let taken = self.octets[self.at..after].to_vec();
                self.at = after;
                return Ok(taken);
            }
            if self.octets.len() - self.at >= octets_max {
                return Err(too_long);
            }
            let consumed = self.at;
            searched = self.octets.len().saturating_sub(end.len() - 1).max(self.at);
            if !self.fill()? {
                return Err(BadMessage::CutOff);
            }
            // `fill` moved what is left to the front.
            searched -= consumed - self.at;
        }
    }

    /// Moves up to `octets_max` octets to the end of `out`; how many, zero at the end of the connection.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, octets_max: usize) -> Result<usize, BadMessage> {
        if self.at == self.octets.len() && !self.fill()? {
            return Ok(0);
        }
        let count = octets_max.min(self.octets.len() - self.at);
        out.extend_from_slice(&self.octets[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }

    fn fill(&mut self) -> Result<bool, BadMessage> {
        self.octets.drain(..self.at);
        self.at = 0;
        let mut piece = [0; PIECE_OCTETS];
        loop {
            match self.source.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.octets.extend_from_slice(&piece[..count]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // TLS that ends without its goodbye: somebody may have cut the answer off.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(BadMessage::CutOff),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
