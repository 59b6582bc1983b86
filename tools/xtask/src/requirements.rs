//! Requirements: what docs/requirements.md claims, held against the tests that name it.
//!
//! A test claims a row by naming it in the comment right above it (`/// R45`). A row marked `claimed`
//! without such a test fails, and so does a test that names a row which does not exist.

mod claims;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::report::{StepResult, verdict};
use crate::sources::Workspace;

use table::{Row, Status};

const PAGE: &str = "docs/requirements.md";

pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let rows = table::read(&workspace.read(Path::new(PAGE))?)?;
    let mut named: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for file in workspace.rust_files()?.into_iter().filter(|file| !file.starts_with("tools/xtask")) {
        for claim in claims::in_source(&workspace.read(&file)?) {
            let place = format!("{}:{}", file.display(), claim.line);
            named.entry(claim.requirement).or_default().push(place);
        }
    }
    let unclaimed = named_but_not_claimed(&rows, &named);
    if !unclaimed.is_empty() {
        println!("named by a test but marked `not yet`: {}", list(&unclaimed));
    }
    let claimed = rows.iter().filter(|row| row.status == Status::Claimed).count();
    let says = format!("{claimed} of {} rows claimed ({} %)", rows.len(), claimed * 100 / rows.len().max(1));
    verdict(says, faults(&rows, &named))
}

fn faults(rows: &[Row], named: &BTreeMap<u16, Vec<String>>) -> Vec<String> {
    let known: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    let mut faults = Vec::new();
    for row in rows.iter().filter(|row| row.status == Status::Claimed && !named.contains_key(&row.id)) {
        faults.push(format!("R{} is marked `claimed`, but no test names it", row.id));
    }
    for (id, places) in named.iter().filter(|(id, _)| !known.contains(*id)) {
        faults.push(format!("R{id} is named in {}, but {PAGE} has no such row", places.join(", ")));
    }
    faults
}

fn named_but_not_claimed(rows: &[Row], named: &BTreeMap<u16, Vec<String>>) -> Vec<u16> {
    let open = rows.iter().filter(|row| row.status == Status::NotYet && named.contains_key(&row.id));
    open.map(|row| row.id).collect()
}

fn list(ids: &[u16]) -> String {
    ids.iter().map(|id| format!("R{id}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_without_a_test_and_tests_without_a_row_are_faults() {
        let rows = [
            Row { id: 1, status: Status::Claimed },
            Row { id: 2, status: Status::Claimed },
            Row { id: 3, status: Status::NotYet },
        ];
        let place = || vec!["tests/a.rs:1".to_owned()];
        let named = BTreeMap::from([(1, place()), (3, place()), (117, place())]);
        let faults = faults(&rows, &named);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("R2 ") && faults[1].starts_with("R117 "), "{faults:?}");
        assert_eq!(named_but_not_claimed(&rows, &named), [3]);
    }
}
