//! Sessions that do nothing: what each one keeps in memory. PSS, so shared pages are shared out.

use super::Bench;
use crate::fault::Outcome;
use crate::generate::{Generator, Held, HoldJob, Job, Target};
use crate::peers::{byte_proxy, mosquitto};
use crate::process::Process;
use std::time::Duration;

/// Below this a server's own buffers show.
const BASE: usize = 500;
const STEPS: usize = 2;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("idle MQTT sessions over mutual TLS (PSS per session)");
    let step = bench.extent.stock.saturating_sub(BASE).min(2_000) / STEPS;
    let ours = slopes(bench, &bench.gateway.process, &bench.gateway.mqtt, step);
    match &ours {
        Ok(kb) => {
            bench.table.judge("idle-session", kb, format!("{BASE} to {} sessions", BASE + STEPS * step))
        }
        Err(fault) => bench.table.fail("idle-session", fault),
    }
    if !bench.extent.peers {
        return;
    }
    let broker = mosquitto(&bench.files);
    let theirs = match &broker {
        Ok((broker, _)) => slopes(bench, &broker.process, &broker.address, step),
        Err(fault) => Err(fault.to_string().into()),
    };
    tell(bench, "mosquitto", &theirs);
    if let Ok((_, plain)) = &broker {
        let proxy = byte_proxy(&bench.files, plain);
        let proxy = proxy.and_then(|proxy| slopes(bench, &proxy.process, &proxy.address, step));
        tell(bench, "Rust byte proxy in front of it, proxy alone", &proxy);
    }
}

fn tell(bench: &mut Bench, what: &str, found: &Outcome<Vec<f64>>) {
    match found {
        Ok(kb) => bench.table.tell(what, "KB", kb, ""),
        Err(fault) => bench.table.skip(what, fault),
    }
}

/// KB per session, for each step.
fn slopes(bench: &Bench, process: &Process, address: &str, step: usize) -> Outcome<Vec<f64>> {
    let job = Job::Hold(HoldJob {
        target: Target::new(address, bench.product.anchors()),
        identities: bench.stock.clone(),
        most: BASE + STEPS * step,
        watch: false,
    });
    let mut generator = Generator::start(&job, bench.product.folder())?;
    let mut before = None;
    let mut found = Vec::new();
    for number in (0..=STEPS).map(|n| BASE + n * step) {
        generator.order(&format!("hold {number}"))?;
        generator.answer::<Held>()?;
        let now = settled(process);
        if let Some(before) = before {
            found.push((now as f64 - before as f64) * 1.024 / step as f64);
        }
        before = Some(now);
    }
    generator.order("ping")?;
    let alive: Held = generator.answer()?;
    if alive.sessions != BASE + STEPS * step {
        return Err(format!("only {} sessions answer", alive.sessions).into());
    }
    generator.order("end")?;
    Ok(found)
}

/// PSS in KiB, when it no longer moves.
fn settled(process: &Process) -> u64 {
    let mut last = process.pss_kib();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(250));
        let now = process.pss_kib();
        if now.abs_diff(last) * 1000 < now {
            return now;
        }
        last = now;
    }
    last
}
