//! `touchmark token create`: a permission to enrol, shown once.

use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::Management;
use crate::output::Output;
use crate::span;
use clap::{Args, Subcommand, ValueEnum};
use core::time::Duration;
use std::path::PathBuf;
use touchmark_api::{Token as Issued, TokenOrder};
use touchmark_durable::{Mode, write_atomic};
use touchmark_identity::{EnvironmentName, Name, Secret};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token; its password is shown this once
    Create(Create),
}

/// What a token enrols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[default]
    Device,
    Service,
    Operator,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Environment in which it is good
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// For this name only, once
    #[arg(long, value_name = "NAME", required_unless_present = "prefix", conflicts_with = "prefix")]
    device: Option<Name>,
    /// For new devices whose names start so
    #[arg(long, requires = "uses")]
    prefix: Option<String>,
    /// How often a prefix token may be used
    #[arg(long, requires = "prefix")]
    uses: Option<u32>,
    /// Model that the device gets
    #[arg(long)]
    model: Option<String>,
    /// How long it is good
    #[arg(long, value_parser = span::parse, default_value = "1h")]
    ttl: Duration,
    /// What it enrols
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
    /// Host name or address in a service's certificate (repeatable)
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Role of an operator (repeatable)
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Write user name and password into this file (0600) instead of showing the password
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(command: Token, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let Token::Create(order) = command;
    let mut management = Management::open(home)?;
    let issued = management
        .token(&TokenOrder {
            environment: order.env.to_string(),
            device: order.device.as_ref().map(ToString::to_string),
            prefix: order.prefix.clone(),
            uses: order.uses,
            model: order.model.clone(),
            ttl_s: order.ttl.as_secs(),
            kind: match order.kind {
                Kind::Device => None,
                Kind::Service => Some("service".to_owned()),
                Kind::Operator => Some("operator".to_owned()),
            },
            hosts: order.hosts.clone(),
            roles: order.roles.clone(),
        })
        .await?;
    match order.out {
        Some(path) => {
            let lines = Secret::new(format!("{}\n{}\n", issued.username, issued.password));
            write_atomic(&path, lines.expose().as_bytes(), Mode::Private0600)?;
            output.note(&format!(
                "token for {} in {}, good until {}: {}",
                issued.username,
                issued.environment,
                issued.expires,
                path.display()
            ));
        }
        None => output.one(&issued, &issued.token, human)?,
    }
    Ok(Exit::Ok)
}

fn human(issued: &Issued) -> String {
    format!(
        "username  {}\npassword  {}\nexpires   {}\nenv       {}\n\nThe password is not kept and cannot be shown again.",
        issued.username, issued.password, issued.expires, issued.environment
    )
}
