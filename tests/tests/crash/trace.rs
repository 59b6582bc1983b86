//! The order of system calls: what was synced before what was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use touchmark_tests::faults::Fault;
use touchmark_tests::{Device, Enrolment, Key, Lab, Program, device_token, until};

/// A system call that was finished, in the order of the trace.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// Data into the write-ahead log.
    WalWrite,
    /// The write-ahead log is durable.
    WalSync,
    /// Something went out on this socket.
    Send(String),
}

/// Runs one enrolment under strace. `Err` says what is not as promised.
pub(crate) fn synced_before_answer(strace: &Program, program: PathBuf, fault: &Fault) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace");
    let calls = "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg";
    let file_name = file.display().to_string();
    let strace = strace.path().display().to_string();
    let mut before = vec![strace.as_str(), "-f", "-y", "-s", "0", "-e", calls, "-o", &file_name];
    before.extend(fault.variables().flat_map(|variable| ["-E", variable]));
    let lab = Lab::start_with(program, &before);
    let mut operator = lab.operator();
    let token = operator.token(&device_token("lab", "pump-01"));
    let enrolment = Enrolment::new(None, &Key::new().request("pump-01"), &token);
    let mut device = Device::new(&lab);
    let warm = touchmark_dial::Request::get("/.well-known/est/csrattrs");
    assert_eq!(device.request(warm).unwrap().status, 200);
    // From here on the server writes nothing of its own accord, until the enrolment.
    until("the log's head to cover the token", || {
        let status = operator.status();
        (status.log_size == status.journal).then_some(())
    });
    let begun = read(&file).len();
    assert_eq!(device.send(&enrolment).unwrap().status, 200);
    let calls = until("the trace of the answer", || {
        let calls = read(&file).split_off(begun);
        calls.iter().any(|call| matches!(call, Call::Send(_))).then_some(calls)
    });
    let answer = calls.iter().position(|call| matches!(call, Call::Send(_))).unwrap();
    let before = &calls[..answer];
    println!("{before:?}");
    // A commit is: pages into the log, then a sync.
    let commits = before.chunk_by(|a, b| !(matches!(a, Call::WalSync) && matches!(b, Call::WalWrite)));
    let durable =
        commits.filter(|commit| commit.contains(&Call::WalWrite) && commit.contains(&Call::WalSync));
    // The key is the process's own: intent and result are one commit.
    match durable.count() {
        1.. => Ok(()),
        count => Err(format!("{count} durable commits before the answer, a certificate needs 1: {before:?}")),
    }
}

fn read(file: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // Another thread's call came in between: the end stands on a line of its own, without the arguments.
        if rest.ends_with("<unfinished ...>") {
            // What is sent counts from its beginning, what is synced only from its end.
            if let Some(send @ Call::Send(_)) = call(rest) {
                calls.push(send);
            } else {
                begun.insert(thread, rest);
            }
        } else if rest.starts_with("<... ") {
            calls.extend(begun.remove(thread).and_then(call));
        } else {
            calls.extend(call(rest));
        }
    }
    calls
}

/// `fdatasync(9</tmp/x/data/authority.db-wal>) = 0`
fn call(text: &str) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let (descriptor, rest) = arguments.split_once('<')?;
    let (target, _) = rest.split_once('>')?;
    let is_wal = target.ends_with("authority.db-wal");
    match name {
        "fsync" | "fdatasync" if is_wal => Some(Call::WalSync),
        "pwrite64" | "write" | "writev" if is_wal => Some(Call::WalWrite),
        "write" | "writev" | "sendto" | "sendmsg"
            if target.starts_with("socket:") || target.starts_with("TCP") =>
        {
            Some(Call::Send(descriptor.to_owned()))
        }
        _ => None,
    }
}
