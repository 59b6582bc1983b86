//! The files of the workspace, and which lines of a Rust file belong to its tests.
//!
//! Out: paths relative to the root, sorted, so that what is printed is the same on every machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::Failed;

/// Folders that hold nothing written by hand.
const SKIPPED: &[&str] = &["target", ".git", "node_modules"];

/// The checkout that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    pub(crate) fn of_this_build() -> Self {
        Self::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
    }

    fn at(root: PathBuf) -> Self {
        Self { root: fs::canonicalize(&root).unwrap_or(root) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of one file, named from the root.
    pub(crate) fn read(&self, file: &Path) -> Result<String, Failed> {
        fs::read_to_string(self.root.join(file))
            .map_err(|error| Failed::because(format!("{}: {error}", file.display())))
    }

    /// All Rust sources.
    pub(crate) fn rust_files(&self) -> Result<Vec<PathBuf>, Failed> {
        let is_rust = |file: &Path| file.extension().is_some_and(|extension| extension == "rs");
        Ok(self.files()?.into_iter().filter(|file| is_rust(file)).collect())
    }

    /// All files but those of skipped folders.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Failed> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let cannot = |error| Failed::because(format!("{}: {error}", folder.display()));
            for entry in fs::read_dir(self.root.join(&folder)).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                let kind = entry.file_type().map_err(cannot)?;
                let path = folder.join(entry.file_name());
                if kind.is_file() {
                    found.push(path);
                } else if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                    folders.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Is the whole file test code: under `tests/`, or a `tests.rs` beside what it tests?
pub(crate) fn is_test_file(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

/// The lines of a file that are not tests: tests come last in a file, behind `#[cfg(test)]`.
pub(crate) fn product_lines(source: &str) -> impl Iterator<Item = &str> {
    let mut lines = source.lines().peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let opens_tests = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
        (!opens_tests).then_some(line)
    })
}

/// The part of a line before a `//` comment.
pub(crate) fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// `word` stands in `line` with no letter, digit or underscore on either side.
pub(crate) fn word_positions<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line.get(..*at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_told_by_their_place() {
        let cases = [
            ("crates/ca/src/plan.rs", false),
            ("crates/ca/src/plan/tests.rs", true),
            ("crates/ca/tests/plan.rs", true),
            ("tests/journeys/enrol.rs", true),
            ("tools/xtask/src/test.rs", false),
        ];
        for (file, expected) in cases {
            assert_eq!(is_test_file(Path::new(file)), expected, "{file}");
        }
    }

    #[test]
    fn product_lines_end_where_the_test_module_begins() {
        let source =
            "fn a() {}\n#[cfg(test)]\nuse x;\nfn b() {}\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n";
        let lines: Vec<_> = product_lines(source).collect();
        assert_eq!(lines, ["fn a() {}", "#[cfg(test)]", "use x;", "fn b() {}"]);
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(word_positions("recorded_unchecked(assert_recorded_at)", "recorded_unchecked").count(), 1);
        assert_eq!(word_positions("R1 R11 R1.", "R1").count(), 2);
    }

    #[test]
    fn this_workspace_holds_this_file_and_no_build_output() {
        let files = Workspace::of_this_build().rust_files().unwrap();
        assert!(files.contains(&PathBuf::from("tools/xtask/src/sources.rs")));
        assert!(!files.iter().any(|file| file.starts_with("target")));
    }
}
