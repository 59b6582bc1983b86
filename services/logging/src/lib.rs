//! The log of every program: lines on standard error that can neither panic, block nor fail an act (ADR 0015).
//!
//! In: whole lines. Out: the same on stderr, in their order, from a thread of their own. A reader that is slow, stalled or
//! gone, or a disk that is full, costs lines: they are counted, and the count is said when there is room again.
//! Also how a program ends that cannot go on: a last line and [`EXIT_LOST`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod lossy;

use core::fmt;
use core::time::Duration;
use lossy::Lossy;
use std::io::{self, IsTerminal as _};
use std::sync::LazyLock;

/// How a process ends when a part of it failed for good, or a disk broke its promise: start it again.
pub const EXIT_LOST: u8 = 11;
/// Time that the last lines get to leave the process. A reader that has stalled by then gets no more.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

static LOG: LazyLock<Lossy> = LazyLock::new(|| Lossy::new(Box::new(stderr())));

#[allow(clippy::disallowed_methods, reason = "the one place that writes to stderr")]
fn stderr() -> io::Stderr {
    io::stderr()
}

/// Queues one line, or several that belong together; the line feed is added. Waits for nobody.
pub fn line(words: fmt::Arguments<'_>) {
    LOG.push(format!("{words}\n").as_bytes());
}

/// Returns when everything that was queued before has been written or lost, or after `limit`. Says which.
pub fn flush(limit: Duration) -> bool {
    LOG.flush(limit)
}

/// [`flush`], but at once while a reader takes nothing: for who writes elsewhere next, and wants to keep the order.
pub fn keep_order() {
    if !LOG.is_stalled() {
        LOG.flush(LAST_WORDS);
    }
}

/// Whether a person reads the log.
pub fn is_terminal() -> bool {
    stderr().is_terminal()
}

/// A panic is told in the log. The standard library's own words go straight to stderr, and would wait for a reader.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_owned();
        line(format_args!("thread {name}: {}", panic.to_string().replace('\n', " ")));
        flush(LAST_WORDS);
    }));
}

/// Ends the process now, with [`EXIT_LOST`]: for what must not be built on any further.
pub fn end_process(words: fmt::Arguments<'_>) -> ! {
    line(words);
    flush(LAST_WORDS);
    std::process::exit(i32::from(EXIT_LOST));
}

/// A writer for whoever formats lines itself: each `write` is one line.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineWriter;

impl io::Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
