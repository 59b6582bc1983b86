//! The four questions, and the start of an authority, with as many devices as this run has enrolled.

use super::Bench;
use crate::fault::Outcome;
use crate::generate::{FetchJob, Generator, Job};
use crate::stock;

/// Devices that are asked about.
const ASKED: usize = 400;
const STARTS: usize = 3;
/// What the bar is for.
const MILLION: f64 = 1e6;

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("inventory (wall clock)");
    let note = format!("{} devices; the bar is for 1,000,000", bench.devices);
    match questions(bench) {
        Ok(ms) => bench.table.judge(
            "four-questions",
            &ms,
            format!("{note}; {ASKED} explanations, one after the other"),
        ),
        Err(fault) => bench.table.fail("four-questions", &fault),
    }
    if let Err(fault) = starts(bench) {
        bench.table.fail("start", &fault);
    }
}

fn questions(bench: &mut Bench) -> Outcome<Vec<f64>> {
    let mut paths = String::new();
    let every = bench.extent.stock.div_ceil(ASKED).max(1);
    for identity in stock::read(&bench.stock, 0, bench.extent.stock)?.iter().step_by(every) {
        paths += &format!("/v1/explain/{} who_can_revoke\n", identity.name);
    }
    let list = bench.product.path("questions");
    std::fs::write(&list, paths)?;
    let mut found = Vec::new();
    for round in 0..=bench.extent.rounds.min(3) {
        let job = Job::Fetch(FetchJob {
            target: bench.target(&bench.product.api_address()?),
            identity: bench.product.operator_stock()?,
            paths: list.clone(),
            connections: 1,
            expect: true,
        });
        let tally = Generator::start(&job, bench.product.folder())?.run()?;
        if round > 0 {
            found.push(tally.p95_ms);
        }
    }
    Ok(found)
}

/// Seconds until it serves, each time: measured, and carried on in a straight line to a million devices.
fn starts(bench: &mut Bench) -> Outcome<()> {
    let (first, at_first) = bench.first_start;
    let mut seconds = Vec::new();
    for _ in 0..STARTS.min(bench.extent.rounds) {
        seconds.push(bench.restart()?);
    }
    let now = bench.devices;
    let note = format!("{now} devices; {first:.2} s with {at_first}");
    bench.table.tell("authority: start to serving, as measured", "s", &seconds, note);
    if now < 2 * at_first {
        bench.table.skip(
            "start with 1,000,000 devices",
            &"too few devices to carry the line on: run the issuance family as well".into(),
        );
        return Ok(());
    }
    let more = now.saturating_sub(at_first) as f64;
    // A line that falls says only that the start does not grow.
    let line = |last: &f64| (first + (last - first) / more * (MILLION - at_first as f64)).max(*last);
    let carried: Vec<f64> = seconds.iter().map(line).collect();
    bench.table.judge("start", &carried, "carried on in a straight line from the two sizes above");
    Ok(())
}

impl Bench {
    /// Ends the authority and starts it again; gives the seconds until it serves.
    pub(super) fn restart(&mut self) -> Outcome<f64> {
        self.product.stop_authority();
        Ok(self.product.start_authority()?.as_secs_f64())
    }
}
