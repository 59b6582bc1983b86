//! `touchmark server up`: the authority, and with `--dev` a gateway beside it, in one process or two.
//!
//! Addresses go to stdout and to DATA/endpoints.json, where every other command finds them.

use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::output::Output;
use crate::services::authority::{self, AuthorityOptions};
use crate::services::gateway::{self, GatewayOptions};
use crate::services::process::{self, Signals};
use crate::span;
use clap::{Args, Subcommand};
use core::num::NonZeroU32;
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use tokio::process::Child;
use touchmark_api::{Pids, Ready};
use touchmark_gateway::{Gateway, PUBLISH_RATE};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_supervise::Lost;

/// A gateway drains its sessions and syncs its log; then it is ended.
const END_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Runs the authority. SIGINT and SIGTERM end it, SIGHUP does not; exit code 11 asks to start it again
    Up(Up),
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// For trying out: keys without a passphrase, and a gateway with the built-in sink beside it
    #[arg(long)]
    dev: bool,
    /// With --dev: the gateway is a process of its own
    #[arg(long, requires = "dev")]
    split: bool,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Name or address by which others reach it (repeatable); the first one stands in URLs and CRL addresses
    #[arg(long = "host", value_name = "HOST", value_parser = span::host)]
    hosts: Vec<String>,
    /// File with the passphrase that protects the keys
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// With --dev: MQTT broker behind the gateway [default: the built-in sink]
    #[arg(long, value_name = "HOST:PORT", requires = "dev")]
    upstream_mqtt: Option<String>,
    /// With --dev: HTTP service behind the gateway
    #[arg(long, value_name = "URL", requires = "dev")]
    upstream_http: Option<String>,
    /// Environment made at the first start
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// How long device certificates of that environment live
    #[arg(long, value_parser = span::device_lifetime, default_value = "30d", value_name = "SPAN")]
    device_lifetime: Duration,
    /// Enrolments and renewals a second; whoever comes on top is told when to come back [default: sized by cores]
    #[arg(long, value_name = "N")]
    enrolments_per_second: Option<NonZeroU32>,
    /// Start although the clock is behind the newest journal entry: only if the clock is right now
    #[arg(long)]
    accept_clock: bool,
    /// Port for EST [default: kept from the first start, or chosen]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    est_port: u16,
    /// Port for the management API [default: kept from the first start, or chosen]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    api_port: u16,
    /// Port for CRLs and log tiles; it stands in certificates [default: kept from the first start, or chosen]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    public_port: u16,
}

/// The gateway beside an authority.
enum Beside {
    Nobody,
    Here(Box<Gateway>),
    Child(Child),
    /// It outlived the authority that started it; it goes on serving, and ends with us.
    Found(u32),
}

pub(crate) async fn run(command: Server, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let Server::Up(order) = command;
    if !order.dev && order.passphrase_file.is_none() {
        return Err(Failure::usage("the keys need a passphrase")
            .what(format!("server up in {}", home.path().display()))
            .why("without one, whoever reads the disk has the authority's keys; only --dev may do without")
            .fix("touchmark server up --passphrase-file FILE   (or, to try things out, --dev)"));
    }
    let mut signals = Signals::new()?;
    let authority = authority::start(
        home,
        AuthorityOptions {
            listen: order.listen,
            hosts: order.hosts.clone(),
            est_port: order.est_port,
            api_port: order.api_port,
            public_port: order.public_port,
            passphrase_file: order.passphrase_file.clone(),
            environment: order.env.clone(),
            device_lifetime: order.device_lifetime,
            enrolments_per_second: order.enrolments_per_second,
            accept_clock: order.accept_clock,
        },
    )
    .await?;
    let mut ready = authority.ready();
    let started = async {
        // Known before the gateway starts: it asks for its credential at these addresses.
        home.write_ready(&ready)?;
        beside(&order, home, &ready).await
    };
    let result = match started.await {
        Ok((mut beside, of_gateway)) => {
            if let Some(of_gateway) = of_gateway {
                ready = with_gateway(ready, &of_gateway);
            }
            let told = home.write_ready(&ready).and_then(|()| announce(&ready, output));
            if told.is_ok() {
                tokio::select! {
                    () = wait(&mut beside, &mut signals, output) => {}
                    _ = authority.lost() => {}
                }
            }
            let lost = end(beside).await;
            told.and_then(|()| ended(lost))
        }
        Err(failure) => Err(failure),
    };
    authority.stop();
    let lost = authority.stopped().await;
    result.and_then(|_| ended(lost))
}

/// How a service ends: well, or because a part of it ended for good.
pub(crate) fn ended(lost: Option<Lost>) -> Result<Exit, Failure> {
    let Some(part) = lost else { return Ok(Exit::Ok) };
    Err(Failure::new(Exit::Lost, "lost", "a part of the service ended for good, so the service ended")
        .what(format!("task {part}"))
        .why("the log says how; a fault of the program, or of the machine")
        .fix("start it again; if it ends again, keep the log and report it"))
}

