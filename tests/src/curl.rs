//! curl, with what it was answered taken apart.

use crate::lab::Lab;
use crate::program::Program;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Transfers so far, for file names.
static TRANSFERS: AtomicUsize = AtomicUsize::new(0);

/// One transfer in the making.
#[derive(Debug)]
pub struct Curl<'a> {
    program: &'a Program,
    lab: &'a Lab,
    arguments: Vec<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status; 0 if there was no answer.
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// curl's own words.
    pub says: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl<'a> Curl<'a> {
    /// Trusts the lab's anchors.
    pub fn new(program: &'a Program, lab: &'a Lab) -> Self {
        let arguments = ["-sS", "--max-time", "60", "--cacert", &lab.anchors().display().to_string()]
            .map(str::to_owned)
            .to_vec();
        Self { program, lab, arguments }
    }

    /// With more arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// With a user name and password, which do not show in the list of processes.
    pub fn user(self, name: &str, password: &str) -> Self {
        let number = TRANSFERS.fetch_add(1, Ordering::Relaxed);
        let file = self.lab.write(&format!("curl-{number}.user"), format!("user = \"{name}:{password}\"\n"));
        self.with(&["--config", &file.display().to_string()])
    }

    /// Runs it.
    pub fn send(self, url: &str) -> Answer {
        let number = TRANSFERS.fetch_add(1, Ordering::Relaxed);
        let head = self.lab.path(&format!("curl-{number}.head"));
        let body = self.lab.path(&format!("curl-{number}.body"));
        let mut command = self.program.command();
        command.args(&self.arguments).arg("-D").arg(&head).arg("-o").arg(&body).args([
            "-w",
            "%{http_code}",
            url,
        ]);
        let output = command.output().unwrap();
        let status = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
        // Before the last head there may be those of `100 Continue`.
        let head = std::fs::read_to_string(head).unwrap_or_default();
        let last = head.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        let headers = last
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Answer {
            status,
            headers,
            body: std::fs::read(body).unwrap_or_default(),
            says: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
