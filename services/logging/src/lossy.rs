//! The queue and its thread. The lock is held only to move lines, never while something is written.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Octets that may wait: what a busy service says in some seconds, and little beside its memory.
const WAITING_OCTETS_MAX: usize = 256 * 1024;
/// Lines that may wait: bounds what short lines cost beside their octets.
const WAITING_LINES_MAX: usize = 2048;
/// Longest line; the rest is cut off. A log line with a peer's words in it is far shorter.
const LINE_OCTETS_MAX: usize = 8 * 1024;
/// The thread formats one line and writes.
const STACK_OCTETS: usize = 64 * 1024;

/// Takes lines and never waits for whoever reads them.
pub(crate) struct Lossy(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There are lines.
    work: Condvar,
    /// Lines were written or lost.
    progress: Condvar,
}

struct State {
    waiting: VecDeque<Box<[u8]>>,
    octets: usize,
    /// Lines that had no place, and were not told of yet.
    lost: u64,
    /// Lines that got a place, ever.
    queued: u64,
    /// Those of them that were written or could not be.
    settled: u64,
    /// Where a flush gave up.
    stalled_at: Option<u64>,
    /// Until the thread runs.
    sink: Option<Box<dyn Write + Send>>,
}

impl Lossy {
    pub(crate) fn new(sink: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                octets: 0,
                lost: 0,
                queued: 0,
                settled: 0,
                stalled_at: None,
                sink: Some(sink),
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        }))
    }

    /// Takes a line, or counts it as lost.
    pub(crate) fn push(&self, line: &[u8]) {
        let cut;
        let line = match line.split_at_checked(LINE_OCTETS_MAX) {
            None => line,
            Some((kept, _)) => {
                cut = [kept, b" [cut]\n"].concat();
                &cut
            }
        };
        let mut state = self.0.lock();
        if state.waiting.len() >= WAITING_LINES_MAX || state.octets + line.len() > WAITING_OCTETS_MAX {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(line.into());
        state.octets += line.len();
        state.queued += 1;
        if state.sink.is_some() {
            self.start(&mut state);
        }
        drop(state);
        self.0.work.notify_one();
    }

    /// Without a thread the lines wait; the next line tries again.
    #[allow(
        clippy::disallowed_methods,
        reason = "it writes for the supervisor too, and has nothing that panics"
    )]
    fn start(&self, state: &mut State) {
        let shared = Arc::clone(&self.0);
        let (hand_over, handed_over) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(STACK_OCTETS);
        let started = thread.spawn(move || {
            if let Ok(sink) = handed_over.recv() {
                write(&shared, sink);
            }
        });
        if let (Ok(_), Some(sink)) = (started, state.sink.take()) {
            // There is room for one, and the thread waits for it.
            let _ = hand_over.send(sink);
        }
    }

    /// Whether the last flush was in vain, and nothing was taken since.
    pub(crate) fn is_stalled(&self) -> bool {
        let state = self.0.lock();
        state.stalled_at == Some(state.settled)
    }

    /// See [`crate::flush`].
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.0.lock();
        let wanted = state.queued;
        let behind = |state: &mut State| state.settled < wanted;
        let waited = self.0.progress.wait_timeout_while(state, limit, behind);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let done = state.settled >= wanted;
        state.stalled_at = (!done).then_some(state.settled);
        done
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits, and how many lines were lost behind it.
    fn next(&self) -> (VecDeque<Box<[u8]>>, u64) {
        let idle = |state: &mut State| state.waiting.is_empty();
        let state = self.work.wait_while(self.lock(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.octets = 0;
        (std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost))
    }
}

/// Writes for ever. A line that cannot be written is lost, like one that had no place.
fn write(shared: &Shared, mut sink: Box<dyn Write + Send>) {
    let (mut lost, mut torn) = (0, false);
    loop {
        let (lines, without_place) = shared.next();
        let mut taken = true;
        for line in lines {
            taken = tell_lost(&mut sink, &mut lost, &mut torn) && put(&mut sink, &line, &mut torn).is_ok();
            lost += u64::from(!taken);
            shared.lock().settled += 1;
            shared.progress.notify_all();
        }
        lost += without_place;
        if taken {
            tell_lost(&mut sink, &mut lost, &mut torn);
        }
    }
}

/// Says how many lines were lost, if any; whether the way is free for more.
fn tell_lost(sink: &mut dyn Write, lost: &mut u64, torn: &mut bool) -> bool {
    if *lost == 0 {
        return true;
    }
    let start = if *torn { "\n" } else { "" };
    let says = format!("{start}{lost} log lines were lost: nobody took them, or no space was left\n");
    let told = put(sink, says.as_bytes(), torn).is_ok();
    if told {
        *lost = 0;
    }
    told
}

/// `write_all` that says whether a part of the line went out.
fn put(sink: &mut dyn Write, mut line: &[u8], torn: &mut bool) -> io::Result<()> {
    while !line.is_empty() {
        match sink.write(line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                line = line.get(count..).unwrap_or_default();
                *torn = !line.is_empty();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
