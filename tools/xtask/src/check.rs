//! Everything that is judged without running the product: what CI holds a change against.

use std::process::{Command, ExitCode};

use crate::report::{Report, StepResult};
use crate::sources::Workspace;
use crate::{arrows, cargo, dependencies, file_size, requirements, setup};

pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let step = |arguments: &[&str]| {
        let mut command = cargo::command(workspace.root());
        command.args(arguments);
        command
    };
    let mut report = Report::new("check");
    report.step("fmt", || cargo::show(step(&["fmt", "--all", "--check"])));
    report.step("arrows", || arrows::run(workspace));
    report.step("dependencies", || dependencies::run(workspace));
    report.step("requirements", || requirements::run(workspace));
    report.step("file size", || file_size::run(workspace));
    report.step("deny", || deny(step(&["deny", "--workspace", "check", "bans", "licenses", "sources"])));
    report.step("clippy", || {
        cargo::show(step(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    report.step("doc", || {
        let mut command = step(&["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "--deny warnings");
        cargo::show(command)
    });
    report.close()
}

/// Licences, sources and doubled crates. Advisories are left out: they need the network on every run.
fn deny(command: Command) -> StepResult {
    setup::cargo_deny()?;
    cargo::show(command)
}
