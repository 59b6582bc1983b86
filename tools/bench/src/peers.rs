//! The programs that a user would take instead, each with the configuration that does the same work.
//!
//! Same certificates, TLS 1.3 with X25519, mutual, no resumption, no access log. One that is not installed is named
//! in the table and its figures are missing; nothing else changes.

mod broker;
mod bytes;
mod cfssl;
mod edge;
mod postgres;

pub(crate) use broker::{mosquitto, mosquitto_plain};
pub(crate) use bytes::{byte_proxy, main as proxy_main};
pub(crate) use cfssl::{Cfssl, cfssl};
pub(crate) use edge::{envoy, haproxy, haproxy_tcp, nginx};
pub(crate) use postgres::Postgres;

use crate::fault::Outcome;
use crate::process::{Process, program};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What peers are configured with.
#[derive(Clone, Debug)]
pub(crate) struct PeerFiles {
    /// For configurations and logs.
    pub(crate) folder: PathBuf,
    /// Server certificate with chain, PEM.
    pub(crate) chain: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
    /// Whose clients are welcome, PEM.
    pub(crate) anchors: PathBuf,
    /// `touchmark-bench`'s environment for Envoy.
    pub(crate) venv: PathBuf,
}

impl PeerFiles {
    fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Certificate and key in one file.
    fn pair(&self) -> Outcome<PathBuf> {
        let both = std::fs::read_to_string(&self.chain)? + &std::fs::read_to_string(&self.key)?;
        self.write("pair.pem", &both)
    }
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) version: String,
    pub(crate) process: Process,
    /// `host:port`.
    pub(crate) address: String,
}

/// First line with a number of what a program says about itself.
fn version(path: &Path, argument: &str) -> String {
    let output = Command::new(path).arg(argument).stdin(Stdio::null()).output();
    let Ok(output) = output else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.chars().any(|letter| letter.is_ascii_digit()));
    // A number is enough; some tell where they were built.
    let mut words = line.unwrap_or_default().split(|letter: char| letter.is_whitespace() || letter == '/');
    let number = |word: &&str| word.contains('.') && word.starts_with(|letter: char| letter.is_ascii_digit());
    words.find(number).unwrap_or_default().trim_end_matches(',').to_owned()
}

/// The program of a peer, or the word that it is missing.
fn installed(name: &'static str, package: &str) -> Outcome<PathBuf> {
    program(name).ok_or_else(|| format!("{name} is not installed (package {package})").into())
}
