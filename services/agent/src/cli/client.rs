//! One conversation with the running agent, a line each way.

use super::failure::{Exit, Failure};
use crate::socket::Ask;
use core::time::Duration;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Longest answer: sixteen environments with their words, or a chain and four anchors.
const ANSWER_OCTETS_MAX: u64 = 1024 * 1024;
/// The agent answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Client {
    path: PathBuf,
    reader: BufReader<UnixStream>,
}

impl Client {
    pub(super) fn connect(path: &Path) -> Result<Self, Failure> {
        let connected = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self { path: path.to_owned(), reader: BufReader::new(stream) }),
            Err(error) => {
                let title = format!("no agent answers on {}", path.display());
                Err(Failure::new(Exit::Unreachable, "agent-unreachable", title, error.to_string()).fix(
                    match error.kind() {
                        ErrorKind::PermissionDenied => "become a member of the agent's group",
                        _ => "systemctl status touchmark-agent; or name its socket with --socket",
                    },
                ))
            }
        }
    }

    /// The answer's object, if it says that it is good.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Value, Failure> {
        let broken = |why: String| {
            Failure::new(Exit::Unreachable, "agent-answer", "the agent's answer cannot be read", why)
                .fix("are agent and command of one version? touchmark-agent --version")
        };
        let mut line = serde_json::to_vec(ask).map_err(|error| broken(error.to_string()))?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).map_err(|error| broken(error.to_string()))?;
        let mut said = Vec::new();
        let read = (&mut self.reader).take(ANSWER_OCTETS_MAX).read_until(b'\n', &mut said);
        read.map_err(|error| broken(format!("{}: {error}", self.path.display())))?;
        let answer: Value = serde_json::from_slice(&said).map_err(|error| broken(error.to_string()))?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        let code = text(&answer["code"]);
        let exit = match code.as_str() {
            "environment-unknown" | "no-certificate" => Exit::NotFound,
            "user-not-allowed" => Exit::Denied,
            "environment-missing" | "bad-request" | "too-long" => Exit::Usage,
            "busy" | "starting" => Exit::Unreachable,
            _ => Exit::Internal,
        };
        Err(Failure::new(exit, &code, text(&answer["error"]), "the agent said no").fix(text(&answer["fix"])))
    }
}

/// A member that is a text, without anything that moves a cursor.
pub(super) fn text(value: &Value) -> String {
    touchmark_identity::printable(value.as_str().unwrap_or_default())
}
