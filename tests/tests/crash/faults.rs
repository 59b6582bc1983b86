//! Faults on purpose, which these tests must notice; otherwise they would prove nothing.

use crate::kill_run::{self, Tokens};
use crate::trace;
use touchmark_tests::faults::{self, Fault};
use touchmark_tests::{Lab, program};

/// R46: a program that answers before it commits fails the kill run.
#[test]
fn a_program_that_answers_before_it_commits_is_noticed() {
    let fault = Fault::chosen("answer-before-commit");
    let report = kill_run::run(Lab::start_with(faults::program(), &fault.before()), Tokens::Named, 5);
    println!("{report}");
    assert!(report.faults.iter().any(|fault| fault.contains("answered, then lost")), "{report:?}");
}

/// R46: a program that does not sync fails the look at the system calls.
#[test]
fn a_program_that_does_not_sync_is_noticed() {
    let Some(strace) = program("strace") else { return };
    let found = trace::synced_before_answer(&strace, faults::program(), &Fault::chosen("no-fsync"));
    println!("{found:?}");
    assert!(found.is_err_and(|what| what.starts_with("0 durable commits")));
}

/// The same build without a fault keeps its promise: what the tests above notice is the fault.
#[test]
fn the_build_with_faults_is_in_order_until_one_is_chosen() {
    let Some(strace) = program("strace") else { return };
    assert_eq!(trace::synced_before_answer(&strace, faults::program(), &Fault::none()), Ok(()));
}

/// A build with faults in it does not start unless it is told to, and knows which faults there are.
#[test]
fn a_build_with_faults_does_not_start_by_accident() {
    let directory = tempfile::tempdir().unwrap();
    for (name, consent, fault, says) in [
        ("no consent", None, None, "TOUCHMARK_FAULTS is not 1"),
        ("no consent to a fault", None, Some("no-fsync"), "TOUCHMARK_FAULTS is not 1"),
        ("half a consent", Some("yes"), None, "TOUCHMARK_FAULTS is not 1"),
        ("an unknown fault", Some("1"), Some("no-sync"), "there is no fault `no-sync`"),
        ("a panic of nobody", Some("1"), Some("panic:"), "there is no fault `panic:`"),
    ] {
        for (program, mut command) in [
            ("touchmark", Lab::authority_command(&faults::program(), directory.path())),
            ("touchmark-agent", std::process::Command::new(faults::agent())),
        ] {
            command.env_remove("TOUCHMARK_FAULTS").env_remove("TOUCHMARK_FAULT");
            command.envs(consent.map(|value| ("TOUCHMARK_FAULTS", value)));
            command.envs(fault.map(|value| ("TOUCHMARK_FAULT", value)));
            let output = command.output().unwrap();
            assert!(!output.status.success(), "{program}: {name}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{program}: {name}: {output:?}");
        }
    }
}

/// What people run knows no faults: it starts, whatever these variables say, and syncs.
#[test]
fn a_normal_build_has_no_faults() {
    let Some(strace) = program("strace") else { return };
    let fault = Fault::chosen("no-fsync");
    assert_eq!(trace::synced_before_answer(&strace, Lab::program(), &fault), Ok(()));
}
