//! Waiting for something to become true, and giving up loudly.

use std::time::{Duration, Instant};

/// How long anything may take on the slowest machine that runs these tests. Passing early costs nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something.
///
/// # Panics
/// After [`PATIENCE`], naming what was waited for.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same, for what may take longer.
///
/// # Panics
/// After `patience`, naming what was waited for.
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {} s for: {what}", patience.as_secs());
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
