//! `touchmark device connect --every`: the options of steady publishing, and what follows from them.
//!
//! Exit 4 if anything was denied, 8 if a message was not acknowledged in the end.

use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::mqtt_session::PATIENCE;
use crate::output::Output;
use crate::renewer::{Renewer, STEADY_LOOK};
use crate::rotation::{Manner, Rotation};
use crate::span;
use crate::steady::{self, Plan, Report};
use clap::{Args, ValueEnum};
use core::time::Duration;
use touchmark_identity::EnvironmentName;

/// Renewals that were not told of yet; there is one at a time.
const UNTOLD_MAX: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct Steadily {
    /// Publish again and again, this often, until Ctrl-C; a renewed credential is taken up without a gap
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = period,
        requires = "publish",
        conflicts_with_all = ["subscribe", "request_update"]
    )]
    pub(crate) every: Option<Duration>,
    /// With --every: who renews the credential when it is due
    #[arg(long, value_enum, default_value_t, requires = "every", value_name = "WHO")]
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

impl Steadily {
    /// Whether this command renews the credential itself.
    pub(crate) fn renews(&self) -> bool {
        self.renew == Renew::Auto
    }

    /// Publishes until the end, over as many sessions as it takes.
    pub(crate) async fn run(
        &self,
        plan: Plan,
        environment: EnvironmentName,
        address: &str,
        home: &Home,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let directory = CredentialDir::new(home.device(&environment, &plan.name));
        let (told, renewed) = tokio::sync::mpsc::channel(UNTOLD_MAX);
        let renewer = match self.renew {
            Renew::Off => None,
            Renew::Auto => {
                let est = home::address(home.ready()?.est, "EST server")?;
                let (name, manner) = (plan.name.clone(), Manner::Automatic);
                let rotation = Rotation { est, environment, name, manner };
                Some(Renewer::start(rotation, directory.clone(), STEADY_LOOK, told))
            }
        };
        let report = steady::run(&plan, &directory, address, renewed, output).await?;
        if let Some(renewer) = renewer {
            renewer.stop(PATIENCE).await;
        }
        output.one(&report, plan.name.as_str(), Report::human)?;
        Ok(report.exit())
    }
}

/// A pause that is one.
fn period(text: &str) -> Result<Duration, String> {
    let period = span::parse(text)?;
    if period.is_zero() { Err("longer than nothing, like 10ms".to_owned()) } else { Ok(period) }
}
