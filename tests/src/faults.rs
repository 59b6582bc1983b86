//! The one build with faults on purpose (ADR 0016): made here, by the test that needs it first. A test never passes without it.
//!
//! It shares everything but the programs themselves with the other builds, so it takes half a minute, and next to nothing when
//! it is there.

use crate::lab::target_directory;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Which fault a program is started with.
#[derive(Clone, Debug)]
pub struct Fault {
    variables: Vec<String>,
    when: Option<PathBuf>,
}

impl Fault {
    /// The build consents to faults, and has none.
    pub fn none() -> Self {
        Self { variables: vec!["TOUCHMARK_FAULTS=1".to_owned()], when: None }
    }

    /// One of them, from the start.
    pub fn chosen(fault: &str) -> Self {
        let mut chosen = Self::none();
        chosen.variables.push(format!("TOUCHMARK_FAULT={fault}"));
        chosen
    }

    /// A task panics when [`Self::strike`] says so.
    pub fn panic(task: &str, when: PathBuf) -> Self {
        let mut chosen = Self::chosen(&format!("panic:{task}"));
        chosen.variables.push(format!("TOUCHMARK_FAULT_WHEN={}", when.display()));
        chosen.when = Some(when);
        chosen
    }

    /// Words before a program's own that give it this fault.
    pub fn before(&self) -> Vec<&str> {
        std::iter::once("env").chain(self.variables()).collect()
    }

    /// `NAME=VALUE` each.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// Lets the task panic the next time that it looks.
    ///
    /// # Panics
    /// If nobody chose when.
    pub fn strike(&self) {
        std::fs::write(self.when.as_ref().unwrap(), "").unwrap();
    }

    /// Whether the task has panicked since.
    ///
    /// # Panics
    /// If nobody chose when.
    pub fn has_struck(&self) -> bool {
        !self.when.as_ref().unwrap().exists()
    }
}

/// The program with faults.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("touchmark-touchmark", "touchmark")).clone()
}

/// The agent with faults.
///
/// # Panics
/// If it cannot be built.
pub fn agent() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("touchmark-agent", "touchmark-agent")).clone()
}

fn build(package: &str, name: &str) -> PathBuf {
    let target = target_directory();
    let programs = target.join("faults");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--package", package, "--bin", name, "--features", "faults", "--target-dir"])
        .arg(&programs)
        // What lies between is the same for every build; only the programs must not overwrite each other.
        .env("CARGO_BUILD_BUILD_DIR", &target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{name} with faults does not build");
    programs.join("debug").join(name)
}
