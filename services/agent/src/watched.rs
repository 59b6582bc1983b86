//! Threads without which the agent keeps nothing fresh: one that ends or panics ends the agent, with a code of its own, so that
//! whoever started it starts it again. Files are replaced whole, so it may end at any moment.

use crate::log;
use std::io;
use std::thread::Builder;

/// Starts a thread that never ends by itself.
#[allow(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn watched<W>(name: &str, work: W) -> io::Result<()>
where
    W: FnOnce(&str) + Send + 'static,
{
    let name = name.to_owned();
    list(&name);
    let thread = Builder::new().name(name.clone()).spawn(move || {
        work(&name);
        ended(&name);
    });
    thread.map(drop)
}

/// What was to go on for ever has ended.
pub(crate) fn ended(name: &str) -> ! {
    log::end_process(format_args!("touchmark-agent is at fault and ends: its thread {name} returned"));
}

/// In a thread's loop: where a build for tests lets it panic.
#[cfg(feature = "faults")]
pub(crate) fn may_panic_here(name: &str) {
    touchmark_faults::panic_if_due(name);
}

/// In a thread's loop: where a build for tests lets it panic.
#[cfg(not(feature = "faults"))]
pub(crate) fn may_panic_here(_: &str) {}

/// For tests that try every thread.
#[cfg(feature = "faults")]
fn list(name: &str) {
    if touchmark_faults::is_chosen("list") {
        log::line(format_args!("task {name} vital"));
    }
}

#[cfg(not(feature = "faults"))]
fn list(_: &str) {}
