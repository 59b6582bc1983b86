//! The installation: a data directory of its own, an authority and a gateway as processes, and the devices.
//!
//! Everything that was started here ends with it, also a gateway whose authority was killed.

use crate::demo::device_process::{DeviceProcess, Surroundings};
use core::time::Duration;
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use tokio::process::{Child, Command};
use touchmark_api::{Decision, DecisionQuery, Ready, TokenOrder};
use touchmark_dial::{HttpClient, Request};
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_listen::Clock;
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::home::{self, Home};
use touchmark_touchmark::management::Management;
use touchmark_touchmark::services::process::{self, Service};

pub(crate) const ENVIRONMENT: &str = "lab";
const GATEWAY: &str = "gateway-01";
/// Long enough for a busy machine; hard times are asserted by the steps themselves.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const END_PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(40);

pub(crate) struct Installation {
    folder: PathBuf,
    keep: bool,
    pub(crate) home: Home,
    server: Option<Child>,
    /// A gateway that the demonstration started itself.
    gateway: Option<Child>,
    pub(crate) ready: Ready,
    pub(crate) devices: BTreeMap<String, DeviceProcess>,
    /// The journal's head at the start, kept where no authority can change it.
    pub(crate) witness: Option<String>,
}

impl Installation {
    pub(crate) fn new(keep: bool) -> Result<Self, Failure> {
        let unique = format!("touchmark-demo-{}-{}", std::process::id(), now().unix_ms());
        let folder = std::env::temp_dir().join(unique);
        // Fails if somebody else made it: then its content is not ours.
        std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
            Failure::internal("no folder for the installation")
                .what(folder.display().to_string())
                .why(error.to_string())
        })?;
        let home = Home::find(Some(folder.join("data")))?;
        let (ready, devices) = (Ready::default(), BTreeMap::new());
        Ok(Self { folder, keep, home, server: None, gateway: None, ready, devices, witness: None })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the authority, and the gateway beside it unless one of ours is still running.
    pub(crate) async fn start(&mut self, listen: &str) -> Result<(), Failure> {
        let mut command = process::own()?;
        command
            .args(["server", "up", "--dev", "--split", "--listen", listen, "--data"])
            .arg(self.home.path());
        let Service { child, ready } = self.run(command).await?;
        self.server = Some(child);
        self.ready = ready;
        Ok(())
    }

    /// Services complain into a file; if they do not start, its last complaint is the reason.
    async fn run(&self, mut command: Command) -> Result<Service, Failure> {
        let path = self.folder.join("services.log");
        let log = std::fs::File::options().append(true).create(true).open(&path).map_err(|error| {
            Failure::internal("no file for what services complain of").why(error.to_string())
        })?;
        command.stderr(log).kill_on_drop(true);
        process::start(command).await.map_err(|failure| {
            let complaints = home::read(&path).unwrap_or_default();
            match complaints.lines().rfind(|line| line.trim_start().starts_with("why:")) {
                Some(line) => failure.why(line.trim_start().trim_start_matches("why:").trim()),
                None => failure,
            }
        })
    }

    /// SIGKILL: no word to anybody.
    pub(crate) async fn kill_authority(&mut self) -> Result<(), Failure> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server
            .kill()
            .await
            .map_err(|error| Failure::internal("the authority cannot be killed").why(error.to_string()))
    }

    pub(crate) async fn signal_gateway(&self, name: &str) -> Result<(), Failure> {
        process::signal(self.gateway_pid()?, name).await
    }

    /// Holds the gateway still, and waits until every thread of it stands: a signal that is only sent has not
    /// reached a thread that runs.
    pub(crate) async fn hold_gateway(&self) -> Result<(), Failure> {
        self.signal_gateway("STOP").await?;
        let threads = format!("/proc/{}/task", self.gateway_pid()?);
        let stands = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat")));
            // The state stands behind the name, which is in brackets. A thread that is gone runs no more.
            stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        let still = async {
            while !std::fs::read_dir(&threads).is_ok_and(|threads| threads.into_iter().all(stands)) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let late = |_| Failure::internal("the gateway does not stand still after SIGSTOP");
        tokio::time::timeout(END_PATIENCE, still).await.map_err(late)
    }

    fn gateway_pid(&self) -> Result<u32, Failure> {
        self.ready.pids.gateway.ok_or_else(|| Failure::internal("there is no gateway process"))
    }

    /// Ends the gateway and waits until it is gone.
    pub(crate) async fn stop_gateway(&mut self) -> Result<(), Failure> {
        let pid = self.gateway_pid()?;
        if let Some(mut own) = self.gateway.take() {
            process::end(&mut own, END_PATIENCE).await;
            return Ok(());
        }
        process::signal(pid, "TERM").await?;
        let gone = async {
            while self.gateway_runs() {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(END_PATIENCE, gone)
            .await
            .map_err(|_| Failure::new(Exit::CheckFailed, "gateway", "the gateway does not end"))
    }

    fn gateway_runs(&self) -> bool {
        let pid = self.ready.pids.gateway;
        pid.is_some_and(|pid| process::is_ours(pid, &["gateway", "up"], self.home.path()))
    }

    /// Starts the gateway alone, as `gateway up` does on its own machine.
    pub(crate) async fn start_gateway(&mut self) -> Result<(), Failure> {
        let authority = home::address(self.ready.api.clone(), "authority")?;
        let mut command = process::own()?;
        command.args(["gateway", "up", "--authority", &authority, "--env", ENVIRONMENT, "--name", GATEWAY]);
        command.arg("--data").arg(self.home.path());
        let Service { child, ready } = self.run(command).await?;
        self.gateway = Some(child);
        self.ready.pids.gateway = ready.pids.gateway;
        self.ready.mqtt = ready.mqtt;
        Ok(())
    }

    /// Folder of the gateway's own files.
    pub(crate) fn gateway_state(&self) -> Result<PathBuf, Failure> {
        let name: Name = GATEWAY.parse().map_err(|_| Failure::internal("no name"))?;
        Ok(self.home.gateway(&name).join("state"))
    }

    pub(crate) fn management(&self) -> Result<Management, Failure> {
        Management::for_operator(&self.home, &self.ready)
    }

    pub(crate) fn surroundings(&self) -> Result<Surroundings, Failure> {
        Ok(Surroundings {
            environment: ENVIRONMENT.to_owned(),
            est: home::address(self.ready.est.clone(), "EST server")?,
            mqtt: home::address(self.ready.mqtt.clone(), "gateway")?,
            anchors: PathBuf::from(&self.ready.ca),
            folders: self.folder.join("devices"),
        })
    }

    pub(crate) fn device(&mut self, name: &str) -> Result<&mut DeviceProcess, Failure> {
        self.devices
            .get_mut(name)
            .ok_or_else(|| Failure::new(Exit::CheckFailed, "device", format!("there is no device {name}")))
    }

    /// A token for one new device, as the order line for its process.
    pub(crate) async fn token(&self, name: &str) -> Result<String, Failure> {
        let order = TokenOrder {
            device: name.parse().ok(),
            model: "x200".parse().ok(),
            ..TokenOrder::new(environment()?, 600)
        };
        let token = self.management()?.token(&order).await?;
        Ok(format!("enroll {} {}", token.username, token.password))
    }

    /// What the sink last got for a topic; empty if nothing.
    pub(crate) async fn last_value(&self, topic: &str) -> Result<String, Failure> {
        let sink = home::address(self.ready.sink.clone(), "sink")?;
        let mut client = HttpClient::new(sink.parse()?, None)?;
        let answer = client.send(Request::get(format!("/last/{topic}"))).await?;
        if answer.status.as_u16() == 404 {
            return Ok(String::new());
        }
        Ok(String::from_utf8_lossy(&answer.ok()?.body).into_owned())
    }

    /// The decision that `wanted` takes, once the gateway has sent it to the authority.
    pub(crate) async fn decision(
        &self,
        device: Option<&str>,
        since: Timestamp,
        what: &str,
        wanted: impl Fn(&Decision) -> bool,
    ) -> Result<Decision, Failure> {
        let mut management = self.management()?;
        let query = DecisionQuery {
            device: device.and_then(|name| name.parse().ok()),
            since: Some(since),
            ..DecisionQuery::default()
        };
        let searching = async {
            loop {
                if let Some(found) = management.decisions(&query).await?.into_iter().find(&wanted) {
                    return Ok(found);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let missing = || Failure::new(Exit::CheckFailed, "log", format!("no decision in the log: {what}"));
        tokio::time::timeout(PATIENCE, searching).await.map_err(|_| missing())?
    }

    /// Ends everything. Called once, also when a step failed.
    pub(crate) async fn close(mut self) {
        self.devices.clear();
        if self.gateway_runs() {
            // A gateway that was left hanging must be woken before it can end.
            let _ = self.signal_gateway("CONT").await;
        }
        if let Some(mut server) = self.server.take() {
            process::end(&mut server, END_PATIENCE).await;
        }
        if let Some(mut gateway) = self.gateway.take() {
            process::end(&mut gateway, END_PATIENCE).await;
        }
        if self.gateway_runs() {
            let _ = self.stop_gateway().await;
        }
        if !self.keep {
            // What cannot be removed is the system's to clean: it lies in its temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// [`ENVIRONMENT`], as a name.
pub(crate) fn environment() -> Result<EnvironmentName, Failure> {
    ENVIRONMENT.parse().map_err(|_| Failure::internal("the demonstration's environment has no name"))
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}
