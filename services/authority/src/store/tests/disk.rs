//! What the disk was asked to promise, as strace saw it; and a disk that breaks its promise, as strace plays it.

use crate::store::SqliteStore;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Program, Output};
use touchmark_inventory::Store;
use touchmark_logging::EXIT_LOST;
use touchmark_testkit::{JournalBuilder, command, replay};

const CHILD: &str = "TOUCHMARK_TEST_STORE_UNDER_STRACE";
const COMMITS: u64 = 20;

/// The child: commits one entry after the other, and says on its standard error when it asks and is answered.
fn child(path: &Path) {
    let store = SqliteStore::open(path).unwrap();
    let mut builder = JournalBuilder::numbered(1);
    for number in 0..COMMITS {
        let entry = builder.refused("code", 1, None);
        say(&format!("ASKED {number}.\n"));
        let outcome = store.commit(command([], [entry]));
        let how = if outcome.is_ok() { "stored" } else { "not stored" };
        say(&format!("ANSWERED {number} {how}.\n"));
    }
    drop(store);
    say("CLOSED.\n");
}

/// One call of write for one line: `eprintln!` makes one for each part.
fn say(line: &str) {
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Runs one test of this file as a child under strace. `None`: there is no strace here.
fn under_strace(test: &str, database: &Path, options: &[&str]) -> Option<Output> {
    let version = Program::new("strace").arg("-V").output();
    let Ok(version) = version else {
        assert!(std::env::var_os("CI").is_none(), "strace is missing: `cargo xtask setup` names the package");
        eprintln!("NOT TESTED: strace is missing");
        return None;
    };
    eprintln!("{}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
    let output = Program::new("strace")
        .args(["-f", "-y", "-s", "64", "-e", "trace=fsync,fdatasync,write,pwrite64"])
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("store::tests::disk::{test}"), "--nocapture"])
        .env(CHILD, database)
        .output()
        .unwrap();
    Some(output)
}

/// A database with its schema, so that the child's first fsync of the log is that of its first commit.
fn made(home: &Path) -> std::path::PathBuf {
    let path = home.join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    path
}

#[test]
fn every_answer_comes_after_an_fsync_of_what_was_written() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let home = tempfile::tempdir().unwrap();
    let path = made(home.path());
    let trace = home.path().join("trace");
    let options = ["-o", trace.to_str().unwrap()];
    let this = "every_answer_comes_after_an_fsync_of_what_was_written";
    let Some(output) = under_strace(this, &path, &options) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let trace = std::fs::read_to_string(trace).unwrap();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let (mut answered, mut dirty, mut synced) = (0, false, false);
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        // A call that another thread's interrupted is two lines; its result stands in the second.
        let (call, result) = match call.trim_start() {
            call if call.contains("<unfinished") => {
                unfinished.insert(thread, call);
                continue;
            }
            call if call.starts_with("<... ") => (unfinished.remove(thread).unwrap_or(call), call),
            call => (call, call),
        };
        let on_log = call.contains("store.db-wal>");
        if call.contains("\"ASKED ") {
            synced = false;
        } else if call.starts_with("pwrite64") && on_log {
            dirty = true;
        } else if (call.starts_with("fsync") || call.starts_with("fdatasync")) && on_log {
            assert!(result.trim_end().ends_with("= 0"), "{line}");
            (dirty, synced) = (false, true);
        } else if call.contains("\"ANSWERED ") {
            assert!(call.contains(" stored."), "{line}");
            assert!(synced && !dirty, "answer {answered} came before its fsync:\n{trace}");
            answered += 1;
        }
    }
    assert_eq!(answered, COMMITS);
}

#[test]
fn a_failed_fsync_of_the_log_ends_the_process_before_any_answer() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let home = tempfile::tempdir().unwrap();
    let path = made(home.path());
    let log = home.path().join("store.db-wal");
    let options =
        ["-o", "/dev/null", "-P", log.to_str().unwrap(), "-e", "inject=fsync,fdatasync:error=EIO:when=1+"];
    let this = "a_failed_fsync_of_the_log_ends_the_process_before_any_answer";
    let Some(output) = under_strace(this, &path, &options) else { return };
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(EXIT_LOST)), "{says}");
    assert!(says.contains("ASKED 0") && !says.contains("ANSWERED"), "{says}");
    assert!(says.contains("The disk no longer keeps its promises"), "{says}");
    replay::assert_rows_equal_replay(&SqliteStore::open(&path).unwrap());
}

#[test]
fn a_failed_fsync_of_the_database_ends_the_process_and_the_log_keeps_what_was_answered() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let home = tempfile::tempdir().unwrap();
    let path = made(home.path());
    let options =
        ["-o", "/dev/null", "-P", path.to_str().unwrap(), "-e", "inject=fsync,fdatasync:error=EIO:when=1+"];
    let this = "a_failed_fsync_of_the_database_ends_the_process_and_the_log_keeps_what_was_answered";
    let Some(output) = under_strace(this, &path, &options) else { return };
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(i32::from(EXIT_LOST)), "{says}");
    assert!(says.contains(&format!("ANSWERED {} stored", COMMITS - 1)) && !says.contains("CLOSED"), "{says}");
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.journal_len(), Ok(COMMITS));
    replay::assert_rows_equal_replay(&store);
}
