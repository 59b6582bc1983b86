//! Following the feed: long poll, verify, into force, end sessions; then store, review, report.
//!
//! Stages, each in its own time: the poll never waits for a report, for a session that is slow to leave, or for a new
//! policy. Ends are ordered and policies reach live sessions beside the disk, since a slow disk must not keep a right
//! alive. What is reported has happened: it is stored, and the sessions have left.

use super::file::{FeedFile, StoringFault, messages};
use super::report::{Applied, report};
use crate::session::Reviewer;
use crate::trust::Trust;
use crate::uplink::{Backoff, Caller, Uplink};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use touchmark_decisions::SessionId;
use touchmark_dial::{DialFault, Request};
use touchmark_identity::Timestamp;
use touchmark_listen::{Clock, Stop};
use touchmark_policy::PolicyVersion;
use touchmark_status::{Effect, FeedFault, MESSAGE_OCTETS_MAX, Position};

/// How long the authority may hold a poll without news.
const POLL_WAIT_MS: u64 = 10_000;
const POLL_TIMEOUT: Duration = Duration::from_secs(20);
/// A snapshot of millions of entries takes a while.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Answers in force that wait for the disk. A disk that is slower than this many is waited for.
const STORING_MAX: usize = 64;

/// Why a round of the feed brought nothing.
#[derive(Debug, thiserror::Error)]
enum FollowFault {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error(transparent)]
    Feed(#[from] FeedFault),
    #[error("the task that reads the feed failed")]
    Task,
}

/// The authority's code for a caller whose certificate is revoked, superseded, or outside its validity.
const CALLER_NOT_LIVE: &str = "caller-not-live";

impl FollowFault {
    /// Whether the authority itself refuses this gateway's certificate. The connection is one to the authority's own
    /// certificate; a broken link, a busy authority and every other refusal say nothing about this gateway.
    fn refuses_our_certificate(&self) -> bool {
        matches!(self, Self::Dial(DialFault::Status { status: 403, problem })
            if problem.code == CALLER_NOT_LIVE)
    }
}

/// The feed's one reader.
pub(crate) struct FeedClient {
    pub(crate) trust: Arc<Trust>,
    pub(crate) file: Arc<Mutex<FeedFile>>,
    pub(crate) reviewer: Arc<Reviewer>,
    pub(crate) uplink: Arc<Uplink>,
    pub(crate) clock: Clock,
}

/// What an answer changed.
#[derive(Default)]
pub(super) struct News {
    pub(super) effects: Vec<Effect>,
    pub(super) ended: Vec<SessionId>,
    /// In force, and not stored yet.
    pub(super) to_store: Vec<ToStore>,
    /// The rest of the answer was refused; what came before it is in force.
    pub(super) fault: Option<FeedFault>,
    /// Only a snapshot helps.
    pub(super) wants_snapshot: bool,
}

/// A message for the disk; their order counts.
pub(super) enum ToStore {
    Snapshot(Vec<u8>),
    Delta(Vec<u8>),
    Heartbeat(Vec<u8>),
}

/// What is in force and waits for the disk.
struct Unstored {
    to_store: Vec<ToStore>,
    position: Option<Position>,
    /// Whether the authority refuses the gateway's certificate, where the answer says so.
    refused: Option<bool>,
    stored: oneshot::Sender<()>,
}

/// What is in force and waits for the sessions that it concerns.
struct Unsettled {
    position: Option<Position>,
    ended: Vec<SessionId>,
    concerns_all: bool,
    stored: oneshot::Receiver<()>,
}

/// What all sessions have settled, and which is told once it is stored.
struct Untold {
    position: Option<Position>,
    ended: u64,
    stored: oneshot::Receiver<()>,
}

impl FeedClient {
    /// Follows the feed until the gateway stops; `whole` begins with a snapshot.
    pub(crate) async fn follow(self: Arc<Self>, whole: bool, stop: Stop) {
        let (to_store, storing) = mpsc::channel(STORING_MAX);
        // Short entries, held back by the disk and by what they wait for, which is bounded in time.
        let (to_settle, settling) = mpsc::unbounded_channel();
        let (to_tell, telling) = mpsc::unbounded_channel();
        let begin = Applied { position: self.trust.position(), at: self.clock.now(), ended: 0 };
        let (applied, reporting) = watch::channel(begin);
        let noted = self.trust.policy_version();
        let long = AtomicBool::new(false);
        tokio::join!(
            self.poll(whole, to_store, to_settle, &long, stop.clone()),
            self.store(storing, &long),
            self.settle(settling, to_tell, noted),
            self.tell(telling, applied),
            report(self.uplink.caller(), reporting, stop),
        );
    }

