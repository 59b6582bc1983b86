//! Waiting for something to become true, and giving up loudly.

use std::time::{Duration, Instant};

/// How long anything may take on the slowest machine that runs these tests. Passing early costs nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something.
///
/// # Panics
/// After [`PATIENCE`], naming what was waited for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {} s for: {what}", PATIENCE.as_secs());
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
