//! Golden files: the bytes that must not change unnoticed, on disk and on the wire.
//!
//! They lie in a folder `golden/` of the crate that owns the format; its tests compare, and rewrite them
//! only when `TOUCHMARK_BLESS=1` is set. Verifying also shows that no test rewrites them unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cargo;
use crate::report::{Failed, Passed, StepResult, verdict};
use crate::sources::Workspace;

/// Tests rewrite golden files when this is set.
pub(crate) const BLESS: &str = "TOUCHMARK_BLESS";

/// All golden files as they are before something runs.
pub(crate) struct Before(Contents);

impl Before {
    pub(crate) fn of(workspace: &Workspace) -> Result<Self, Failed> {
        contents(workspace).map(Self)
    }

    /// What ran since has left them as they were.
    pub(crate) fn unchanged(&self, workspace: &Workspace) -> StepResult {
        let changed = differences(&self.0, &contents(workspace)?);
        let faults =
            changed.iter().map(|change| format!("{change} by a test that was not asked to")).collect();
        verdict(format!("{} files unchanged", self.0.len()), faults)
    }
}

/// Runs the tests of every crate with golden files; these must pass and leave the files as they were.
pub(crate) fn verify(workspace: &Workspace) -> StepResult {
    let before = Before::of(workspace)?;
    let tests = run_owners(workspace, &before.0, Rewriting::Forbidden)?.tests;
    let unchanged = before.unchanged(workspace)?;
    Ok(Passed { tests, ..unchanged })
}

/// Runs the same tests with leave to rewrite, then says what changed.
pub(crate) fn bless(workspace: &Workspace) -> StepResult {
    let before = contents(workspace)?;
    let mut passed = run_owners(workspace, &before, Rewriting::Allowed)?;
    let changed = differences(&before, &contents(workspace)?);
    for change in &changed {
        println!("{change}");
    }
    passed.says = format!("{} of {} files changed; review the diff", changed.len(), before.len());
    Ok(passed)
}

enum Rewriting {
    Allowed,
    Forbidden,
}

fn run_owners(workspace: &Workspace, golden: &Contents, rewriting: Rewriting) -> StepResult {
    let mut command = cargo::command(workspace.root());
    command.args(["test", "--no-fail-fast"]);
    match rewriting {
        Rewriting::Allowed => command.env(BLESS, "1"),
        Rewriting::Forbidden => command.env_remove(BLESS),
    };
    for package in owners(workspace, golden)? {
        command.args(["--package", &package]);
    }
    cargo::count_tests(command)
}

type Contents = BTreeMap<PathBuf, Vec<u8>>;

fn contents(workspace: &Workspace) -> Result<Contents, Failed> {
    let mut found = Contents::new();
    for file in workspace.files()?.into_iter().filter(|file| is_golden(file)) {
        let bytes = fs::read(workspace.root().join(&file))
            .map_err(|error| Failed::because(format!("{}: {error}", file.display())))?;
        found.insert(file, bytes);
    }
    Ok(found)
}

fn is_golden(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.components().any(|part| part.as_os_str() == "golden"))
}

/// The packages that the files belong to: the nearest `Cargo.toml` upward.
fn owners(workspace: &Workspace, golden: &Contents) -> Result<BTreeSet<String>, Failed> {
    let mut owners = BTreeSet::new();
    for file in golden.keys() {
        let manifest = file
            .ancestors()
            .skip(1)
            .map(|folder| folder.join("Cargo.toml"))
            .find(|manifest| workspace.root().join(manifest).is_file())
            .ok_or_else(|| Failed::because(format!("{}: belongs to no package", file.display())))?;
        owners.insert(package_name(&workspace.read(&manifest)?, &manifest)?);
    }
    Ok(owners)
}

fn package_name(manifest: &str, file: &Path) -> Result<String, Failed> {
    let table: toml::Table =
        manifest.parse().map_err(|error| Failed::because(format!("{}: {error}", file.display())))?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    name.map(str::to_owned)
        .ok_or_else(|| Failed::because(format!("{}: golden files outside a package", file.display())))
}

fn differences(before: &Contents, after: &Contents) -> Vec<String> {
    let files: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    files
        .into_iter()
        .filter_map(|file| match (before.get(file), after.get(file)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(_), Some(_)) => Some(format!("{} was changed", file.display())),
            (None, _) => Some(format!("{} was added", file.display())),
            (_, None) => Some(format!("{} was removed", file.display())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_files_are_told_by_their_folder() {
        assert!(is_golden(Path::new("crates/tlog/tests/golden/checkpoint.hex")));
        assert!(is_golden(Path::new("crates/tlog/tests/golden/v1/leaf.hex")));
        assert!(!is_golden(Path::new("tools/xtask/src/golden.rs")));
    }

    #[test]
    fn every_change_is_seen() {
        let files = |list: &[(&str, &str)]| -> Contents {
            list.iter().map(|(file, text)| (PathBuf::from(file), text.as_bytes().to_vec())).collect()
        };
        let before = files(&[("same", "1"), ("changed", "1"), ("removed", "1")]);
        let after = files(&[("same", "1"), ("changed", "2"), ("added", "1")]);
        assert_eq!(
            differences(&before, &after),
            ["added was added", "changed was changed", "removed was removed"]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn a_workspace_manifest_is_no_package() {
        let file = Path::new("Cargo.toml");
        assert!(package_name("[workspace]", file).is_err());
        assert_eq!(package_name("[package]\nname = \"touchmark-tlog\"", file).unwrap(), "touchmark-tlog");
    }
}
