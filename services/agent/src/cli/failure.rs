//! What a person reads when a command fails, and how the process ends: the same codes as `touchmark`'s.

use crate::config::BadConfig;
use crate::daemon::BadStart;
use core::fmt;
use touchmark_identity::printable;

/// How the process ends; see `touchmark help-exit-codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Ok = 0,
    Internal = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    CheckFailed = 6,
    Unreachable = 8,
}

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    code: String,
    title: String,
    why: String,
    fix: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, code: &str, title: impl Into<String>, why: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), title: title.into(), why: why.into(), fix: String::new() }
    }

    pub(super) fn internal(title: &str, why: String) -> Self {
        Self::new(Exit::Internal, "internal", title, why).fix("see what the machine says: space, permissions")
    }

    pub(super) fn usage(why: String) -> Self {
        Self::new(Exit::Usage, "usage", "the command line cannot be meant like that", why)
            .fix("touchmark-agent help")
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// For programs (RFC 9457).
    pub(super) fn problem(&self) -> serde_json::Value {
        let Self { exit, code, title, why, fix } = self;
        serde_json::json!({
            "title": title, "detail": why, "code": code, "fix": fix, "exit": *exit as u8,
        })
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A fault of several lines keeps them.
        let why: Vec<String> = self.why.lines().map(printable).collect();
        let [code, title, fix] = [&self.code, &self.title, &self.fix].map(|text| printable(text));
        let (why, exit) = (why.join("\n"), self.exit as u8);
        write!(f, "error[{code}] {title}\n  why:  {why}\n  fix:  {fix}\n  exit: {exit}")
    }
}

impl From<BadConfig> for Failure {
    fn from(bad: BadConfig) -> Self {
        let title = format!("{} cannot be meant like that", bad.file.display());
        let faults: Vec<String> =
            bad.faults.iter().map(|fault| format!("{}: {}", fault.key, fault.why.trim_end())).collect();
        // Not there, or not as it is read: the first is the more common slip.
        let exit = if bad.file.exists() { Exit::Usage } else { Exit::NotFound };
        Self::new(exit, "config", title, faults.join("\n        "))
            .fix("docs/agent.md lists every key; touchmark-agent check-config tries again")
    }
}

impl From<BadStart> for Failure {
    fn from(bad: BadStart) -> Self {
        let fix = bad.fix();
        Self::new(Exit::Internal, bad.code(), "the agent cannot start", bad.to_string()).fix(fix)
    }
}
