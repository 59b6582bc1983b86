//! Benchmarks: what our parts cost, beside the machine's own limits in the same run.
//!
//! Every figure is thread CPU time per operation (`/proc/thread-self/schedstat`), except where a row says wall
//! clock. Rows run interleaved, round after round, so that a noisy neighbour meets all of them alike.

mod clock;
mod decide;
mod limits;
mod road;

use clock::{Figure, measure};
use std::process::ExitCode;

/// Rounds over all rows; the median and the extremes are printed.
const ROUNDS: usize = 5;

/// One thing to measure: how often per round, and the work.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) times: u32,
    pub(crate) wall_clock: bool,
    pub(crate) work: Box<dyn FnMut()>,
}

fn main() -> ExitCode {
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(limits::rows());
    rows.extend(road::rows());
    rows.extend(decide::rows());
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    for round in 0..=ROUNDS {
        for (row, samples) in rows.iter_mut().zip(&mut samples) {
            let us = measure(row);
            // The first round warms caches and is thrown away.
            if round > 0 {
                samples.push(us);
            }
        }
    }
    let figures: Vec<Figure> = samples.iter().map(|samples| Figure::of(samples)).collect();
    println!("{:<44} {:>10} {:>19}  clock", "what", "median us", "[min - max]");
    for (row, figure) in rows.iter().zip(&figures) {
        let clock = if row.wall_clock { "wall" } else { "cpu" };
        println!(
            "{:<44} {:>10.3} [{:>7.3} - {:>7.3}]  {clock}",
            row.name, figure.median, figure.min, figure.max
        );
    }
    let median = |name: &str| {
        rows.iter()
            .position(|row| row.name == name)
            .and_then(|at| figures.get(at))
            .map_or(f64::NAN, |f| f.median)
    };
    let crypto = median(limits::SIGN) + median(limits::VERIFY);
    println!();
    println!("one enrolment in the core / (sign + verify): {:.2}", median(road::WHOLE) / crypto);
    println!("decision and log record of a publish, us: {:.3}", median(decide::BOTH));
    ExitCode::SUCCESS
}
