//! `touchmark env`: environments, each a trust domain of its own.

use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::Management;
use crate::output::{Listed, Output};
use crate::span;
use clap::{Args, Subcommand};
use core::time::Duration;
use touchmark_api::{Environment, EnvironmentOrder};
use touchmark_identity::{EnvironmentName, TrustDomain};

#[derive(Debug, Subcommand)]
pub(crate) enum Env {
    /// All environments
    List,
    /// One environment
    Get {
        /// Its name
        name: EnvironmentName,
    },
    /// Makes an environment with an issuing authority, profiles, policy and feed of its own
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    name: EnvironmentName,
    /// Host of its identities [default: NAME.touchmark.internal]
    #[arg(long)]
    trust_domain: Option<TrustDomain>,
    /// How long a device certificate lives
    #[arg(long, value_parser = span::parse, value_name = "SPAN")]
    device_lifetime: Option<Duration>,
}

impl Listed for Environment {
    const HEADERS: &'static [&'static str] = &["name", "trust domain", "default", "profiles", "since"];
    fn row(&self) -> Vec<String> {
        let profiles: Vec<_> = self
            .profiles
            .iter()
            .map(|profile| format!("{} {}", profile.name, span::words(profile.lifetime_s)))
            .collect();
        let default = if self.default { "yes" } else { "" };
        vec![
            self.name.clone(),
            self.trust_domain.clone(),
            default.to_owned(),
            profiles.join(", "),
            self.created_at.clone(),
        ]
    }
    fn name(&self) -> String {
        self.name.clone()
    }
}

pub(crate) async fn run(command: Env, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let mut management = Management::open(home)?;
    match command {
        Env::List => {
            let all: Vec<Environment> = management.get("/v1/environments", &()).await?;
            output.list(&all)?;
        }
        Env::Get { name } => {
            let one = management.environment(&name).await?;
            output.one(&one, name.as_str(), human)?;
        }
        Env::Create(order) => {
            let made: Environment = management
                .post(
                    "/v1/environments",
                    &EnvironmentOrder {
                        name: order.name.to_string(),
                        trust_domain: order.trust_domain.map(|domain| domain.to_string()),
                        device_lifetime_s: order.device_lifetime.map(|lifetime| lifetime.as_secs()),
                    },
                )
                .await?;
            output.one(&made, order.name.as_str(), human)?;
        }
    }
    Ok(Exit::Ok)
}

fn human(one: &Environment) -> String {
    let mut text = format!(
        "environment   {}\ntrust domain  {}\nsince         {}\nfeed key      {}\n",
        one.name, one.trust_domain, one.created_at, one.feed_key
    );
    for crl in &one.crls {
        text += &format!("crl           {crl}\n");
    }
    for profile in &one.profiles {
        let (lifetime, overlap) = (span::words(profile.lifetime_s), span::words(profile.overlap_s));
        text += &format!(
            "profile       {} ({}): lives {lifetime}, overlap {overlap}\n",
            profile.name, profile.kind
        );
    }
    text
}
