//! The device agent as devices get it: one static file, and the bar for its size.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::report::{Failed, Passed, StepResult};
use crate::sources::Workspace;

/// Largest binary: what fits beside everything else on a 16 MB flash.
const OCTETS_MAX: u64 = 3_000_000;

/// Builds with profile `device` for musl, and weighs the result.
pub(crate) fn run(workspace: &Workspace) -> StepResult {
    let target = musl();
    target_installed(&target)?;
    let mut build = cargo::command(workspace.root());
    build.args(["build", "--profile", "device", "--package", "touchmark-agent", "--bin", "touchmark-agent"]);
    build.args(["--target", &target]);
    // aws-lc is C; it must be compiled against musl's headers too.
    build.env(format!("CC_{}", target.replace('-', "_")), "musl-gcc");
    if let Some(moment) = moment_of_the_source(workspace.root()) {
        build.env("SOURCE_DATE_EPOCH", moment);
    }
    cargo::show(build)?;
    let file = built(workspace.root(), &target)?;
    let octets = fs::metadata(&file).map_err(|error| Failed::because(error.to_string()))?.len();
    println!("{}: {octets} octets, static, stripped", file.display());
    if octets > OCTETS_MAX {
        return Err(Failed::because(format!("{octets} octets, and {OCTETS_MAX} is the bar")));
    }
    Ok(Passed::saying(format!("{octets} octets")))
}

/// The static target of this machine's kind.
fn musl() -> String {
    format!("{ARCH}-unknown-linux-musl")
}

/// Rust's standard library for musl, for `cargo xtask setup`: only [`run`] needs it, so that what is missing is told and
/// nothing fails.
pub(crate) fn target_or_remark() -> StepResult {
    target_installed(&musl()).or_else(|failed| {
        Ok(Passed::saying(format!("not here, so `cargo xtask agent` cannot build: {failed}")))
    })
}

/// Nothing is asked of the network where it is there.
fn target_installed(target: &str) -> StepResult {
    let mut asked = Command::new("rustup");
    asked.args(["target", "list", "--installed"]);
    let installed = cargo::read(asked)?;
    if String::from_utf8_lossy(&installed).lines().any(|line| line == target) {
        return Ok(Passed::saying("present".to_owned()));
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", target]);
    cargo::show(add)?;
    Ok(Passed::saying("installed".to_owned()))
}

/// The clock below which the agent believes none: the last commit's, so that two builds of it are the same.
fn moment_of_the_source(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(root);
    let said = git.output().ok().filter(|output| output.status.success())?.stdout;
    let text = String::from_utf8(said).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn built(root: &Path, target: &str) -> Result<PathBuf, Failed> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let file = folder.join(target).join("device/touchmark-agent");
    if file.is_file() { Ok(file) } else { Err(Failed::because(format!("{} was not built", file.display()))) }
}
