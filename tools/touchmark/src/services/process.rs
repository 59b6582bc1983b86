//! Child processes of this same program, and the signals that they get.
//!
//! Signals go through the shell's own `kill`: the standard library knows only SIGKILL, and that only for
//! children, while a gateway may outlive the authority that started it.

use crate::failure::{Exit, Failure};
use core::time::Duration;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal as caught_signal};
use touchmark_api::Ready;

/// A start takes a second or two; an old machine with a slow disk may need many.
const START_AWAITED: Duration = Duration::from_secs(60);

/// This program, again.
pub fn own() -> Result<Command, Failure> {
    let path = std::env::current_exe()
        .map_err(|error| Failure::internal("this program does not find itself").why(error.to_string()))?;
    Ok(Command::new(path))
}

/// A service that printed where it is.
#[derive(Debug)]
pub struct Service {
    pub child: Child,
    pub ready: Ready,
}

/// Starts a service with `--json` and waits for the one object that it prints when it serves.
#[expect(clippy::disallowed_methods, reason = "it belongs to one child, and ends with its output")]
pub async fn start(mut command: Command) -> Result<Service, Failure> {
    command.arg("--json").stdin(Stdio::null()).stdout(Stdio::piped());
    let no_start =
        |why: String| Failure::new(Exit::Unreachable, "no-start", "a service did not start").why(why);
    let mut child = command.spawn().map_err(|error| no_start(error.to_string()))?;
    let stdout = child.stdout.take().ok_or_else(|| no_start("it has no output".to_owned()))?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(START_AWAITED, lines.next_line()).await;
    let line = match line {
        Ok(Ok(Some(line))) => line,
        Ok(_) => {
            let status =
                child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(no_start(format!("it ended: {status}")));
        }
        Err(_) => return Err(no_start(format!("it was silent for {} s", START_AWAITED.as_secs()))),
    };
    let ready = serde_json::from_str(&line).map_err(|error| no_start(format!("{error}: {line}")))?;
    // Read on, so that it can always write.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Service { child, ready })
}

/// Sends a signal by its name: `TERM`, `STOP`, `CONT`, `KILL`.
pub async fn signal(pid: u32, name: &str) -> Result<(), Failure> {
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    match sent {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::new(Exit::NotFound, "process", format!("no process {pid} takes SIG{name}"))),
        Err(error) => Err(Failure::internal("no shell to send a signal with").why(error.to_string())),
    }
}

/// Asks a child to end, and ends it if it does not in time.
pub async fn end(child: &mut Child, patience: Duration) {
    if let Some(pid) = child.id() {
        // Gone already: then there is nothing to ask.
        let _ = signal(pid, "TERM").await;
    }
    if tokio::time::timeout(patience, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Whether this process is one of this program's, run with these words in this data directory.
///
/// A process identifier alone may have been given to somebody else meanwhile.
pub fn is_ours(pid: u32, words: &[&str], data: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    // A zombie has no command line any more.
    let arguments: Vec<_> = line.split(|octet| *octet == 0).map(String::from_utf8_lossy).collect();
    words.iter().all(|word| arguments.iter().any(|argument| argument == word))
        && arguments.iter().any(|argument| Path::new(argument.as_ref()) == data)
}

/// SIGINT, SIGTERM and SIGHUP, caught from the beginning.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Failure> {
        let caught = |kind| {
            caught_signal(kind)
                .map_err(|error| Failure::internal("signals cannot be caught").why(error.to_string()))
        };
        Ok(Self {
            interrupt: caught(SignalKind::interrupt())?,
            terminate: caught(SignalKind::terminate())?,
            hangup: caught(SignalKind::hangup())?,
        })
    }

    /// Returns when the end is asked for. A terminal that goes away, or a wish to read files again, is none: files that may
    /// change are followed as it is.
    pub async fn asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => tracing::info!("SIGHUP changes nothing: files are followed as they change"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_with_a_known_number_is_not_ours() {
        assert!(!is_ours(std::process::id(), &["gateway", "up"], Path::new("/nowhere")));
        assert!(!is_ours(u32::MAX, &[], Path::new("/")));
    }
}
