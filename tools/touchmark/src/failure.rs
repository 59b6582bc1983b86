//! What a person reads when a command fails: five lines, one stable code, one exit code.
//!
//! In: faults of files, of the network and of the authority. Out: [`Failure`], printed once, in `main`.
//! Exit codes are a promise to scripts: they are listed by `touchmark help-exit-codes`.

use core::fmt;
use std::borrow::Cow;
use std::io::ErrorKind;
use touchmark_api::{Candidate, Problem};
use touchmark_dial::{BadClientTls, DialFault, TlsReason};
use touchmark_durable::WriteFault;
pub use touchmark_identity::printable;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Internal = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    Conflict = 5,
    CheckFailed = 6,
    Unreachable = 8,
    Partial = 9,
    Expired = 10,
    Lost = touchmark_logging::EXIT_LOST as isize,
}

impl Exit {
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Ok, "ok"),
        (
            Self::Internal,
            "internal: the program or this machine failed; what was asked may or may not have happened",
        ),
        (Self::Usage, "usage: the command line or a file it names cannot be meant like that"),
        (Self::NotFound, "not found: no such device, certificate, environment or file"),
        (Self::Denied, "denied: a rule, a token or a certificate does not permit it"),
        (Self::Conflict, "conflict: the identifier is ambiguous, or the state does not allow it"),
        (Self::CheckFailed, "check failed: a policy, a log or a step of the demonstration is not in order"),
        (Self::Unreachable, "unreachable: nobody answers, or not as expected"),
        (
            Self::Partial,
            "in part: it is done and durable, but not in force at every gateway, or not for every item",
        ),
        (Self::Expired, "expired: a certificate or token is past its time, or a clock is wrong"),
        (
            Self::Lost,
            "lost: a service ended because a part of it failed for good, or a disk lost what it had promised; start it again",
        ),
    ];

    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A failed command. Boxed, since it travels through every `?`.
#[derive(Debug)]
pub struct Failure(Box<Lines>);

#[derive(Debug)]
struct Lines {
    exit: Exit,
    problem: Problem,
}

impl Failure {
    pub fn new(exit: Exit, code: &str, title: impl Into<String>) -> Self {
        Self(Box::new(Lines { exit, problem: Problem::new(None, code, title) }))
    }

    pub fn usage(title: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", title)
    }

    /// The machine let us down: files, threads, pipes.
    pub fn internal(title: impl Into<String>) -> Self {
        Self::new(Exit::Internal, "internal", title)
    }

    /// A call to the authority that failed.
    pub fn at_authority(fault: DialFault) -> Self {
        let silent = match &fault {
            DialFault::Unreachable { target, .. } | DialFault::Timeout { target, .. } => {
                Some(format!("the authority does not answer at {target}"))
            }
            _ => None,
        };
        let mut failure = Self::from(fault);
        failure.0.problem.title = silent.unwrap_or(failure.0.problem.title);
        failure
    }

    /// What the authority cannot do before somebody has put its machine in order: asking again does not help. `None` where it
    /// does.
    pub fn at_authoritys_machine(code: &str, says: &str) -> Option<Self> {
        let (exit, title, fix) = match code {
            "disk-full" => (
                Exit::Unreachable,
                "the disk of the authority is full",
                "make space on the file system of the authority's data directory, then run this again",
            ),
            "clock" => (
                Exit::Expired,
                "the clock of the authority went back",
                "set the clock of the authority's machine, then run this again",
            ),
            _ => return None,
        };
        Some(Self::new(exit, code, title).why(says).fix(fix))
    }

    /// On what it was tried.
    pub fn what(mut self, what: impl Into<String>) -> Self {
        self.0.problem.what = said(what.into());
        self
    }

    /// The same, where nobody said it before.
    pub fn or_what(mut self, what: impl FnOnce() -> String) -> Self {
        self.0.problem.what = self.0.problem.what.or_else(|| said(what()));
        self
    }