    async fn poll(
        &self,
        mut whole: bool,
        to_store: mpsc::Sender<Unstored>,
        to_settle: mpsc::UnboundedSender<Unsettled>,
        long: &AtomicBool,
        mut stop: Stop,
    ) {
        let mut backoff = Backoff::new();
        let mut caller = self.uplink.caller();
        let mut told = String::new();
        loop {
            let outcome = tokio::select! {
                () = stop.stopped() => return,
                outcome = self.round(&mut caller, &mut whole, &to_store, &to_settle) => outcome,
            };
            // Once for each time that it was found long: a snapshot may be on its way to the disk.
            whole |= long.swap(false, Ordering::Relaxed);
            match outcome {
                Ok(()) => {
                    backoff.reset();
                    told.clear();
                }
                Err(error) if error.refuses_our_certificate() => {
                    if self.trust.set_cut_off(true) {
                        tracing::error!(
                            %error,
                            "the authority refuses this gateway's certificate and gives it no feed: all sessions end and \
                             every device is refused; get a new certificate for this gateway, or stop it"
                        );
                    }
                    // Again each time: for one that came in meanwhile this does not wait for the next look; and a
                    // mark that could not be written is tried again.
                    self.reviewer.end_all_as_stale();
                    let (stored, _) = oneshot::channel();
                    let mark = Unstored { to_store: Vec::new(), position: None, refused: Some(true), stored };
                    let _ = to_store.send(mark).await;
                    told.clear();
                    if !backoff.pause(&mut stop).await {
                        return;
                    }
                }
                Err(error) => {
                    let says = error.to_string();
                    if says != told {
                        tracing::warn!(error = %says, position = ?self.trust.position(), "no news of the status feed");
                        told = says;
                    }
                    if !backoff.pause(&mut stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// One poll: asks for what comes after the position held, or for a snapshot.
    async fn round(
        &self,
        caller: &mut Caller,
        whole: &mut bool,
        to_store: &mpsc::Sender<Unstored>,
        to_settle: &mpsc::UnboundedSender<Unsettled>,
    ) -> Result<(), FollowFault> {
        let held = self.trust.position().filter(|_| !*whole);
        // Counts without a set only, and does not rise before there is one.
        let floor = match self.trust.position() {
            Some(_) => None,
            None => self.file.lock().unwrap_or_else(PoisonError::into_inner).floor(),
        };
        let class = self.trust.staleness();
        // A gateway that waits to be let in again is not kept waiting for news, and says that it serves nobody.
        let (wait_ms, cut_off) =
            if self.trust.is_cut_off() { (0, "&cut_off=true") } else { (POLL_WAIT_MS, "") };
        let request = match held {
            Some(Position { epoch, seq }) => Request::get(format!(
                "/v1/feed?epoch={epoch}&after={seq}&wait_ms={wait_ms}&class={class}{cut_off}"
            ))
            .timeout(POLL_TIMEOUT),
            None => Request::get(format!("/v1/feed?class={class}{cut_off}")).timeout(SNAPSHOT_TIMEOUT),
        };
        let answer = caller.ask(request.response_octets_max(MESSAGE_OCTETS_MAX + 4096)).await?;
        let (trust, reviewer, now) = (Arc::clone(&self.trust), Arc::clone(&self.reviewer), self.clock.now());
        let taken = tokio::task::spawn_blocking(move || take(&answer.body, &trust, floor, &reviewer, now));
        let News { effects, ended, to_store: messages, fault, wants_snapshot } =
            taken.await.map_err(|_| FollowFault::Task)??;
        if !messages.is_empty() {
            let concerns_all = Reviewer::concern_all(&effects);
            let position = self.trust.position();
            let (done, stored) = oneshot::channel();
            // The other ends outlive this one.
            let _ = to_settle.send(Unsettled { position, ended, concerns_all, stored });
            let refused = fault.is_none().then_some(false);
            let _ = to_store.send(Unstored { to_store: messages, position, refused, stored: done }).await;
        }
        // In force first: nobody is let in by what was held before.
        if fault.is_none() && self.trust.set_cut_off(false) {
            tracing::info!("the authority accepts this gateway's certificate again: devices are served");
        }
        // A snapshot that was refused is not asked for again at once: it is long, and would be refused again.
        *whole = wants_snapshot && !(*whole && fault.is_some());
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Stores what is in force, in its order; then raises the floor.
    async fn store(&self, mut storing: mpsc::Receiver<Unstored>, long: &AtomicBool) {
        while let Some(Unstored { to_store, position, refused, stored: done }) = storing.recv().await {
            let (file, now) = (Arc::clone(&self.file), self.clock.now());
            let stored = tokio::task::spawn_blocking(move || {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                store(&mut file, &to_store, position, now);
                if let Some(Err(error)) = refused.map(|refused| file.keep_refused(refused)) {
                    tracing::error!(%error, "whether the authority refuses this gateway cannot be stored; a restart without the authority would go by what was stored before");
                }
                file.wants_snapshot(Instant::now())
            });
            if stored.await.unwrap_or_default() {
                long.store(true, Ordering::Relaxed);
            }
            // Nobody waits for it any more when the gateway stops.
            let _ = done.send(());
        }
    }

    /// Lets a new policy decide for those who are in, and waits for those who have to leave.
    async fn settle(
        &self,
        mut settling: mpsc::UnboundedReceiver<Unsettled>,
        to_tell: mpsc::UnboundedSender<Untold>,
        mut noted: Option<PolicyVersion>,
    ) {
        while let Some(Unsettled { position, mut ended, concerns_all, stored }) = settling.recv().await {
            if concerns_all {
                // Noted first: what is decided by the new tables stands behind this in the log.
                self.reviewer.note_policy(&mut noted).await;
                let reviewer = Arc::clone(&self.reviewer);
                match tokio::task::spawn_blocking(move || reviewer.renew()).await {
                    Ok(renewed) => ended.extend(renewed),
                    Err(error) => {
                        tracing::error!(%error, "live sessions were not all judged by the new policy")
                    }
                }
            }
            let count = ended.len() as u64;
            self.reviewer.wait_until_left(ended).await;
            // The other end outlives this one.
            let _ = to_tell.send(Untold { position, ended: count, stored });
        }
    }

    /// Hands on for the report what sessions have settled, once it is stored as well.
    async fn tell(&self, mut telling: mpsc::UnboundedReceiver<Untold>, applied: watch::Sender<Applied>) {
        while let Some(Untold { position, ended, stored }) = telling.recv().await {
            // An end without a word is one of the storing task, which is over.
            let _ = stored.await;
            let at = self.clock.now();
            applied.send_modify(|applied| {
                *applied = Applied { position, at, ended: applied.ended + ended };
            });
        }
    }
}

/// Verifies, puts into force, and orders ends, message by message. Blocking.
pub(super) fn take(
    answer: &[u8],
    trust: &Trust,
    floor: Option<Position>,
    reviewer: &Reviewer,
    now: Timestamp,
) -> Result<News, FeedFault> {
    let mut news = News::default();
    for wire in messages(answer)? {
        let before = trust.position();
        match trust.fold(wire, floor, now) {
            Ok(effects) => {
                news.ended.extend(reviewer.cut(&effects));
                if effects.contains(&Effect::Replaced) {
                    news.to_store.clear();
                    news.to_store.push(ToStore::Snapshot(wire.to_vec()));
                } else if trust.position() == before {
                    news.to_store.push(ToStore::Heartbeat(wire.to_vec()));
                } else {
                    news.to_store.push(ToStore::Delta(wire.to_vec()));
                }
                news.effects.extend(effects);
                // What ended by a clock that was ahead may have been forgotten meanwhile.
                news.wants_snapshot |= trust.took_time_back();
            }
            Err(fault) => {
                // A delta from the future stays one when the authority's clock is right again: only a snapshot gets past it.
                news.wants_snapshot |= matches!(
                    fault,
                    FeedFault::Gap { .. } | FeedFault::BrokenChain { .. } | FeedFault::FromTheFuture { .. }
                );
                news.fault = Some(fault);
                break;
            }
        }
    }
    Ok(news)
}

/// Stores messages in their order, and the position behind them. Blocking.
pub(super) fn store(file: &mut FeedFile, to_store: &[ToStore], position: Option<Position>, now: Timestamp) {
    let messages = store_messages(file, to_store, now);
    if let Err(error) = &messages {
        // In force all the same: refusing to cut a session because a disk is full would be the wrong way round.
        tracing::error!(%error, "the feed is in force but not stored; a restart without the authority would refuse everyone");
    }
    let Some(Err(error)) = position.map(|position| file.raise_floor(position)) else { return };
    tracing::error!(%error, "the feed's position cannot be stored; a copy of an older feed would be accepted");
    if messages.is_err() {
        // What is there is such an older feed: a restart would go by it. To remove a file needs no space.
        if let Err(error) = file.discard() {
            tracing::error!(%error, "the stored feed is outdated and cannot be removed; a restart without the authority would go by it");
        }
    }
}

fn store_messages(file: &mut FeedFile, to_store: &[ToStore], now: Timestamp) -> Result<(), StoringFault> {
    let mut deltas: Vec<&[u8]> = Vec::new();
    for message in to_store {
        if let ToStore::Delta(wire) = message {
            deltas.push(wire);
            continue;
        }
        if !deltas.is_empty() {
            file.append(&std::mem::take(&mut deltas))?;
        }
        match message {
            ToStore::Snapshot(wire) => file.replace(wire)?,
            ToStore::Heartbeat(wire) => file.keep_heartbeat(wire, now)?,
            ToStore::Delta(_) => {}
        }
    }
    if deltas.is_empty() { Ok(()) } else { file.append(&deltas) }
}
