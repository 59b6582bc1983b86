//! `cargo xtask`: the one entry for people and for CI.
//!
//! In: a subcommand. Out: steps with their times, one closing line, an exit code (0 only if all passed).
//! Each subcommand lives in the file of its name; what may go wrong is said where it goes wrong.

// What it prints is all that it is for, and it runs beside people or CI.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod arrows;
mod bench;
mod cargo;
mod check;
mod dependencies;
mod file_size;
mod fuzz;
mod golden;
mod report;
mod requirements;
mod setup;
mod sources;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Report;
use crate::sources::Workspace;

/// Builds, checks and tests Touchmark.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the programs that the tests and checks use, where this user may; otherwise name them.
    Setup,
    /// Formatting, lints, arrows, requirements, dependencies, documentation.
    Check,
    /// All tests, the journeys against real clients included.
    Test {
        /// Leave out setup and the journeys: only what needs nothing but Rust.
        #[arg(long)]
        quick: bool,
        /// The long runs at full length, too (sets TOUCHMARK_LONG_TESTS).
        #[arg(long, conflicts_with = "quick")]
        all: bool,
    },
    /// Golden files: the tests agree with them and leave them alone.
    Golden {
        /// Let the tests rewrite the files; the diff is then yours to review.
        #[arg(long)]
        bless: bool,
    },
    /// The crate graph, the walls and the guarded constructors against ARCHITECTURE.md.
    Arrows,
    /// The claims of docs/requirements.md against the tests that name them.
    Requirements,
    /// The device agent: one static file for devices, and its size.
    Agent,
    /// Fuzz targets: every reader of outside bytes, for some seconds each.
    Fuzz(fuzz::Arguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let workspace = Workspace::of_this_build();
    match task {
        Task::Setup => setup::run(),
        Task::Check => check::run(&workspace),
        Task::Test { quick, all } => test::run(&workspace, quick, all),
        Task::Golden { bless: false } => single("golden", || golden::verify(&workspace)),
        Task::Golden { bless: true } => single("golden", || golden::bless(&workspace)),
        Task::Arrows => single("arrows", || arrows::run(&workspace)),
        Task::Requirements => single("requirements", || requirements::run(&workspace)),
        Task::Agent => single("agent", || agent::run(&workspace)),
        Task::Fuzz(arguments) => fuzz::run(&workspace, &arguments),
        Task::Bench(arguments) => bench::run(&workspace, &arguments),
    }
}

fn single(name: &'static str, step: impl FnOnce() -> report::StepResult) -> ExitCode {
    let mut report = Report::new(name);
    report.step(name, step);
    report.close()
}
