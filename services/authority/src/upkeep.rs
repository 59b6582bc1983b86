//! What must happen by itself: heads over new leaves, counted refusals, CRLs before they grow old, quarantines
//! that end.

use crate::http::Shell;
use crate::journal_log::JournalLogFault;
use std::time::Duration;
use touchmark_listen::Stop;

const EVERY: Duration = Duration::from_secs(1);

/// Integrates and signs heads until stopped. A log that cannot advance ends the process: issuing on without
/// it would break the promise that everything acknowledged is provable.
pub(crate) async fn advance_log(shell: Shell, mut stop: Stop) {
    loop {
        tokio::select! {
            () = stop.stopped() => break,
            () = shell.log.woken() => {}
        }
        if let Err(fault) = integrate(&shell).await {
            tracing::error!(%fault, "the journal's log cannot advance; the authority stops");
            std::process::abort();
        }
    }
    if let Err(fault) = integrate(&shell).await {
        tracing::error!(%fault, "the last journal entries are not in the log yet; the next start integrates them");
    }
}

async fn integrate(shell: &Shell) -> Result<u64, JournalLogFault> {
    let log = shell.log.clone();
    match tokio::task::spawn_blocking(move || log.integrate()).await {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// The slow turns, each second.
pub(crate) async fn tick(shell: Shell, mut stop: Stop) {
    let mut turn = tokio::time::interval(EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => break,
            _ = turn.tick() => {}
        }
        if let Err(fault) = shell.refusals.flush().await {
            tracing::error!(%fault, "refusals are counted but not recorded yet");
        }
        if let Err(fault) = shell.crls.refresh_all().await {
            tracing::error!(%fault, "a CRL could not be renewed");
        }
        if let Err(fault) = shell.containments.end_due_quarantines().await {
            tracing::error!(%fault, "a quarantine that is over could not be ended");
        }
    }
    if let Err(fault) = shell.refusals.flush().await {
        tracing::error!(%fault, "the last refusals are not recorded");
    }
}
