//! Parts of our own, in this process: what they cost without any I/O. Thread CPU time, rounds interleaved.

use super::Bench;
use crate::clock::cpu_us;
use crate::{core_issuance, decide};

/// Rounds over all rows; the median and the extremes are told.
const ROUNDS: usize = 5;

/// One thing to measure: how often per round, and the work.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) times: u32,
    pub(crate) work: Box<dyn FnMut()>,
}

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench) {
    bench.table.section("in process (thread CPU per operation)");
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(core_issuance::rows());
    rows.extend(decide::rows());
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    let mut crypto = Vec::new();
    for round in 0..=ROUNDS {
        let calibration = bench.calibrator.round();
        // The first round warms caches and is thrown away.
        if round > 0 {
            crypto.push(calibration.issuance());
        }
        for (row, samples) in rows.iter_mut().zip(&mut samples) {
            let before = cpu_us();
            for _ in 0..row.times {
                (row.work)();
            }
            if round > 0 {
                samples.push((cpu_us() - before) / f64::from(row.times));
            }
        }
    }
    for (row, samples) in rows.iter().zip(&samples) {
        match row.name {
            decide::BOTH => bench.table.judge("decide-record", samples, row.name),
            name => bench.table.tell(name, "us", samples, ""),
        }
        if row.name == core_issuance::WHOLE {
            let ratios = super::ratios(samples, &crypto);
            bench.table.tell(
                "one enrolment in the core / (sign + verify)",
                "x",
                &ratios,
                "no store, no connection",
            );
        }
    }
}
