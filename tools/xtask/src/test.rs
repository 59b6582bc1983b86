//! All tests: each crate's own, and the journeys that drive the built binary with real clients.
//!
//! Golden files must stand as before: whatever is persisted or sent changes only where somebody asks for it.
//! Out: `N passed, N failed` alone on the last line.

use std::process::ExitCode;

use crate::report::Report;
use crate::sources::Workspace;
use crate::{cargo, golden, setup};

/// The package whose tests drive the built product with programs from outside.
const JOURNEYS: &str = "touchmark-tests";
/// Tests that repeat something read it, and repeat it as often as their claim says.
const LONG: &str = "TOUCHMARK_LONG_TESTS";

pub(crate) fn run(workspace: &Workspace, quick: bool, all: bool) -> ExitCode {
    let step = |arguments: &[&str]| {
        let mut command = cargo::command(workspace.root());
        command.args(arguments).env_remove(golden::BLESS);
        if all {
            command.env(LONG, "1");
        }
        command
    };
    let mut report = Report::new("test");
    let golden = golden::Before::of(workspace);
    if quick {
        report.step("unit tests", || {
            cargo::count_tests(step(&["test", "--workspace", "--no-fail-fast", "--exclude", JOURNEYS]))
        });
    } else {
        report.step("setup", setup::programs);
        // The journeys start `target/debug/touchmark`, which `cargo test` alone does not build.
        report.step("build", || cargo::show(step(&["build", "--workspace", "--bins"])));
        report.step("tests", || cargo::count_tests(step(&["test", "--workspace", "--no-fail-fast"])));
    }
    report.step("golden", || golden?.unchanged(workspace));
    report.close_with_tests()
}
