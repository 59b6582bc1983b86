//! Renews the credential of a running device or gateway by itself: in the authority's window, else at two thirds of its life.
//!
//! In: a rotation and the folder. Out: a remark for each renewal and each attempt that failed. It runs on a thread of
//! its own, since every step waits for the disk, and a device that publishes must not.

use crate::credential::CredentialDir;
use crate::failure::Failure;
use crate::rotation::{Rotated, Rotation};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use touchmark_enrol::renewal::{RenewalWindow, due_at};
use touchmark_identity::Timestamp;
use touchmark_listen::Clock;
use touchmark_x509::Certificate;

/// How often a publishing device looks whether somebody else renewed, or it shall end.
pub const STEADY_LOOK: Duration = Duration::from_millis(200);
/// The same for a service, whose certificate lives for weeks.
pub const SERVICE_LOOK: Duration = Duration::from_secs(60);
/// After a failed attempt; doubled each time.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What became of an attempt.
pub enum Attempt {
    Renewed(Box<Rotated>),
    Failed(Failure),
}

/// The running renewer.
pub struct Renewer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Renewer {
    pub fn start(
        rotation: Rotation,
        directory: CredentialDir,
        look: Duration,
        told: mpsc::Sender<Attempt>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            renew(&runtime, &rotation, &directory, look, &told, &stopped);
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
    runtime: &Handle,
    rotation: &Rotation,
    directory: &CredentialDir,
    look: Duration,
    told: &mpsc::Sender<Attempt>,
    stop: &AtomicBool,
) {
    // The window belongs to one certificate.
    let mut hint: Option<(Certificate, Option<RenewalWindow>)> = None;
    let mut failures = 0;
    let mut not_before = Timestamp::from_unix_s(0);
    while !stop.load(Ordering::Relaxed) {
        // Not a timer of the runtime, which ends before this thread does.
        std::thread::sleep(look);
        // Read in the moment of a swap: the next look finds it.
        let Ok(current) = directory.certificate() else { continue };
        let window = match &hint {
            Some((of, window)) if of.fingerprint() == current.fingerprint() => *window,
            _ => {
                let window = runtime.block_on(rotation.window(directory));
                hint = Some((current.clone(), window));
                failures = 0;
                window
            }
        };
        let now = Clock::system().now();
        if now < due_at(current.validity(), window, seed(&current)).max(not_before) {
            continue;
        }
        match runtime.block_on(rotation.run(directory, &mut |_| {})) {
            Ok(rotated) => {
                hint = Some((rotated.new.clone(), rotated.window));
                failures = 0;
                if told.blocking_send(Attempt::Renewed(Box::new(rotated))).is_err() {
                    return;
                }
            }
            Err(failure) => {
                not_before = Clock::system().now().plus(pause(&current, failures, now));
                failures += 1;
                if told.blocking_send(Attempt::Failed(failure)).is_err() {
                    return;
                }
            }
        }
    }
}

/// Sooner than a quarter of what is left, so that there is always another attempt before the end.
fn pause(current: &Certificate, failures: u32, now: Timestamp) -> Duration {
    let doubled = RETRY.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(RETRY_MAX);
    let left = current.validity().not_after().since(now);
    doubled.min((left / 4).max(RETRY))
}

/// The certificate's place among all that renew: as random as its fingerprint, and the same at every look.
fn seed(certificate: &Certificate) -> u16 {
    let fingerprint = certificate.fingerprint();
    let [first, second, ..] = fingerprint.as_bytes();
    u16::from_be_bytes([*first, *second])
}
