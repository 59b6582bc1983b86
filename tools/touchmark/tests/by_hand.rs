//! What `touchmark --help` tells people to type works as it is printed, in that order.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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

    fn signal(&self, name: &str) {
        send(name, &self.child);
    }

    fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().unwrap().code()
    }
}

fn send(signal: &str, child: &Child) {
    let pid = child.id().to_string();
    Command::new("sh").args(["-c", "kill -s \"$1\" \"$0\"", &pid, signal]).status().unwrap();
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

/// What only shows and tests the product is another program (`tools/demo`).
#[test]
fn the_product_holds_neither_the_demonstration_nor_its_devices() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_touchmark")).unwrap();
    let holds = |words: &str| program.windows(words.len()).any(|part| part == words.as_bytes());
    assert!(holds("what was done could not be told"), "words are found where they are");
    // Of the demonstration, of a device that is told by lines, of one that publishes again and again.
    for words in ["sabotage", "the gateway hangs", "not-connected", "sent twice, never answered"] {
        assert!(!holds(words), "{words}");
    }
    for line in ["demo", "device run pump-01", "publish pump-01"] {
        let ran = touchmark(Path::new("/nowhere")).args(line.split(' ')).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{line}");
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
        ("touchmark device rotate pump-01 --revoke-old", 0, "revoked, on the next CRL"),
        ("touchmark device rotate nobody", 3, "error[no-credential]"),
        ("touchmark token list", 0, "used"),
        ("touchmark token void tok_01a20517e1d671bfa815290a57e698ad", 3, "error[token-unknown]"),
        ("touchmark device enroll pump-02 --env nowhere", 3, "error["),
        ("touchmark device revok pump-01", 2, "revoke"),
        ("touchmark device revoke pump-01 --reason boredom", 2, "key-compromise"),
        ("touchmark policy check /nowhere", 3, "error["),
        ("touchmark policy check /proc/self", 6, "cannot be read whole"),
        ("touchmark audit decisions --limit 0", 2, "--limit"),
        ("touchmark token create --device pump-03 -o name", 2, "password would be lost"),
        ("touchmark env create pump\u{202e}1", 2, r"pump\u{202e}1"),
        ("touchmark device get pump\u{202e}1", 2, r"pump\u{202e}1"),
        ("touchmark explain pump\u{202e}1", 3, r"pump\u{202e}1"),
        ("touchmark policy check /pump\u{202e}1", 3, r"pump\u{202e}1"),
        ("touchmark device ban pump-01", 0, "banned"),
        ("touchmark device replace pump-01", 4, "error[device-banned]"),
        ("touchmark device get pump-01 -o name", 0, "pump-01"),
    ];
    for (command, code, word) in rows {
        let (ended, text) = server.answer(command);
        assert_eq!(ended, code, "{command}: {text}");
        assert!(text.contains(word), "{command}: {text}");
        assert!(!text.contains('\u{202e}'), "{command}: {text:?}");
    }
    for command in [
        "device list",
        "device get pump-01",
        "device certs pump-01",
        "device register pump-09 --maker acme --hardware-id 1",
        "device enroll pump-09",
        "device replace pump-09",
        "device connect pump-01",
        "device rotate pump-01",
        "device revoke pump-01",
        "device quarantine pump-01",
        "device release pump-01",
        "device ban pump-01",
        "explain pump-01",
        "token create --device pump-09",
        "token list",
        "maker list",
        "gateway list",
        "gateway up",
        "gateway declare-offline gateway-01",
        "gateway declare-online gateway-01",
        "policy get",
    ] {
        let (ended, text) = server.answer(&format!("touchmark {command} --env nolab"));
        assert_eq!(ended, 3, "{command}: {text}");
        assert!(text.contains("error[environment-unknown] no environment `nolab`"), "{command}: {text}");
        assert!(text.contains("there are: lab"), "{command}: {text}");
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

/// What stands nowhere else is told, or the command fails and nothing is left behind; a list may lose its reader.
#[test]
fn a_password_that_nobody_heard_is_told_of_and_its_token_is_none() {
    let server = Server::start(&["server", "up", "--dev"]);
    // A pipe whose reader has come and gone.
    let gone = "p=$(mktemp -u); mkfifo $p; { exec 4<$p; exec 4<&-; } & exec 5>$p; wait; rm $p";
    let shell = |line: &str| {
        let line = line.replace("GONE", gone);
        let ran = Command::new("sh")
            .args(["-c", &line])
            .env("TOUCHMARK_DATA", &server.data)
            .env("T", env!("CARGO_BIN_EXE_touchmark"))
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let rows = [
        ("closed", "$T token create --device pump-01 >&-", 2, "nothing was made"),
        ("closed, for programs", "$T token create --device pump-01 --json >&-", 2, "nothing was made"),
        ("null", "$T token create --device pump-01 >/dev/null", 2, "nothing was made"),
        ("full", "$T token create --device pump-01 >/dev/full", 1, "taken back"),
        ("full, for programs", "$T token create --device pump-01 --json >/dev/full", 1, "taken back"),
        ("for reading only", "$T token create --device pump-01 1</dev/zero", 1, "taken back"),
        ("a reader that went away", "GONE; $T token create --device pump-01 >&5", 1, "taken back"),
        ("a list whose reader went away", "GONE; $T device list --json >&5", 0, ""),
        ("a list on a full disk", "$T device list --json >/dev/full", 1, "could not be written"),
        ("help that is read in part", "$T help-exit-codes | head -1 >/dev/null", 0, ""),
    ];
    for (name, line, code, word) in rows {
        let (ended, text) = shell(line);
        assert_eq!(ended, Some(code), "{name}: {text}");
        assert!(text.contains(word), "{name}: {text}");
    }
    let (_, listed) = server.answer("touchmark token list --json");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let states = listed.as_array().unwrap().iter().map(|token| token["state"].as_str().unwrap());
    // Those that are used let the operator and the gateway in.
    let states: Vec<_> = states.filter(|state| *state != "used").collect();
    assert_eq!(states, ["void"; 4]);
}

/// MQTT 5 has words for it, 3.1.1 has none: then the next connection is asked.
#[test]
fn a_session_that_is_cut_ends_the_command_with_its_reason() {
    let server = Server::start(&["server", "up", "--dev"]);
    let rows = [
        ("pump-01", "--subscribe cmd/pump-01/# --for 2m"),
        ("pump-02", "--subscribe cmd/pump-02/# --for 2m --v311"),
    ];
    let sessions: Vec<_> = rows
        .iter()
        .map(|(name, words)| {
            assert_eq!(server.answer(&format!("touchmark device enroll {name}")).0, 0);
            let mut command = touchmark(&server.data);
            command.args(["device", "connect", name]).args(words.split(' '));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for ((name, words), session) in rows.iter().zip(sessions) {
        let open = format!("touchmark audit decisions --device {name} --json");
        while !server.answer(&open).1.contains("\"subscribe\"") {}
        assert_eq!(server.answer(&format!("touchmark device revoke {name}")).0, 0);
        let ended = session.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(4), "{name} {words}: {text}");
        assert!(text.contains("revoked") || text.contains("NotAuthorized"), "{name} {words}: {text}");
    }
}

/// A process that stands still takes connections and answers none.
#[test]
fn an_authority_that_does_not_answer_is_told_of_by_its_address() {
    let server = Server::start(&["server", "up", "--dev"]);
    assert_eq!(server.answer("touchmark device enroll pump-01").0, 0);
    let ready = std::fs::read_to_string(server.data.join("endpoints.json")).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let at = |field: &str| ready[field].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    server.signal("STOP");
    let rows = [
        ("device list", at("api")),
        ("audit head", at("api")),
        ("token create --device pump-02", at("api")),
        ("device revoke pump-01", at("api")),
        ("device rotate pump-01", at("est")),
    ];
    let begun = Instant::now();
    let running: Vec<_> = rows
        .iter()
        .map(|(line, _)| {
            let mut command = touchmark(&server.data);
            command.args(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for ((line, address), command) in rows.iter().zip(running) {
        let ended = command.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(8), "{line}: {text}");
        assert!(text.contains(&format!("the authority does not answer at {address}")), "{line}: {text}");
    }
    let took = begun.elapsed();
    server.signal("CONT");
    assert!(took < Duration::from_secs(25), "{took:?}: the limit is 10 s, and this machine may be busy");
}

/// The end that was asked for is no fault of any part.
#[test]
fn a_server_that_is_asked_to_end_says_nothing_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    for _ in 0..3 {
        let stderr = std::fs::File::create(&log).unwrap();
        let mut command = touchmark(&data);
        command.args(["server", "up", "--dev"]).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        send("TERM", &child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(!said.contains("ERROR") && !said.contains("started again"), "{said}");
    }
}

#[test]
fn what_no_command_line_can_mean_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for line in [
        "server up --dev --host bad_host!",
        "server up --dev --host 192.0.2.1:443",
        "server up --dev --device-lifetime 1s",
        "server up --dev --device-lifetime 826d",
        "gateway up --host UPPER",
        "explain ",
        "cert where ",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let ran = touchmark(&data).args(&words).output().unwrap();
        let says = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{line}: {says}");
        assert!(!data.exists(), "{line}: nothing is left");
    }
}
