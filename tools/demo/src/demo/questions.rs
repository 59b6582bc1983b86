//! Step `questions`: which certificate, where used, who can revoke, what at expiry.

use crate::demo::arrivals::{enrolled, failed};
use crate::demo::device_process::DeviceProcess;
use crate::demo::installation::{Installation, PATIENCE};
use crate::demo::ledger::Proof;
use core::time::Duration;
use std::time::Instant;
use touchmark_api::Explanation;
use touchmark_touchmark::failure::Failure;

pub(crate) async fn ask(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let name = if sabotaged { "idle-01" } else { "pump-01" };
    if sabotaged {
        let mut idle = DeviceProcess::start(name, &installation.surroundings()?)?;
        idle.tell(&installation.token(name).await?).await?;
        enrolled(&mut idle).await?;
    }
    let mut management = installation.management()?;
    let mut took = Duration::ZERO;
    let mut says = Err(failed("nothing was asked"));
    // Sightings come with the gateway's log, some moments after the act.
    let deadline = Instant::now() + PATIENCE / if sabotaged { 4 } else { 1 };
    while says.is_err() && Instant::now() < deadline {
        let started = Instant::now();
        let all = management.explain(name, None).await?;
        took = started.elapsed();
        says = answered(&all).map(|says| (says, all.history.first().map(|entry| entry.seq)));
        if says.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let (says, seq) = says?;
    let proof = seq.map_or_else(String::new, |seq| format!("log entry {seq}"));
    Ok(Proof { took, says: format!("{name}: {says}"), proof })
}

fn answered(all: &Explanation) -> Result<String, Failure> {
    let (Some(_), [held, ..]) = (&all.device, all.certificates.as_slice()) else {
        return Err(failed("which certificates does it hold: no data"));
    };
    let Some(seen) = &all.where_used else { return Err(failed("where is it used: no data")) };
    let Some(place) = seen.iter().find(|one| one.action == "publish").or_else(|| seen.first()) else {
        return Err(failed("where is it used: nowhere"));
    };
    let Some(able) = &all.who_can_revoke else { return Err(failed("who can revoke it: no data")) };
    let Some(who) = able.first() else { return Err(failed("who can revoke it: nobody")) };
    let Some(expiry) = &all.on_expiry else { return Err(failed("what happens at expiry: no data")) };
    Ok(format!(
        "holds {} ({}); used at {} for {} {}; {} can revoke by {}; ends {}",
        held.id,
        held.state,
        place.gateway,
        place.action,
        place.resource,
        who.name,
        who.rule,
        expiry.not_after
    ))
}
