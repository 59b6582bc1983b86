//! A policy file, cut into statements and bounded before Cedar's parser sees it.
//!
//! Cutting first gives each statement a line and lets one broken statement not hide the faults of the others.
//! The bounds keep Cedar's recursive passes (conversion, validation, evaluation, drop) inside a small stack.
//! Cedar's lexical grammar: `//` comments, `"` strings with `\` escapes, statements end in `;`.

/// Longest statement.
pub(crate) const OCTETS_MAX: usize = 16 * 1024;
/// Most tokens in one statement.
pub(crate) const TOKENS_MAX: usize = 2_000;
/// Most operators in one statement: `a || b || c ...` nests as deep as it is long, some 4 KiB of stack a level.
pub(crate) const LINKS_MAX: usize = 128;
/// Deepest nesting of brackets.
pub(crate) const DEPTH_MAX: usize = 24;
/// Most statements in one bundle.
pub(crate) const STATEMENTS_MAX: usize = 4_096;

/// One statement and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    pub(crate) line: usize,
    pub(crate) text: &'a str,
    /// Why it must not be parsed.
    pub(crate) too_large: Option<String>,
}

/// Cuts `text` at each `;` outside strings and comments. What follows the last one is a statement too, unless blank.
pub(crate) fn cut(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut scan = Scan::at(0, 1);
    let mut line = 1;
    let mut octets = text.char_indices().peekable();
    while let Some((at, c)) = octets.next() {
        match c {
            '\n' => line += 1,
            '/' if matches!(octets.peek(), Some((_, '/'))) => {
                // Cedar ends a comment at a carriage return too.
                while octets.next_if(|(_, c)| !matches!(c, '\n' | '\r')).is_some() {}
            }
            '"' => {
                scan.token(line, at);
                let mut escaped = false;
                for (_, c) in octets.by_ref() {
                    match c {
                        '\n' => line += 1,
                        '"' if !escaped => break,
                        _ => {}
                    }
                    escaped = c == '\\' && !escaped;
                }
                scan.word = false;
            }
            ';' => {
                statements.extend(scan.finish(text.get(scan.start..at + 1).unwrap_or_default()));
                scan = Scan::at(at + 1, line);
            }
            c if c.is_whitespace() => scan.word = false,
            c if c.is_alphanumeric() || c == '_' => {
                if !scan.word {
                    scan.token(line, at);
                    scan.links += usize::from(is_operator_word(text.get(at..).unwrap_or_default()));
                }
                scan.word = true;
            }
            c => {
                scan.token(line, at);
                scan.word = false;
                match c {
                    '(' | '[' | '{' => scan.open(),
                    ')' | ']' | '}' => scan.depth = scan.depth.saturating_sub(1),
                    ',' | ':' | '@' => {}
                    // `||`, `&&` and `==` are one operator; `!!` and `--` are two.
                    '|' | '&' | '=' if octets.next_if(|(_, next)| *next == c).is_some() => scan.links += 1,
                    _ => scan.links += 1,
                }
            }
        }
    }
    statements.extend(scan.finish(text.get(scan.start..).unwrap_or_default()));
    statements
}

/// Words that join expressions.
fn is_operator_word(rest: &str) -> bool {
    let word = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    matches!(word, "if" | "in" | "is" | "has" | "like")
}

struct Scan {
    start: usize,
    line: usize,
    tokens: usize,
    links: usize,
    depth: usize,
    deepest: usize,
    word: bool,
}

impl Scan {
    fn at(start: usize, line: usize) -> Self {
        Self { start, line, tokens: 0, links: 0, depth: 0, deepest: 0, word: false }
    }

    /// Counts a token; the first one is where the statement begins.
    fn token(&mut self, line: usize, at: usize) {
        if self.tokens == 0 {
            self.line = line;
            self.start = at;
        }
        self.tokens += 1;
    }

    fn open(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    fn finish<'a>(&self, text: &'a str) -> Option<Statement<'a>> {
        // A tail of blanks and comments is no statement; a stray `;` is a broken one.
        if self.tokens == 0 && !text.ends_with(';') {
            return None;
        }
        let over = |what: &str, is: usize, max: usize| {
            (is > max).then(|| format!("the statement has {is} {what}, at most {max} are accepted"))
        };
        let too_large = over("octets", text.len(), OCTETS_MAX)
            .or_else(|| over("tokens", self.tokens, TOKENS_MAX))
            .or_else(|| over("operators", self.links, LINKS_MAX))
            .or_else(|| over("levels of brackets", self.deepest, DEPTH_MAX));
        Some(Statement { line: self.line, text, too_large })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_strings_and_comments() {
        type Cut<'a> = &'a [(usize, &'a str)];
        let rows: &[(&str, &str, Cut<'_>)] = &[
            ("empty", "", &[]),
            ("comment only", "// a;b\n// c", &[]),
            ("two", "a;\n\n b;", &[(1, "a;"), (3, "b;")]),
            ("in a string", "a \"x;\\\";y\" b;c;", &[(1, "a \"x;\\\";y\" b;"), (1, "c;")]),
            ("escaped backslash", r#"a "\\";b;"#, &[(1, r#"a "\\";"#), (1, "b;")]),
            ("comment before", "// one\n// two;\na;", &[(3, "a;")]),
            ("comment ended by a carriage return", "// x;\ra;", &[(1, "a;")]),
            ("comment inside", "a // x;\n b;", &[(1, "a // x;\n b;")]),
            ("no end", "a;\nb", &[(1, "a;"), (2, "b")]),
            ("open string", "a \"b;\nc", &[(1, "a \"b;\nc")]),
            ("slash in a string", "a \"//\";b;", &[(1, "a \"//\";"), (1, "b;")]),
            ("stray end", ";", &[(1, ";")]),
        ];
        for (name, text, expected) in rows {
            let found: Vec<(usize, &str)> = cut(text).iter().map(|s| (s.line, s.text)).collect();
            assert_eq!(found, *expected, "{name}");
        }
    }

    #[test]
    fn a_statement_too_large_for_the_stack_is_marked() {
        let rows = [
            ("octets", format!("\"{}\";", "a".repeat(OCTETS_MAX)), true),
            ("tokens", "a,".repeat(TOKENS_MAX), true),
            ("operators", "a||".repeat(LINKS_MAX + 1), true),
            ("as many operators as may be", "a||".repeat(LINKS_MAX), false),
            ("operators without blanks", "!".repeat(LINKS_MAX + 1), true),
            ("operator words", "if a ".repeat(LINKS_MAX + 1), true),
            ("a long list", "\"a\", ".repeat(500), false),
            ("brackets", "(".repeat(DEPTH_MAX + 1), true),
            ("side by side", "()".repeat(DEPTH_MAX + 1), false),
        ];
        for (name, text, too_large) in rows {
            assert_eq!(cut(&text).iter().any(|s| s.too_large.is_some()), too_large, "{name}");
        }
    }
}
