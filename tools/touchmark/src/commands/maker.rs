//! `touchmark maker`: whose initial certificates open enrolment.

use crate::commands::Limit;
use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, segment};
use crate::output::{Listed, Output};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use touchmark_api::{ListIn, Maker as Row, MakerOrder, MakerWithdrawal};
use touchmark_identity::{EnvironmentName, Name};

#[derive(Debug, Subcommand)]
pub(crate) enum Maker {
    /// Lets devices of this maker enrol, those that are registered with `device register`
    Register(Register),
    /// All makers, withdrawn ones too
    List {
        /// Environment
        #[arg(long, default_value = "lab")]
        env: EnvironmentName,
        #[command(flatten)]
        limit: Limit,
    },
    /// Ends that at once; devices that enrolled keep their identity
    Withdraw {
        name: Name,
        /// Environment
        #[arg(long, default_value = "lab")]
        env: EnvironmentName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// A name for the maker
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// The one certificate, PEM, of the authority that ends the paths of the maker's device certificates
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
}

impl Listed for Row {
    const HEADERS: &'static [&'static str] =
        &["name", "environment", "certificate", "not after", "since", "withdrawn"];
    fn row(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.environment.to_string(),
            self.fingerprint.to_string().chars().take(16).collect(),
            self.not_after.to_string(),
            self.registered_at.to_string(),
            self.withdrawn_at.map(|at| at.to_string()).unwrap_or_default(),
        ]
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
}

pub(crate) async fn run(command: Maker, home: &Home, output: &Output) -> Result<Exit, Failure> {
    match command {
        Maker::Register(order) => {
            let certificate = home::read(&order.ca)?;
            let order = MakerOrder { environment: order.env, name: order.name, certificate };
            let made: Row = Management::open(home)?.post("/v1/makers", &order).await?;
            output.one(&made, made.name.as_str(), human)?;
        }
        Maker::List { env, limit } => {
            let query = ListIn { environment: Some(env), ..ListIn::default() };
            let all: Vec<Row> = Management::open(home)?.list("/v1/makers", query, limit.rows()).await?;
            output.list(&all)?;
        }
        Maker::Withdraw { name, env } => {
            let path = format!("/v1/makers/{}/withdraw", segment(name.as_str()));
            let order = MakerWithdrawal { environment: env };
            let ended: Row = Management::open(home)?.post(&path, &order).await?;
            output.one(&ended, ended.name.as_str(), human)?;
        }
    }
    Ok(Exit::Ok)
}

fn human(one: &Row) -> String {
    let withdrawn = one.withdrawn_at.as_ref().map(|at| format!("\nwithdrawn    {at}")).unwrap_or_default();
    format!(
        "maker        {}\nid           {}\nenvironment  {}\ncertificate  {}\nnot after    {}\nsince        {}{withdrawn}",
        one.name, one.id, one.environment, one.fingerprint, one.not_after, one.registered_at
    )
}
