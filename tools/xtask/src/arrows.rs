//! Arrows: the crate graph, the walls and the guarded constructors, held against ARCHITECTURE.md.
//!
//! In: `cargo metadata`, the sources, and the fenced blocks `arrows`, `walls` and `doors` of that page.
//! Out: every difference, in both directions: what is there but not listed, and what is listed but gone.

mod doors;
mod graph;
mod listed;

use std::path::Path;

use crate::cargo;
use crate::report::{StepResult, verdict};
use crate::sources::Workspace;

use doors::Doors;
use graph::Graph;
use listed::Listed;

const PAGE: &str = "ARCHITECTURE.md";

pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let listed = Listed::from_page(&workspace.read(Path::new(PAGE))?)?;
    let mut metadata = cargo::command(workspace.root());
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let graph = Graph::from_metadata(&cargo::read(metadata)?)?;
    let doors = Doors::in_sources(workspace)?;

    let mut faults = graph.arrows_against(&listed.arrows);
    faults.extend(graph.upward());
    faults.extend(graph.through_walls(&listed.walls));
    faults.extend(doors.against(&listed.doors));
    let says = format!(
        "{} crates, {} arrows, {} walls, {} guarded call sites",
        graph.members().count(),
        graph.arrow_count(),
        listed.walls.len(),
        listed.doors.len()
    );
    verdict(says, faults)
}
