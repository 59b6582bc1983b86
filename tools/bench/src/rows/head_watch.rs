//! How long an entry of the journal waits for its signed head, seen from outside while a storm goes on.
//!
//! Ten looks a second at the authority's own status; an entry counts from the look that first showed it.

use super::Bench;
use crate::answers::JournalStatus;
use crate::fault::{Fault, Outcome, While as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A log that does not follow at all is told after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// One look.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    entries: u64,
    under_head: u64,
}

/// A watch that was begun.
pub(super) struct HeadWatch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<f64>>,
}

impl Bench {
    pub(super) fn watch_heads(&self) -> Outcome<HeadWatch> {
        let mut operator = self.product.operator()?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut looks = Vec::new();
            loop {
                let was_over = is_over.load(Ordering::Relaxed);
                let status: JournalStatus = operator.get_json("/v1/status").while_("/v1/status")?;
                let (at, entries, under_head) = (begun.elapsed(), status.journal, status.log_size);
                looks.push(Look { at, entries, under_head });
                if was_over && under_head >= entries {
                    return Ok(longest_wait(&looks));
                }
                if at > PATIENCE {
                    return Err(Fault::from(format!("{under_head} of {entries} entries are under a head")));
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Ok(HeadWatch { over, thread })
    }
}

impl HeadWatch {
    /// The longest wait in seconds, once everything is under a head.
    pub(super) fn end(self) -> Outcome<f64> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok().while_("the watch broke")?
    }
}

fn longest_wait(looks: &[Look]) -> f64 {
    let wait = |look: &Look| {
        let covered = looks.iter().find(|later| later.at >= look.at && later.under_head >= look.entries);
        covered.map_or(f64::NAN, |later| (later.at - look.at).as_secs_f64())
    };
    looks.iter().map(wait).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_from_the_look_that_shows_an_entry_to_the_head_over_it() {
        let look = |ms, entries, under_head| Look { at: Duration::from_millis(ms), entries, under_head };
        let looks =
            [look(0, 10, 10), look(100, 50, 10), look(200, 90, 10), look(600, 90, 60), look(900, 90, 90)];
        assert!(
            (longest_wait(&looks) - 0.7).abs() < 1e-9,
            "the entry that was seen at 0.2 s waits until 0.9 s"
        );
    }
}
