//! What a server said when it said no, in whatever form.

use touchmark_api::Problem;
use touchmark_identity::printable;

/// Longest text kept of an answer that is not problem+json: enough for a message, too little for a flood.
const PLAIN_TEXT_OCTETS_MAX: usize = 512;

/// Reads a refusal's body: problem+json when it is that, else its first printable text as the detail.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Problem {
    let json = content_type.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/problem+json") || kind.eq_ignore_ascii_case("application/json")
    });
    if json && let Ok(problem) = serde_json::from_slice(body) {
        return problem;
    }
    let start = body.get(..PLAIN_TEXT_OCTETS_MAX).unwrap_or(body);
    // Control characters could rewrite the terminal on which this is shown.
    let text = printable(&String::from_utf8_lossy(start));
    let text = text.trim();
    Problem { detail: (!text.is_empty()).then(|| text.to_owned()), ..Problem::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_whatever_its_form() {
        let problem = br#"{"type":"about:blank","title":"Refused","detail":"token used","code":"token-used","fix":"ask","more":[1]}"#;
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
            assert_eq!(read(*content_type, body).to_string(), *shown, "{name}");
        }
        let read_back = read(Some("application/problem+json"), problem);
        assert_eq!(read_back.fix.as_deref(), Some("ask"));
        assert_eq!(read(None, &[b'x'; 5000]).to_string().len(), PLAIN_TEXT_OCTETS_MAX);
    }
}
