//! Renewals: each device, on the connection that its live certificate opened, once. The connections stand before.

use super::{Bench, Lane, ratios};
use crate::fault::Outcome;
use crate::generate::{EnrolJob, Job, Way};
use std::path::Path;

const AT_ONCE: usize = 64;

/// Renews devices of the stock, other ones in each round, into `enrolled`.
pub(super) fn run(bench: &mut Bench, enrolled: &Path) -> Outcome<()> {
    let (mut ours, mut crypto) = (Lane::default(), Vec::new());
    // Devices that were enrolled above, and are live: from the file where they stand.
    let devices = bench.product.path("renewing");
    std::fs::copy(enrolled, &devices)?;
    let there = std::fs::read_to_string(&devices)?.lines().count();
    let number = bench.extent.renewals.min(there / (bench.extent.rounds + 1));
    for round in 0..=bench.extent.rounds {
        let calibration = bench.calibrator.round();
        let job = EnrolJob {
            target: bench.est()?,
            way: Way::Renew,
            identities: Some((devices.clone(), round * number)),
            connections: number,
            at_once: AT_ONCE,
            fresh: false,
            seconds: 20.0,
            most: number,
            out: Some(enrolled.to_owned()),
        };
        ours.take(round, bench.our_window("renew", round, &Job::Enrol(job), bench.product.authority()?));
        if !ours.runs() {
            break;
        }
        if round > 0 {
            crypto.push(calibration.issuance());
        }
    }
    ours.tell(
        &mut bench.table,
        "Touchmark, renewal, keep-alive, durable",
        &format!("{AT_ONCE} at once of {number} connections"),
    );
    if let Some(fault) = ours.fault {
        return Err(fault);
    }
    let note = "simplereenroll; all of it durable before the answer";
    bench.table.judge("est-keep-alive", &ratios(&ours.us, &crypto), note);
    bench.table.tell("one renewal on the wire, connection kept", "B", &ours.octets, "TLS 1.3, both ways");
    Ok(())
}
