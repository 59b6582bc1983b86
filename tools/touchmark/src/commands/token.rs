//! `touchmark token`: permissions to enrol. A password is shown once, when the token is made, and not kept.

use crate::commands::Limit;
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::{Management, segment};
use crate::output::{Listed, Output};
use crate::span;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use core::time::Duration;
use std::path::{Path, PathBuf};
use touchmark_api::{ListIn, Token as Issued, TokenInfo, TokenKind, TokenOrder, or_no_data};
use touchmark_durable::{Mode, write_atomic};
use touchmark_identity::{EnvironmentName, Name, NamePrefix, Secret};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token; its password is shown this once
    Create(Create),
    /// All tokens of an environment, without their passwords
    List {
        /// Environment
        #[arg(long, default_value = "lab")]
        env: EnvironmentName,
        #[command(flatten)]
        limit: Limit,
    },
    /// Ends a token before its time
    Void {
        /// tok_...
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Environment in which it is good
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// For this name only, once
    #[arg(long, value_name = "NAME", required_unless_present = "prefix", conflicts_with = "prefix")]
    device: Option<Name>,
    /// For new devices whose names start so; it may end in `-`, `.` or `_`
    #[arg(long, requires = "uses")]
    prefix: Option<NamePrefix>,
    /// How often a prefix token may be used
    #[arg(long, requires = "prefix", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// Model that the device gets
    #[arg(long)]
    model: Option<Name>,
    /// How long it is good: from a second to a week
    #[arg(long, value_parser = span::some, default_value = "1h")]
    ttl: Duration,
    /// What it enrols
    #[arg(long, default_value_t = TokenKind::Device, value_name = "device|service|gateway|operator")]
    kind: TokenKind,
    /// Host name or address in a service's certificate (repeatable)
    #[arg(long = "host", value_name = "HOST", value_parser = span::host)]
    hosts: Vec<String>,
    /// Role of an operator (repeatable)
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An operator's roles hold in the whole organisation, and not in this environment alone
    #[arg(long)]
    organisation: bool,
    /// Write user name and password into this file (0600) instead of showing the password
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Listed for TokenInfo {
    const HEADERS: &'static [&'static str] =
        &["token", "kind", "reach", "for", "uses", "state", "expires", "made by"];
    fn row(&self) -> Vec<String> {
        let uses = format!("{} of {}", self.uses, self.uses_max);
        vec![
            self.token.to_string(),
            self.kind.to_string(),
            self.reach.as_ref().map(ToString::to_string).unwrap_or_default(),
            or_no_data(self.subject.as_ref()),
            uses,
            self.state.to_string(),
            self.expires.to_string(),
            self.created_by.to_string(),
        ]
    }
    fn name(&self) -> String {
        self.token.to_string()
    }
}

pub(crate) async fn run(command: Token, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let mut management = Management::open(home)?;
    match command {
        Token::Create(order) => create(order, &mut management, output).await,
        Token::List { env, limit } => {
            let query = ListIn { environment: Some(env), ..ListIn::default() };
            let all: Vec<TokenInfo> = management.list("/v1/tokens", query, limit.rows()).await?;
            output.list(&all)?;
            Ok(Exit::Ok)
        }
        Token::Void { id } => {
            let voided = void(&id, &mut management).await?;
            output.one(&voided, &voided.token.to_string(), |one| {
                format!(
                    "{} for {} is {}: it made {} of {} enrolments",
                    one.token,
                    or_no_data(one.subject.as_ref()),
                    one.state,
                    one.uses,
                    one.uses_max
                )
            })?;
            Ok(Exit::Ok)
        }
    }
}

/// Before there is a token: a password that cannot be kept would be one that nobody has, and a device, pipe or link
/// would be replaced by a file.
fn may_be_written(path: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage("the token cannot be written there")
            .what(format!("--out {}", path.display()))
            .why(why)
            .fix("--out FILE   (a new file, or one that may be replaced, in a folder that exists)"))
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return refuse("its folder does not exist");
    }
    match path.symlink_metadata() {
        Ok(there) if !there.is_file() => refuse("it is no ordinary file"),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn create(order: Create, management: &mut Management, output: &Output) -> Result<Exit, Failure> {
    match order.out.as_deref() {
        Some(path) => may_be_written(path)?,
        None => output.may_be_only_copy(
            "the token's password",
            "give stdout a reader, or write it to a file: --out FILE",
        )?,
    }
    let issued = management
        .token(&TokenOrder {
            environment: order.env.clone(),
            device: order.device.clone(),
            prefix: order.prefix.clone(),
            uses: order.uses,
            model: order.model.clone(),
            ttl_s: order.ttl.as_secs(),
            kind: Some(order.kind),
            hosts: order.hosts.clone(),
            roles: order.roles.clone(),
            organisation: order.organisation,
        })
        .await?;
    match order.out {
        Some(path) => {
            let lines = Secret::new(format!("{}\n{}\n", issued.username, issued.password));
            if let Err(fault) = write_atomic(&path, lines.expose().as_bytes(), Mode::Private0600) {
                return Err(undone(fault.into(), &issued, management).await);
            }
            output.note(&format!(
                "token for {} in {}, good until {}: {}",
                issued.username,
                issued.environment,
                issued.expires,
                path.display()
            ));
        }
        None => {
            let name = match &order.prefix {
                Some(prefix) => format!("{prefix}NAME"),
                None => issued.username.to_string(),
            };
            let told = output.only_copy(&issued, &issued.token.to_string(), |issued| {
                human(issued, &name, order.prefix.as_ref())
            });
            if let Err(failure) = told {
                return Err(undone(failure, &issued, management).await);
            }
        }
    }
    Ok(Exit::Ok)
}

/// Takes back a token whose password nobody has, and says what became of it.
async fn undone(failure: Failure, issued: &Issued, management: &mut Management) -> Failure {
    let what = format!("token {} for {}", issued.token, issued.username);
    match void(&issued.token.to_string(), management).await {
        Ok(_) => failure.what(format!("{what}, which was taken back")).fix(
            "give stdout a reader with room, or write it to a file with --out FILE, and create it again",
        ),
        Err(_) => failure.what(format!("{what}, which is still good")).fix(format!(
            "touchmark token void {}   (nobody has its password), then create it again",
            issued.token
        )),
    }
}

async fn void(id: &str, management: &mut Management) -> Result<TokenInfo, Failure> {
    let path = format!("/v1/tokens/{}/void", segment(id));
    let voided = management.post(&path, &serde_json::Map::new()).await;
    voided.map_err(|failure: Failure| failure.what(format!("token {id}")))
}

fn human(issued: &Issued, name: &str, prefix: Option<&NamePrefix>) -> String {
    let Issued { username, password, expires, environment, .. } = issued;
    let mut text =
        format!("username  {username}\npassword  {password}\nexpires   {expires}\nenv       {environment}\n");
    if let Some(prefix) = prefix {
        text += &format!(
            "names     {prefix}... : the request names the device, as common name or in its URI; its name as user name does, too\n"
        );
    }
    text + &format!(
        "\nThe password is not kept and cannot be shown again.\nnext: save these lines as FILE, then touchmark device enroll {name} --env {environment} --token-file FILE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_written_into_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for (path, may) in [
            (at("new"), true),
            (at("file"), true),
            (at("link"), false),
            (at("folder"), false),
            (at("nowhere/new"), false),
            (PathBuf::from("/dev/null"), false),
        ] {
            assert_eq!(may_be_written(&path).is_ok(), may, "{}", path.display());
        }
    }
}
