//! Builds with a deliberate fault, which these tests must notice; otherwise they would prove nothing.
//!
//! They take minutes to build, so they run in CI and where `TOUCHMARK_SABOTAGE_TESTS=1`.

use crate::kill_run::{self, Tokens};
use crate::trace;
use std::path::PathBuf;
use std::process::Command;
use touchmark_tests::{Lab, program, target_directory};

/// Nobody builds two at once: they share a directory.
static BUILDING: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn sabotaged(feature: &str) -> Option<PathBuf> {
    let wanted = ["TOUCHMARK_SABOTAGE_TESTS", "CI"].iter().any(|name| std::env::var_os(name).is_some());
    if !wanted {
        println!("not built here: TOUCHMARK_SABOTAGE_TESTS=1 has it built");
        return None;
    }
    let _alone = BUILDING.lock().unwrap();
    let directory = target_directory().join("sabotage");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(Lab::BUILD)
        .args(["--features", &format!("touchmark-authority/{feature}"), "--target-dir"])
        .arg(&directory)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{feature} does not build");
    let built = Lab::program_in(&directory);
    let kept = directory.join(feature);
    // Renamed into its place: another test may run the one before.
    let fresh = directory.join(format!("{feature}.new"));
    std::fs::copy(built, &fresh).unwrap();
    std::fs::rename(fresh, &kept).unwrap();
    Some(kept)
}

fn consenting(program: PathBuf) -> (PathBuf, [&'static str; 2]) {
    (program, ["env", "TOUCHMARK_SABOTAGE=1"])
}

/// R46: a build that answers before it commits fails the kill run.
#[test]
fn a_build_that_answers_before_it_commits_is_noticed() {
    let Some(program) = sabotaged("sabotage-answer-before-commit") else { return };
    let (program, before) = consenting(program);
    let report = kill_run::run(Lab::start_with(program, &before), Tokens::Named, 5);
    println!("{report}");
    assert!(report.faults.iter().any(|fault| fault.contains("answered, then lost")), "{report:?}");
}

/// R46: a build that does not sync fails the look at the system calls.
#[test]
fn a_build_that_does_not_sync_is_noticed() {
    let Some(strace) = program("strace") else { return };
    let Some(program) = sabotaged("sabotage-no-fsync") else { return };
    let found = trace::synced_before_answer(&strace, Some(program));
    println!("{found:?}");
    assert!(found.is_err_and(|what| what.starts_with("0 durable commits")));
}

/// A build with a fault in it does not start unless it is told to.
#[test]
fn a_sabotaged_build_does_not_start_by_accident() {
    let Some(program) = sabotaged("sabotage-no-fsync") else { return };
    let directory = tempfile::tempdir().unwrap();
    let output =
        Lab::authority_command(&program, directory.path()).env_remove("TOUCHMARK_SABOTAGE").output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("TOUCHMARK_SABOTAGE"), "{output:?}");
}
