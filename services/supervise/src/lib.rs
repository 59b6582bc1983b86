//! Who starts the tasks and threads of a service, and what their end means (ADR 0015).
//!
//! In: a name, what to do when it ends, and the work. Out: a task that is started again after a pause that grows, or a service
//! that ends as a whole and says of which part. An essential task of a service is started here and nowhere else (clippy); what
//! belongs to one connection or request is started beside it, and its panic is that connection's.
//! Also the switch that ends a service in order.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::disallowed_methods))]

mod stop;

use core::fmt;
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
pub use stop::{Stop, StopSwitch};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep};

/// First and longest pause before a task is started again. The longest bounds how long a gateway goes without its feed once what
/// made the task panic is over; the shortest keeps one that panics at once from taking a core.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A task that ran for so long has recovered: its next pause is the shortest again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// A part of a service that ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost(&'static str);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The tasks of one service. Dropping it asks them all to end.
#[derive(Debug)]
pub struct Supervisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    switch: StopSwitch,
    lost: watch::Sender<Option<Lost>>,
    running: watch::Sender<usize>,
}

/// Returns when a task is over: what it was for has ended in order, or the service ends.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<()>);

impl Ended {
    /// See [`Ended`].
    pub async fn wait(self) {
        // Nothing is ever sent: the other end goes with its task.
        let _ = self.0.await;
    }
}

/// Counts a task while it runs.
struct Running {
    shared: Arc<Shared>,
    _ended: oneshot::Sender<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.send_modify(|running| *running -= 1);
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        let (lost, running) = (watch::Sender::new(None), watch::Sender::new(0));
        Self(Arc::new(Shared { switch: StopSwitch::new().0, lost, running }))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything to end. Calling it again changes nothing.
    pub fn stop(&self) {
        self.0.switch.stop();
    }

    /// Hears of [`Self::stop`], of the loss of a part, and of the end of this value.
    pub fn listener(&self) -> Stop {
        self.0.switch.listener()
    }

    /// Returns when a part has ended for good; never, if none does.
    pub async fn lost(&self) -> Lost {
        let mut lost = self.0.lost.subscribe();
        match lost.wait_for(Option::is_some).await.map(|lost| *lost) {
            Ok(Some(lost)) => lost,
            // The sender is in `self`.
            Ok(None) | Err(_) => core::future::pending().await,
        }
    }

    /// Returns when all tasks are over; says whether a part ended for good.
    pub async fn ended(&self) -> Option<Lost> {
        let mut running = self.0.running.subscribe();
        // The sender is in `self`.
        let _ = running.wait_for(|running| *running == 0).await;
        *self.0.lost.borrow()
    }

    /// A task that is made anew whenever it ends before `stop` and before the service is asked to end, by a panic or by itself.
    /// `make` hears whether it is the first.
    pub fn restarted<M, F>(&self, name: &'static str, mut stop: Stop, make: M) -> Ended
    where
        M: Fn(bool) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (running, ended) = self.0.begin(name, "restarted");
        let mut service = self.listener();
        start(async move {
            // Dropped last: whoever hears of the end finds everything that the task held closed.
            let _running = running;
            let make = Arc::new(make);
            let (mut pauses, mut first) = (Pauses::default(), true);
            loop {
                let (make, since) = (Arc::clone(&make), Instant::now());
                let outcome = start(faulty(name, async move { make(first).await })).await;
                if is_due(&[&stop, &service], &outcome) {
                    return;
                }
                let (pause, how) = (pauses.after(since.elapsed()), how(&outcome));
                tracing::error!(task = name, %how, ?pause, "a task of the service ended; it is started again");
                tokio::select! {
                    () = stop.stopped() => return,
                    () = service.stopped() => return,
                    () = sleep(pause) => {}
                }
                first = false;
            }
        });
        ended
    }

