//! One device of the installation: a process of its own, told what to do by lines, reporting by JSON lines.

use crate::scripted::Happened;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::services::process;

/// Reports that nobody has looked at; a device that floods is cut off, not waited for.
const REPORTS_MAX: usize = 4096;

/// Where devices find the installation.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) environment: String,
    pub(crate) est: String,
    pub(crate) mqtt: String,
    pub(crate) anchors: PathBuf,
    /// Parent of the devices' own folders.
    pub(crate) folders: PathBuf,
}

/// A running device.
pub(crate) struct DeviceProcess {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    _child: Child,
    stdin: ChildStdin,
    reports: mpsc::Receiver<Happened>,
}

impl DeviceProcess {
    #[expect(clippy::disallowed_methods, reason = "it belongs to one session or child of a command")]
    pub(crate) fn start(name: &str, around: &Surroundings) -> Result<Self, Failure> {
        let folder = around.folders.join(name);
        let mut command = process::own()?;
        command
            .args(["scripted", name, "--env", &around.environment, "--est", &around.est])
            .args(["--mqtt", &around.mqtt])
            .args([Path::new("--anchors"), &around.anchors, Path::new("--dir"), &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let no_start = |why: String| Failure::internal(format!("device {name} is no process")).why(why);
        let mut child = command.spawn().map_err(|error| no_start(error.to_string()))?;
        let stdin = child.stdin.take().ok_or_else(|| no_start("no stdin".to_owned()))?;
        let stdout = child.stdout.take().ok_or_else(|| no_start("no stdout".to_owned()))?;
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(report) = serde_json::from_str(&line) else { continue };
                if sender.try_send(report).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name: name.to_owned(), folder, _child: child, stdin, reports })
    }

    /// One order.
    pub(crate) async fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let told = async {
            self.stdin.write_all(line.as_bytes()).await?;
            self.stdin.write_all(b"\n").await?;
            self.stdin.flush().await
        };
        told.await.map_err(|error| {
            Failure::new(Exit::CheckFailed, "device", format!("device {} is gone", self.name))
                .why(error.to_string())
        })
    }

    /// The next report that `pick` takes. `pick` answers `None` for a report that does not matter, and an
    /// error for one that must not come.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut pick: impl FnMut(&Happened) -> Option<Result<T, String>>,
    ) -> Result<T, Failure> {
        let name = self.name.clone();
        let wrong = |why: String| {
            Failure::new(Exit::CheckFailed, "device", format!("{name}: expected {what}")).why(why)
        };
        let waiting = async {
            loop {
                let Some(report) = self.reports.recv().await else {
                    return Err("its process ended".to_owned());
                };
                if let Some(taken) = pick(&report) {
                    return taken;
                }
                if let Happened::Failed { code, why } = report {
                    return Err(format!("{why} ({code})"));
                }
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(answer) => answer.map_err(wrong),
            Err(_) => Err(wrong(format!("nothing came within {} ms", patience.as_millis()))),
        }
    }

    /// Connects, and demands that it may.
    pub(crate) async fn connected(&mut self, patience: Duration) -> Result<u64, Failure> {
        self.expect("to be connected", patience, |report| match report {
            Happened::Connected { ms, .. } => Some(Ok(*ms)),
            Happened::Denied { code, reason, .. } => Some(Err(format!("denied: {code} {reason}"))),
            _ => None,
        })
        .await
    }

    /// The gateway's words, when it must say no to `action`.
    pub(crate) async fn denied(&mut self, action: &str, patience: Duration) -> Result<String, Failure> {
        self.expect("to be denied", patience, |report| match report {
            Happened::Denied { action: on, code, reason } if on == action => {
                Some(Ok(format!("{code} ({reason})")))
            }
            Happened::Connected { .. } if action == "connect" => Some(Err("it was let in".to_owned())),
            Happened::Published { topic, .. } if action == "publish" => {
                Some(Err(format!("it could publish to {topic}")))
            }
            _ => None,
        })
        .await
    }

    /// When its connection ended: milliseconds since 1970, by this machine's clock.
    pub(crate) async fn closed(&mut self, patience: Duration) -> Result<u64, Failure> {
        self.expect("its session to end", patience, |report| match report {
            Happened::Closed { at_ms, .. } => Some(Ok(*at_ms)),
            _ => None,
        })
        .await
    }

    /// Which connection it holds now: the same number as before is the same TCP connection.
    pub(crate) async fn alive(&mut self, patience: Duration) -> Result<u64, Failure> {
        self.tell("ping").await?;
        self.expect("its session to live", patience, |report| match report {
            Happened::Alive { session, .. } => Some(Ok(*session)),
            Happened::Closed { code, reason, .. } => Some(Err(format!("closed: {code} {reason}"))),
            _ => None,
        })
        .await
    }
}
