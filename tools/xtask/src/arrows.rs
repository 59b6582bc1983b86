//! Arrows: the crate graph, the walls and the guarded constructors, held against ARCHITECTURE.md.
//!
//! In: `cargo metadata`, the sources, and the fenced blocks `arrows`, `walls` and `unchecked` of that page.
//! Out: every difference, in both directions: what is there but not listed, and what is listed but gone.

mod graph;
mod listed;
mod unchecked;

use std::path::Path;

use crate::cargo;
use crate::report::{StepResult, verdict};
use crate::sources::Workspace;

use graph::Graph;
use listed::Listed;
use unchecked::Unchecked;

const PAGE: &str = "ARCHITECTURE.md";

pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let listed = Listed::from_page(&workspace.read(Path::new(PAGE))?)?;
    let mut metadata = cargo::command(workspace.root());
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let graph = Graph::from_metadata(&cargo::read(metadata)?)?;
    let unchecked = Unchecked::in_sources(workspace)?;

    let mut faults = graph.arrows_against(&listed.arrows);
    faults.extend(graph.upward());
    faults.extend(graph.through_walls(&listed.walls));
    faults.extend(unchecked.against(&listed.unchecked));
    let says = format!(
        "{} crates, {} arrows, {} walls, {} guarded call sites",
        graph.members().count(),
        graph.arrow_count(),
        listed.walls.len(),
        listed.unchecked.len()
    );
    verdict(says, faults)
}
