//! `touchmark completion SHELL`: a script for bash, zsh, fish, elvish or PowerShell.

use crate::cli::{Cli, Command};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use clap::{Args, CommandFactory as _};

/// For instance: touchmark completion bash > /etc/bash_completion.d/touchmark
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// Which shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(order: &Completion, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(order.shell, &mut Cli::<Command>::command(), "touchmark", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Ok)
}
