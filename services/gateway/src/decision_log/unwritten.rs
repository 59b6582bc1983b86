//! How old the oldest record is that is not on disk: nothing is let through on the queue's word beyond a bound.
//!
//! So a crash takes the acts of a bounded time with it, however slow the disk or the machine is: whoever comes later
//! waits until the disk has caught up.

use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::Notify;

/// 50 ms are promised. What is left of them is for a thread that has read the clock and not yet sent.
const ADMITTED_WITHIN: Duration = Duration::from_millis(40);

/// Shared by all who send, and by the writer.
#[derive(Debug)]
pub(super) struct Unwritten {
    begin: Instant,
    /// Microseconds from the beginning to the oldest record that is not on disk, and one; 0 when there is none.
    oldest: AtomicU64,
    flushed: Notify,
}

impl Default for Unwritten {
    fn default() -> Self {
        Self { begin: Instant::now(), oldest: AtomicU64::new(0), flushed: Notify::new() }
    }
}

impl Unwritten {
    /// Whether a record may be sent now without a wait for the disk.
    pub(super) fn admits(&self, now: Instant) -> bool {
        match self.oldest.load(Ordering::Acquire) {
            0 => true,
            oldest => self.mark(now).saturating_sub(oldest) <= ADMITTED_WITHIN.as_micros() as u64,
        }
    }

    /// A record of that moment is on its way.
    pub(super) fn since(&self, at: Instant) {
        if self.oldest.load(Ordering::Relaxed) == 0 {
            // Another one that is older, or as old, may have come first.
            let _ = self.oldest.compare_exchange(0, self.mark(at), Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// The writer was at the disk; the oldest record that it has still to write is of that moment.
    pub(super) fn flushed(&self, oldest: Option<Instant>) {
        self.oldest.store(oldest.map_or(0, |at| self.mark(at)), Ordering::Release);
        self.flushed.notify_waiters();
    }

    /// Waits until the disk has caught up.
    pub(super) async fn admitted(&self) {
        loop {
            let flushed = self.flushed.notified();
            tokio::pin!(flushed);
            // Listens from here on, so that no flush is missed between the look and the wait.
            flushed.as_mut().enable();
            if self.admits(Instant::now()) {
                return;
            }
            flushed.await;
        }
    }

    fn mark(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.begin).as_micros();
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_are_admitted_while_the_oldest_unwritten_one_is_young() {
        let unwritten = Unwritten::default();
        let start = unwritten.begin;
        let after = |ms| start + Duration::from_millis(ms);
        assert!(unwritten.admits(after(9_000)), "nothing is unwritten");
        unwritten.since(after(100));
        unwritten.since(after(130));
        assert!(unwritten.admits(after(140)) && !unwritten.admits(after(141)), "the oldest counts");
        unwritten.flushed(Some(after(130)));
        assert!(unwritten.admits(after(170)) && !unwritten.admits(after(171)));
        unwritten.flushed(None);
        assert!(unwritten.admits(after(9_000)));
        // A disk that is far behind holds everybody back until it has caught up.
        unwritten.since(start);
        tokio::time::sleep(Duration::from_millis(45)).await;
        let waiting = async {
            unwritten.admitted().await;
            true
        };
        let early = tokio::select! {
            biased;
            admitted = waiting => admitted,
            () = core::future::ready(()) => false,
        };
        assert!(!early);
        let (_, ()) = tokio::join!(unwritten.admitted(), async { unwritten.flushed(None) });
    }
}
