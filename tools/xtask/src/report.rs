//! Steps: run one after the other, timed, and closed with one line that says how it went.
//!
//! A failed step does not stop the next one, so that one run shows every fault.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::tally::Tally;

/// What a step says when it passed.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// One line: what was looked at.
    pub(crate) says: String,
    /// Tests that ran inside the step.
    pub(crate) tests: Tally,
}

impl Passed {
    pub(crate) fn saying(says: impl Into<String>) -> Self {
        Self { says: says.into(), tests: Tally::default() }
    }
}

/// What a step says when it failed: every fault found, each with what to do about it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) faults: Vec<String>,
    pub(crate) tests: Tally,
}

impl Failed {
    pub(crate) fn because(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()], tests: Tally::default() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

pub(crate) type StepResult = Result<Passed, Failed>;

/// `Passed` with what was looked at, or `Failed` if anything was found.
pub(crate) fn verdict(says: String, faults: Vec<String>) -> StepResult {
    if faults.is_empty() { Ok(Passed::saying(says)) } else { Err(Failed { faults, tests: Tally::default() }) }
}

/// The steps of one run so far.
pub(crate) struct Report {
    title: &'static str,
    started: Instant,
    done: Vec<Done>,
}

struct Done {
    name: &'static str,
    took: Duration,
    passed: bool,
    tests: Tally,
}

impl Report {
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, started: Instant::now(), done: Vec::new() }
    }

    /// Runs one step and says at once how it went.
    pub(crate) fn step(&mut self, name: &'static str, step: impl FnOnce() -> StepResult) {
        println!("--- {name}");
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let (passed, tests) = match result {
            Ok(Passed { says, tests }) => {
                println!("ok   {name} ({}){}{says}", seconds(took), if says.is_empty() { "" } else { ": " });
                (true, tests)
            }
            Err(Failed { faults, tests }) => {
                for fault in &faults {
                    println!("     {fault}");
                }
                println!("FAIL {name} ({}): {} found", seconds(took), faults.len());
                (false, tests)
            }
        };
        self.done.push(Done { name, took, passed, tests });
    }

    /// Closes with the number of steps that passed and failed.
    pub(crate) fn close(self) -> ExitCode {
        let passed = self.done.iter().filter(|done| done.passed).count();
        let failed = self.done.len() - passed;
        self.print_times();
        println!("{}: {passed} passed, {failed} failed", self.title);
        exit_code(failed == 0)
    }

    /// Closes with the number of tests that passed and failed, alone on the last line.
    /// A step that failed without a failing test (it did not compile, say) counts as one failure.
    pub(crate) fn close_with_tests(self) -> ExitCode {
        self.print_times();
        let sums = self.sums();
        for name in &sums.failed_names {
            println!("failed: {name}");
        }
        if sums.ignored > 0 {
            println!("ignored: {}", sums.ignored);
        }
        println!("{} passed, {} failed", sums.passed, sums.failed);
        exit_code(sums.failed == 0)
    }

    fn sums(&self) -> Tally {
        let mut sums = Tally::default();
        for done in &self.done {
            let counted = done.tests.failed > 0;
            sums.add(done.tests.clone());
            if !done.passed && !counted {
                sums.failed += 1;
                sums.failed_names.push(format!("step {}", done.name));
            }
        }
        sums
    }

    fn print_times(&self) {
        println!();
        for done in &self.done {
            let mark = if done.passed { "ok  " } else { "FAIL" };
            println!("{mark} {:>8} {}", seconds(done.took), done.name);
        }
        println!("     {:>8} {} in all", seconds(self.started.elapsed()), self.title);
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn exit_code(all_passed: bool) -> ExitCode {
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_without_a_failing_test_counts_as_one_failure() {
        let mut report = Report::new("test");
        report.step("compile", || Err(Failed::because("does not compile")));
        report.step("unit", || {
            Ok(Passed { says: String::new(), tests: Tally { passed: 3, ..Tally::default() } })
        });
        let sums = report.sums();
        assert_eq!((sums.passed, sums.failed), (3, 1));
        assert_eq!(sums.failed_names, ["step compile"]);
    }

    #[test]
    fn a_step_with_failing_tests_is_not_counted_twice() {
        let mut report = Report::new("test");
        let tests = Tally { passed: 1, failed: 2, ..Tally::default() };
        report.step("unit", || Err(Failed { faults: vec!["2 tests failed".into()], tests }));
        assert_eq!((report.sums().passed, report.sums().failed), (1, 2));
    }
}
