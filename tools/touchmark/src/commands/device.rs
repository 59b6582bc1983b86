//! `touchmark device`: the verbs, and those that only ask.

use crate::commands::{
    Limit, contain, device_connect, device_enroll, device_register, device_rotate, explain,
};
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::{Management, segment};
use crate::output::{Format, Listed, Output};
use clap::{Args, Subcommand};
use touchmark_api::{Certificate, Device as Row, DeviceQuery, InEnvironment, ListIn, Standing, or_no_data};
use touchmark_identity::{EnvironmentName, Name};

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// All devices
    List(List),
    /// One device
    Get(Named),
    /// Says which device a maker's piece of hardware is to become; it then enrols by itself
    Register(device_register::Register),
    /// Makes a key here, has it certified, keeps both in the data directory
    Enroll(device_enroll::Enroll),
    /// Connects as a device and shows what the gateway allows
    Connect(device_connect::Connect),
    /// A new key and certificate in place of the old, while the device goes on working
    Rotate(device_rotate::Rotate),
    /// Which certificates it holds or held
    Certs {
        #[command(flatten)]
        whose: Named,
        #[command(flatten)]
        limit: Limit,
    },
    /// Kills its credentials for good; `replace` brings the device back with a new key
    Revoke(contain::Revoke),
    /// Shuts it out until it is released
    Quarantine(contain::Quarantine),
    /// Ends a quarantine
    Release(contain::Release),
    /// Shuts it out for ever: no token brings it back
    Ban(contain::Ban),
    /// A new key and certificate after a revocation or a loss
    Replace(device_enroll::Enroll),
}

impl Device {
    /// See [`crate::cli::Command::acts`].
    pub(crate) fn acts(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Get(_) | Self::Certs { .. })
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this environment
    #[arg(long)]
    env: Option<EnvironmentName>,
    /// Only this standing
    #[arg(long, value_name = "active|quarantined|banned")]
    standing: Option<Standing>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    name: Name,
    /// Environment, if the name exists in several
    #[arg(long)]
    env: Option<EnvironmentName>,
}

impl Listed for Row {
    const HEADERS: &'static [&'static str] = &["name", "environment", "standing", "model", "owner", "since"];
    fn row(&self) -> Vec<String> {
        let standing = match &self.standing_until {
            Some(until) => format!("{} until {until}", self.standing),
            None => self.standing.to_string(),
        };
        vec![
            or_no_data(self.name.as_ref()),
            or_no_data(self.environment.as_ref()),
            standing,
            or_no_data(self.model.as_ref()),
            or_no_data(self.owner.as_ref()),
            self.registered_at.to_string(),
        ]
    }
    fn name(&self) -> String {
        or_no_data(self.name.as_ref())
    }
}

impl Listed for Certificate {
    const HEADERS: &'static [&'static str] = &["id", "state", "issuer", "serial", "not after", "profile"];
    fn row(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.state.to_string(),
            or_no_data(self.issuer.as_ref()),
            self.serial.to_string(),
            self.not_after.to_string(),
            or_no_data(self.profile.as_ref()),
        ]
    }
    fn name(&self) -> String {
        self.id.to_string()
    }
}

pub(crate) async fn run(command: Device, home: &Home, output: &Output) -> Result<Exit, Failure> {
    match command {
        Device::List(order) => list(order, home, output).await,
        Device::Get(order) => {
            let (path, query) = (path(&order.name, ""), InEnvironment { environment: order.env });
            let one = Management::open(home)?.get(&path, &query).await;
            let one: Row = one.map_err(|failure: Failure| failure.what(format!("device {}", order.name)))?;
            output.one(&one, &one.name(), human)?;
            Ok(Exit::Ok)
        }
        Device::Certs { whose, limit } => {
            let path = path(&whose.name, "/certificates");
            let query = ListIn { environment: whose.env, ..ListIn::default() };
            let held = Management::open(home)?.list(&path, query, limit.rows()).await;
            let held: Vec<Certificate> =
                held.map_err(|failure: Failure| failure.what(format!("device {}", whose.name)))?;
            output.list(&held)?;
            Ok(Exit::Ok)
        }
        Device::Register(order) => device_register::run(order, home, output).await,
        Device::Enroll(order) => device_enroll::enroll(order, home, output).await,
        Device::Replace(order) => device_enroll::replace(order, home, output).await,
        Device::Connect(order) => device_connect::run(order, home, output).await,
        Device::Rotate(order) => device_rotate::run(order, home, output).await,
        Device::Revoke(order) => contain::revoke(order, home, output).await,
        Device::Quarantine(order) => contain::quarantine(order, home, output).await,
        Device::Release(order) => contain::release(order, home, output).await,
        Device::Ban(order) => contain::ban(order, home, output).await,
    }
}

fn path(name: &Name, part: &str) -> String {
    format!("/v1/devices/{}{part}", segment(name.as_str()))
}

/// JSON lines go out page by page.
async fn list(order: List, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let query = DeviceQuery { environment: order.env, standing: order.standing, ..DeviceQuery::default() };
    let mut management = Management::open(home)?;
    if output.format == Format::Ndjson {
        let line = |page: Vec<Row>| output.list(&page);
        management.pages("/v1/devices", query, order.limit.rows(), line).await?;
    } else {
        output.list(&management.list::<Row, _>("/v1/devices", query, order.limit.rows()).await?)?;
    }
    Ok(Exit::Ok)
}

fn human(one: &Row) -> String {
    let until = one.standing_until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let mut text = format!(
        "device       {}\nid           {}\nenvironment  {}\nstanding     {}{until}\nmodel        {}\nowner        {}\nsince        {}",
        or_no_data(one.name.as_ref()),
        one.id,
        or_no_data(one.environment.as_ref()),
        one.standing,
        or_no_data(one.model.as_ref()),
        or_no_data(one.owner.as_ref()),
        one.registered_at
    );
    if let Some(renewals) = &one.renewals {
        text += &format!(
            "\nrenewals     {}",
            explain::renewals_in_words(renewals).replace('\n', "\n             ")
        );
    }
    text
}
