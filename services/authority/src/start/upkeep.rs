//! What must happen by itself: heads over new leaves, counted refusals, feeds and CRLs made good, quarantines that
//! end, superseded certificates that are revoked, our own certificate before it expires, memory that nobody needs any more.

use crate::audit::journal_log::{HEAD_EVERY, JournalLog, JournalLogFault};
use crate::audit::refusals::Refusals;
use crate::containment::Containments;
use crate::feed::Feeds;
use crate::feed::crls::{Crls, kept_from};
use crate::issuance::Issuance;
use crate::issuance::makers::Makers;
use crate::start::{LocalOperator, ServerCertificate};
use crate::steady_time::SteadyTime;
use crate::store::commit::Commits;
use crate::store::disk_reserve::DiskReserve;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use touchmark_listen::{Clock, Stop};

const EVERY: Duration = Duration::from_secs(1);
/// What is superseded is looked through so often, in environments that want it revoked: an overlap lasts minutes.
const SUPERSEDED_EVERY: Duration = Duration::from_secs(10);
/// Ended certificates leave the feeds so often.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// The local operator's files are looked at so often; a third of a life is left then.
const OPERATOR_EVERY: Duration = Duration::from_secs(60);
/// An intent without its result for so long is one that nobody works on: both commits together take milliseconds.
const STRANDED: Duration = Duration::from_secs(60);
const STRANDED_EVERY: Duration = Duration::from_secs(10);
/// A clock that is wrong is told of so often.
const CLOCK_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Each attempt leaves entries in the journal; a third of the certificate's life is left for them.
const RENEWAL_RETRY: Duration = Duration::from_secs(600);
/// Least time between two heads: each costs several fsyncs and writes the last bundle of entries anew, whether it
/// covers one leaf or a thousand. What waits for a head waits at most so long and a turn: less than two seconds.
const HEAD_GAP: Duration = Duration::from_millis(800);
/// The same after a head over a whole bundle or more: then little is written twice.
const HEAD_GAP_BUSY: Duration = Duration::from_millis(200);
/// Entries of a bundle (C2SP tlog-tiles).
const BUNDLE: u64 = 256;
/// First and longest pause before the log is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Integrates and signs heads until stopped.
///
/// Want of descriptors, space or time passes: the log is tried again, and enrolment ends meanwhile. Damage ends the
/// process: issuing on beside it would break the promise that everything acknowledged is provable.
pub(crate) async fn advance_log(
    log: Arc<JournalLog>,
    commits: Commits,
    reserve: Arc<DiskReserve>,
    mut stop: Stop,
) {
    let mut standstill = Standstill::default();
    let (mut next, mut size) = (Instant::now(), log.head().0.size);
    loop {
        let due = async {
            match standstill.pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    tokio::time::sleep_until(next).await;
                    commits.recorded(HEAD_EVERY).await;
                }
            }
        };
        tokio::select! {
            () = stop.stopped() => break,
            () = due => {}
        }
        let turn = integrate(&log).await;
        next = Instant::now() + HEAD_GAP;
        match turn {
            Ok(now) => {
                if now.saturating_sub(size) >= BUNDLE {
                    next = Instant::now() + HEAD_GAP_BUSY;
                }
                size = now;
                log.note(true);
                if standstill.ended() {
                    tracing::info!("the journal's log advances again");
                }
            }
            Err(fault) if fault.may_pass() => {
                log.note(false);
                if fault.is_disk_full() {
                    reserve.release();
                }
                if standstill.goes_on(with_causes(&fault)) {
                    tracing::error!(fault = %with_causes(&fault), "the journal's log cannot advance now; it is tried again");
                }
            }
            Err(fault) => {
                touchmark_logging::end_process(format_args!(
                    "the journal's log is damaged; the authority stops: {}",
                    with_causes(&fault)
                ));
            }
        }
    }
    if let Err(fault) = integrate(&log).await {
        tracing::error!(%fault, "the last journal entries are not in the log yet; the next start integrates them");
    }
}

/// A row of failed turns.
#[derive(Default)]
struct Standstill {
    says: String,
    pause: Option<Duration>,
}

impl Standstill {
    /// Makes the next pause longer; says whether the cause is another than last time.
    fn goes_on(&mut self, says: String) -> bool {
        self.pause = Some(self.pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX)));
        let news = self.says != says;
        self.says = says;
        news
    }

    /// Says whether there was one.
    fn ended(&mut self) -> bool {
        std::mem::take(self).pause.is_some()
    }
}

fn with_causes(fault: &dyn std::error::Error) -> String {
    let mut says = fault.to_string();
    let mut cause = fault.source();
    while let Some(next) = cause {
        says = format!("{says}: {next}");
        cause = next.source();
    }
    says
}

