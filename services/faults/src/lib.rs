//! Faults on purpose, for the tests that must notice them (ADR 0016). Linked only into builds with the feature `faults`,
//! which no build that anybody uses has; one such build has all of them, and the environment chooses.
//!
//! `TOUCHMARK_FAULTS=1` is consent: without it the program does not start. `TOUCHMARK_FAULT` is one of [`FAULTS`], or is
//! unset for none. A fault in a task happens when the file that `TOUCHMARK_FAULT_WHEN` names is there, and removes it; without that
//! variable, at once and each time.

use core::time::Duration;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

/// What may be chosen, and what it does.
pub const FAULTS: [(&str, &str); 4] = [
    ("list", "no fault: each task is told in the log, as `task NAME KIND`, when it starts"),
    ("answer-before-commit", "a certificate is handed out before its result is durable"),
    ("no-fsync", "the database is written without fsync"),
    ("panic:TASK", "a task panics"),
];

/// How often a task looks whether its moment has come.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Chosen {
    fault: String,
    when: Option<PathBuf>,
}

static CHOSEN: LazyLock<Chosen> = LazyLock::new(|| Chosen {
    fault: text(std::env::var_os("TOUCHMARK_FAULT")),
    when: std::env::var_os("TOUCHMARK_FAULT_WHEN").map(PathBuf::from),
});

fn text(value: Option<OsString>) -> String {
    value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Ends the process unless somebody consented, and chose a fault that there is.
pub fn demand_consent() {
    if std::env::var_os("TOUCHMARK_FAULTS").is_none_or(|value| value != "1") {
        touchmark_logging::end_process(format_args!(
            "this build breaks its promises on purpose, for tests: TOUCHMARK_FAULTS is not 1"
        ));
    }
    let fault = &CHOSEN.fault;
    let known = fault.is_empty()
        || FAULTS.iter().any(|(name, _)| name == fault)
        || fault.strip_prefix("panic:").is_some_and(|task| !task.is_empty());
    if !known {
        touchmark_logging::end_process(format_args!("TOUCHMARK_FAULT: there is no fault `{fault}`"));
    }
}

/// Whether this fault is chosen.
pub fn is_chosen(fault: &str) -> bool {
    CHOSEN.fault == fault
}

/// Whether this task shall panic one day.
pub fn is_to_panic(task: &str) -> bool {
    CHOSEN.fault.strip_prefix("panic:") == Some(task)
}

/// Panics if this task is chosen and its moment has come.
///
/// # Panics
/// On purpose.
pub fn panic_if_due(task: &str) {
    let due = |when: &PathBuf| std::fs::remove_file(when).is_ok();
    if is_to_panic(task) && CHOSEN.when.as_ref().is_none_or(due) {
        panic!("the task {task} was asked to panic");
    }
}
