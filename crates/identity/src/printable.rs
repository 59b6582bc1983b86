//! Text from elsewhere, made harmless for a terminal: nothing moves the cursor, hides, or turns the direction round.

/// One line: a control character becomes a space, and what is invisible or turns the text round (Unicode bidirectional
/// controls, zero-width characters, separators of lines, tags) is written as `\u{202e}`.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            _ if c.is_control() => out.push(' '),
            _ if is_invisible(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
        out
    })
}

/// Characters without a shape of their own (Unicode Technical Report 36 §2.5; CVE-2021-42574).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_moves_hides_or_turns_round() {
        let rows = [
            ("plain", "pump-01 ä 泵 ✓", "pump-01 ä 泵 ✓"),
            ("escape sequence", "a\u{1b}[2Jb", "a [2Jb"),
            ("a second line", "a\nb\rc\td", "a b c d"),
            ("C1 control", "a\u{9b}2Jb", "a 2Jb"),
            ("right to left override", "exe.\u{202e}fdp", r"exe.\u{202e}fdp"),
            ("isolates", "\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
            ("marks", "a\u{200e}\u{200f}\u{61c}", r"a\u{200e}\u{200f}\u{61c}"),
            ("zero width", "pu\u{200b}mp\u{feff}", r"pu\u{200b}mp\u{feff}"),
            ("line separator", "a\u{2028}b", r"a\u{2028}b"),
            ("tags", "a\u{e0041}", r"a\u{e0041}"),
        ];
        for (name, text, expected) in rows {
            assert_eq!(printable(text), expected, "{name}");
        }
    }
}
