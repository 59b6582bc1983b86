//! Steps `offline` and `kill`: what holds while the authority is dead, and what it still knows afterwards.

use crate::demo::arrivals::{copy_folder, enrolled, failed};
use crate::demo::containment::REVOKED;
use crate::demo::device_process::DeviceProcess;
use crate::demo::installation::{Installation, PATIENCE, now};
use crate::demo::ledger::Proof;
use crate::scripted::Happened;
use core::time::Duration;
use std::path::PathBuf;
use std::time::Instant;
use touchmark_api::{Certificate, ListIn, LogHead};
use touchmark_touchmark::failure::Failure;

const GOOD: &str = "pump-01";
/// Devices that enrol before the authority is killed, and in that moment: half and half.
const SPARES: usize = 16;
/// A request takes some milliseconds from the first byte to the answer.
const AMID: Duration = Duration::from_millis(12);
/// Until every spare has its certificate, the restart included.
const ALL_AFTER: Duration = Duration::from_secs(15);

/// Keeps the gateway's status snapshot as it is now, for the sabotage of `offline`.
pub(crate) fn keep_snapshot(installation: &Installation) -> Result<(), Failure> {
    copy_folder(&installation.gateway_state()?, &installation.folder().join("state-before"))
}

pub(crate) async fn offline(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let began = now();
    installation.kill_authority().await?;
    installation.stop_gateway().await?;
    if sabotaged {
        put_back_snapshot(installation)?;
    }
    let started = Instant::now();
    installation.start_gateway().await?;
    let up = started.elapsed();
    let attempt = both(installation).await;
    // Whatever came out, the installation goes on with an authority.
    installation.start("127.0.0.1").await?;
    let words = attempt?;
    let decision = installation
        .decision(Some(REVOKED), began, "the connection denied without an authority", |decision| {
            decision.action == "connect" && decision.verdict == "deny"
        })
        .await?;
    Ok(Proof {
        took: up,
        says: format!(
            "gateway up in {} ms with nobody to ask; {REVOKED}: {words}; {GOOD}: served; its log came after",
            up.as_millis()
        ),
        proof: decision.id.to_string(),
    })
}

async fn both(installation: &mut Installation) -> Result<String, Failure> {
    let revoked = installation.device(REVOKED)?;
    revoked.tell("connect").await?;
    let words = revoked.denied("connect", PATIENCE).await?;
    let good = installation.device(GOOD)?;
    good.tell("connect").await?;
    good.connected(PATIENCE).await?;
    good.tell(&format!("publish plant/{GOOD}/pressure 7")).await?;
    good.expect("its message to be taken", PATIENCE, |report| match report {
        Happened::Published { .. } => Some(Ok(())),
        Happened::Denied { code, reason, .. } => Some(Err(format!("denied: {code} {reason}"))),
        _ => None,
    })
    .await?;
    Ok(words)
}

fn put_back_snapshot(installation: &Installation) -> Result<(), Failure> {
    let (now, before) = (installation.gateway_state()?, installation.folder().join("state-before"));
    let fault =
        |error: std::io::Error| Failure::internal("the snapshot cannot be put back").why(error.to_string());
    for entry in std::fs::read_dir(&before).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        if !name.to_string_lossy().starts_with("feed") {
            continue;
        }
        let (from, to) = (before.join(&name), now.join(&name));
        if from.is_dir() {
            std::fs::remove_dir_all(&to).map_err(fault)?;
            copy_folder(&from, &to)?;
        } else {
            std::fs::copy(from, to).map_err(fault)?;
        }
    }
    Ok(())
}

pub(crate) async fn kill(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let around = installation.surroundings()?;
    let mut spares = Vec::new();
    for number in 1..=SPARES {
        let name = format!("spare-{number:02}");
        spares.push((DeviceProcess::start(&name, &around)?, installation.token(&name).await?));
    }
    let before = if sabotaged { keep_database(installation)? } else { Vec::new() };
    // Half of them now; the rest in the moment of the kill, so that it meets requests on every part of the road.
    let (early, late) = spares.split_at_mut(SPARES / 2);
    for (spare, token) in early.iter_mut() {
        spare.tell(token).await?;
    }
    let mut acknowledged = Vec::new();
    for (spare, _) in early.iter_mut() {
        acknowledged.push((spare.name.clone(), enrolled(spare).await?.0));
    }
    for (spare, token) in late.iter_mut() {
        spare.tell(token).await?;
    }
    tokio::time::sleep(AMID).await;
    installation.kill_authority().await?;
    for (file, bytes) in &before {
        std::fs::write(file, bytes)
            .map_err(|error| Failure::internal("the database cannot be put back").why(error.to_string()))?;
    }
    let started = Instant::now();
    installation.start("127.0.0.1").await?;
    let took = started.elapsed();
    // Those who got no answer ask again with the same request, and get one certificate.
    let mut asked_again = 0;
    for (spare, _) in late.iter_mut() {
        let (fingerprint, waited) = spare
            .expect("a certificate after the restart", ALL_AFTER, |report| match report {
                Happened::Enrolled { fingerprint, ms, .. } => Some(Ok((fingerprint.clone(), *ms))),
                _ => None,
            })
            .await?;
        // Nobody was answered while the authority was dead.
        asked_again += usize::from(Duration::from_millis(waited) > took);
        acknowledged.push((spare.name.clone(), fingerprint));
    }
    let mut management = installation.management()?;
    let mut burned = 0;
    for (name, fingerprint) in &acknowledged {
        let path = format!("/v1/devices/{name}/certificates");
        let held: Vec<Certificate> = management.list(&path, ListIn::default(), None).await?;
        let live: Vec<_> =
            held.iter().filter(|one| one.state == "issued" || one.state == "confirmed").collect();
        burned += held.len() - live.len();
        if !live.iter().any(|one| one.fingerprint == fingerprint.parse().ok()) {
            return Err(failed(&format!("{name} was given a certificate that the inventory does not know")));
        }
        if live.len() != 1 {
            return Err(failed(&format!("{name} has {} live certificates", live.len())));
        }
    }
    let head: LogHead = management.get("/v1/log", &()).await?;
    Ok(Proof {
        took,
        says: format!(
            "{} enrolled, {asked_again} of them by asking again after the kill; all are in the inventory; back in {} ms; {burned} unanswered intents burned",
            acknowledged.len(),
            took.as_millis()
        ),
        proof: format!("log {} leaves", head.size),
    })
}

/// The database's files as they are: a backup that somebody will put back at the wrong moment.
fn keep_database(installation: &Installation) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    let mut kept = Vec::new();
    for name in ["authority.db", "authority.db-wal", "authority.db-shm"] {
        let path = installation.home.path().join(name);
        if let Ok(bytes) = std::fs::read(&path) {
            kept.push((path, bytes));
        }
    }
    if kept.is_empty() { Err(failed("the database was not found")) } else { Ok(kept) }
}
