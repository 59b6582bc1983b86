//! What a server says when it says no: a code for programs, words for people, and when to come back.

use super::date;
use super::message::Response;
use core::time::Duration;
use serde::Deserialize;
use touchmark_identity::Timestamp;

/// Longest text kept of a refusal: enough for a message, too little for a flood.
const SAYS_CHARS_MAX: usize = 300;
/// Longest reason code; ours have less than 32 characters.
const CODE_CHARS_MAX: usize = 64;
/// Longest wait that is kept: whoever says more says "not this week".
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A refusal taken apart; nothing in it can move a terminal's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Empty where there is none.
    pub(super) code: String,
    pub(super) says: String,
    pub(super) retry_after: Option<Duration>,
}

/// Problem details (RFC 9457), as far as they are shown.
#[derive(Deserialize)]
struct Problem {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

impl Refusal {
    /// EST says `words (code)` in plain text, the native calls send problem details.
    pub(super) fn read(answer: &Response) -> Self {
        let json = answer.header("content-type").is_some_and(|kind| kind.contains("json"));
        let (code, says) = match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) if json => (problem.code, problem.detail.or(problem.title).unwrap_or_default()),
            Ok(_) | Err(_) => {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                (code_at_the_end(&text).map(str::to_owned), text)
            }
        };
        let code = code.filter(|code| is_code(code)).unwrap_or_default();
        Self { code, says: printable(&says), retry_after: retry_after(answer) }
    }
}

fn code_at_the_end(text: &str) -> Option<&str> {
    text.trim_end().strip_suffix(')')?.rsplit_once('(').map(|(_, code)| code)
}

fn is_code(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.len() <= CODE_CHARS_MAX && text.bytes().all(good)
}

/// One line of printable text.
fn printable(text: &str) -> String {
    touchmark_identity::printable(&text.trim().chars().take(SAYS_CHARS_MAX).collect::<String>())
}

/// Seconds, or a date that is compared with the server's own clock.
pub(super) fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.header("retry-after")?;
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => date::parse(value)?.since(server_time(answer)?),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// The server's Date.
pub(super) fn server_time(answer: &Response) -> Option<Timestamp> {
    date::parse(answer.header("date")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::message::read_response;

    fn answer(text: &str) -> Response {
        read_response(&mut text.as_bytes()).unwrap()
    }

    #[test]
    fn a_refusal_gives_code_and_words_whatever_the_server_writes() {
        let json = "HTTP/1.1 409 x\r\nContent-Type: application/problem+json\r\n\r\n";
        let plain = "HTTP/1.1 403 x\r\n\r\n";
        let long = format!("{plain}{}", "x".repeat(5000));
        let long_words = "x".repeat(SAYS_CHARS_MAX);
        let rows: &[(&str, String, &str, &str)] = &[
            (
                "EST",
                format!("{plain}banned for good (device-banned)\n"),
                "device-banned",
                "banned for good (device-banned)",
            ),
            (
                "problem",
                format!("{json}{{\"code\":\"superseded\",\"title\":\"a\",\"detail\":\"b\"}}"),
                "superseded",
                "b",
            ),
            ("problem without detail", format!("{json}{{\"title\":\"a\",\"more\":[1]}}"), "", "a"),
            ("broken JSON", format!("{json}{{"), "", "{"),
            ("JSON as text", format!("{plain}{{\"code\":\"x\"}}"), "", "{\"code\":\"x\"}"),
            ("nothing", plain.into(), "", ""),
            ("a code with a path", format!("{plain}no (../../etc/passwd)"), "", "no (../../etc/passwd)"),
            ("escapes", format!("{plain}\u{1b}[2Jno (x)"), "x", "[2Jno (x)"),
            ("direction", format!("{plain}no \u{202e}(x)"), "x", r"no \u{202e}(x)"),
            ("long", long, "", &long_words),
        ];
        for (name, text, code, says) in rows {
            let refusal = Refusal::read(&answer(text));
            assert_eq!((refusal.code.as_str(), refusal.says.trim()), (*code, *says), "{name}");
        }
    }

    #[test]
    fn when_to_come_back_is_seconds_or_a_date_and_has_a_limit() {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let rows: &[(&str, String, Option<u64>)] = &[
            ("seconds", "Retry-After: 120\r\n".into(), Some(120)),
            ("a date", format!("{date}Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n"), Some(60)),
            ("a date in the past", format!("{date}Retry-After: Sun, 06 Nov 1994 08:00:00 GMT\r\n"), Some(0)),
            (
                "a date without the server's own",
                "Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n".into(),
                None,
            ),
            ("for ever", "Retry-After: 99999999999\r\n".into(), Some(RETRY_AFTER_MAX.as_secs())),
            ("words", "Retry-After: soon\r\n".into(), None),
            ("negative", "Retry-After: -1\r\n".into(), None),
            ("nothing", String::new(), None),
        ];
        for (name, headers, expected) in rows {
            let read = retry_after(&answer(&format!("HTTP/1.1 503 x\r\n{headers}\r\n")));
            assert_eq!(read.map(|wait| wait.as_secs()), *expected, "{name}");
        }
    }
}
