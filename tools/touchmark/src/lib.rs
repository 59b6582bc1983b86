//! `touchmark`, the one program that people install: authority, gateway, command line.
//!
//! Here the command line is read, one command runs, and the process ends with its code. A library, so that the tool with
//! the demonstration has every command too, and starts its installation from itself.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod cli;
pub mod client;
mod commands;
pub mod credential;
pub mod failure;
mod harmless;
pub mod home;
pub mod management;
pub mod mqtt_session;
pub mod output;
mod policy_folder;
pub mod services;
pub mod span;
pub mod token;

use clap::Parser as _;
use cli::Cli;
pub use cli::{Command, Commands};
use failure::{Exit, Failure};
use harmless::LogLines;
use home::Home;
use output::Output;
use std::io;
use std::process::ExitCode;
use touchmark_logging::LineWriter;
use tracing_subscriber::EnvFilter;

/// Reads the command line of this process and obeys it.
pub fn run<C: Commands>() -> ExitCode {
    #[cfg(feature = "faults")]
    touchmark_faults::demand_consent();
    touchmark_logging::tell_panics();
    let cli = match Cli::<C>::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return unparsed(&refused),
    };
    let output = cli.output();
    let acts = cli.command.acts();
    let ended = start(cli, output).and_then(|exit| said(exit, acts));
    let exit = ended.unwrap_or_else(|failure| {
        // Arguments hold no secrets: those come from files and stdin only.
        let failure = failure.or_what(|| std::env::args().collect::<Vec<_>>().join(" "));
        tell(&failure, output.is_json());
        failure.exit()
    });
    touchmark_logging::flush(touchmark_logging::LAST_WORDS);
    ExitCode::from(exit.code())
}

/// Five lines for people; one object (RFC 9457) where stdout carries JSON. Both on stderr: stdout holds results only.
fn tell(failure: &Failure, json: bool) {
    match json {
        true => touchmark_logging::line(format_args!("{}", harmless::json(failure.to_json()))),
        false => touchmark_logging::line(format_args!("{failure}")),
    }
}

/// Help and version end here, too.
fn unparsed(refused: &clap::Error) -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if !refused.use_stderr() {
        refused.exit();
    }
    // Clap would write to stderr itself, and wait for whoever reads it.
    let text = refused.to_string();
    if cli::asks_for_json(&words) {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let title = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let failure = Failure::usage(title).why(lines.map(str::trim).collect::<Vec<_>>().join("; "));
        tell(&failure.what(words.join(" ")), true);
    } else {
        touchmark_logging::line(format_args!("{}", harmless::lines(text.trim_end(), false)));
    }
    touchmark_logging::flush(touchmark_logging::LAST_WORDS);
    ExitCode::from(Exit::Usage.code())
}

/// What was done stays done when its words are lost; where the words were all, the command failed.
fn said(exit: Exit, acts: bool) -> Result<Exit, Failure> {
    match output::unsaid() {
        Some(why) if acts => {
            touchmark_logging::line(format_args!("what was done could not be told on stdout: {why}"));
            Ok(exit)
        }
        Some(why) => Err(Failure::internal("the result could not be written to stdout")
            .why(why.to_string())
            .fix("give stdout a file or pipe with room, and ask again")),
        None => Ok(exit),
    }
}

fn start<C: Commands>(cli: Cli<C>, output: Output) -> Result<Exit, Failure> {
    logging(cli.command.is_service());
    if cli.command.is_service() {
        keep_memory_private();
    }
    let home = Home::find(cli.data)?;
    let mut builder = if cli.command.is_service() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::internal("the operating system gives no threads").why(error.to_string()))?;
    let ended = runtime.block_on(cli.command.run(&home, &output));
    // A read of stdin may hang in a thread; nobody waits for it.
    runtime.shutdown_background();
    ended
}

/// Keys are in the memory of a service: no core file is written of it, and no other user's debugger may read it.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a crash may leave keys in a core file: the system refuses to switch it off");
    }
}

/// Services tell what happens on stderr; TOUCHMARK_LOG chooses how much (`warn`, `touchmark_gateway=debug`).
fn logging(is_service: bool) {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let default = if is_service { "warn" } else { "error" };
    let filter = EnvFilter::try_from_env("TOUCHMARK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    log_format(LineWriter, touchmark_logging::is_terminal(), filter).init();
}

/// How log lines look, and where they go.
fn log_format<W: io::Write + Clone + Send + Sync + 'static>(
    to: W,
    colours: bool,
    filter: EnvFilter,
) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(move || LogLines { to: to.clone(), colours })
        // It would go straight to stderr.
        .log_internal_errors(false)
        .compact()
        .finish()
}
