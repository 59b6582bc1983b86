//! External crates: each one in the root Cargo.toml has its reason in docs/dependencies.md, and the reverse;
//! and each is used by a crate of ours.

use std::collections::BTreeSet;
use std::path::Path;

use crate::report::{Failed, StepResult, verdict};
use crate::sources::Workspace;

const PAGE: &str = "docs/dependencies.md";

pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let used = external(&workspace.read(Path::new("Cargo.toml"))?)?;
    let explained = explained(&workspace.read(Path::new(PAGE))?);
    let mut faults = Vec::new();
    for new in used.difference(&explained) {
        faults.push(format!("`{new}` has no reason in {PAGE}: add a row `| {new} | why |`, or take it out"));
    }
    for gone in explained.difference(&used) {
        faults.push(format!("`{gone}` is explained in {PAGE} but not in [workspace.dependencies]"));
    }
    let mut named = BTreeSet::new();
    for manifest in workspace.files()?.iter().filter(|file| file.ends_with("Cargo.toml")) {
        named.extend(named_by_member(&workspace.read(manifest)?, manifest)?);
    }
    for idle in used.difference(&named) {
        faults.push(format!("`{idle}` stands in [workspace.dependencies], but no crate of ours names it"));
    }
    verdict(format!("{} external crates, each with its reason", used.len()), faults)
}

/// The names in `[workspace.dependencies]` that are not paths of our own.
fn external(manifest: &str) -> Result<BTreeSet<String>, Failed> {
    let table: toml::Table =
        manifest.parse().map_err(|error| Failed::because(format!("Cargo.toml: {error}")))?;
    let dependencies = table.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let dependencies = dependencies
        .and_then(toml::Value::as_table)
        .ok_or_else(|| Failed::because("Cargo.toml has no [workspace.dependencies]"))?;
    let external = dependencies.iter().filter(|(_, value)| value.get("path").is_none());
    Ok(external.map(|(name, _)| name.clone()).collect())
}

/// The names in a member's tables of dependencies; none for the workspace's own manifest.
fn named_by_member(manifest: &str, file: &Path) -> Result<BTreeSet<String>, Failed> {
    let table: toml::Table =
        manifest.parse().map_err(|error| Failed::because(format!("{}: {error}", file.display())))?;
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let named = tables.iter().filter_map(|name| table.get(*name)?.as_table());
    Ok(named.flat_map(|table| table.keys().cloned()).collect())
}

/// The names of rows `| name | reason |` with a reason that is not empty.
fn explained(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
        let (name, reason) = (cells.next()?, cells.next()?);
        let is_row = !reason.is_empty() && name != "crate" && !name.starts_with('-');
        is_row.then(|| name.trim_matches('`').to_owned())
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_crates_need_no_reason() {
        let manifest = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\nhex = \"0.4\"\n";
        assert_eq!(external(manifest).unwrap(), BTreeSet::from(["hex".to_owned()]));
        assert!(external("[package]").is_err());
    }

    #[test]
    fn a_crate_is_named_in_any_of_the_three_tables() {
        let file = Path::new("Cargo.toml");
        let manifest = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = { workspace = true }\n";
        assert_eq!(
            named_by_member(manifest, file).unwrap(),
            BTreeSet::from(["a".to_owned(), "b".to_owned()])
        );
        assert!(named_by_member("[workspace.dependencies]\nc = \"1\"", file).unwrap().is_empty());
    }

    #[test]
    fn a_row_without_a_reason_explains_nothing() {
        let page = "| crate | reason |\n|---|---|\n| `hex` | ids as text |\n| bytes | |\ntext | more\n";
        assert_eq!(explained(page), BTreeSet::from(["hex".to_owned()]));
    }
}
