//! Following the feed: long poll, verify, store, cut, report.
//!
//! Order after news: into force for whoever comes next, onto the disk, sessions ended, floor raised, authority told.
//! So a revocation is durable here before a session is cut for it, and what is reported has happened.

use super::file::{FeedFile, StoringFault, messages};
use crate::session::Reviewer;
use crate::trust::Trust;
use crate::uplink::{Backoff, Caller, Uplink};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use touchmark_api::FeedAcknowledgement;
use touchmark_decisions::SessionId;
use touchmark_dial::{DialFault, Method, Request};
use touchmark_identity::Timestamp;
use touchmark_listen::{Clock, Stop};
use touchmark_status::{Effect, FeedFault, MESSAGE_OCTETS_MAX, Position};

/// How long the authority may hold a poll without news.
const POLL_WAIT_MS: u64 = 10_000;
const POLL_TIMEOUT: Duration = Duration::from_secs(20);
/// A snapshot of millions of entries takes a while.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The feed's one reader.
pub(crate) struct FeedClient {
    pub(crate) trust: Arc<Trust>,
    pub(crate) file: Arc<Mutex<FeedFile>>,
    pub(crate) reviewer: Arc<Reviewer>,
    pub(crate) uplink: Arc<Uplink>,
    pub(crate) clock: Clock,
}

/// What a round changed.
pub(super) struct News {
    pub(super) effects: Vec<Effect>,
    pub(super) ended: Vec<SessionId>,
    /// The rest of the answer was refused; what came before it is in force.
    pub(super) fault: Option<FeedFault>,
    /// Only a snapshot helps, or one should take the place of a long file.
    pub(super) wants_snapshot: bool,
}

impl FeedClient {
    /// Follows the feed until the gateway stops.
    pub(crate) async fn follow(self, mut stop: Stop) {
        let mut backoff = Backoff::new();
        let (mut caller, mut reporter) = (self.uplink.caller(), self.uplink.caller());
        let mut report = Report::default();
        let mut told = String::new();
        let mut whole = false;
        loop {
            let round = async {
                // What could not be reported before does not wait for the next news.
                report.send(&mut reporter, self.trust.position(), &self.clock).await?;
                self.round(&mut caller, &mut whole, &mut report).await?;
                report.send(&mut reporter, self.trust.position(), &self.clock).await
            };
            let outcome = tokio::select! {
                () = stop.stopped() => return,
                outcome = round => outcome,
            };
            match outcome {
                Ok(()) => {
                    backoff.reset();
                    told.clear();
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
        report: &mut Report,
    ) -> Result<(), FollowFault> {
        let held = self.trust.position().filter(|_| !*whole);
        let request = match held {
            Some(Position { epoch, seq }) => {
                Request::get(format!("/v1/feed?epoch={epoch}&after={seq}&wait_ms={POLL_WAIT_MS}"))
                    .timeout(POLL_TIMEOUT)
            }
            None => Request::get("/v1/feed").timeout(SNAPSHOT_TIMEOUT),
        };
        let answer = caller.ask(request.response_octets_max(MESSAGE_OCTETS_MAX + 4096)).await?;
        let policy_before = self.trust.policy_version();
        let (trust, file, reviewer) =
            (Arc::clone(&self.trust), Arc::clone(&self.file), Arc::clone(&self.reviewer));
        let now = self.clock.now();
        let taken = tokio::task::spawn_blocking(move || take(&answer.body, &trust, &file, &reviewer, now));
        let News { effects, ended, fault, wants_snapshot } = taken.await.map_err(|_| FollowFault::Task)??;
        if !effects.is_empty() {
            self.reviewer.note_policy(policy_before).await;
            report.ended += ended.len() as u64;
            self.reviewer.wait_until_left(ended).await;
        }
        self.raise_floor().await;
        *whole = wants_snapshot;
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    async fn raise_floor(&self) {
        let Some(position) = self.trust.position() else { return };
        let file = Arc::clone(&self.file);
        let raised = tokio::task::spawn_blocking(move || {
            file.lock().unwrap_or_else(PoisonError::into_inner).raise_floor(position)
        });
        if let Ok(Err(error)) = raised.await {
            tracing::error!(%error, "the feed's position cannot be stored; a copy of an older feed would be accepted");
        }
    }
}

/// Verifies, puts into force, stores, and orders ends. Blocking.
pub(super) fn take(
    answer: &[u8],
    trust: &Trust,
    file: &Mutex<FeedFile>,
    reviewer: &Reviewer,
    now: Timestamp,
) -> Result<News, FeedFault> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let mut news = News { effects: Vec::new(), ended: Vec::new(), fault: None, wants_snapshot: false };
    let mut to_append = Vec::new();
    let mut stored = Ok(());
    for wire in messages(answer)? {
        let before = trust.position();
        match trust.fold(wire, file.floor(), now) {
            Ok(effects) if effects.contains(&Effect::Replaced) => {
                to_append.clear();
                stored = file.replace(wire);
                news.effects.extend(effects);
            }
            Ok(effects) if trust.position() == before => {
                stored = stored.and_then(|()| file.keep_heartbeat(wire, now));
                news.effects.extend(effects);
            }
            Ok(effects) => {
                to_append.push(wire);
                news.effects.extend(effects);
            }
            Err(fault) => {
                news.fault = Some(fault);
                break;
            }
        }
    }
    if !to_append.is_empty() {
        stored = stored.and_then(|()| file.append(&to_append));
    }
    if let Err(error) = stored {
        say_not_stored(&error);
    }
    news.wants_snapshot =
        file.is_long() || matches!(news.fault, Some(FeedFault::Gap { .. } | FeedFault::BrokenChain { .. }));
    news.ended = reviewer.apply(&news.effects);
    Ok(news)
}

/// In force all the same: refusing to cut a session because a disk is full would be the wrong way round.
fn say_not_stored(error: &StoringFault) {
    tracing::error!(%error, "the feed is in force but not stored; a restart without the authority would refuse everyone");
}

/// What the authority was not told yet.
#[derive(Default)]
struct Report {
    told: Option<Position>,
    ended: u64,
}

impl Report {
    async fn send(
        &mut self,
        caller: &mut Caller,
        position: Option<Position>,
        clock: &Clock,
    ) -> Result<(), FollowFault> {
        let Some(position) = position.filter(|position| self.told != Some(*position) || self.ended > 0)
        else {
            return Ok(());
        };
        let acknowledgement = FeedAcknowledgement {
            epoch: position.epoch,
            seq: position.seq,
            applied_at: clock.now().to_string(),
            sessions_closed: self.ended,
        };
        let request = Request::new(Method::POST, "/v1/feed/acknowledgement").json(&acknowledgement)?;
        caller.ask(request.timeout(REPORT_TIMEOUT)).await?;
        self.told = Some(position);
        self.ended = 0;
        Ok(())
    }
}
