//! Files that grew past one idea: a warning, never a failure.

use crate::report::{Passed, StepResult};
use crate::sources::Workspace;

/// Past this many lines a file holds more than one idea, nearly always.
const LINES_MAX: usize = 600;

pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let mut long = 0;
    for file in workspace.rust_files()? {
        let lines = workspace.read(&file)?.lines().count();
        if lines > LINES_MAX {
            long += 1;
            println!("warning: {} has {lines} lines: split it by what it decides", file.display());
        }
    }
    Ok(Passed::saying(format!("{long} files past {LINES_MAX} lines")))
}
