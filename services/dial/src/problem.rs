//! Problem details (RFC 9457) as a client sees them: what a server said when it said no.

use core::fmt;
use serde::Deserialize;
use serde_json::{Map, Value};
use touchmark_identity::printable;

/// Longest text kept of an answer that is not problem+json: enough for a message, too little for a flood.
const PLAIN_TEXT_OCTETS_MAX: usize = 512;

/// A refusal's body. Every member is optional: a server that is not ours may send plain text, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Short, the same for every occurrence.
    pub title: Option<String>,
    /// This occurrence, for people.
    pub detail: Option<String>,
    /// Stable reason code, for programs.
    pub code: Option<String>,
    /// All other members as sent.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Problem {
    /// Reads a refusal's body: problem+json when it is that, else its first printable text as the detail.
    pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Self {
        let json = content_type.is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/problem+json")
                || kind.eq_ignore_ascii_case("application/json")
        });
        if json && let Ok(problem) = serde_json::from_slice(body) {
            return problem;
        }
        let start = body.get(..PLAIN_TEXT_OCTETS_MAX).unwrap_or(body);
        // Control characters could rewrite the terminal on which this is shown.
        let text = printable(&String::from_utf8_lossy(start));
        let text = text.trim();
        Self { detail: (!text.is_empty()).then(|| text.to_owned()), ..Self::default() }
    }
}

impl fmt::Display for Problem {
    /// One line for a person, control characters blanked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.detail.as_deref().or(self.title.as_deref()).unwrap_or("no reason given");
        f.write_str(&printable(text))?;
        match &self.code {
            Some(code) if code.chars().all(|c| c.is_ascii_graphic()) => write!(f, " ({code})"),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_whatever_its_form() {
        let problem = br#"{"type":"about:blank","title":"Refused","detail":"token used","code":"token-used","next_step":"ask"}"#;
        let rows: &[(&str, Option<&str>, &[u8], &str)] = &[
            ("problem+json", Some("application/problem+json"), problem, "token used (token-used)"),
            (
                "with a parameter",
                Some("application/problem+json; charset=utf-8"),
                problem,
                "token used (token-used)",
            ),
            ("plain text", Some("text/plain"), b"no such label\n", "no such label"),
            ("terminal escape", Some("text/plain"), b"a\x1b[2Jb", "a [2Jb"),
            ("escape in a detail", Some("application/json"), br#"{"detail":"a\u001b[2Jb"}"#, "a [2Jb"),
            ("nothing", None, b"", "no reason given"),
            ("broken JSON", Some("application/problem+json"), b"{", "{"),
            ("not UTF-8", None, b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ];
        for (name, content_type, body, shown) in rows {
            assert_eq!(Problem::read(*content_type, body).to_string(), *shown, "{name}");
        }
        let read = Problem::read(Some("application/problem+json"), problem);
        assert_eq!(read.rest.get("next_step").and_then(Value::as_str), Some("ask"));
        assert_eq!(Problem::read(None, &[b'x'; 5000]).to_string().len(), PLAIN_TEXT_OCTETS_MAX);
    }
}
