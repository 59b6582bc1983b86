//! Claims: the requirement ids that stand in the comment right above a test.
//!
//! In: Rust source. A claim is `R` and a number, as a word of its own, in a `//` or `///` line that touches
//! a test attribute (`#[test]`, `#[tokio::test]`) with nothing but comments and attributes between.

/// One id beside one test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) requirement: u16,
    /// Counted from 1.
    pub(crate) line: usize,
}

pub(crate) fn in_source(source: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut block = Vec::new();
    let mut above_a_test = false;
    for (number, line) in (1..).zip(source.lines().map(str::trim)) {
        if let Some(comment) = comment_text(line) {
            block.extend(ids(comment).map(|requirement| Claim { requirement, line: number }));
        } else if line.starts_with("#[") {
            above_a_test |= is_test_attribute(line);
        } else {
            if above_a_test {
                claims.append(&mut block);
            }
            block.clear();
            above_a_test = false;
        }
    }
    claims
}

/// The text of an outer comment; `//!` speaks of the whole file and claims nothing.
fn comment_text(line: &str) -> Option<&str> {
    line.strip_prefix("//").filter(|text| !text.starts_with('!'))
}

fn is_test_attribute(line: &str) -> bool {
    let name = line.trim_start_matches("#[").split(['(', ']']).next().unwrap_or_default();
    name == "test" || name.ends_with("::test")
}

fn ids(comment: &str) -> impl Iterator<Item = u16> {
    let words = comment.split(|c: char| !c.is_alphanumeric());
    words.filter_map(|word| word.strip_prefix('R')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(source: &str) -> Vec<u16> {
        in_source(source).iter().map(|claim| claim.requirement).collect()
    }

    #[test]
    fn only_a_comment_that_touches_a_test_claims() {
        let cases: &[(&str, &str, &[u16])] = &[
            ("above the attribute", "/// R45: fast.\n#[test]\nfn f() {}", &[45]),
            ("between attribute and function", "#[test]\n// R45\nfn f() {}", &[45]),
            ("several", "// R2, R3 and (R4)\n#[test]\nfn f() {}", &[2, 3, 4]),
            ("an async test", "/// R1\n#[tokio::test(flavor = \"current_thread\")]\nasync fn f() {}", &[1]),
            ("with other attributes", "/// R1\n#[allow(x)]\n#[test]\n#[should_panic]\nfn f() {}", &[1]),
            ("no test", "/// R45\nfn f() {}", &[]),
            ("not a test, though it sounds so", "/// R45\n#[cfg(test)]\nmod tests {", &[]),
            ("a blank line between", "/// R45\n\n#[test]\nfn f() {}", &[]),
            ("inside the body", "#[test]\nfn f() {\n    // R45\n}", &[]),
            ("a file header", "//! R45\n#[test]\nfn f() {}", &[]),
            ("part of a word", "/// RFC 5280, R45b, ER7\n#[test]\nfn f() {}", &[]),
        ];
        for (name, source, expected) in cases {
            assert_eq!(claimed(source), *expected, "{name}");
        }
    }

    #[test]
    fn a_claim_knows_its_line() {
        assert_eq!(in_source("\n\n// R7\n#[test]\nfn f() {}"), [Claim { requirement: 7, line: 3 }]);
    }
}
