//! docs/abuse.md as a table: what is promised there and what is tested must be the same list.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Answer and reason code by name of the abuse, as the page lists them under a heading.
///
/// # Panics
/// If the page cannot be read or names something twice.
pub fn promised(heading: &str) -> BTreeMap<String, (String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/abuse.md");
    let page = std::fs::read_to_string(path).unwrap();
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("docs/abuse.md has no heading `{heading}`"));
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, answer, code] = cells[..] else { panic!("three cells: {line}") };
        let code = code.trim_matches('`').to_owned();
        let twice = rows.insert(name.to_owned(), (answer.to_owned(), code));
        assert!(twice.is_none(), "{name} stands twice under `{heading}`");
    }
    rows
}

/// Compares the page with what a suite tested: every name on both sides, with the same answer and code.
pub fn same_as_promised<'a>(heading: &str, tested: impl IntoIterator<Item = (&'a str, String, &'a str)>) {
    let tested: BTreeMap<String, (String, String)> =
        tested.into_iter().map(|(name, answer, code)| (name.to_owned(), (answer, code.to_owned()))).collect();
    assert_eq!(promised(heading), tested, "docs/abuse.md, `{heading}`: left is the page, right the suite");
}
