//! Commands of the operator that run when something has happened to an identity.
//!
//! A hook is a program and its arguments: no shell, no word of the server. It gets a clean environment with the
//! names of the files, no input, the time it was given, and then it is killed with all that it started.

use crate::lifecycle::HookEvent;
use core::fmt;
use core::time::Duration;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;
use touchmark_identity::{EnvironmentName, Name, Timestamp};

/// Most words of a command, its program included.
pub const COMMAND_WORDS_MAX: usize = 32;
/// How often a running hook is looked at: nobody waits for its end but the next hook.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const EVENTS: [HookEvent; 3] = [HookEvent::Renewed, HookEvent::Refused, HookEvent::Expiring];

/// What an operator's word means.
pub fn event_from_word(word: &str) -> Option<HookEvent> {
    EVENTS.into_iter().find(|event| event.as_str() == word)
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When it runs.
    pub on: Vec<HookEvent>,
    /// Program (its whole path) and arguments.
    pub command: Vec<String>,
    /// Then it is killed.
    pub timeout: Duration,
}

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct HookFacts {
    /// What happened.
    pub event: HookEvent,
    /// In which environment.
    pub environment: EnvironmentName,
    /// To whom.
    pub identity: Name,
    /// Private key, certificate chain, trust anchors: all PEM.
    pub files: [PathBuf; 3],
    /// Until when the certificate is good.
    pub not_after: Option<Timestamp>,
}

/// Why a hook did not do its work; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// The program could not be started.
    #[error("`{program}` could not start: {why}")]
    Start {
        /// Its path.
        program: String,
        /// The operating system's words.
        why: String,
    },
    /// It ended badly.
    #[error("`{program}` ended with {status}")]
    Failed {
        /// Its path.
        program: String,
        /// Exit code or signal.
        status: Ended,
    },
    /// It took too long, and was killed.
    #[error("`{program}` did not end within {} s and was killed", after.as_secs())]
    Timeout {
        /// Its path.
        program: String,
        /// Time allowed.
        after: Duration,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended(ExitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("no exit code"),
        }
    }
}

impl Hook {
    /// Runs it to its end.
    ///
    /// # Errors
    /// [`HookFault`].
    pub fn run(&self, facts: &HookFacts) -> Result<(), HookFault> {
        let program = self.command.first().cloned().unwrap_or_default();
        let start =
            |error: std::io::Error| HookFault::Start { program: program.clone(), why: error.to_string() };
        let mut child = self.order(facts).spawn().map_err(start)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(start)? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(HookFault::Failed { program, status: Ended(status) })
                };
            }
            if begun.elapsed() >= self.timeout {
                kill(&mut child);
                return Err(HookFault::Timeout { program, after: self.timeout });
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn order(&self, facts: &HookFacts) -> Command {
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        let [key, chain, anchors] = &facts.files;
        command
            .args(words)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("TOUCHMARK_EVENT", facts.event.as_str())
            .env("TOUCHMARK_ENVIRONMENT", facts.environment.as_str())
            .env("TOUCHMARK_IDENTITY", facts.identity.as_str())
            .env("TOUCHMARK_KEY_FILE", key)
            .env("TOUCHMARK_CHAIN_FILE", chain)
            .env("TOUCHMARK_ANCHORS_FILE", anchors)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            // A group of its own, so that all of it can be ended.
            .process_group(0);
        if let Some(not_after) = facts.not_after {
            command.env("TOUCHMARK_NOT_AFTER", not_after.to_string());
        }
        command
    }
}

/// The child was not waited for yet, so its number is still its own.
fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests;
