//! `touchmark env`: environments, each a trust domain of its own.

use crate::commands::Limit;
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::Management;
use crate::output::{Listed, Output};
use crate::span;
use clap::{Args, Subcommand};
use core::time::Duration;
use touchmark_api::{CloneResponse, Environment, EnvironmentOrder, ListIn};
use touchmark_identity::{EnvironmentName, TrustDomain};

#[derive(Debug, Subcommand)]
pub(crate) enum Env {
    /// All environments
    List(Limit),
    /// One environment
    Get { name: EnvironmentName },
    /// Makes an environment with an issuing authority, profiles, policy and feed of its own
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    name: EnvironmentName,
    /// Host of its identities [default: NAME.touchmark.internal]
    #[arg(long)]
    trust_domain: Option<TrustDomain>,
    /// How long a device certificate lives
    #[arg(long, value_parser = span::device_lifetime, value_name = "SPAN")]
    device_lifetime: Option<Duration>,
    /// How long after its end a device certificate may still be renewed [default: a third of its life]
    #[arg(long, value_parser = span::parse, value_name = "SPAN")]
    late_renewal_grace: Option<Duration>,
    /// How long a device certificate still serves once its successor is confirmed [default: a tenth of its life, at
    /// least 5m]
    #[arg(long, value_parser = span::parse, value_name = "SPAN")]
    overlap: Option<Duration>,
    /// When a certificate is used whose successor took over: tell people, or shut the device out as well
    #[arg(long, default_value_t = CloneResponse::Alarm, value_name = "alarm|quarantine")]
    on_clone: CloneResponse,
    /// Revoke device certificates once their overlap with a successor is over, so that the CRL lists them
    #[arg(long)]
    revoke_superseded: bool,
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
            self.name.to_string(),
            self.trust_domain.to_string(),
            default.to_owned(),
            profiles.join(", "),
            self.created_at.to_string(),
        ]
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
}

pub(crate) async fn run(command: Env, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let mut management = Management::open(home)?;
    match command {
        Env::List(limit) => {
            let all: Vec<Environment> =
                management.list("/v1/environments", ListIn::default(), limit.rows()).await?;
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
                        name: order.name.clone(),
                        trust_domain: order.trust_domain,
                        device_lifetime_s: order.device_lifetime.map(|lifetime| lifetime.as_secs()),
                        late_renewal_grace_s: order.late_renewal_grace.map(|grace| grace.as_secs()),
                        overlap_s: order.overlap.map(|overlap| overlap.as_secs()),
                        on_clone: Some(order.on_clone),
                        revoke_superseded: order.revoke_superseded,
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
        let [lifetime, overlap, grace] =
            [profile.lifetime_s, profile.overlap_s, profile.grace_s].map(span::words);
        text += &format!(
            "profile       {} ({}): lives {lifetime}, overlap {overlap}, renewed up to {grace} late; a clone: {}{}\n",
            profile.name,
            profile.kind,
            profile.on_clone,
            if profile.revoke_superseded { "; superseded ones are revoked" } else { "" }
        );
    }
    text
}
