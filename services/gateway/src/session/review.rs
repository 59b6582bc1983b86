//! What a change means for those who are connected: judge them again, and order the end of those who may not stay.

use super::{Judge, Session, Sessions};
use crate::decision_log::DecisionLog;
use crate::trust::Trust;
use core::time::Duration;
use std::sync::Arc;
use touchmark_decisions::{PolicyChanged, Record, SessionId};
use touchmark_identity::Timestamp;
use touchmark_listen::{Clock, Stop};
use touchmark_policy::{Decision, DenyReason};
use touchmark_status::{Effect, Freshness};

/// How long the report on a change waits for the sessions that it ended: far longer than an end takes.
const LEAVING_MAX: Duration = Duration::from_secs(2);
/// How often the ends of certificates and the age of the feed are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Entries of ended certificates are dropped so often.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Judges live sessions.
pub(crate) struct Reviewer {
    pub(crate) trust: Arc<Trust>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) log: Arc<DecisionLog>,
    pub(crate) clock: Clock,
}

impl Reviewer {
    /// Orders the end of everyone whom these effects concern and who may not stay; gives who that is.
    ///
    /// Computes for each session concerned: called on a thread that may.
    pub(crate) fn apply(&self, effects: &[Effect]) -> Vec<SessionId> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        for effect in effects {
            let concerned = match effect {
                Effect::Replaced | Effect::AnchorsChanged | Effect::PoliciesChanged => self.sessions.all(),
                Effect::Revoked { authority_version, serial }
                | Effect::Superseded { authority_version, serial, .. } => {
                    self.sessions.of_certificate(*authority_version, *serial)
                }
                Effect::KeyDenied(spki) => self.sessions.of_key(*spki),
                Effect::StandingChanged { handle, standing: Some(_) } | Effect::ScopeChanged(handle) => {
                    self.sessions.of_handle(handle)
                }
                // These widen only: nobody who is in may do less.
                Effect::KeyAllowed(_) | Effect::StandingChanged { standing: None, .. } => Vec::new(),
            };
            for session in concerned {
                ended.extend(self.look_at(&session, now));
            }
        }
        ended.sort_unstable();
        ended.dedup();
        ended
    }

    /// Judges one session. Gives its id if its end was ordered now.
    fn look_at(&self, session: &Session, now: Timestamp) -> Option<SessionId> {
        let before = session.table().map(|table| table.version());
        let reason = match session.judge(&self.trust, Judge::Review, now) {
            Err(denial) => denial.reason,
            Ok(peer) => {
                self.sessions.look_again_at(session.id(), peer.good_until());
                let decision = session.table().map(|table| table.connect());
                match decision {
                    // Not judged yet: it is on its way in and asks itself.
                    _ if before.is_none() => return None,
                    Some(Decision::Permit(_)) => return None,
                    Some(Decision::Deny(_)) | None => DenyReason::PolicyChanged,
                }
            }
        };
        session.order_end(reason).then(|| session.id())
    }

    /// Waits until those who were told to leave have left.
    pub(crate) async fn wait_until_left(&self, ended: Vec<SessionId>) {
        let late = self.sessions.left(ended, LEAVING_MAX).await;
        if late > 0 {
            tracing::error!(late, "sessions were told to end and are still there");
        }
    }

    /// Tells the log that another policy decides from here on.
    pub(crate) async fn note_policy(&self, before: Option<touchmark_policy::PolicyVersion>) {
        let policy = self.trust.policy_version();
        if let Some(policy) = policy.filter(|policy| Some(*policy) != before) {
            let changed = PolicyChanged { at: self.clock.now(), policy };
            // A log that cannot be written denies everything by itself.
            let _ = self.log.queued(Record::PolicyChanged(changed)).await;
        }
    }

    /// Ends sessions at the end of their certificates and of an overlap, and all of them when the feed is too old.
    pub(crate) async fn watch_time(self: Arc<Self>, mut stop: Stop) {
        let mut freshness = None;
        let mut pruned_at = self.clock.now();
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            let now = self.clock.now();
            for session in self.sessions.due(now) {
                self.look_at(&session, now);
            }
            let verdict = self.trust.freshness(now);
            if verdict != freshness {
                say(verdict);
                freshness = verdict;
            }
            if verdict == Some(Freshness::CutSessions) {
                for session in self.sessions.all() {
                    session.order_end(DenyReason::StatusStale);
                }
            }
            if now.since(pruned_at) >= PRUNE_EVERY {
                self.trust.prune(now);
                pruned_at = now;
            }
        }
    }
}

fn say(verdict: Option<Freshness>) {
    match verdict {
        None => tracing::error!("there is no status feed: every device is refused"),
        Some(Freshness::Fresh) => tracing::info!("the status feed is fresh"),
        Some(Freshness::Alarm) => tracing::warn!("the status feed is old: restore the link to the authority"),
        Some(Freshness::DenyNew) => tracing::error!("the status feed is too old: new devices are refused"),
        Some(Freshness::CutSessions) => tracing::error!("the status feed is too old: all sessions end"),
    }
}
