//! The decision log under a flood: durable entries per second end to end, and what an allowed publish takes on disk.
//!
//! QoS 0 publishes into the built-in sink, so that nothing but the gateway is in the way. The last one of each client
//! is acknowledged; the authority's audit counts the decisions afterwards.

use super::Bench;
use crate::fault::{Outcome, While as _};
use crate::generate::{Job, PublishJob};
use std::time::{Duration, Instant};

const NAME: &str = "gateway-flood";
const CLIENTS: usize = 16;
const MOST: usize = 400_000;
/// The log promises a queued entry on disk after this.
const ON_DISK_AFTER: f64 = 0.05;
const PATIENCE: Duration = Duration::from_secs(30);

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("decision log under a flood of QoS 0 publishes");
    if let Err(fault) = measure(bench) {
        bench.table.fail("log-rate", &fault);
    }
}

fn measure(bench: &mut Bench) -> Outcome<()> {
    let gateway = bench.product.gateway(NAME, &[])?;
    let (mut rates, mut cpu, mut total) = (Vec::new(), Vec::new(), 0);
    for round in 0..=bench.extent.rounds.min(3) {
        let job = Job::Publish(PublishJob {
            target: bench.target(&gateway.mqtt),
            identities: bench.stock.clone(),
            clients: CLIENTS,
            acknowledged: false,
            subscriber: None,
            seconds: if round == 0 { 0.5 } else { bench.extent.seconds.min(2.0) },
            most: MOST,
        });
        let window = bench.window(&job, &|| gateway.process.cpu_us())?;
        total += window.tally.completed;
        if round > 0 {
            rates.push(window.tally.completed as f64 / (window.tally.elapsed_s + ON_DISK_AFTER));
            cpu.push(window.us);
        }
    }
    let counted = bench.decisions_of(NAME, total)?;
    let archive = bench.product.data().join("decisions").join(NAME).join("frames");
    let octets = std::fs::metadata(archive).while_("the authority's copy of the log")?.len();
    let start = bench.restart()?;
    let what = "authority: start with these decisions in its copy of the log";
    bench.table.tell(what, "s", &[start], format!("{counted} decisions"));
    let note = format!("{CLIENTS} clients; {counted} decisions reached the authority, none is missing");
    bench.table.judge("log-rate", &rates, note);
    bench.table.judge("log-octets", &[octets as f64 / counted as f64], "frames; the tree takes 0.02 more");
    bench.table.tell(
        "gateway CPU per QoS 0 publish, entry included",
        "us",
        &cpu,
        "TLS, codec, decision, sink, log",
    );
    Ok(())
}

impl Bench {
    /// Waits until the authority has as many decisions of a gateway; its audit counts them.
    fn decisions_of(&self, gateway: &str, wanted: u64) -> Outcome<u64> {
        let since = Instant::now();
        loop {
            let outcome = self.product.audit()?;
            let all =
                outcome.get("gateways").and_then(|all| all.as_array()).while_("the audit names gateways")?;
            let of =
                |one: &&serde_json::Value| one.get("gateway").and_then(|name| name.as_str()) == Some(gateway);
            let found =
                all.iter().find(of).and_then(|one| one.get("decisions")?.as_u64()).unwrap_or_default();
            if found >= wanted {
                return Ok(found);
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{found} decisions of {wanted} are at the authority").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
