use super::*;
use std::io::Cursor;

fn read(octets: &[u8]) -> Result<Response, BadMessage> {
    read_response(&mut Cursor::new(octets))
}

/// Gives one octet at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn every_good_framing_gives_the_same_body_at_any_pace() {
    let rows: &[(&str, &[u8])] = &[
        ("length", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"),
        ("to the end", b"HTTP/1.1 200 OK\r\n\r\nhello"),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello"),
        (
            "chunks",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ),
        ("trailers", b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n\r\n"),
        (
            "interim",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
        ),
    ];
    for (name, octets) in rows {
        assert_eq!(read(octets).unwrap().body, b"hello", "{name}");
        assert_eq!(read_response(&mut Drip(octets)).unwrap().body, b"hello", "{name}, dripping");
    }
    assert!(read(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body.is_empty());
}

#[test]
fn a_head_gives_status_and_fields() {
    let answer =
        read(b"HTTP/1.1 503 Busy\r\nRetry-After:  17 \r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.header("a")),
        (503, Some("17"), Some("1"))
    );
    assert_eq!(answer.header("nothing"), None);
}

#[test]
fn what_is_too_long_is_refused_while_it_comes() {
    let head = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'a'; HEAD_OCTETS_MAX]].concat();
    let fields = [b"HTTP/1.1 200 OK\r\n".as_slice(), &b"a: b\r\n".repeat(HEADERS_MAX + 1), b"\r\n"].concat();
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_OCTETS_MAX / 25 + 1);
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_OCTETS_MAX + 1).into_bytes();
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n".to_vec();
    let start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice();
    let chunk = [start, b"fffffffffffffff\r\n"].concat();
    let chunks = [start, &b"1\r\na\r\n".repeat(BODY_OCTETS_MAX + 1)].concat();
    let open = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'a'; BODY_OCTETS_MAX + 1]].concat();
    let trailers = [start, b"0\r\n", &b"a: b\r\n".repeat(100)].concat();
    let rows: &[(&str, &[u8], &str)] = &[
        ("endless head", &head, "HeadTooLarge"),
        ("many fields", &fields, "HeadTooLarge"),
        ("endless interim answers", &interim, "HeadTooLarge"),
        ("announced length", &length, "BodyTooLarge"),
        ("length beyond numbers", &huge, "BodyTooLarge"),
        ("announced chunk", &chunk, "BodyTooLarge"),
        ("endless chunks", &chunks, "BodyTooLarge"),
        ("body to the end", &open, "BodyTooLarge"),
        ("endless trailers", &trailers, "HeadTooLarge"),
    ];
    for (name, octets, expected) in rows {
        let fault = format!("{:?}", read(octets).unwrap_err());
        assert_eq!(&fault, expected, "{name}");
    }
}

#[test]
fn the_largest_body_passes() {
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_OCTETS_MAX}\r\n\r\n");
    let octets = [length.as_bytes(), &vec![b'a'; BODY_OCTETS_MAX]].concat();
    assert_eq!(read(&octets).unwrap().body.len(), BODY_OCTETS_MAX);
}

#[test]
fn what_is_no_answer_is_named() {
    let start = "HTTP/1.1 200 OK\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let rows: &[(&str, String, &str)] = &[
        ("another protocol", "SSH-2.0-OpenSSH\r\n\r\n".into(), "Malformed"),
        ("nothing", String::new(), "CutOff"),
        ("half a head", start.into(), "CutOff"),
        ("half a body", format!("{start}Content-Length: 5\r\n\r\nhel"), "CutOff"),
        ("half a chunk", format!("{start}{chunked}5\r\nhe"), "CutOff"),
        ("no last chunk", format!("{start}{chunked}2\r\nhe\r\n"), "CutOff"),
        ("chunk without its end", format!("{start}{chunked}2\r\nhello\r\n0\r\n\r\n"), "Malformed"),
        ("chunk of no size", format!("{start}{chunked}xyz\r\n"), "Malformed"),
        ("chunk line without end", format!("{start}{chunked}1;{}", "x".repeat(300)), "Malformed"),
        ("two lengths", format!("{start}Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), "Malformed"),
        ("length and chunks", format!("{start}Content-Length: 1\r\n{chunked}0\r\n\r\n"), "Malformed"),
        ("signed length", format!("{start}Content-Length: +1\r\n\r\na"), "Malformed"),
        ("compressed", format!("{start}Content-Encoding: gzip\r\n\r\n"), "Malformed"),
        ("another coding", format!("{start}Transfer-Encoding: gzip, chunked\r\n\r\n"), "Malformed"),
        ("switched", "HTTP/1.1 101 Switching\r\n\r\n".into(), "Malformed"),
        ("status 999", "HTTP/1.1 999 x\r\n\r\n".into(), "Malformed"),
        ("folded field", format!("{start}a: b\r\n c\r\n\r\n"), "Malformed"),
    ];
    for (name, octets, expected) in rows {
        let fault = format!("{:?}", read(octets.as_bytes()).unwrap_err());
        assert!(fault.starts_with(expected), "{name}: {fault}");
    }
}

#[test]
fn a_request_is_written_in_one_form() {
    let request = Request {
        headers: vec![("Accept", "application/json")],
        authorization: Some(Secret::new("Basic eA==".into())),
        body: b"body".to_vec(),
        ..Request::post("/a")
    };
    let text = String::from_utf8(request.to_octets("[::1]:1").expose().clone()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text,
        format!(
            "POST /a HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\nUser-Agent: touchmark-agent/{version}\r\n\
             Accept: application/json\r\nAuthorization: Basic eA==\r\nContent-Length: 4\r\n\r\nbody"
        )
    );
    let text = String::from_utf8(Request::get("/b").to_octets("h:1").expose().clone()).unwrap();
    assert!(text.starts_with("GET /b HTTP/1.1\r\nHost: h:1\r\n") && text.ends_with("\r\n\r\n"));
    assert!(!text.contains("Content-Length"));
    assert!(!format!("{request:?}").contains("eA=="), "a password stands in no log");
}
