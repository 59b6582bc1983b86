//! What `touchmark --help` tells people to type works as it is printed, in that order.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A server with a data directory of its own; ends with the test.
struct Server {
    child: Child,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

fn touchmark(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.env("TOUCHMARK_DATA", data).env("NO_COLOR", "1");
    command
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut child = touchmark(&data).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty(), "the server says that it is ready");
        Self { child, data, _folder: folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        touchmark(&self.data).args(arguments).output().unwrap()
    }

    /// Exit code and stdout.
    fn answer(&self, line: &str) -> (i32, String) {
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let ran = self.run(&words);
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.code().unwrap(), text + &String::from_utf8_lossy(&ran.stderr))
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
        }
    }
}

fn printed_commands() -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_touchmark")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let lines = help.lines().filter_map(|line| line.strip_prefix("  touchmark "));
    lines.map(|line| format!("touchmark {line}")).collect()
}

#[test]
fn the_printed_commands_run_as_printed() {
    let commands = printed_commands();
    let (start, rest) = commands.split_first().unwrap();
    assert_eq!((start.as_str(), rest.len()), ("touchmark server up --dev", 6));
    for split in [&[][..], &["--split"]] {
        let words: Vec<_> = start.split(' ').skip(1).chain(split.iter().copied()).collect();
        let mut server = Server::start(&words);
        for command in rest {
            let (code, text) = server.answer(command);
            assert_eq!(code, 0, "{command}: {text}");
        }
        let key = server.data.join("devices/lab/pump-01/key.pem");
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(server.terminate(), Some(0), "it ends in order");
    }
}

#[test]
fn exit_codes_say_what_happened() {
    let server = Server::start(&["server", "up", "--dev"]);
    assert_eq!(server.answer("touchmark device enroll pump-01 --model x200").0, 0);
    let rows = [
        ("touchmark device enroll pump-01", 5, "error[enrolled]"),
        ("touchmark device get nobody", 3, "error[device-unknown]"),
        ("touchmark explain nothing", 3, "error["),
        ("touchmark device connect nobody", 3, "error[no-credential]"),
        ("touchmark device connect pump-01 --publish plant/pump-02/temp=1", 4, "deny"),
        (
            "touchmark device connect pump-01 --publish plant/pump-02/n={n} --every 20ms --for 1s",
            4,
            "NotAuthorized",
        ),
        (
            "touchmark device connect pump-01 --publish plant/pump-01/n={n} --every 20ms --for 1s",
            0,
            "longest gap",
        ),
        ("touchmark device connect pump-01 --publish plant/pump-01/n=1 --every 0s", 2, "10ms"),
        ("touchmark device connect pump-01 --publish plant/pump-01/n=1 --every 1s --qos 0", 2, "QoS 1"),
        ("touchmark device rotate pump-01 --revoke-old", 0, "revoked, on the next CRL"),
        ("touchmark device rotate nobody", 3, "error[no-credential]"),
        ("touchmark token list", 0, "used"),
        ("touchmark token void tok_01a20517e1d671bfa815290a57e698ad", 3, "error[token-unknown]"),
        ("touchmark device enroll pump-02 --env nowhere", 3, "error["),
        ("touchmark device revok pump-01", 2, "revoke"),
        ("touchmark device revoke pump-01 --reason boredom", 2, "key-compromise"),
        ("touchmark policy check /nowhere", 3, "error["),
        ("touchmark device ban pump-01", 0, "banned"),
        ("touchmark device replace pump-01", 4, "error[device-banned]"),
        ("touchmark device get pump-01 -o name", 0, "pump-01"),
    ];
    for (command, code, word) in rows {
        let (ended, text) = server.answer(command);
        assert_eq!(ended, code, "{command}: {text}");
        assert!(text.contains(word), "{command}: {text}");
    }
    drop(server);
    let nowhere = tempfile::tempdir().unwrap();
    let lone = touchmark(&nowhere.path().join("data")).args(["server", "up"]).output().unwrap();
    assert_eq!(lone.status.code(), Some(2), "no passphrase, no authority");
    let lines = String::from_utf8_lossy(&lone.stderr).lines().count();
    assert_eq!(lines, 5, "an error is five lines");
}

#[test]
fn a_second_environment_is_another_trust_domain() {
    let server = Server::start(&["server", "up", "--dev"]);
    for command in [
        "touchmark env create plant --device-lifetime 24h --late-renewal-grace 8h --on-clone quarantine --revoke-superseded",
        "touchmark device enroll pump-01 --env lab",
        "touchmark device enroll pump-01 --env plant",
        "touchmark device certs pump-01 --env plant --json",
    ] {
        let (code, text) = server.answer(command);
        assert_eq!(code, 0, "{command}: {text}");
    }
    let (_, text) = server.answer("touchmark env get plant");
    assert!(
        text.contains("renewed up to 8h late; a clone: quarantine; superseded ones are revoked"),
        "{text}"
    );
    let (code, text) = server.answer("touchmark explain pump-01");
    assert_eq!(code, 5, "two devices have this name: {text}");
    let (code, text) = server.answer("touchmark device certs pump-01 --env plant --json");
    let held: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, held[0]["identity"].as_str()),
        (0, Some("spiffe://plant.touchmark.internal/d/pump-01"))
    );
}
