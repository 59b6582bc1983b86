//! Step `rotate`: a device changes its key and certificate while it publishes, as people would do it by hand.

use crate::demo::arrivals::{copy_folder, failed};
use crate::demo::installation::{ENVIRONMENT, Installation, PATIENCE, now};
use crate::demo::ledger::Proof;
use core::time::Duration;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::{Child, Command};
use touchmark_api::{Certificate, ListIn};
use touchmark_identity::Name;
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::services::process;

const NAME: &str = "rotor-01";
const TOPIC: &str = "plant/rotor-01/count";
/// A hundred messages a second, for as long as it takes to look at all of it.
const EVERY: &str = "10ms";
const RUNS: &str = "3s";
/// Messages before the rotation, and after it.
const SOME: u64 = 40;
/// Longest silence that still is "under traffic".
const GAP_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn rotate(
    installation: &mut Installation,
    strict: bool,
    sabotaged: bool,
) -> Result<Proof, Failure> {
    let began = now();
    told(touchmark(installation, &["device", "enroll", NAME])?).await?;
    let folder = installation.home.device(&environment()?, &device()?);
    let before = installation.folder().join("rotor-before");
    copy_folder(&folder, &before)?;
    let publish = format!("{TOPIC}={{n}}");
    let running =
        touchmark(installation, &["publish", NAME, "--publish", &publish, "--every", EVERY, "--for", RUNS])?;
    let running = spawn(running)?;
    let first = counted(installation, SOME).await?;
    let rotated = told(touchmark(installation, &["device", "rotate", NAME])?).await?;
    counted(installation, first + SOME).await?;
    if sabotaged {
        put_back(&before, &folder)?;
    }
    let report = ended(running).await?;
    let (old, new) = (word(&rotated, "/old/fingerprint"), word(&rotated, "/new/fingerprint"));
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (sent, gap) = (number("sent"), Duration::from_millis(number("longest_gap_ms")));
    if number("acknowledged") != sent || number("unacknowledged") + number("denied") > 0 {
        return Err(failed(&format!("of {sent} messages {} were acknowledged", number("acknowledged"))));
    }
    if counted(installation, sent).await? != sent {
        return Err(failed(&format!("the far end does not end with message {sent}")));
    }
    let in_force = CredentialDir::new(folder).certificate()?.fingerprint().to_string();
    let used = report.pointer("/certificates").and_then(Value::as_array).and_then(|all| all.last());
    if in_force != new || used.and_then(Value::as_str) != Some(&new) {
        return Err(failed("after the rotation the device goes on with its old key"));
    }
    if strict && gap > GAP_MAX {
        return Err(failed(&format!("nothing was acknowledged for {} ms", gap.as_millis())));
    }
    let path = format!("/v1/devices/{NAME}/certificates");
    let held: Vec<Certificate> = installation.management()?.list(&path, ListIn::default(), None).await?;
    let state = |fingerprint: &str| {
        held.iter().find(|one| one.fingerprint == fingerprint.parse().ok()).map(|one| one.state.to_string())
    };
    if (state(&old).as_deref(), state(&new).as_deref()) != (Some("superseded"), Some("confirmed")) {
        return Err(failed(&format!("old: {:?}, new: {:?}", state(&old), state(&new))));
    }
    let decision = installation
        .decision(Some(NAME), began, "the session with the new certificate", |decision| {
            decision.action == "connect"
                && decision.verdict == "allow"
                && decision.certificate == new.parse().ok()
        })
        .await?;
    Ok(Proof {
        took: gap,
        says: format!(
            "{sent} messages, 100 a second, over {} sessions: all acknowledged, {} sent twice, longest gap {} ms",
            number("sessions"),
            number("repeated"),
            gap.as_millis()
        ),
        proof: decision.id.to_string(),
    })
}

fn environment() -> Result<touchmark_identity::EnvironmentName, Failure> {
    ENVIRONMENT.parse().map_err(|_| failed("no name"))
}

fn device() -> Result<Name, Failure> {
    NAME.parse().map_err(|_| failed("no name"))
}

fn word(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// This program, as somebody types it on the installation's data directory.
fn touchmark(installation: &Installation, words: &[&str]) -> Result<Command, Failure> {
    let mut command = process::own()?;
    command
        .args(words)
        .args(["--env", ENVIRONMENT, "--json", "--quiet", "--data"])
        .arg(installation.home.path());
    Ok(command)
}

fn spawn(mut command: Command) -> Result<Child, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| Failure::internal("a program does not start").why(error.to_string()))
}

async fn told(command: Command) -> Result<Value, Failure> {
    ended(spawn(command)?).await
}

/// What a command printed, once it has ended well.
async fn ended(child: Child) -> Result<Value, Failure> {
    let ran = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let ran = ran.map_err(|_| failed("a command does not end"))?;
    let ran = ran.map_err(|error| Failure::internal("a command is gone").why(error.to_string()))?;
    if !ran.status.success() {
        let says = String::from_utf8_lossy(&ran.stderr);
        return Err(failed(&format!(
            "{}: {}",
            ran.status,
            says.lines().take(3).collect::<Vec<_>>().join(" ")
        )));
    }
    serde_json::from_slice(&ran.stdout).map_err(|error| failed(&format!("its answer is no JSON: {error}")))
}

/// Waits until the far end has at least this number, and says which it has.
async fn counted(installation: &Installation, at_least: u64) -> Result<u64, Failure> {
    let counting = async {
        loop {
            let text = installation.last_value(TOPIC).await?;
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse::<u64>()
                && number >= at_least
            {
                return Ok(number);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let late = || failed(&format!("message {at_least} did not reach the far end"));
    tokio::time::timeout(PATIENCE, counting).await.map_err(|_| late())?
}

/// Somebody restores a backup of the device from before: key first, as the files are read.
fn put_back(before: &Path, folder: &Path) -> Result<(), Failure> {
    for name in ["key.pem", "chain.pem"] {
        let file: PathBuf = folder.join(name);
        std::fs::copy(before.join(name), file)
            .map_err(|error| Failure::internal("the backup cannot be put back").why(error.to_string()))?;
    }
    Ok(())
}