    /// Why it failed, with the values.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.0.problem.detail = said(why.into());
        self
    }

    /// A command or act that helps.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.problem.fix = said(fix.into());
        self
    }

    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    pub fn code(&self) -> &str {
        &self.0.problem.code
    }

    /// One object on one line, for programs.
    pub fn to_json(&self) -> String {
        let Lines { exit, problem } = &*self.0;
        let text = |text: &Option<String>| text.as_deref().map(|text| bounded(text).into_owned());
        let problem = Problem {
            title: bounded(&problem.title).into_owned(),
            detail: text(&problem.detail),
            what: text(&problem.what),
            fix: text(&problem.fix),
            exit: Some(exit.code()),
            ..problem.clone()
        };
        // Texts and numbers always have a form in JSON.
        serde_json::to_string(&problem).unwrap_or_default()
    }

    /// One line, for tables.
    pub fn brief(&self) -> String {
        let Problem { title, detail, .. } = &self.0.problem;
        let why = detail.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        printable(&format!("{title}{why}"))
    }
}

/// Characters of one part of an error: all of it fits into a line of the log, whatever was typed.
const PART_CHARS_MAX: usize = 600;

fn bounded(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(PART_CHARS_MAX) {
        Some((end, _)) => format!("{}... ({} octets)", &text[..end], text.len()).into(),
        None => text.into(),
    }
}

fn said(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines { exit, problem } = &*self.0;
        let or = |text: &Option<String>, otherwise: &str| {
            printable(&bounded(text.as_deref().unwrap_or(otherwise)))
        };
        writeln!(f, "error[{}] {}", printable(&problem.code), printable(&bounded(&problem.title)))?;
        writeln!(f, "  what: {}", or(&problem.what, "this command"))?;
        writeln!(f, "  why:  {}", or(&problem.detail, "the title says all that is known"))?;
        writeln!(f, "  fix:  {}", or(&problem.fix, "touchmark COMMAND --help says what is taken"))?;
        write!(f, "  see:  touchmark help-exit-codes (this is {})", exit.code())
    }
}

impl From<DialFault> for Failure {
    fn from(fault: DialFault) -> Self {
        let why = fault.to_string();
        match fault {
            DialFault::BadTarget { .. } | DialFault::BadRequest { .. } => {
                Self::usage("the request cannot be sent").why(why)
            }
            DialFault::Unreachable { .. } | DialFault::Timeout { .. } => {
                Self::new(Exit::Unreachable, "unreachable", "nobody answers")
                    .why(why)
                    .fix("see whether the server runs and --data is its directory; start it with the words of its last start")
            }
            DialFault::Tls { reason: TlsReason::WrongTime, .. } => {
                Self::new(Exit::Expired, "tls-time", "a certificate is outside its time")
                    .why(why)
                    .fix("check this machine's clock, then the server's certificate")
            }
            DialFault::Tls { reason: TlsReason::Refused { .. }, .. } => {
                Self::new(Exit::Denied, "tls-refused", "the other end refused the TLS connection")
                    .why(why)
                    .fix("touchmark device certs NAME   (is the certificate still alive?)")
            }
            DialFault::Tls { .. } => {
                Self::new(Exit::Unreachable, "tls", "no TLS connection came about").why(why)
            }
            DialFault::TooLarge { .. } | DialFault::Protocol { .. } | DialFault::Unexpected { .. } => {
                Self::new(Exit::Unreachable, "answer", "the answer cannot be understood")
                    .why(why)
                    .fix("use the same version of touchmark at both ends")
            }
            DialFault::Status { status, problem } => refusal(status, *problem),
        }
    }
}

/// What a server said when it said no, in our five lines.
fn refusal(status: u16, mut problem: Problem) -> Failure {
    let exit = match (status, problem.code.as_str()) {
        (_, "token-expired" | "certificate-expired") => Exit::Expired,
        (_, code) if code.starts_with("policy-") && status < 500 => Exit::CheckFailed,
        (400 | 413 | 415, _) => Exit::Usage,
        (401 | 403, _) => Exit::Denied,
        (404 | 410, _) => Exit::NotFound,
        (409 | 412, _) => Exit::Conflict,
        (422, _) => Exit::CheckFailed,
        (429 | 502 | 503 | 504, _) => Exit::Unreachable,
        _ => Exit::Internal,
    };
    let mut why = problem.detail.take().unwrap_or_default();
    for (place, Candidate { kind, id, name }) in problem.candidates.iter().enumerate() {
        let before = match (place, why.is_empty()) {
            (0, true) => "it may mean ",
            (0, false) => "; it may mean ",
            _ => ", or ",
        };
        why += &format!("{before}{kind} {id} ({name})");
    }
    problem.detail = said(why);
    problem.status = Some(status);
    problem.what = None;
    if problem.code().is_none() {
        let Problem { kind, code, .. } = Problem::new(None, "refused", "");
        (problem.kind, problem.code) = (kind, code);
    }
    if problem.title.is_empty() {
        problem.title = format!("the server refused with {status}");
    }
    Failure(Box::new(Lines { exit, problem }))
}

