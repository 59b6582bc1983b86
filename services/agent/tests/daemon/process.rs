//! The built program on a folder of its own: configured, started, asked, killed.

use crate::authority::Est;
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use touchmark_x509::Certificate;

/// How long anything may take on the slowest machine that runs these tests. Passing early costs nothing.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct Agent {
    child: Option<Child>,
    folder: tempfile::TempDir,
    config: String,
}

impl Agent {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let config = format!("state = \"{at}/state\"\nsocket = \"{at}/agent.sock\"\n");
        Self { child: None, folder, config }
    }

    /// An environment with the token `pump-01`, `secret`, and more lines.
    pub(crate) fn environment(&mut self, name: &str, est: &Est, more: &str) {
        self.environment_at(name, &est.address(), &est.anchors_pem(), more);
    }

    pub(crate) fn environment_at(&mut self, name: &str, server: &str, anchors: &str, more: &str) {
        let anchors_file = self.path(&format!("{name}.pem"));
        std::fs::write(&anchors_file, anchors).unwrap();
        std::fs::set_permissions(&anchors_file, std::fs::Permissions::from_mode(0o644)).unwrap();
        self.write_token("pump-01\nsecret\n");
        self.config.push_str(&format!(
            "[[environment]]\nname = \"{name}\"\nidentity = \"pump-01\"\nserver = \"{server}\"\n\
             anchors = \"{}\"\ntoken_file = \"{}\"\n{more}\n",
            anchors_file.display(),
            self.path("token").display()
        ));
    }

    pub(crate) fn write_token(&self, text: &str) {
        let mut file = File::create(self.path("token")).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A shell script; gives its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("agent.sock")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("agent.toml")
    }

    pub(crate) fn write_config(&self) {
        std::fs::write(self.config_file(), &self.config).unwrap();
        std::fs::set_permissions(self.config_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(crate) fn start(&mut self) {
        let log = self.path("log");
        self.start_with_log(&log);
    }

    pub(crate) fn start_with_log(&mut self, log: &Path) {
        self.write_config();
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = program();
        command.arg("run").arg("--config").arg(self.config_file()).stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        until("the agent to answer", || self.run(&["why"]).status.success().then_some(()));
    }

    /// The system's word about the process, by its name below `/proc`.
    pub(crate) fn proc(&self, file: &str) -> String {
        let id = self.child.as_ref().unwrap().id();
        std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        program().args(words).env("TOUCHMARK_AGENT_SOCKET", self.socket()).output().unwrap()
    }

    pub(crate) fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {says}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap()
    }

    pub(crate) fn until_fresh(&self) {
        let begun = Instant::now();
        while self.run(&["status"]).status.code() != Some(0) {
            assert!(begun.elapsed() < PATIENCE, "never fresh: {}\n{}", self.status(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn certificate(&self, environment: &str) -> Certificate {
        let pem = self.good(&["certificate", environment]);
        Certificate::from_pem_many(&pem).unwrap().swap_remove(0)
    }

    pub(crate) fn sign(&self, words: &[&str], message: &[u8]) -> Result<Vec<u8>, String> {
        let mut command = program();
        command.arg("sign").args(words).env("TOUCHMARK_AGENT_SOCKET", self.socket());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(output.stdout) } else { Err(says) }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the agent's log:\n{}", self.log());
        }
    }
}

fn program() -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_touchmark-agent")))
}
