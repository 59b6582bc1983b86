//! The last look at whatever is printed or logged: no text from elsewhere moves the cursor, hides, or turns round.
//!
//! Those who print escape the texts that they know to be foreign ([`printable`]). Here everything goes past, so that one
//! that was forgotten does no harm either.

use std::fmt::Write as _;
use std::io;
use touchmark_identity::printable;

/// Several lines, or one with our own colours: line feeds and tabs stay, and colours where `colours` says that there are
/// some. All else is [`printable`].
pub(crate) fn lines(text: &str, colours: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\t', '\u{1b}']) {
        let (plain, special) = rest.split_at(at);
        out += &printable(plain);
        let colour = colour_octets(special).filter(|_| colours);
        let (special, after) = special.split_at(colour.unwrap_or(1));
        out += if colour.is_some() || special != "\u{1b}" { special } else { " " };
        rest = after;
    }
    out + &printable(rest)
}

/// Octets of the colour at the beginning: ECMA-48 §8.3.117, `ESC [ ... m`.
fn colour_octets(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inner[end..].starts_with('m').then_some(2 + end + 1)
}

/// The same JSON, in which what a terminal would obey or not show stands as `\u202e`. Such characters are within strings
/// only, where both forms mean the same (RFC 8259 §7).
pub(crate) fn json(text: String) -> String {
    let obeyed = |c: char| {
        (!c.is_ascii() || c == '\u{7f}') && printable(c.encode_utf8(&mut [0; 4])).ne(&c.to_string())
    };
    if !text.contains(obeyed) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A string takes everything.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
        out
    })
}

/// Passes log lines on: each write is one line, and stays one.
pub(crate) struct LogLines<W> {
    /// Where they go.
    pub(crate) to: W,
    /// Whether whoever formats them colours them.
    pub(crate) colours: bool,
}

impl<W: io::Write> io::Write for LogLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let inner = text.strip_suffix('\n').unwrap_or(&text).replace(['\n', '\t'], " ");
        self.to.write_all(format!("{}\n", lines(&inner, self.colours)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What a terminal would obey, or not show, in a text from elsewhere.
    const HARM: [char; 9] =
        ['\u{1b}', '\u{7}', '\r', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{e0041}'];

    #[test]
    fn lines_keep_their_ends_and_our_colours_and_nothing_else() {
        let rows = [
            ("two lines\nand\ta tab", true, "two lines\nand\ta tab"),
            ("\u{1b}[32m✓\u{1b}[0m pump-01 ä 泵", true, "\u{1b}[32m✓\u{1b}[0m pump-01 ä 泵"),
            ("\u{1b}[32m✓\u{1b}[0m", false, " [32m✓ [0m"),
            ("a\u{1b}[2Jb\u{1b}]0;title\u{7}", true, "a [2Jb ]0;title "),
            ("a\u{1b}", true, "a "),
            ("a\u{1b}[31", true, "a [31"),
            ("exe.\u{202e}fdp\r\n\u{9b}2J", true, "exe.\\u{202e}fdp \n 2J"),
        ];
        for (text, colours, expected) in rows {
            assert_eq!(lines(text, colours), expected, "{text:?}, {colours}");
        }
    }

    #[test]
    fn json_means_the_same_and_does_nothing_to_a_terminal() {
        let plain = r#"{"a":"ä 泵 ✓"}"#.to_owned();
        assert_eq!(json(plain.clone()), plain);
        for harm in HARM {
            let value = serde_json::json!({ format!("k{harm}"): [format!("a{harm}b"), 7] });
            let shown = json(serde_json::to_string(&value).unwrap());
            assert!(!shown.contains(harm), "{harm:?}: {shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// As [`crate::log_format`] makes it, with client identifiers and topics from peers as fields and in the words.
    #[test]
    fn a_log_line_with_the_words_of_a_peer_stays_one_harmless_line() {
        for colours in [false, true] {
            for harm in HARM.into_iter().chain(['\n', '\u{2028}']) {
                let kept = Kept::default();
                let client_id = format!("pump{harm}[2J01");
                let log = crate::log_format(kept.clone(), colours, "trace".into());
                tracing::subscriber::with_default(log, || {
                    tracing::error!(%client_id, topic = client_id, "no session for {client_id}");
                    tracing::error!(client = ?[&client_id], "next");
                });
                let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
                assert_eq!(text.matches('\n').count(), 2, "{harm:?}, {colours}: {text:?}");
                assert!(matches!(harm, '\n' | '\u{1b}') || !text.contains(harm), "{harm:?}: {text:?}");
                assert!(!text.contains("\u{1b}[2J"), "{harm:?}, {colours}: {text:?}");
                assert!(text.contains("next") && text.contains("pump"), "{text:?}");
            }
        }
    }
}
