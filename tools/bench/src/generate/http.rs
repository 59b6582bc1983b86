//! HTTP/1.1 as far as a generator needs it: a request is bytes, an answer is a status and a body.

use crate::fault::{Outcome, While as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longer answers are not part of any job.
const ANSWER_OCTETS_MAX: usize = 256 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A request with its head.
pub(super) fn request(method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if method != "GET" {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a request and reads its answer; `buffer` keeps its memory between calls.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Outcome<Answer> {
    stream.write_all(request).await.while_("send")?;
    stream.flush().await.while_("send")?;
    buffer.clear();
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let status =
        text.split(' ').nth(1).and_then(|word| word.parse().ok()).while_("no status in the answer")?;
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body = if let Some(length) = header("content-length:") {
        let end = head + length.parse::<usize>().while_("content-length")?;
        while buffer.len() < end {
            more(stream, buffer).await?;
        }
        buffer.get(head..end).unwrap_or_default().to_vec()
    } else if header("transfer-encoding:") == Some("chunked") {
        while !buffer.ends_with(b"\r\n0\r\n\r\n") {
            more(stream, buffer).await?;
        }
        dechunk(buffer.get(head..).unwrap_or_default())
    } else {
        Vec::new()
    };
    Ok(Answer { status, body })
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Outcome<()> {
    if buffer.len() > ANSWER_OCTETS_MAX {
        return Err("the answer does not end".into());
    }
    match stream.read_buf(buffer).await.while_("receive")? {
        0 => Err("closed before the answer was whole".into()),
        _ => Ok(()),
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = rest.get(..at).and_then(|text| core::str::from_utf8(text).ok());
        let Some(size) = size.and_then(|text| usize::from_str_radix(text, 16).ok()).filter(|size| *size > 0)
        else {
            break;
        };
        body.extend_from_slice(rest.get(at + 2..at + 2 + size).unwrap_or_default());
        rest = rest.get(at + 4 + size..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &'static [u8]) -> Outcome<Answer> {
        let (mut near, mut far) = tokio::io::duplex(4096);
        far.write_all(answer).await.unwrap();
        drop(far.shutdown().await);
        exchange(&mut near, b"GET / HTTP/1.1\r\n\r\n", &mut Vec::new()).await
    }

    #[tokio::test]
    async fn answers_are_read_whole_or_not_at_all() {
        type Case = (&'static str, &'static [u8], Option<(u16, &'static [u8])>);
        let cases: &[Case] = &[
            ("by length", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some((200, b"hi"))),
            ("none", b"HTTP/1.1 204 No Content\r\n\r\n", Some((204, b""))),
            (
                "chunks",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
                Some((200, b"hi!")),
            ),
            ("cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", None),
            ("no HTTP", b"hello\r\n\r\n", None),
        ];
        for (name, octets, expected) in cases {
            let got = answered(octets).await.ok().map(|answer| (answer.status, answer.body));
            assert_eq!(got, expected.map(|(status, body)| (status, body.to_vec())), "{name}");
        }
    }
}
