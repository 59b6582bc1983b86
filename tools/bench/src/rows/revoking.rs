//! From the call that revokes a device to the end of its session, as the device sees it, with thousands of others live.

use super::Bench;
use crate::answers::Revoked;
use crate::fault::{Outcome, While as _};
use crate::figure::{Figure, percentile};
use crate::generate::{Ended, Generator, Held, HoldJob, Job};
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use touchmark_api::Containment;
use touchmark_identity::RevocationReason;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("revocation (wall clock)");
    if let Err(fault) = measure(bench) {
        bench.table.fail("revoke-close", &fault);
    }
}

fn measure(bench: &mut Bench) -> Outcome<()> {
    let (sessions, revokes) = (bench.extent.sessions, bench.extent.revokes);
    // Devices of their own: they are gone afterwards.
    let file = bench.product.path("doomed");
    let job = bench.enrol(Some(file.clone()), sessions, 60.0)?;
    bench.devices += Generator::start(&Job::Enrol(job), bench.product.folder())?.run()?.completed;
    let names: Vec<String> =
        crate::stock::read(&file, 0, sessions)?.into_iter().map(|identity| identity.name).collect();
    let job =
        HoldJob { target: bench.target(&bench.gateway.mqtt), identities: file, most: sessions, watch: true };
    let mut holder = Generator::start(&Job::Hold(job), bench.product.folder())?;
    holder.order(&format!("hold {sessions}"))?;
    holder.answer::<Held>()?;
    let mut operator = bench.product.operator()?;
    let order = Containment {
        reason: Some(RevocationReason::KeyCompromise),
        wait_ms: Some(0),
        ..Containment::default()
    };
    let (mut begun, mut calls) = (BTreeMap::new(), Vec::new());
    for name in names.iter().step_by(sessions.div_ceil(revokes)) {
        let since = Instant::now();
        begun.insert(name.clone(), unix_ns());
        let outcome: Revoked =
            operator.post_json(&format!("/v1/devices/{name}/revoke"), &order).while_("revoke")?;
        outcome.seq.while_("the revocation is not in the journal")?;
        calls.push(since.elapsed().as_secs_f64() * 1e3);
    }
    let mut ms = Vec::new();
    while ms.len() < begun.len() {
        let ended: Ended = holder.answer()?;
        let at = begun.get(&ended.name).ok_or_else(|| format!("{} was innocent", ended.name))?;
        ms.push(ended.at_ns.saturating_sub(*at) as f64 / 1e6);
    }
    // Everyone who was not revoked is still there: whoever is not makes the next line something else.
    holder.order("ping")?;
    let alive: Held = holder.answer().while_("an innocent session ended")?;
    if alive.sessions != sessions - begun.len() {
        return Err(
            format!("{} of {} innocent sessions answer", alive.sessions, sessions - begun.len()).into()
        );
    }
    let note = format!("{} revokes, {sessions} sessions live, none of the others ended", ms.len());
    bench.table.judge("revoke-close", &[percentile(&ms, 0.99)], note);
    let middle = Figure::of(&calls).median;
    bench.table.tell(
        "revoke call to closed session: p50",
        "ms",
        &[percentile(&ms, 0.5)],
        format!("the call itself {middle:.1} ms"),
    );
    Ok(())
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
