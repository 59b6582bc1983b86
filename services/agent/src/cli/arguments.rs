//! The command line read by hand: seven commands with an option or two need no library of half a megabyte.

use std::ffi::OsString;
use std::path::PathBuf;

const CONFIG: &str = "/etc/touchmark-agent/agent.toml";
const SOCKET: &str = "/run/touchmark-agent/agent.sock";
/// The socket's path, for all commands of a session.
const SOCKET_VARIABLE: &str = "TOUCHMARK_AGENT_SOCKET";

/// What `--help` prints.
pub(super) const HELP: &str = "\
Keeps a device's identities fresh: enrols, renews by itself, and serves applications on a local socket.

Usage: touchmark-agent COMMAND [OPTIONS]

  run           [--config FILE]           run the agent; it does not return
  check-config  [--config FILE]           read the configuration and what it names, and say what is wrong
  status        [--json]                  how every identity stands; ends with 6 unless all are fresh
  why           [ENVIRONMENT]             the same in sentences: what comes next, who must act
  renew         [ENVIRONMENT]             a new key and certificate now
  certificate   [ENVIRONMENT] [--anchors] the certificate in force with its chain, or the trust anchors; PEM
  sign          [ENVIRONMENT]             sign standard input with the current key, to standard output
  version, help

  --config FILE  /etc/touchmark-agent/agent.toml; a command that asks the running agent takes its socket from it
  --socket PATH  the running agent's socket: $TOUCHMARK_AGENT_SOCKET, or /run/touchmark-agent/agent.sock

ENVIRONMENT may be left out where the agent keeps only one. Secrets are never arguments: see docs/agent.md.
";

/// One command, with where to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Run { config: PathBuf },
    CheckConfig { config: PathBuf },
    Asks { asked: Asked, at: At },
    Version,
    Help,
}

/// Where the running agent is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum At {
    Socket(PathBuf),
    /// At the socket that this configuration names.
    Config(PathBuf),
}

/// A question for the running agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Status { json: bool },
    Why { environment: Option<String> },
    Renew { environment: Option<String> },
    Certificate { environment: Option<String>, anchors: bool },
    Sign { environment: Option<String> },
}

/// What a command may be given.
#[derive(Default)]
struct Given {
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    json: bool,
    anchors: bool,
    environment: Option<String>,
}

impl Command {
    /// From the words after the program's name.
    pub(super) fn parse(
        words: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let mut words = words.into_iter();
        let name = words.next().ok_or("a command is missing")?;
        let name = name.to_str().ok_or("the command is no text")?;
        let mut given = Given::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(PathBuf::from).ok_or("an option's value is missing");
            match (name, word.to_str()) {
                (_, Some("--help" | "-h")) => return Ok(Self::Help),
                ("run" | "check-config", Some("--config")) => given.config = Some(value()?),
                ("status" | "why" | "renew" | "certificate" | "sign", Some("--config"))
                    if given.socket.is_none() =>
                {
                    given.config = Some(value()?);
                }
                ("status" | "why" | "renew" | "certificate" | "sign", Some("--socket"))
                    if given.config.is_none() =>
                {
                    given.socket = Some(value()?);
                }
                ("status", Some("--json")) => given.json = true,
                ("certificate", Some("--anchors")) => given.anchors = true,
                ("why" | "renew" | "certificate" | "sign", Some(word))
                    if !word.starts_with('-') && given.environment.is_none() =>
                {
                    given.environment = Some(word.to_owned());
                }
                (_, _) => return Err(format!("`{name}` does not take `{}`", word.display())),
            }
        }
        let Given { config, socket, json, anchors, environment } = given;
        let at = match (&config, socket) {
            (Some(file), None) => At::Config(file.clone()),
            (_, Some(path)) => At::Socket(path),
            (None, None) => {
                At::Socket(variable(SOCKET_VARIABLE).map_or_else(|| SOCKET.into(), PathBuf::from))
            }
        };
        let asks = |asked| Self::Asks { asked, at };
        let config = config.unwrap_or_else(|| CONFIG.into());
        Ok(match name {
            "run" => Self::Run { config },
            "check-config" => Self::CheckConfig { config },
            "status" => asks(Asked::Status { json }),
            "why" => asks(Asked::Why { environment }),
            "renew" => asks(Asked::Renew { environment }),
            "certificate" => asks(Asked::Certificate { environment, anchors }),
            "sign" => asks(Asked::Sign { environment }),
            "version" | "--version" | "-V" => Self::Version,
            "help" | "--help" | "-h" => Self::Help,
            other => return Err(format!("there is no command `{other}`")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from), |_| None)
    }

    fn asks(asked: Asked, socket: &str) -> Option<Command> {
        Some(Command::Asks { asked, at: At::Socket(socket.into()) })
    }

    #[test]
    fn a_command_line_means_one_thing_or_nothing() {
        let lab = || Some("lab".to_owned());
        let rows = [
            ("run", Some(Command::Run { config: CONFIG.into() })),
            ("run --config /a", Some(Command::Run { config: "/a".into() })),
            ("check-config --config /a", Some(Command::CheckConfig { config: "/a".into() })),
            ("status", asks(Asked::Status { json: false }, SOCKET)),
            ("status --json --socket /s", asks(Asked::Status { json: true }, "/s")),
            (
                "status --config /a --json",
                Some(Command::Asks { asked: Asked::Status { json: true }, at: At::Config("/a".into()) }),
            ),
            ("status --config /a --socket /s", None),
            ("sign --socket /s --config /a", None),
            ("why", asks(Asked::Why { environment: None }, SOCKET)),
            ("why lab", asks(Asked::Why { environment: lab() }, SOCKET)),
            ("renew lab --socket /s", asks(Asked::Renew { environment: lab() }, "/s")),
            (
                "certificate --anchors lab",
                asks(Asked::Certificate { environment: lab(), anchors: true }, SOCKET),
            ),
            ("sign lab", asks(Asked::Sign { environment: lab() }, SOCKET)),
            ("--version", Some(Command::Version)),
            ("--help", Some(Command::Help)),
            ("status --help", Some(Command::Help)),
            ("", None),
            ("stats", None),
            ("status lab", None),
            ("why lab plant", None),
            ("why --json", None),
            ("run --socket /s", None),
            ("run --config", None),
            ("renew -lab", None),
        ];
        for (line, expected) in rows {
            assert_eq!(parse(line).ok(), expected, "{line}");
        }
    }

    #[test]
    fn a_variable_names_the_socket_unless_an_option_does() {
        let with = |line: &str| {
            Command::parse(line.split_whitespace().map(OsString::from), |name| {
                (name == SOCKET_VARIABLE).then(|| "/v".into())
            })
        };
        assert_eq!(with("status").ok(), asks(Asked::Status { json: false }, "/v"));
        assert_eq!(with("status --socket /s").ok(), asks(Asked::Status { json: false }, "/s"));
    }
}
