//! Programs that others wrote. Which ones took part, and in which version, stands in the test's output.

use crate::lab::target_directory;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

/// Told of already, by this test program.
static TOLD: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// A program that is installed here.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    path: PathBuf,
}

/// Finds a program. Where it is missing a developer's test passes with a remark, and fails when `CI` is set:
/// there a missing program would be a proof that never ran.
pub fn program(name: &'static str) -> Option<Program> {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&directories)
        .chain(more)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    let Some(path) = found else {
        assert!(std::env::var_os("CI").is_none(), "`{name}` is not installed: cargo xtask setup");
        say(name, &format!("`{name}` is not installed: what it would show is not shown (cargo xtask setup)"));
        return None;
    };
    let program = Program { name, path };
    say(name, &format!("with {name}: {}", program.version()));
    Some(program)
}

/// A program of ours; `cargo xtask test` builds it before, and here it is built only where it is missing.
pub(crate) fn built(package: &str, name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().expect("the one before was built");
    let path = target_directory().join("debug").join(name);
    if !path.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "-p", package]).status();
        assert!(built.is_ok_and(|status| status.success()), "{name} cannot be built");
    }
    path
}

/// Past the test harness, which would keep the line back.
fn say(name: &'static str, line: &str) {
    if TOLD.lock().expect("nobody panics while holding it").insert(name) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

impl Program {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs it, without input.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command().args(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Runs it to its end, which must be good, and gives what it printed.
    pub fn good<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{} ended with {}: {}{}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout),
        );
        output.stdout
    }

    /// The same as text.
    pub fn good_text<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        String::from_utf8_lossy(&self.good(arguments)).into_owned()
    }

    fn version(&self) -> String {
        let flag = match self.name {
            "openssl" => "version",
            "mosquitto" => "-h",
            "pki" | "mosquitto_pub" | "mosquitto_sub" => "--help",
            _ => "--version",
        };
        let output = self.run([flag]);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Some first tell what they are for, or, as strongSwan, of plugins that they go without.
        let line = text
            .lines()
            .find(|line| line.chars().any(|letter| letter.is_ascii_digit()) && !line.starts_with("plugin "));
        line.unwrap_or("version unknown").to_owned()
    }
}