async fn beside(order: &Up, home: &Home, ready: &Ready) -> Result<(Beside, Option<Ready>), Failure> {
    let name: Name = "gateway-01".parse().map_err(|_| Failure::internal("`gateway-01` is no name"))?;
    let running = running(home, &name);
    if !order.dev {
        return Ok((Beside::Nobody, running));
    }
    let authority = home::address(ready.api.clone(), "management API")?;
    if !order.split {
        let options = GatewayOptions {
            name,
            environment: order.env.clone(),
            authority,
            est: None,
            anchors: None,
            feed_key: None,
            token_file: None,
            listen: order.listen,
            hosts: order.hosts.clone(),
            ports: Default::default(),
            upstream_mqtt: order.upstream_mqtt.clone(),
            upstream_http: order.upstream_http.clone(),
            staleness: Default::default(),
            ack: Default::default(),
            publish_rate: PUBLISH_RATE,
        };
        let (gateway, of_gateway) = gateway::start(home, options).await?;
        return Ok((Beside::Here(Box::new(gateway)), Some(of_gateway)));
    }
    if let Some(found) = running
        && let Some(pid) = found.pids.gateway
    {
        return Ok((Beside::Found(pid), Some(found)));
    }
    let mut command = process::own()?;
    command.args(["gateway", "up", "--authority", &authority, "--env", order.env.as_str()]);
    command.args(["--name", name.as_str(), "--listen", &order.listen.to_string(), "--data"]).arg(home.path());
    for host in &order.hosts {
        command.args(["--host", host]);
    }
    if let Some(upstream) = &order.upstream_mqtt {
        command.args(["--upstream-mqtt", upstream]);
    }
    if let Some(upstream) = &order.upstream_http {
        command.args(["--upstream-http", upstream]);
    }
    let service = process::start(command).await?;
    Ok((Beside::Child(service.child), Some(service.ready)))
}

/// A gateway of this data directory that is running without us.
fn running(home: &Home, name: &Name) -> Option<Ready> {
    let text = home::read(&home.gateway(name).join("ready.json")).ok()?;
    let ready: Ready = serde_json::from_str(&text).ok()?;
    let pid = ready.pids.gateway?;
    (pid != std::process::id() && process::is_ours(pid, &["gateway", "up"], home.path())).then_some(ready)
}

/// Until we are asked to stop, or a gateway in this process lost a part. A child that ends first is told of, and the authority goes on: its devices
/// are served by whatever other gateways there are.
async fn wait(beside: &mut Beside, signals: &mut Signals, output: &Output) {
    if let Beside::Child(child) = beside {
        tokio::select! {
            () = signals.asked() => return,
            ended = child.wait() => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                output.note(&format!("the gateway ended ({how}); the authority goes on"));
            }
        }
        *beside = Beside::Nobody;
    }
    if let Beside::Here(gateway) = beside {
        tokio::select! {
            () = signals.asked() => {}
            _ = gateway.lost() => {}
        }
        return;
    }
    signals.asked().await;
}

/// Says which part of a gateway in this process ended for good, if one did.
async fn end(beside: Beside) -> Option<Lost> {
    match beside {
        Beside::Nobody => {}
        Beside::Here(gateway) => {
            gateway.stop();
            return gateway.stopped().await;
        }
        Beside::Child(mut child) => process::end(&mut child, END_PATIENCE).await,
        Beside::Found(pid) => {
            // Gone by itself: all the same.
            let _ = process::signal(pid, "TERM").await;
        }
    }
    None
}

/// One object with the addresses of both.
pub(crate) fn with_gateway(authority: Ready, gateway: &Ready) -> Ready {
    Ready {
        mqtt: gateway.mqtt.clone(),
        http: gateway.http.clone(),
        sink: gateway.sink.clone(),
        pids: Pids { gateway: gateway.pids.gateway, ..authority.pids },
        ..authority
    }
}

/// For programs one object on one line, for people a list.
pub(crate) fn announce(ready: &Ready, output: &Output) -> Result<(), Failure> {
    if output.is_machine() {
        return output.json_line(ready);
    }
    let mut text = String::from("ready\n");
    let rows = [
        ("EST", &ready.est),
        ("management", &ready.api),
        ("CRL, log tiles", &ready.public),
        ("MQTT", &ready.mqtt),
        ("HTTP", &ready.http),
        ("sink", &ready.sink),
    ];
    for (what, address) in rows {
        if let Some(address) = address {
            text += &format!("  {what:<15} {address}\n");
        }
    }
    text += &format!("  {:<15} {}\n  {:<15} {}\n", "trust anchors", ready.ca, "data", ready.data);
    text += "\nin another terminal: touchmark device enroll pump-01 --env lab\nCtrl-C stops.";
    output.line(&text);
    Ok(())
}
