//! Steps `start`, `enrol` and `publish`: from nothing to an installation whose devices are heard.

use crate::demo::device_process::DeviceProcess;
use crate::demo::installation::{ENVIRONMENT, Installation, PATIENCE, now};
use crate::demo::ledger::Proof;
use crate::scripted::Happened;
use core::time::Duration;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;
use touchmark_api::{Certificate, ListIn, LogHead, or_no_data};
use touchmark_touchmark::failure::{Exit, Failure};

/// Devices that enrol at the same time.
const WIDTH: usize = 8;
/// An address of a network that exists only in books (RFC 5737).
const NOT_OURS: &str = "192.0.2.1";

pub(crate) async fn start(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let started = Instant::now();
    installation.start(if sabotaged { NOT_OURS } else { "127.0.0.1" }).await?;
    let took = started.elapsed();
    let head: LogHead = installation.management()?.get("/v1/log", &()).await?;
    installation.witness = Some(head.checkpoint);
    let pids = installation.ready.pids;
    let (Some(authority), Some(gateway)) = (pids.authority, pids.gateway) else {
        return Err(failed("two processes were expected"));
    };
    if authority == gateway {
        return Err(failed("authority and gateway are one process"));
    }
    Ok(Proof {
        took,
        says: format!(
            "authority is process {authority}, gateway {gateway}; the journal's head is kept aside"
        ),
        proof: format!("log {} leaves", head.size),
    })
}

pub(crate) async fn enrol(
    installation: &mut Installation,
    names: &[String],
    sabotaged: bool,
) -> Result<Proof, Failure> {
    let around = installation.surroundings()?;
    let started = Instant::now();
    let mut slowest = 0;
    let mut fingerprints = BTreeSet::new();
    let mut stolen = None;
    for names in names.chunks(WIDTH) {
        // Told first and heard afterwards: the devices work at the same time.
        for name in names {
            let mut device = DeviceProcess::start(name, &around)?;
            let token = installation.token(name).await?;
            let token = if sabotaged { stolen.get_or_insert(token).clone() } else { token };
            device.tell(&token).await?;
            installation.devices.insert(name.clone(), device);
        }
        for name in names {
            let (fingerprint, ms) = enrolled(installation.device(name)?).await?;
            slowest = slowest.max(ms);
            fingerprints.insert(fingerprint);
        }
    }
    let took = started.elapsed();
    let mut management = installation.management()?;
    for name in names {
        let path = format!("/v1/devices/{name}/certificates");
        let held: Vec<Certificate> = management.list(&path, ListIn::default(), None).await?;
        let [one] = held.as_slice() else {
            return Err(failed(&format!("{name} has {} certificates", held.len())));
        };
        if !fingerprints.remove(&or_no_data(one.fingerprint.as_ref())) {
            return Err(failed(&format!("{name} holds another certificate than the inventory says")));
        }
    }
    let head: LogHead = management.get("/v1/log", &()).await?;
    Ok(Proof {
        took,
        says: format!(
            "{} devices, {} processes, {} ms at most for one; each certificate is in the inventory once",
            names.len(),
            names.len(),
            slowest
        ),
        proof: format!("log {} leaves", head.size),
    })
}

/// Fingerprint and time, once a device reports its certificate.
pub(crate) async fn enrolled(device: &mut DeviceProcess) -> Result<(String, u64), Failure> {
    device
        .expect("a certificate", PATIENCE, |report| match report {
            Happened::Enrolled { fingerprint, ms, .. } => Some(Ok((fingerprint.clone(), *ms))),
            _ => None,
        })
        .await
}

pub(crate) async fn publish(
    installation: &mut Installation,
    names: &[String],
    sabotaged: bool,
) -> Result<Proof, Failure> {
    let began = now();
    for name in names {
        let device = installation.device(name)?;
        device.tell("connect").await?;
        device.tell(&format!("every 400 plant/{name}/temp")).await?;
    }
    let mut slowest = 0;
    for name in names {
        slowest = slowest.max(installation.device(name)?.connected(PATIENCE).await?);
    }
    let name = names.first().ok_or_else(|| failed("there are no devices"))?;
    let (topic, value) = (format!("plant/{name}/pressure"), format!("{}", began.unix_ms()));
    if sabotaged {
        installation.hold_gateway().await?;
    }
    let started = Instant::now();
    let device = installation.device(name)?;
    device.tell(&format!("publish {topic} {value}")).await?;
    let heard = device
        .expect("its message to be taken", Duration::from_secs(3), |report| match report {
            Happened::Published { .. } => Some(Ok(())),
            Happened::Denied { code, reason, .. } => Some(Err(format!("denied: {code} {reason}"))),
            _ => None,
        })
        .await;
    if sabotaged {
        installation.signal_gateway("CONT").await?;
    }
    heard?;
    let took = started.elapsed();
    arrived(installation, &topic, &value).await?;
    let decision = installation
        .decision(Some(name), began, "the publish that was seen", |decision| {
            decision.action == "publish"
                && decision.verdict == "allow"
                && decision.resource.as_ref() == Some(&topic)
        })
        .await?;
    Ok(Proof {
        took,
        says: format!(
            "{} devices in sessions ({slowest} ms at most); {value} is the sink's last value of {topic}, by rule {}",
            names.len(),
            or_no_data(decision.rule.as_ref())
        ),
        proof: decision.id.to_string(),
    })
}

/// Waits until the far end has this value.
async fn arrived(installation: &Installation, topic: &str, value: &str) -> Result<(), Failure> {
    let seen = async {
        loop {
            if installation.last_value(topic).await?.contains(value) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let late = || failed(&format!("{value} did not reach the far end of {topic}"));
    tokio::time::timeout(PATIENCE, seen).await.map_err(|_| late())?
}

pub(crate) fn failed(why: &str) -> Failure {
    Failure::new(Exit::CheckFailed, "claim", why)
}

/// A copy of a folder's plain files, subfolders included.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let fault = |error: std::io::Error| Failure::internal("a folder cannot be copied").why(error.to_string());
    std::fs::create_dir_all(to).map_err(fault)?;
    for entry in std::fs::read_dir(from).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(fault)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target).map_err(fault)?;
        }
    }
    Ok(())
}

/// Where devices lie that are only spoken of.
pub(crate) fn environment() -> &'static str {
    ENVIRONMENT
}
