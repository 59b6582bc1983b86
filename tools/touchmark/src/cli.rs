//! The command line as a whole: global flags and the nouns. Each noun's verbs stand in their own file.

use crate::commands;
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::output::{Format, Output};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

const AFTER: &str = "\
By hand, in two terminals:
  touchmark server up --dev
  touchmark device enroll pump-01 --env lab
  touchmark device connect pump-01 --publish plant/pump-01/temp=21
  touchmark device rotate pump-01
  touchmark device revoke pump-01 --reason key-compromise --reconnect
  touchmark explain pump-01
  touchmark audit verify

Exit codes: touchmark help-exit-codes";

/// Identities for devices: issued, renewed, revoked, decided on, and provable afterwards.
#[derive(Debug, Parser)]
#[command(name = "touchmark", version, after_help = AFTER, propagate_version = true)]
pub(crate) struct Cli<C: Subcommand> {
    /// Data directory [default: $XDG_STATE_HOME/touchmark or ~/.local/state/touchmark]
    #[arg(long, global = true, env = "TOUCHMARK_DATA", value_name = "DIR", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// What stdout carries
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// Same as -o json
    #[arg(long, global = true)]
    json: bool,
    /// No remarks on stderr, only errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// No colour (NO_COLOR does the same)
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    pub(crate) command: C,
}

impl<C: Subcommand> Cli<C> {
    pub(crate) fn output(&self) -> Output {
        let format = if self.json { Format::Json } else { self.output };
        Output::new(format, self.quiet, self.no_color)
    }
}

/// Whether words that do not parse ask for JSON all the same.
pub(crate) fn asks_for_json(words: &[String]) -> bool {
    let is_json = |word: &str| matches!(word, "json" | "ndjson");
    words.iter().zip(words.iter().skip(1).map(Some).chain([None])).any(|(word, next)| match word.as_str() {
        "--json" => true,
        "-o" | "--output" => next.is_some_and(|next| is_json(next)),
        word => ["--output=", "-o=", "-o"].iter().any(|start| word.strip_prefix(start).is_some_and(is_json)),
    })
}

/// The commands of a program that has these global flags, exit codes and logs.
pub trait Commands: Subcommand {
    /// Runs until it is told to stop, on all cores.
    fn is_service(&self) -> bool;
    /// Whether it changes something, so that its exit code tells of that, whatever becomes of the words about it.
    fn acts(&self) -> bool;
    /// Obeys.
    fn run(self, home: &Home, output: &Output) -> impl Future<Output = Result<Exit, Failure>>;
}

/// What the product does.
#[derive(Debug, Subcommand)]
#[expect(private_interfaces, reason = "others pass a command on, and look into none")]
pub enum Command {
    /// The authority: issues, records, revokes
    #[command(subcommand)]
    Server(commands::server::Server),
    /// The gateway: decides on every act of a device
    #[command(subcommand)]
    Gateway(commands::gateway::Gateway),
    /// Devices: enrol, connect, contain
    #[command(subcommand)]
    Device(commands::device::Device),
    /// Operators: people who run the authority
    #[command(subcommand)]
    Operator(commands::operator::Operator),
    /// Enrolment tokens
    #[command(subcommand)]
    Token(commands::token::Token),
    /// Makers whose devices enrol with the certificate they were made with
    #[command(subcommand)]
    Maker(commands::maker::Maker),
    /// Environments: separate trust domains
    #[command(subcommand)]
    Env(commands::env::Env),
    /// What devices may do
    #[command(subcommand)]
    Policy(commands::policy::Policy),
    /// Certificates, and one question about each
    #[command(subcommand)]
    Cert(commands::cert::Cert),
    /// The four questions about one device, certificate or decision, on one screen
    Explain(commands::explain::Explain),
    /// The logs: verify, read
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Prints a completion script for a shell
    Completion(commands::completion::Completion),
    /// Lists what each exit code means
    HelpExitCodes,
}

impl Commands for Command {
    fn is_service(&self) -> bool {
        matches!(self, Self::Server(_) | Self::Gateway(commands::gateway::Gateway::Up(_)))
    }

    fn acts(&self) -> bool {
        match self {
            Self::Server(_) | Self::Gateway(_) => true,
            Self::Device(command) => command.acts(),
            Self::Operator(commands::operator::Operator::Revoke(_)) => true,
            Self::Token(command) => matches!(command, commands::token::Token::Void { .. }),
            Self::Maker(command) => !matches!(command, commands::maker::Maker::List { .. }),
            Self::Env(command) => matches!(command, commands::env::Env::Create(_)),
            Self::Policy(command) => matches!(command, commands::policy::Policy::Apply { .. }),
            Self::Cert(command) => matches!(command, commands::cert::Cert::Revoke { .. }),
            Self::Explain(_) | Self::Audit(_) | Self::Completion(_) | Self::HelpExitCodes => false,
        }
    }

    async fn run(self, home: &Home, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Server(command) => commands::server::run(command, home, output).await,
            Self::Gateway(command) => commands::gateway::run(command, home, output).await,
            Self::Operator(command) => commands::operator::run(command, home, output).await,
            Self::Device(command) => commands::device::run(command, home, output).await,
            Self::Token(command) => commands::token::run(command, home, output).await,
            Self::Maker(command) => commands::maker::run(command, home, output).await,
            Self::Env(command) => commands::env::run(command, home, output).await,
            Self::Policy(command) => commands::policy::run(command, home, output).await,
            Self::Cert(command) => commands::cert::run(command, home, output).await,
            Self::Explain(order) => commands::explain::run(&order, home, output).await,
            Self::Audit(command) => commands::audit::run(command, home, output).await,
            Self::Completion(order) => commands::completion::run(&order, output),
            Self::HelpExitCodes => commands::exit_codes::run(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_line_that_does_not_parse_still_says_how_it_wants_to_be_answered() {
        let rows = [
            ("touchmark --json device", true),
            ("touchmark device lst -o json", true),
            ("touchmark device lst -o ndjson", true),
            ("touchmark device lst -ojson", true),
            ("touchmark device lst --output=json", true),
            ("touchmark device lst --output name", false),
            ("touchmark device lst json", false),
            ("touchmark -o", false),
        ];
        for (line, expected) in rows {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(asks_for_json(&words), expected, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::<Command>::command().debug_assert();
    }

    #[test]
    fn every_command_that_help_prints_can_be_read() {
        let printed = AFTER.lines().map(str::trim).filter(|line| line.starts_with("touchmark "));
        let mut count = 0;
        for line in printed {
            assert!(Cli::<Command>::try_parse_from(line.split(' ')).is_ok(), "{line}");
            count += 1;
        }
        assert_eq!(count, 7);
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        let rows = [("touchmark devise list", "device"), ("touchmark device revok pump-01", "revoke")];
        for (line, meant) in rows {
            let error = Cli::<Command>::try_parse_from(line.split(' ')).err().unwrap().to_string();
            assert!(error.contains(meant), "{line}: {error}");
        }
    }
}
