//! `publish NAME`: a device of this data directory that publishes again and again, while its credential is renewed.
//!
//! Exit 4 if anything was denied, 8 if a message was not acknowledged in the end.

use crate::steady::{self, Plan, Report};
use clap::{Args, ValueEnum};
use core::time::Duration;
use touchmark_identity::{EnvironmentName, Name};
use touchmark_mqtt::ProtocolVersion;
use touchmark_touchmark::client::{Client, Renewer, STEADY_LOOK};
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::home::{self, Home};
use touchmark_touchmark::mqtt_session::{PATIENCE, Target, publication};
use touchmark_touchmark::output::Output;
use touchmark_touchmark::span;

/// Renewals that were not told of yet; there is one at a time.
const UNTOLD_MAX: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct Publish {
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    // Not as it is written: clap makes the end of a line of it.
    /// Publish this payload to this topic (repeatable); an n in braces in the payload counts from 1
    #[arg(long = "publish", value_name = "TOPIC=PAYLOAD", value_parser = publication, required = true)]
    publications: Vec<(String, String)>,
    /// How often, until Ctrl-C; a renewed credential is taken up without a gap
    #[arg(long, value_name = "SPAN", value_parser = period)]
    every: Duration,
    /// End after this time
    #[arg(long = "for", value_name = "SPAN", value_parser = span::parse)]
    stay: Option<Duration>,
    /// Speak MQTT 3.1.1 instead of 5.0
    #[arg(long)]
    v311: bool,
    /// Who renews the credential when it is due
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    renew: Renew,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Renew {
    /// Somebody else, like `device rotate`; new files are noticed.
    #[default]
    Off,
    /// This command: in the authority's window, or at two thirds of the certificate's life.
    Auto,
}

/// Publishes until the end, over as many sessions as it takes.
pub(crate) async fn run(order: Publish, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let address = Target::of(home, &order.env, &order.name).await?.address;
    let directory = CredentialDir::new(home.device(&order.env, &order.name));
    let (told, renewed) = tokio::sync::mpsc::channel(UNTOLD_MAX);
    let renewer = match order.renew {
        Renew::Off => None,
        Renew::Auto => {
            let est = home::address(home.ready()?.est, "EST server")?;
            let client = Client { est, environment: order.env, name: order.name.clone() };
            Some(Renewer::start(client, directory.clone(), STEADY_LOOK, told))
        }
    };
    let plan = Plan {
        name: order.name,
        publications: order.publications,
        every: order.every,
        stay: order.stay,
        version: if order.v311 { ProtocolVersion::V311 } else { ProtocolVersion::V5 },
        renews: renewer.is_some(),
    };
    let report = steady::run(&plan, &directory, &address, renewed, output).await?;
    if let Some(renewer) = renewer {
        renewer.stop(PATIENCE).await;
    }
    output.one(&report, plan.name.as_str(), Report::human)?;
    Ok(report.exit())
}

/// A pause that is one.
fn period(text: &str) -> Result<Duration, String> {
    let period = span::parse(text)?;
    if period.is_zero() { Err("longer than nothing, like 10ms".to_owned()) } else { Ok(period) }
}
