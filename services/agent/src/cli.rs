//! The agent's command line: one command runs the agent, the others ask the running one through its socket.
//!
//! What a person reads is written here or comes from the agent; nothing secret is ever an argument.

mod arguments;
mod client;
mod failure;

use crate::config::Config;
use crate::daemon;
use crate::log;
use crate::socket::{Ask, MESSAGE_OCTETS_MAX};
use arguments::{Asked, At, Command, HELP};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, text};
use failure::{Exit, Failure};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Reads the command line, runs one command, and gives the process its end.
pub fn main() -> ExitCode {
    #[cfg(feature = "faults")]
    touchmark_faults::demand_consent();
    let command = Command::parse(std::env::args_os().skip(1), |name| std::env::var_os(name));
    let json = matches!(&command, Ok(Command::Asks { asked: Asked::Status { json: true }, .. }));
    let ended = command.map_err(Failure::usage).and_then(run);
    let exit = ended.unwrap_or_else(|failure| {
        if json {
            log::line(format_args!("{}", failure.problem()));
        } else {
            log::line(format_args!("{failure}"));
        }
        failure.exit()
    });
    log::flush(log::LAST_WORDS);
    ExitCode::from(exit as u8)
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run { config } => Err(daemon::run(Config::read(&config)?).into()),
        Command::CheckConfig { config } => check_config(&config),
        Command::Asks { asked, at: At::Socket(path) } => ask(asked, &mut Client::connect(&path)?),
        Command::Asks { asked, at: At::Config(file) } => {
            let none = || {
                Failure::new(
                    Exit::NotFound,
                    "no-socket",
                    "the agent has no socket",
                    "its configuration names none",
                )
                .fix(format!("add socket = \"/run/touchmark-agent/agent.sock\" to {}", file.display()))
            };
            let path = Config::socket_of(&file)?.ok_or_else(none)?;
            ask(asked, &mut Client::connect(&path)?)
        }
        Command::Version => print(concat!("touchmark-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Help => print(HELP),
    }
}

fn check_config(file: &Path) -> Result<Exit, Failure> {
    for environment in Config::read(file)?.environments {
        let anchors = environment.anchors.len();
        print(&format!(
            "{} in {} at {}: {anchors} pinned\n",
            environment.identity, environment.name, environment.server
        ))?;
    }
    Ok(Exit::Ok)
}

fn ask(asked: Asked, client: &mut Client) -> Result<Exit, Failure> {
    match asked {
        Asked::Status { json } => {
            let answer = client.ask(&Ask::Status {})?;
            let environments = answer["environments"].as_array().cloned().unwrap_or_default();
            if json {
                print(&format!("{answer:#}\n"))?;
            } else {
                for environment in &environments {
                    print(&format!("{}\n", text(&environment["summary"])))?;
                }
            }
            let fresh = environments.iter().all(|environment| environment["fresh"] == true);
            Ok(if fresh { Exit::Ok } else { Exit::CheckFailed })
        }
        Asked::Why { environment } => {
            let answer = client.ask(&Ask::Why { environment })?;
            for environment in answer["environments"].as_array().into_iter().flatten() {
                for line in environment["lines"].as_array().into_iter().flatten() {
                    print(&format!("{}\n", text(line)))?;
                }
            }
            Ok(Exit::Ok)
        }
        Asked::Renew { environment } => {
            let answer = client.ask(&Ask::Renew { environment })?;
            let asked = format!(
                "asked for a new certificate in {0}; how it goes: touchmark-agent why {0}\n",
                text(&answer["environment"])
            );
            // It is asked for, whoever reads that.
            if let Err(failure) = print(&asked) {
                log::line(format_args!("{failure}"));
            }
            Ok(Exit::Ok)
        }
        Asked::Certificate { environment, anchors } => {
            let answer = client.ask(&Ask::Certificate { environment })?;
            print(answer[if anchors { "anchors" } else { "chain" }].as_str().unwrap_or_default())
        }
        Asked::Sign { environment } => sign(environment, client),
    }
}

fn sign(environment: Option<String>, client: &mut Client) -> Result<Exit, Failure> {
    let mut message = Vec::new();
    let limit = u64::try_from(MESSAGE_OCTETS_MAX).unwrap_or(u64::MAX) + 1;
    let read = std::io::stdin().take(limit).read_to_end(&mut message);
    read.map_err(|error| Failure::internal("standard input cannot be read", error.to_string()))?;
    if message.len() > MESSAGE_OCTETS_MAX {
        let why = format!("at most {MESSAGE_OCTETS_MAX} octets are signed at once");
        return Err(Failure::new(Exit::Usage, "too-long", "the message is too long", why)
            .fix("sign a hash of it, if the reader of the signature agrees"));
    }
    // The two questions are about one key unless a renewal comes between; then the second is refused or the same.
    let held = client.ask(&Ask::Certificate { environment: environment.clone() })?;
    let algorithm = text(&held["algorithm"]);
    let answer = client.ask(&Ask::Sign { environment, algorithm, message: STANDARD.encode(message) })?;
    let signature = STANDARD.decode(text(&answer["signature"]));
    let signature = signature
        .map_err(|error| Failure::internal("the agent's answer is no signature", error.to_string()))?;
    write(&signature)
}

fn print(text: &str) -> Result<Exit, Failure> {
    write(text.as_bytes())
}

/// A reader that went away has seen enough.
fn write(octets: &[u8]) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Ok),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => Err(Failure::internal("standard output cannot be written", error.to_string())),
    }
}
