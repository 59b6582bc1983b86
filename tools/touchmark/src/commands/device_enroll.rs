//! `touchmark device enroll` and `device replace`: a key is made here, its certificate fetched by EST.
//!
//! Without `--token-file` the operator's certificate buys a token first, for this name alone. The key never
//! leaves its file (0600) under DATA/devices/ENV/NAME.

use crate::client::Client;
use crate::credential::CredentialDir;

use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, anchors_pem};
use crate::output::Output;
use crate::span;
use crate::token::TokenSecret;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use touchmark_api::{TokenOrder, or_no_data};
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_x509::Certificate;

/// The token is used at once.
const TOKEN_TTL_S: u64 = 300;

#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// Its name: a-z, 0-9, `.`, `_`, `-`
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// Model
    #[arg(long)]
    model: Option<Name>,
    /// File with a token's user name and password (`-` is stdin), instead of making one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What was issued, and where it lies.
#[derive(Debug, Serialize)]
pub(crate) struct Enrolled {
    pub(crate) device: String,
    pub(crate) environment: String,
    pub(crate) identity: Option<String>,
    pub(crate) fingerprint: String,
    pub(crate) serial: String,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    pub(crate) key: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) anchors: PathBuf,
}

pub(crate) async fn enroll(order: Enroll, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let directory = CredentialDir::new(home.device(&order.env, &order.name));
    if directory.is_there(&order.name)? {
        return Err(Failure::new(Exit::Conflict, "enrolled", "this device already has a credential here")
            .what(directory.path().display().to_string())
            .fix(format!("touchmark device replace {} --env {}", order.name, order.env)));
    }
    obtain(order, &directory, home, output).await
}

pub(crate) async fn replace(order: Enroll, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let directory = CredentialDir::new(home.device(&order.env, &order.name));
    obtain(order, &directory, home, output).await
}

async fn obtain(
    order: Enroll,
    directory: &CredentialDir,
    home: &Home,
    output: &Output,
) -> Result<Exit, Failure> {
    let ready = home.ready()?;
    let token = match &order.token_file {
        Some(path) => {
            let token = TokenSecret::read(path)?;
            token.demand(&order.name)?;
            token
        }
        None => {
            let token = TokenOrder {
                device: Some(order.name.clone()),
                model: order.model.clone(),
                ..TokenOrder::new(order.env.clone(), TOKEN_TTL_S)
            };
            let issued = Management::for_operator(home, &ready)?.token(&token).await;
            TokenSecret::of(issued.map_err(|failure| failure.what(format!("a token for {}", order.name)))?)
        }
    };
    let anchors_pem = anchors_pem(home, &order.env).await?;
    let est = home::address(ready.est, "EST server")?;
    let client = Client { est, environment: order.env.clone(), name: order.name.clone() };
    let certificate = client.enrol(token, &anchors_pem, directory).await?;
    let enrolled = describe(&order.name, &order.env, &certificate, directory);
    output.one(&enrolled, order.name.as_str(), human)?;
    Ok(Exit::Ok)
}

pub(crate) fn describe(
    name: &Name,
    environment: &EnvironmentName,
    certificate: &Certificate,
    directory: &CredentialDir,
) -> Enrolled {
    let validity = certificate.validity();
    Enrolled {
        device: name.to_string(),
        environment: environment.to_string(),
        identity: certificate.spiffe_id().ok().map(|id| id.to_string()),
        fingerprint: certificate.fingerprint().to_string(),
        serial: certificate.serial().to_string(),
        not_before: validity.not_before().to_string(),
        not_after: validity.not_after().to_string(),
        key: directory.key(),
        chain: directory.chain(),
        anchors: directory.anchors(),
    }
}

fn human(one: &Enrolled) -> String {
    let ends = Timestamp::parse(&one.not_after).map_or(0, Timestamp::unix_s);
    let starts = Timestamp::parse(&one.not_before).map_or(0, Timestamp::unix_s);
    format!(
        "{} is enrolled in {}.\n  identity     {}\n  certificate  {}\n  valid        until {} ({})\n  key          {} (made here, 0600)\n  chain        {}\n  anchors      {}\n\nnext: touchmark device connect {} --env {} --publish plant/{}/temp=21",
        one.device,
        one.environment,
        or_no_data(one.identity.as_ref()),
        one.fingerprint,
        one.not_after,
        span::words(ends.saturating_sub(starts)),
        one.key.display(),
        one.chain.display(),
        one.anchors.display(),
        one.device,
        one.environment,
        one.device
    )
}
