//! CPU time of this thread.

/// Microseconds that this thread was on a CPU, as the scheduler counts them.
pub(crate) fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1000.0
}
