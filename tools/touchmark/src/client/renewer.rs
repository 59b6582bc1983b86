//! Renews the credential of a running device or gateway by itself, when the lifecycle says so.
//!
//! In: the client and the folder. Out: a remark for each renewal and each attempt that failed. It runs on a thread of
//! its own, since every step waits for the disk, and a device that publishes must not.

use super::{Client, Session, Turn};
use crate::credential::CredentialDir;
use crate::failure::Failure;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use touchmark_x509::Certificate;

/// How often a publishing device looks whether somebody else renewed, or it shall end.
pub const STEADY_LOOK: Duration = Duration::from_millis(200);
/// The same for a service, whose certificate lives for weeks.
pub const SERVICE_LOOK: Duration = Duration::from_secs(60);
/// Until files that could not be taken up are looked at again.
const REOPEN: Duration = Duration::from_secs(60);

/// What became of an attempt.
pub enum Attempt {
    Renewed(Box<Certificate>),
    Failed(Failure),
}

/// The running renewer.
pub struct Renewer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Renewer {
    pub fn start(
        client: Client,
        directory: CredentialDir,
        look: Duration,
        told: mpsc::Sender<Attempt>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::task::spawn_blocking(move || {
            // Nobody listens any more: then nobody needs it.
            let _ = renew(&client, &directory, look, &told, &stopped);
        });
        Self { stop, task }
    }

    /// Lets a renewal that has begun come to its end.
    pub async fn stop(self, patience: Duration) {
        self.stop.store(true, Ordering::Relaxed);
        // Cut off after that, it goes on at the next run.
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}

fn renew(
    client: &Client,
    directory: &CredentialDir,
    look: Duration,
    told: &mpsc::Sender<Attempt>,
    stop: &AtomicBool,
) -> Result<(), mpsc::error::SendError<Attempt>> {
    let mut kept: Option<Session> = None;
    let mut not_before = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // Not a timer of the runtime, which ends before this thread does.
        std::thread::sleep(look);
        if Instant::now() < not_before {
            continue;
        }
        // Whoever holds the folder is renewing: the next look finds what came of it.
        let Ok(Some(lock)) = directory.try_hold() else { continue };
        let current = directory.certificate().ok();
        let mut session = match kept.take() {
            Some(session) if session.certificate() == current => session.holding(lock),
            _ => match directory
                .anchors_in_force()
                .and_then(|pinned| Session::open(client, directory, lock, None, pinned))
            {
                Ok(session) => session,
                Err(failure) => {
                    not_before = Instant::now() + REOPEN;
                    told.blocking_send(Attempt::Failed(failure))?;
                    continue;
                }
            },
        };
        loop {
            match session.turn(&mut |_| {}) {
                Turn::Rests => break,
                Turn::Done => {}
                Turn::Failed { failure, .. } => told.blocking_send(Attempt::Failed(failure))?,
            }
        }
        if let Some(new) = session.certificate().filter(|new| current.as_ref() != Some(new)) {
            told.blocking_send(Attempt::Renewed(Box::new(new)))?;
        }
        session.lock = None;
        kept = Some(session);
    }
    Ok(())
}
