//! kill -9, and what was promised before it. A kill alone does not prove durability, since the page cache
//! survives it: so the order of system calls is looked at as well, and programs that break the promise on
//! purpose must be caught.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod faults;
mod kill_run;
mod trace;

use kill_run::Tokens;
use touchmark_tests::faults::Fault;
use touchmark_tests::{Lab, program};

/// R46, R48: twenty kills at random moments with sixteen enrolments in flight. Every certificate that was
/// answered is found, no serial number occurs twice, the audit is green (its replay equals the rows), and
/// every device gets its certificate after the restart by asking again.
#[test]
fn nothing_that_was_answered_is_lost_by_a_kill() {
    survives(Tokens::Named, 20);
}

/// R46: the same for a batch that enrols by one counted token, as at the end of a production line.
#[test]
fn a_batch_that_was_cut_off_by_a_kill_goes_on_with_its_token() {
    survives(Tokens::Counted, 5);
}

fn survives(tokens: Tokens, rounds: usize) {
    let report = kill_run::run(Lab::start(), tokens, rounds);
    println!("{report}");
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert!(report.answered > 0 && report.unanswered > 0, "the kills hit the middle: {report}");
}

/// R46: the write-ahead log is synced for the certificate, with its intent, before the answer's first octet is sent.
#[test]
fn a_certificate_is_synced_before_the_answer() {
    let Some(strace) = program("strace") else { return };
    trace::synced_before_answer(&strace, Lab::program(), &Fault::none()).unwrap();
}
