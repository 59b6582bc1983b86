//! `touchmark gateway`: runs one gateway of one environment; lists what the authority knows of them all.

use crate::commands::Limit;
use crate::commands::contain::{self, RevokeParty};
use crate::commands::server;
use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, known_environment, segment};
use crate::output::{Listed, Output};
use crate::services::gateway::{GatewayOptions, start};
use crate::services::process;
use crate::span;
use clap::{Args, Subcommand};
use core::num::NonZeroU64;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use touchmark_api::{Gateway as GatewayShown, GatewayAbsence, GatewayStanding, ListIn, NO_DATA, or_no_data};
use touchmark_gateway::{Ack, PUBLISH_RATE, PreferredPorts};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_status::StalenessClass;

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value in a run")]
pub(crate) enum Gateway {
    /// Runs a gateway; enrols its own certificate first if it has none
    Up(Up),
    /// Says that a gateway does not run: containments name it, and do not count on it. It ends when it asks again
    DeclareOffline {
        name: Name,
        /// Its environment [default: the operator's own]
        #[arg(long)]
        env: Option<EnvironmentName>,
        /// Ends by itself after this time
        #[arg(long, value_parser = span::some, value_name = "SPAN")]
        ttl: Option<core::time::Duration>,
        /// Also if it asked for the feed a moment ago
        #[arg(long)]
        yes: bool,
    },
    /// Ends that
    DeclareOnline {
        name: Name,
        /// Its environment [default: the operator's own]
        #[arg(long)]
        env: Option<EnvironmentName>,
    },
    /// What the authority knows of each gateway: age of its feed, what is in force there
    List {
        /// Only this environment's
        #[arg(long)]
        env: Option<EnvironmentName>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Kill all that a gateway, or another service, has: certificates, successors, keys, tokens
    Revoke(RevokeParty),
}

impl Listed for GatewayShown {
    const HEADERS: &'static [&'static str] =
        &["name", "env", "standing", "feed age", "class", "applied", "last seen"];
    fn row(&self) -> Vec<String> {
        let standing = match self.standing.known() {
            Some(GatewayStanding::Refused) => "REFUSED".to_owned(),
            Some(GatewayStanding::CutOff) => "cut off".to_owned(),
            Some(GatewayStanding::Online | GatewayStanding::Late | GatewayStanding::Unknown) | None => {
                self.standing.to_string()
            }
            Some(GatewayStanding::Offline) => match &self.offline_until {
                Some(until) => format!("offline until {until}"),
                None => "offline".to_owned(),
            },
        };
        let applied = match self.applied_seq {
            Some(seq) => format!("{seq} of {}", self.feed_seq),
            None => format!("none of {}", self.feed_seq),
        };
        vec![
            self.name.to_string(),
            self.environment.to_string(),
            standing,
            self.feed_age_s.map_or_else(|| NO_DATA.to_owned(), span::words),
            or_no_data(self.staleness.as_ref()),
            applied,
            or_no_data(self.last_seen.as_ref()),
        ]
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Base URL of the authority's management API [default: the one of this data directory]
    #[arg(long, value_name = "URL")]
    authority: Option<String>,
    /// Environment that it serves
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// Its service name
    #[arg(long, default_value = "gateway-01")]
    name: Name,
    /// First start: file with a service token's user name and password (`-` is stdin)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Base URL of EST, for its first certificate and its renewals [default: the one of this data directory, or the last one told]
    #[arg(long, value_name = "URL")]
    est: Option<String>,
    /// First start: the environment's trust anchors, PEM
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// First start: the status feed's public key, hexadecimal (touchmark env get)
    #[arg(long, value_name = "FILE")]
    feed_key: Option<PathBuf>,
    /// First start: one more host name or address for its certificate (repeatable)
    #[arg(long = "host", value_name = "HOST", value_parser = span::host)]
    hosts: Vec<String>,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Port for MQTT [default: kept from the last start, or chosen]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    mqtt_port: u16,
    /// Port for HTTP [default: kept from the last start, or chosen]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    http_port: u16,
    /// MQTT broker behind it [default: the built-in sink]
    #[arg(long, value_name = "HOST:PORT")]
    upstream_mqtt: Option<String>,
    /// HTTP service behind it
    #[arg(long, value_name = "URL")]
    upstream_http: Option<String>,
    /// How long to go on without news: strict, standard, life-safety
    #[arg(long, default_value = "standard", value_name = "CLASS")]
    staleness: StalenessClass,
    /// What an acknowledged publish waits for: queued (a crash takes at most the records of 50 ms), durable (the disk)
    #[arg(long, default_value = "queued", value_name = "WHEN")]
    ack: Ack,
    /// Messages a second that one certificate may publish; a device twice as many
    #[arg(long, default_value_t = PUBLISH_RATE, value_name = "N")]
    publish_rate: u32,
}

async fn declare(
    home: &Home,
    output: &Output,
    name: &Name,
    word: &str,
    order: GatewayAbsence,
) -> Result<Exit, Failure> {
    let path = format!("/v1/gateways/{}/{word}", segment(name.as_str()));
    let told = Management::open(home)?.tell(&path, &order).await;
    told.map_err(|failure| failure.what(format!("declare gateway {name} {word}")))?;
    output.note(&format!("gateway {name} is declared {word}"));
    Ok(Exit::Ok)
}

pub(crate) async fn run(command: Gateway, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let order = match command {
        Gateway::Up(order) => order,
        Gateway::DeclareOffline { name, env, ttl, yes } => {
            let ttl_s = ttl.and_then(|ttl| NonZeroU64::new(ttl.as_secs()));
            let order = GatewayAbsence { environment: env, ttl_s, although_online: yes };
            return declare(home, output, &name, "offline", order).await;
        }
        Gateway::DeclareOnline { name, env } => {
            let order = GatewayAbsence { environment: env, ..GatewayAbsence::default() };
            return declare(home, output, &name, "online", order).await;
        }
        Gateway::List { env, limit } => {
            let query = ListIn { environment: env, ..ListIn::default() };
            let gateways: Vec<GatewayShown> =
                Management::open(home)?.list("/v1/gateways", query, limit.rows()).await?;
            output.list(&gateways)?;
            return Ok(Exit::Ok);
        }
        Gateway::Revoke(order) => return contain::revoke_party("services", order, home, output).await,
    };
    known_environment(home, &order.env)
        .await
        .map_err(|failure| failure.what(format!("gateway {}", order.name)))?;
    let authority = match order.authority {
        Some(url) => url,
        None => home::address(home.ready()?.api, "authority")?,
    };
    let options = GatewayOptions {
        name: order.name,
        environment: order.env,
        authority,
        est: order.est,
        anchors: order.anchors,
        feed_key: order.feed_key,
        token_file: order.token_file,
        listen: order.listen,
        hosts: order.hosts,
        ports: PreferredPorts { mqtt: order.mqtt_port, http: order.http_port, sink: 0 },
        upstream_mqtt: order.upstream_mqtt,
        upstream_http: order.upstream_http,
        staleness: order.staleness,
        ack: order.ack,
        publish_rate: order.publish_rate,
    };
    let mut signals = process::Signals::new()?;
    let (gateway, ready) = start(home, options).await?;
    if let Ok(known) = home.ready() {
        home.write_ready(&server::with_gateway(known, &ready))?;
    }
    server::announce(&ready, output)?;
    tokio::select! {
        () = signals.asked() => {}
        _ = gateway.lost() => {}
    }
    gateway.stop();
    server::ended(gateway.stopped().await)
}
