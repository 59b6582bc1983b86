//! CPU time of this thread, and what several rounds of it say.

use crate::Row;
use std::time::Instant;

/// Median and extremes, microseconds per operation.
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(sorted.len() / 2), min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }
}

/// Microseconds per operation of one round of a row.
pub(crate) fn measure(row: &mut Row) -> f64 {
    let (cpu, wall) = (cpu_ns(), Instant::now());
    for _ in 0..row.times {
        (row.work)();
    }
    let spent_ns =
        if row.wall_clock { wall.elapsed().as_nanos() as f64 } else { cpu_ns().saturating_sub(cpu) as f64 };
    spent_ns / 1000.0 / f64::from(row.times)
}

/// Nanoseconds that this thread was on a CPU, as the scheduler counts them.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}
