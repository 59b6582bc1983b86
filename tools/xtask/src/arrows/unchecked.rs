//! Constructors named `..._unchecked`, which vouch for something the compiler cannot see.
//!
//! `recorded_unchecked` says "this plan is durable"; who may say so is listed, file by file, and a new place
//! fails until it is listed and so reviewed. Tests may say what they like.

use std::collections::BTreeSet;
use std::path::Path;

use super::listed::Sites;
use crate::report::Failed;
use crate::sources::{Workspace, is_test_file, product_lines, without_comment, word_positions};

/// Every mention in product code of a guarded constructor that a crate of the core declares.
pub(crate) struct Unchecked {
    sites: Sites,
}

impl Unchecked {
    pub(crate) fn in_sources(workspace: &Workspace) -> Result<Self, Failed> {
        let mut sources = Vec::new();
        for file in workspace.rust_files()?.into_iter().filter(|file| is_product(file)) {
            sources.push((file.display().to_string(), workspace.read(&file)?));
        }
        Ok(Self::in_texts(&sources))
    }

    fn in_texts(sources: &[(String, String)]) -> Self {
        let core = sources.iter().filter(|(file, _)| file.starts_with("crates/"));
        let names: BTreeSet<_> =
            core.flat_map(|(_, text)| product_lines(text).filter_map(declared)).collect();
        let mut sites = Sites::new();
        for (file, text) in sources {
            for line in product_lines(text).filter(|line| !is_import(line)) {
                let line = without_comment(line);
                for name in &names {
                    let mentions = word_positions(line, name).filter(|at| !is_declaration(line, *at)).count();
                    if mentions > 0 {
                        *sites.entry(((*name).to_owned(), file.clone())).or_default() += mentions;
                    }
                }
            }
        }
        Self { sites }
    }

    /// Differences between the sources and the list, in both directions.
    pub(crate) fn against(&self, listed: &Sites) -> Vec<String> {
        let mut faults = Vec::new();
        for ((name, file), count) in &self.sites {
            let allowed = listed.get(&(name.clone(), file.clone())).copied().unwrap_or_default();
            if *count != allowed {
                faults.push(format!(
                    "`{name}` is used {count} times in {file}, {allowed} listed: list it after a review of the new use"
                ));
            }
        }
        for (name, file) in listed.keys().filter(|site| !self.sites.contains_key(*site)) {
            faults.push(format!("`{name}` in {file} is listed but no longer used"));
        }
        faults
    }
}

fn is_product(file: &Path) -> bool {
    let ours = ["crates", "services", "tools"].iter().any(|folder| file.starts_with(folder));
    // The names below are examples.
    ours && !is_test_file(file) && !file.starts_with("tools/xtask")
}

/// The guarded constructor that this line declares for use by other crates.
fn declared(line: &str) -> Option<&str> {
    let line = without_comment(line).trim_start();
    let (before, after) = line.split_once("fn ")?;
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    let name = after.get(..end)?;
    (before.starts_with("pub ") && name.ends_with("_unchecked")).then_some(name)
}

fn is_declaration(line: &str, at: usize) -> bool {
    line.get(..at).is_some_and(|before| before.ends_with("fn "))
}

fn is_import(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("use ") || line.starts_with("pub use ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "impl<T> Recorded<T> {\n    pub fn recorded_unchecked(plan: T) -> Self {\n        Self(plan)\n    }\n}\nfn private_unchecked() {}\n#[cfg(test)]\nmod tests {\n    fn t() { Recorded::recorded_unchecked(1); }\n}\n";
    const SHELL: &str = "use ca::recorded_unchecked;\nfn commit() {\n    // recorded_unchecked is for here\n    plans.map(Recorded::recorded_unchecked);\n    private_unchecked();\n}\n";

    fn unchecked() -> Unchecked {
        Unchecked::in_texts(&[
            ("crates/ca/src/recorded.rs".into(), CORE.into()),
            ("services/authority/src/store/commit.rs".into(), SHELL.into()),
        ])
    }

    fn site(file: &str, count: usize) -> ((String, String), usize) {
        (("recorded_unchecked".into(), file.into()), count)
    }

    #[test]
    fn uses_are_found_and_declarations_imports_comments_and_tests_are_not() {
        assert_eq!(unchecked().sites, Sites::from([site("services/authority/src/store/commit.rs", 1)]));
    }

    #[test]
    fn a_new_use_and_a_stale_entry_are_faults() {
        assert!(
            unchecked().against(&Sites::from([site("services/authority/src/store/commit.rs", 1)])).is_empty()
        );
        assert_eq!(unchecked().against(&Sites::new()).len(), 1);
        assert_eq!(
            unchecked().against(&Sites::from([site("services/authority/src/store/commit.rs", 2)])).len(),
            1
        );
        let stale = Sites::from([
            site("services/authority/src/store/commit.rs", 1),
            site("services/authority/src/gone.rs", 1),
        ]);
        assert_eq!(unchecked().against(&stale).len(), 1);
    }
}