async fn integrate(log: &Arc<JournalLog>) -> Result<u64, JournalLogFault> {
    let log = log.clone();
    match tokio::task::spawn_blocking(move || log.integrate()).await {
        Ok(outcome) => outcome,
        Err(panic) => {
            // A log that nobody advances any more is worse than an authority that is down.
            touchmark_logging::end_process(format_args!(
                "the journal's log failed in an unforeseen way; the authority stops: {panic}"
            ));
        }
    }
}

/// What the slow turns look after.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) clock: Clock,
    pub(crate) time: SteadyTime,
    pub(crate) reserve: Arc<DiskReserve>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) commits: Commits,
    pub(crate) crls: Arc<Crls>,
    pub(crate) containments: Arc<Containments>,
    pub(crate) issuance: Arc<Issuance>,
    pub(crate) makers: Arc<Makers>,
    pub(crate) feeds: Arc<Feeds>,
}

/// The slow turns, each second.
pub(crate) async fn tick(
    parts: Upkeep,
    server: Arc<ServerCertificate>,
    operator: Arc<LocalOperator>,
    mut stop: Stop,
) {
    let mut turn = tokio::time::interval(EVERY);
    let (mut prune_at, mut renew_at) = (Instant::now() + PRUNE_EVERY, Instant::now());
    let mut operator_at = Instant::now() + OPERATOR_EVERY;
    let (mut superseded_at, mut stranded_at) = (Instant::now(), Instant::now());
    let mut tell_clock_at = Instant::now();
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => break,
            _ = turn.tick() => {}
        }
        parts.reserve.look();
        parts.time.look();
        if parts.time.is_behind() && Instant::now() >= tell_clock_at {
            tell_clock_at = Instant::now() + CLOCK_TOLD_EVERY;
            tracing::error!(
                clock = %parts.clock.now(),
                "the clock of this machine went back: nothing is issued until it is right again"
            );
        }
        if let Err(fault) = parts.refusals.flush().await {
            tracing::error!(%fault, "refusals are counted but not recorded yet");
        }
        if let Err(fault) = parts.commits.catch_up() {
            tracing::error!(%fault, "a feed still misses what is recorded");
        }
        if let Err(fault) = parts.crls.refresh_all().await {
            tracing::error!(%fault, "a CRL could not be renewed");
        }
        if let Err(fault) = parts.containments.end_due_quarantines().await {
            tracing::error!(%fault, "a quarantine that is over could not be ended");
        }
        if Instant::now() >= superseded_at {
            superseded_at = Instant::now() + SUPERSEDED_EVERY;
            if let Err(fault) = parts.containments.revoke_superseded().await {
                tracing::error!(%fault, "superseded certificates could not be revoked; it is tried again");
            }
        }
        if Instant::now() >= stranded_at {
            stranded_at = Instant::now() + STRANDED_EVERY;
            match parts.issuance.burn_stranded(STRANDED).await {
                Ok(0) => {}
                Ok(burned) => {
                    tracing::warn!(
                        burned,
                        "intents that were left half-done were burned; tokens have their uses back"
                    );
                }
                Err(fault) => tracing::error!(%fault, "intents that were left half-done are still open"),
            }
        }
        if let Err(fault) = parts.makers.repair() {
            tracing::error!(%fault, "a change of makers is recorded, but not in force everywhere");
        }
        if Instant::now() >= renew_at {
            match server.renew_if_due().await {
                Ok(false) => {}
                Ok(true) => tracing::info!("the authority's own server certificate was renewed"),
                Err(fault) => {
                    renew_at = Instant::now() + RENEWAL_RETRY;
                    tracing::error!(%fault, "the authority's own server certificate could not be renewed");
                }
            }
        }
        if Instant::now() >= operator_at {
            operator_at = Instant::now() + OPERATOR_EVERY;
            match operator.renew_if_due().await {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificate of this data directory's operator was renewed"),
                Err(fault) => {
                    tracing::error!(%fault, "the certificate of this data directory's operator could not be renewed");
                }
            }
        }
        if Instant::now() >= prune_at {
            prune_at = Instant::now() + PRUNE_EVERY;
            let dropped = parts.feeds.prune(kept_from(&parts.time));
            tracing::debug!(dropped, "ended certificates left the feeds");
        }
    }
    if let Err(fault) = parts.refusals.finish().await {
        tracing::error!(%fault, "the last refusals are not recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_told_once_per_cause_and_its_pauses_double_up_to_a_limit() {
        let mut standstill = Standstill::default();
        assert!(!standstill.ended());
        let mut pauses = Vec::new();
        let mut told = 0;
        for says in ["no space", "no space", "no space", "no files", "no files", "no files", "no files"] {
            told += usize::from(standstill.goes_on(says.into()));
            pauses.push(standstill.pause.unwrap().as_millis());
        }
        assert_eq!(told, 2);
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000]);
        assert!(standstill.ended());
        assert!(!standstill.ended());
        assert!(standstill.goes_on("no space".into()), "a new standstill is news");
        assert_eq!(standstill.pause, Some(PAUSE_MIN));
    }
}