    /// A task without which the service is none: if it ends before `stop` and before the service is asked to end, the service
    /// ends.
    pub fn vital<F>(&self, name: &'static str, stop: Stop, task: F) -> Ended
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (running, ended) = self.0.begin(name, "vital");
        let (shared, service) = (Arc::clone(&self.0), self.listener());
        start(async move {
            let _running = running;
            let outcome = start(faulty(name, task)).await;
            if !is_due(&[&stop, &service], &outcome) {
                shared.lose(name, &how(&outcome));
            }
        });
        ended
    }

    /// A thread without which the service is none: if it panics, the service ends. It returns when its work is done, and is not
    /// among those that [`Self::ended`] waits for.
    ///
    /// # Errors
    /// The system gives no thread.
    #[allow(clippy::disallowed_methods, reason = "the one place")]
    pub fn thread<W>(&self, name: &'static str, work: W) -> io::Result<std::thread::JoinHandle<()>>
    where
        W: FnOnce() + Send + 'static,
    {
        self.0.list(name, "thread");
        let shared = Arc::clone(&self.0);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // What it left behind half done is seen by nobody: the service ends.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                shared.lose(name, "it panicked");
            }
        })
    }
}

impl Shared {
    fn begin(self: &Arc<Self>, name: &'static str, kind: &str) -> (Running, Ended) {
        self.list(name, kind);
        self.running.send_modify(|running| *running += 1);
        let (tell, ended) = oneshot::channel();
        (Running { shared: Arc::clone(self), _ended: tell }, Ended(ended))
    }

    /// For tests that try every task.
    #[cfg(feature = "faults")]
    #[allow(clippy::unused_self)]
    fn list(&self, name: &str, kind: &str) {
        if touchmark_faults::is_chosen("list") {
            touchmark_logging::line(format_args!("task {name} {kind}"));
        }
    }

    #[cfg(not(feature = "faults"))]
    fn list(&self, _: &str, _: &str) {}

    fn lose(&self, name: &'static str, how: &str) {
        tracing::error!(task = name, how, "a part of the service ended for good; the service ends");
        self.lost.send_if_modified(|lost| lost.is_none() && lost.replace(Lost(name)).is_none());
        self.switch.stop();
    }
}

/// Pauses before a task is started again.
#[derive(Default)]
struct Pauses(Option<Duration>);

impl Pauses {
    /// After a run of this length.
    fn after(&mut self, ran: Duration) -> Duration {
        let last = self.0.filter(|_| ran < RECOVERED_AFTER);
        let pause = last.map_or(PAUSE_MIN, |last| (last * 2).min(PAUSE_MAX));
        self.0 = Some(pause);
        pause
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place")]
fn start<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(task)
}

/// Whether a task may end: somebody asked for it, or the runtime that it ran on is gone. One that goes on after the service was
/// asked to end, for its last words, ends whenever it has said them.
fn is_due(stops: &[&Stop], outcome: &Result<(), JoinError>) -> bool {
    stops.iter().any(|stop| stop.is_stopped()) || outcome.as_ref().is_err_and(JoinError::is_cancelled)
}

fn how(outcome: &Result<(), JoinError>) -> String {
    outcome.as_ref().map_or_else(ToString::to_string, |()| "it returned".to_owned())
}

/// The task, and in a build for tests its panic.
#[cfg(feature = "faults")]
async fn faulty(name: &'static str, task: impl Future<Output = ()>) {
    if !touchmark_faults::is_to_panic(name) {
        return task.await;
    }
    let fault = async {
        loop {
            touchmark_faults::panic_if_due(name);
            sleep(touchmark_faults::LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = task => {}
        () = fault => {}
    }
}

#[cfg(not(feature = "faults"))]
fn faulty<F: Future<Output = ()>>(_: &str, task: F) -> F {
    task
}

/// In a thread's loop: where a build for tests lets it panic.
#[cfg(feature = "faults")]
pub fn may_panic_here(thread: &str) {
    touchmark_faults::panic_if_due(thread);
}

/// In a thread's loop: where a build for tests lets it panic.
#[cfg(not(feature = "faults"))]
pub fn may_panic_here(_: &str) {}

#[cfg(test)]
mod tests;
