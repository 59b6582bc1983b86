//! What was done in one window: completed operations only, how long each took, and every kind of error.

use crate::fault::Outcome;
use crate::figure::percentile;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Errors that are repeated in words; the others are counted.
const ERRORS_TOLD: usize = 3;

/// Counted by one task.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) latencies_us: Vec<u32>,
    pub(super) errors: Vec<String>,
    /// On the wire, both ways.
    pub(super) octets: u64,
}

impl Count {
    pub(super) fn done(&mut self, took: Duration) {
        self.latencies_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.errors.extend(other.errors);
        self.octets += other.octets;
    }
}

/// What one window counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Operations that were answered as they should be.
    pub(crate) completed: u64,
    /// All others.
    pub(crate) failed: usize,
    /// Some of them in words.
    pub(crate) errors: Vec<String>,
    /// From the first to the last.
    pub(crate) elapsed_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    /// On the wire, both ways, per completed operation; zero where they are not counted.
    pub(crate) octets: f64,
}

impl Tally {
    pub(super) fn of(count: Count, elapsed: Duration) -> Self {
        let ms: Vec<f64> = count.latencies_us.iter().map(|us| f64::from(*us) / 1000.0).collect();
        Self {
            completed: ms.len() as u64,
            failed: count.errors.len(),
            p50_ms: percentile(&ms, 0.5),
            p95_ms: percentile(&ms, 0.95),
            p99_ms: percentile(&ms, 0.99),
            elapsed_s: elapsed.as_secs_f64(),
            octets: count.octets as f64 / ms.len().max(1) as f64,
            errors: count.errors.into_iter().take(ERRORS_TOLD).collect(),
        }
    }

    /// Itself, if something was done and nothing went wrong.
    pub(crate) fn without_errors(self) -> Outcome<Self> {
        if self.failed > 0 {
            let words = self.errors.join("; ");
            return Err(format!("{} of {} failed: {words}", self.failed, self.completed).into());
        }
        if self.completed == 0 {
            return Err("nothing was completed".into());
        }
        Ok(self)
    }

    /// Operations per second of wall clock.
    pub(crate) fn rate(&self) -> f64 {
        self.completed as f64 / self.elapsed_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_fails_the_whole_window() {
        let mut count = Count::default();
        count.done(Duration::from_millis(2));
        let good = Tally::of(Count { latencies_us: vec![2000], ..Count::default() }, Duration::from_secs(1));
        assert_eq!(good.without_errors().unwrap().completed, 1);
        count.errors.push("refused".into());
        let fault = Tally::of(count, Duration::from_secs(1)).without_errors().unwrap_err();
        assert!(fault.to_string().contains("refused"));
    }

    #[test]
    fn a_window_in_which_nothing_happened_is_no_figure() {
        assert!(Tally::of(Count::default(), Duration::from_secs(1)).without_errors().is_err());
    }
}
