//! Steps `revoke`, `reconnect` and `quarantine`: shut out now, stay out, and be let in again where that is meant.

use crate::demo::arrivals::{enrolled, failed};
use crate::demo::installation::{Installation, PATIENCE, environment, now};
use crate::demo::ledger::Proof;
use core::time::Duration;
use std::time::Instant;
use touchmark_api::Containment;
use touchmark_identity::RevocationReason;
use touchmark_touchmark::failure::Failure;

pub(crate) const REVOKED: &str = "pump-03";
const QUARANTINED: &str = "pump-04";
/// From the start of the call to the end of the device's socket.
const REVOKED_WITHIN: Duration = Duration::from_secs(2);
/// How long the gateway hangs when it is sabotaged: longer than the bound, shorter than our patience.
const HANGS: Duration = Duration::from_millis(3500);

pub(crate) async fn revoke(
    installation: &mut Installation,
    strict: bool,
    sabotaged: bool,
) -> Result<Proof, Failure> {
    let others: Vec<String> = installation.devices.keys().filter(|name| *name != REVOKED).cloned().collect();
    for name in &others {
        installation.device(name)?.alive(PATIENCE).await?;
    }
    let order = Containment {
        environment: Some(environment()?),
        reason: Some(RevocationReason::KeyCompromise),
        ..Containment::default()
    };
    if sabotaged {
        installation.hold_gateway().await?;
    }
    let mut management = installation.management()?;
    let called_at = now().unix_ms();
    let called = Instant::now();
    let outcome = management.contain(REVOKED, "revoke", &order).await?;
    let answered = called.elapsed();
    if sabotaged {
        tokio::time::sleep(HANGS.saturating_sub(called.elapsed())).await;
        installation.signal_gateway("CONT").await?;
    }
    let closed_at = installation.device(REVOKED)?.closed(PATIENCE).await?;
    let took = Duration::from_millis(closed_at.saturating_sub(called_at));
    if took > REVOKED_WITHIN && strict {
        return Err(failed(&format!("the session ended after {} ms, later than 2 s", took.as_millis())));
    }
    for name in &others {
        let session = installation.device(name)?.alive(PATIENCE).await?;
        if session != 1 {
            return Err(failed(&format!(
                "{name} had to connect again: it holds its connection number {session}"
            )));
        }
    }
    let seq = outcome.seq.ok_or_else(|| failed("the answer names no journal entry"))?;
    let gateways: Vec<_> = outcome.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    Ok(Proof {
        took,
        says: format!(
            "{REVOKED}'s socket ended {} ms after the call began (answer after {} ms, applied by {}); {} others kept theirs",
            took.as_millis(),
            answered.as_millis(),
            if gateways.is_empty() { "nobody in time".to_owned() } else { gateways.join(", ") },
            others.len()
        ),
        proof: format!("log entry {seq}"),
    })
}

pub(crate) async fn reconnect(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let began = now();
    if sabotaged {
        let token = installation.token(REVOKED).await?;
        let device = installation.device(REVOKED)?;
        device.tell(&token).await?;
        enrolled(device).await?;
    }
    let device = installation.device(REVOKED)?;
    let started = Instant::now();
    device.tell("connect").await?;
    let words = device.denied("connect", PATIENCE).await?;
    let took = started.elapsed();
    if !words.contains("revoked") {
        return Err(failed(&format!("refused, but the device was not told why: {words}")));
    }
    let decision = installation
        .decision(Some(REVOKED), began, "the denied connection", |decision| {
            decision.action == "connect" && decision.verdict == "deny"
        })
        .await?;
    Ok(Proof {
        took,
        says: format!("{words}; logged with reason {}", decision.reason),
        proof: decision.id.to_string(),
    })
}

pub(crate) async fn quarantine(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let began = now();
    let order = Containment { environment: Some(environment()?), ..Containment::default() };
    let mut management = installation.management()?;
    let called_at = began.unix_ms();
    management.contain(QUARANTINED, "quarantine", &order).await?;
    let closed_at = installation.device(QUARANTINED)?.closed(PATIENCE).await?;
    let out = closed_at.saturating_sub(called_at);
    installation.device(QUARANTINED)?.tell("connect").await?;
    let words = installation.device(QUARANTINED)?.denied("connect", PATIENCE).await?;
    let decision = installation
        .decision(Some(QUARANTINED), began, "the connection denied in quarantine", |decision| {
            decision.action == "connect" && decision.verdict == "deny"
        })
        .await?;
    let started = Instant::now();
    if !sabotaged {
        management.contain(QUARANTINED, "release", &order).await?;
    }
    let device = installation.device(QUARANTINED)?;
    device.tell("connect").await?;
    device.connected(PATIENCE).await?;
    Ok(Proof {
        took: started.elapsed(),
        says: format!(
            "out after {out} ms; {words}; back with the same certificate {} ms after the release was asked for",
            started.elapsed().as_millis()
        ),
        proof: decision.id.to_string(),
    })
}
