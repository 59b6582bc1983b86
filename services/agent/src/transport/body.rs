//! Where the body of an answer ends (RFC 9112 §6), and reading no further than is allowed.

use super::message::{BODY_OCTETS_MAX, BadMessage, Incoming};
use std::io::Read;

/// Longest line before a chunk, extensions included, and longest trailer: ours have 6 octets and none.
const CHUNK_LINE_OCTETS_MAX: usize = 256;
/// Most trailers.
const TRAILERS_MAX: usize = 16;

/// How the end is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(usize),
    Chunked,
    ToTheEnd,
}

impl Framing {
    /// An answer with two marks is refused: two readers would see two different answers.
    pub(super) fn of(status: u16, headers: &[(String, String)]) -> Result<Self, BadMessage> {
        let all = |name: &'static str| {
            headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        if all("content-encoding").any(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(BadMessage::Malformed("it is compressed, which was not asked for"));
        }
        let lengths: Vec<&str> = all("content-length").collect();
        let codings: Vec<&str> = all("transfer-encoding").collect();
        let framing = match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Self::ToTheEnd,
            ([digits], []) => Self::Length(length(digits)?),
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Self::Chunked,
            _ => return Err(BadMessage::Malformed("its length is marked twice, or in an unknown way")),
        };
        Ok(if matches!(status, 204 | 304) { Self::None } else { framing })
    }
}

fn length(digits: &str) -> Result<usize, BadMessage> {
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(BadMessage::Malformed("its length is no number"));
    }
    // More digits than a number holds are a long body too.
    let octets = digits.parse().unwrap_or(usize::MAX);
    if octets > BODY_OCTETS_MAX { Err(BadMessage::BodyTooLarge) } else { Ok(octets) }
}

pub(super) fn read_body<R: Read>(
    incoming: &mut Incoming<'_, R>,
    framing: Framing,
) -> Result<Vec<u8>, BadMessage> {
    let mut body = Vec::new();
    match framing {
        Framing::None => {}
        Framing::Length(octets) => exactly(incoming, &mut body, octets)?,
        Framing::Chunked => chunks(incoming, &mut body)?,
        Framing::ToTheEnd => {
            // One octet too many is how a long body is noticed.
            while incoming.take(&mut body, BODY_OCTETS_MAX + 1)? > 0 {
                if body.len() > BODY_OCTETS_MAX {
                    return Err(BadMessage::BodyTooLarge);
                }
            }
        }
    }
    Ok(body)
}

fn exactly<R: Read>(
    incoming: &mut Incoming<'_, R>,
    body: &mut Vec<u8>,
    octets: usize,
) -> Result<(), BadMessage> {
    let mut missing = octets;
    while missing > 0 {
        match incoming.take(body, missing)? {
            0 => return Err(BadMessage::CutOff),
            count => missing -= count,
        }
    }
    Ok(())
}

fn chunks<R: Read>(incoming: &mut Incoming<'_, R>, body: &mut Vec<u8>) -> Result<(), BadMessage> {
    let bad = || BadMessage::Malformed("a chunk of its body cannot be read");
    loop {
        let line = incoming.line(CHUNK_LINE_OCTETS_MAX)?;
        let octets = match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, octets))) => usize::try_from(octets).unwrap_or(usize::MAX),
            Ok(httparse::Status::Partial) | Err(_) => return Err(bad()),
        };
        if octets == 0 {
            break;
        }
        if octets > BODY_OCTETS_MAX - body.len() {
            return Err(BadMessage::BodyTooLarge);
        }
        exactly(incoming, body, octets)?;
        if incoming.line(2).is_err() {
            return Err(bad());
        }
    }
    for _ in 0..=TRAILERS_MAX {
        if incoming.line(CHUNK_LINE_OCTETS_MAX)? == b"\r\n" {
            return Ok(());
        }
    }
    Err(BadMessage::HeadTooLarge)
}
