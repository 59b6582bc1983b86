//! The device agent as a process on a device's folder: configured, started, asked by its own command line, killed.

use crate::lab::Lab;
use crate::patience::{PATIENCE, until};
use crate::program::built;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;
use touchmark_api::Token;
use touchmark_x509::Certificate;

/// A device with an agent; it ends with this value.
#[derive(Debug)]
pub struct Agent {
    child: Option<Child>,
    folder: PathBuf,
    config: String,
    program: PathBuf,
    variables: Vec<String>,
}

impl Agent {
    /// A device's folder in the lab; nothing runs yet.
    pub fn new(lab: &Lab, name: &str) -> Self {
        let folder = lab.path(name);
        std::fs::create_dir(&folder).unwrap();
        let at = folder.display();
        let config = format!("state = \"{at}/state\"\nsocket = \"{at}/agent.sock\"\n");
        Self { child: None, folder, config, program: program(), variables: Vec::new() }
    }

    /// An identity to keep that starts with a token, and more lines of its configuration.
    pub fn keep(&mut self, lab: &Lab, environment: &str, identity: &str, anchors_pem: &str, more: &str) {
        let start = format!("token_file = \"{}\"", self.path(&format!("{environment}.token")).display());
        self.keep_started(lab, environment, identity, anchors_pem, &format!("{start}\n{more}"));
    }

    /// An identity to keep, with the lines that say how it starts.
    pub fn keep_started(
        &mut self,
        lab: &Lab,
        environment: &str,
        identity: &str,
        anchors_pem: &str,
        more: &str,
    ) {
        let anchors = self.path(&format!("{environment}.pem"));
        std::fs::write(&anchors, anchors_pem).unwrap();
        self.config.push_str(&format!(
            "[[environment]]\nname = \"{environment}\"\nidentity = \"{identity}\"\nserver = \"{}\"\n\
             anchors = \"{}\"\n{more}\n",
            lab.est(),
            anchors.display(),
        ));
    }

    /// Puts a token where the configuration says.
    pub fn bring(&self, environment: &str, token: &Token) {
        let mut file = File::create(self.path(&format!("{environment}.token"))).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
        file.write_all(format!("{}\n{}\n", token.username, token.password).as_bytes()).unwrap();
    }

    /// A shell script for a hook; gives its path.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }

    /// A file of the device.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of an environment's credential.
    pub fn credential(&self, environment: &str, file: &str) -> PathBuf {
        self.folder.join("state").join(environment).join(file)
    }

    /// Runs another build of it from now on, with these variables (`NAME=VALUE`).
    pub fn run_as<'a>(&mut self, program: PathBuf, variables: impl Iterator<Item = &'a str>) {
        self.program = program;
        self.variables = variables.map(str::to_owned).collect();
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.start_logging_to(log.into());
    }

    /// The same, with another place for its log.
    pub fn start_logging_to(&mut self, stderr: Stdio) {
        let file = self.path("agent.toml");
        std::fs::write(&file, &self.config).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let mut command = self.command(&["run", "--config"]);
        command.arg(file).stderr(stderr);
        self.child = Some(command.spawn().unwrap());
        until("the agent to answer", || self.run(&["why"]).status.success().then_some(()));
    }

    /// SIGHUP, as of a terminal that goes away.
    pub fn hang_up(&self) {
        crate::service::signal(self.child.as_ref().expect("it runs").id(), "HUP");
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        until("the agent to end by itself", || child.try_wait().unwrap())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Its command line.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("TOUCHMARK_AGENT_SOCKET", self.path("agent.sock")).stdin(Stdio::null());
        command.envs(self.variables.iter().filter_map(|variable| variable.split_once('=')));
        command
    }

    /// Runs a command of it.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that must end well; gives what it printed.
    pub fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {says}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Signs a message with the current key.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut command = self.command(&["sign"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// `status --json`, of one environment.
    pub fn status(&self, environment: &str) -> serde_json::Value {
        let all: serde_json::Value = serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap();
        let mut of = all["environments"].as_array().unwrap().iter();
        of.find(|one| one["environment"] == environment).unwrap().clone()
    }

    /// Waits until it says that all is well.
    pub fn until_fresh(&self) {
        self.until_ends(0);
    }

    /// Waits until `status` ends so.
    pub fn until_ends(&self, code: i32) {
        let begun = Instant::now();
        while self.run(&["status"]).status.code() != Some(code) {
            let status = self.run(&["why"]).stdout;
            let status = String::from_utf8_lossy(&status).into_owned();
            assert!(begun.elapsed() < PATIENCE, "status never ended with {code}: {status}\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// The certificate in force, as an application gets it.
    pub fn certificate(&self, environment: &str) -> Certificate {
        let pem = self.good(&["certificate", environment]);
        Certificate::from_pem_many(&pem).unwrap().swap_remove(0)
    }

    /// Largest resident memory so far, in KiB.
    pub fn memory_peak_kib(&self) -> u64 {
        let pid = self.child.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What it wrote to stderr.
    pub fn log(&self) -> String {
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
            eprintln!("--- log of the agent in {}:\n{}", self.folder.display(), self.log());
        }
    }
}

/// The built agent: TOUCHMARK_AGENT names another build of it (the one for devices).
fn program() -> PathBuf {
    std::env::var_os("TOUCHMARK_AGENT")
        .map_or_else(|| built("touchmark-agent", "touchmark-agent"), Into::into)
}
