//! A device that publishes again and again: how its process ends, and what it says then.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server with a data directory of its own, run by the same program; ends with the test.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut order = command(folder.path().join("data"), "server up --dev");
        let mut child = order.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty(), "the server says that it is ready");
        Self { child, folder }
    }

    fn command(&self, line: &str) -> Command {
        command(self.folder.path().join("data"), line)
    }

    /// Exit code, and all that was said.
    fn answer(&self, line: &str) -> (i32, String) {
        let ran = self.command(line).output().unwrap();
        let text = [ran.stdout, ran.stderr].concat();
        (ran.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status();
        let _ = self.child.wait();
    }
}

fn command(data: PathBuf, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark-demo"));
    command.env("TOUCHMARK_DATA", data).env("NO_COLOR", "1").args(line.split(' '));
    command
}

#[test]
fn exit_codes_say_what_happened() {
    let server = Server::start();
    assert_eq!(server.answer("device enroll pump-01").0, 0);
    let rows = [
        ("publish pump-01 --publish plant/pump-02/n={n} --every 20ms --for 1s", 4, "NotAuthorized"),
        ("publish pump-01 --publish plant/pump-01/n={n} --every 20ms --for 1s", 0, "longest gap"),
        ("publish pump-01 --publish plant/pump-01/n=1 --every 0s", 2, "10ms"),
        ("publish nobody --publish plant/nobody/n=1 --every 1s", 3, "error[no-credential]"),
    ];
    for (line, code, word) in rows {
        let (ended, text) = server.answer(line);
        assert_eq!(ended, code, "{line}: {text}");
        assert!(text.contains(word), "{line}: {text}");
    }
}

#[test]
fn a_session_that_is_cut_ends_the_command_with_its_reason() {
    let server = Server::start();
    let rows = [("pump-03", ""), ("pump-04", " --v311")];
    let sessions: Vec<_> = rows
        .iter()
        .map(|(name, words)| {
            assert_eq!(server.answer(&format!("device enroll {name}")).0, 0);
            let line = format!("publish {name} --publish plant/{name}/n={{n}} --every 50ms --for 2m{words}");
            server.command(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for ((name, words), session) in rows.iter().zip(sessions) {
        let open = format!("audit decisions --device {name} --json");
        while !server.answer(&open).1.contains("\"publish\"") {}
        assert_eq!(server.answer(&format!("device revoke {name}")).0, 0);
        let ended = session.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{name}{words}: {text}");
        assert!(text.contains("revoked") || text.contains("NotAuthorized"), "{name}{words}: {text}");
    }
}
