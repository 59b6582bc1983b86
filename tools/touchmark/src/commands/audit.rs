//! `touchmark audit`: is the log whole, what was decided, and what is its newest signed head.

use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::Management;
use crate::output::{Listed, Output};
use crate::services;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use touchmark_api::{Decision, DecisionQuery, LogHead, Verdict, or_no_data};
use touchmark_identity::{Name, Timestamp};
use touchmark_listen::Clock;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Verifies the logs in the data directory, without asking any server; exit 6 if they are not in order
    Verify {
        /// A signed head that was kept elsewhere: the log must extend it
        #[arg(long, value_name = "FILE")]
        witness: Option<PathBuf>,
    },
    /// What gateways decided
    Decisions(Decisions),
    /// The journal's newest signed head, to be kept elsewhere
    Head,
    /// Writes the journal's log files again from the database, if they were lost; the server must be stopped
    RebuildLog,
}

#[derive(Debug, Args)]
pub(crate) struct Decisions {
    /// Only this device
    #[arg(long)]
    device: Option<Name>,
    /// From this moment on (RFC 3339), or so long ago (15m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only `allow` or `deny`
    #[arg(long, value_name = "allow|deny")]
    verdict: Option<Verdict>,
    /// Only the newest so many; the newest comes first
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl Listed for Decision {
    const HEADERS: &'static [&'static str] =
        &["at", "id", "device", "action", "resource", "verdict", "reason", "rule", "gateway"];
    fn row(&self) -> Vec<String> {
        let mut resource = or_no_data(self.resource.as_ref());
        if self.count > 1 {
            resource += &format!(" x{}", self.count);
        }
        // A rule that is not known is none that matched: what is decided is always decided by the policy in force.
        let rule = self.rule.as_deref().unwrap_or("none matched").to_owned();
        vec![
            self.at.to_string(),
            self.id.to_string(),
            or_no_data(self.device.as_ref()),
            self.action.to_string(),
            resource,
            self.verdict.to_string(),
            self.reason.clone(),
            rule,
            self.gateway.to_string(),
        ]
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
}

pub(crate) async fn run(command: Audit, home: &Home, output: &Output) -> Result<Exit, Failure> {
    match command {
        Audit::Verify { witness } => {
            let witness = witness.map(|path| home::read(&path)).transpose()?;
            services::authority::verify(home, witness.as_deref(), output)
        }
        Audit::Decisions(order) => {
            let query = DecisionQuery {
                device: order.device,
                since: order.since.as_deref().map(since).transpose()?,
                verdict: order.verdict,
                limit: order.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
                cursor: None,
            };
            output.list(&Management::open(home)?.decisions(&query).await?)?;
            Ok(Exit::Ok)
        }
        Audit::RebuildLog => services::authority::rebuild_log(home, output),
        Audit::Head => {
            let head: LogHead = Management::open(home)?.get("/v1/log", &()).await?;
            // The signed note alone, so that `audit head > FILE` is a witness.
            output.one(&head, &head.origin, |head| head.checkpoint.clone())?;
            Ok(Exit::Ok)
        }
    }
}

/// A moment, or a span back from now.
fn since(text: &str) -> Result<Timestamp, Failure> {
    let now = Clock::system().now();
    Ok(match crate::span::parse(text) {
        Ok(span) => Timestamp::from_unix_s(now.unix_s().saturating_sub(span.as_secs())),
        Err(_) => Timestamp::parse(text)
            .map_err(|fault| Failure::usage("--since cannot be read").what(text).why(fault.to_string()))?,
    })
}