impl From<BadClientTls> for Failure {
    fn from(fault: BadClientTls) -> Self {
        let exit = match fault {
            BadClientTls::File { .. } => Exit::NotFound,
            BadClientTls::Pem { .. }
            | BadClientTls::NoAnchor
            | BadClientTls::Anchor
            | BadClientTls::Identity(_)
            | BadClientTls::Config(_) => Exit::Usage,
        };
        Self::new(exit, "credential", "the certificate files cannot be used").why(fault.to_string())
    }
}

impl From<WriteFault> for Failure {
    fn from(fault: WriteFault) -> Self {
        let why = format!("{fault}: {}", fault.source);
        match fault.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                Self::new(Exit::Internal, "disk-full", "the disk is full")
                    .why(why)
                    .fix("make space on the file system of that file, then run this again")
            }
            _ => Self::internal("a file cannot be written").why(why).fix("check permissions and mounts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_five_lines_whatever_is_known() {
        let bare = Failure::usage("no").to_string();
        assert_eq!(bare.lines().count(), 5);
        let full = Failure::new(Exit::NotFound, "device-unknown", "no such device")
            .what("pump-01")
            .why("a\nb\u{1b}[2J")
            .fix("touchmark device list")
            .to_string();
        assert_eq!(full.lines().count(), 5, "text from a peer adds no line");
        assert!(full.starts_with("error[device-unknown] no such device\n"));
        assert!(!full.contains('\u{1b}'));
    }

    #[test]
    fn what_was_typed_makes_no_error_longer_than_a_line() {
        for long in ["a", "ä", "\u{202e}"].map(|text| text.repeat(20_000)) {
            let failure =
                Failure::new(Exit::NotFound, "device-unknown", &long).what(&long).why(&long).fix(&long);
            let json = failure.to_json();
            assert!(json.len() <= 8 * 1024, "{}", json.len());
            let problem: serde_json::Value = serde_json::from_str(&json).unwrap();
            let title = problem["title"].as_str().unwrap();
            assert!(title.ends_with(&format!("... ({} octets)", long.len())), "{title}");
            assert_eq!(failure.to_string().lines().count(), 5);
        }
    }

    #[test]
    fn exit_codes_stay_what_scripts_expect() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
    }

    #[test]
    fn a_refusal_keeps_code_and_candidates() {
        let problem = serde_json::from_str(
            r#"{"title":"ambiguous","code":"id-ambiguous","fix":"name one","candidates":[{"kind":"device","id":"dev_1","name":"pump"}]}"#,
        );
        let failure = refusal(409, problem.unwrap());
        assert_eq!((failure.exit(), failure.code()), (Exit::Conflict, "id-ambiguous"));
        assert!(failure.to_string().contains("device dev_1 (pump)"));
        let json: serde_json::Value = serde_json::from_str(&failure.to_json()).unwrap();
        assert_eq!((json["status"].as_u64(), json["exit"].as_u64()), (Some(409), Some(5)));
        assert_eq!(json["candidates"][0]["id"], "dev_1");
        assert!(json["what"].is_null() && json["fix"] == "name one", "{json}");
    }

    #[test]
    fn a_failure_for_programs_is_one_line_of_json() {
        let failure = Failure::new(Exit::NotFound, "device-unknown", "no \"such\" device").why("a\nb\u{1b}");
        let json = failure.to_json();
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (json["title"].as_str(), json["code"].as_str()),
            (Some("no \"such\" device"), Some("device-unknown"))
        );
        assert_eq!((json["detail"].as_str(), json["exit"].as_u64()), (Some("a\nb\u{1b}"), Some(3)));
        assert!(json["status"].is_null() && json.get("candidates").is_none());
    }
}
