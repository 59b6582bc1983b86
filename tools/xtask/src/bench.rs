//! Benchmarks: always in release, since other figures mean nothing.

use crate::cargo;
use crate::report::StepResult;
use crate::sources::Workspace;

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> StepResult {
    let mut command = cargo::command(workspace.root());
    command.args(["run", "--release", "--package", "touchmark-bench", "--"]).args(arguments);
    cargo::show(command)
}
