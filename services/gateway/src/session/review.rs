//! What a change means for those who are connected: judge them again, and order the end of those who may not stay.

use super::{Judge, Session, Sessions};
use crate::decision_log::DecisionLog;
use crate::mqtt::{BrokerSessions, ends_at_broker};
use crate::trust::{Holder, Trust};
use core::time::Duration;
use std::sync::Arc;
use touchmark_decisions::{PolicyChanged, Record, SessionId};
use touchmark_identity::Timestamp;
use touchmark_listen::{Clock, Stop};
use touchmark_policy::{Decision, DenyReason, PolicyVersion};
use touchmark_status::{Effect, Freshness};

/// How long the report on a change waits for the sessions that it ended: far longer than an end takes.
const LEAVING_MAX: Duration = Duration::from_secs(2);
/// Sessions judged anew before other threads get their turn.
const RENEWED_AT_ONCE: usize = 64;
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
    /// What devices left at the broker; `None` with the sink behind.
    pub(crate) broker: Option<Arc<BrokerSessions>>,
}

impl Reviewer {
    /// Orders the end of everyone whom these effects take away what they stand on; gives who that is.
    ///
    /// What a device may do under another policy is [`Self::renew`]'s work, which takes longer: ends do not wait for
    /// it. Computes for each session concerned: called on a thread that may.
    pub(crate) fn cut(&self, effects: &[Effect]) -> Vec<SessionId> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        for effect in effects {
            match effect {
                Effect::Replaced | Effect::AnchorsChanged => {
                    ended.extend(self.sessions.all().iter().filter_map(|session| self.check(session, now)));
                }
                Effect::Revoked { authority_version, serial }
                | Effect::Superseded { authority_version, serial, .. } => {
                    let concerned = self.sessions.of_certificate(*authority_version, *serial);
                    ended.extend(concerned.iter().filter_map(|session| self.check(session, now)));
                }
                Effect::KeyDenied(spki) => {
                    let concerned = self.sessions.of_key(*spki);
                    ended.extend(concerned.iter().filter_map(|session| self.check(session, now)));
                }
                Effect::StandingChanged { handle, standing: Some(_) } => {
                    let concerned = self.sessions.of_handle(handle);
                    ended.extend(concerned.iter().filter_map(|session| self.check(session, now)));
                }
                Effect::ScopeChanged(handle) => {
                    let concerned = self.sessions.of_handle(handle);
                    ended.extend(concerned.iter().filter_map(|session| self.look_at(session, now)));
                }
                // These widen only: nobody who is in may do less.
                Effect::KeyAllowed(_) | Effect::StandingChanged { standing: None, .. } => {}
                Effect::PoliciesChanged => {}
            }
        }
        // Those who are away: looked for beside this, so that it takes no time here.
        if let Some(broker) = &self.broker {
            if effects.iter().any(|effect| matches!(effect, Effect::Replaced | Effect::ScopeChanged(_))) {
                broker.judge_again();
            }
            broker.look_soon();
        }
        ended
    }

    /// Whether these effects ask for [`Self::renew`].
    pub(crate) fn concern_all(effects: &[Effect]) -> bool {
        effects.iter().any(|effect| {
            matches!(effect, Effect::Replaced | Effect::AnchorsChanged | Effect::PoliciesChanged)
        })
    }

    /// Decides anew what every session may do; gives whose end was ordered by that.
    ///
    /// Long with many sessions: called on a thread of its own, beside the one that reads the feed. It holds no lock
    /// for longer than one session takes.
    pub(crate) fn renew(&self) -> Vec<SessionId> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        for chunk in self.sessions.all().chunks(RENEWED_AT_ONCE) {
            ended.extend(chunk.iter().filter_map(|session| self.look_at(session, now)));
            std::thread::yield_now();
        }
        ended
    }

    /// Asks for one session whether it may stay, without asking the policy: that is short.
    fn check(&self, session: &Session, now: Timestamp) -> Option<SessionId> {
        match self.trust.review(session.identity(), now) {
            Ok(peer) => {
                self.sessions.look_again_at(session.id(), peer.good_until());
                None
            }
            Err(reason) => self.end(session, reason),
        }
    }

    /// Judges one session. Gives its id if its end was ordered now.
    fn look_at(&self, session: &Session, now: Timestamp) -> Option<SessionId> {
        let reason = match session.judge(&self.trust, Judge::Review, now) {
            Err(denial) => denial.reason,
            Ok(peer) => {
                self.sessions.look_again_at(session.id(), peer.good_until());
                let decision = session.table().map(|table| table.connect());
                match decision {
                    // Also for one on its way in: it may have asked the table before this one, and looks at this
                    // order last.
                    Some(Decision::Permit(_)) => return None,
                    Some(Decision::Deny(_)) | None => DenyReason::PolicyChanged,
                }
            }
        };
        self.end(session, reason)
    }

    /// Orders an end, and with it that of what the session holds at the broker. Gives its id if it was ordered now.
    fn end(&self, session: &Session, reason: DenyReason) -> Option<SessionId> {
        // Asked for first: the session may have left by itself a moment after it is told.
        let client_id = self.sessions.client_id(session.id());
        if !session.order_end(reason) {
            return None;
        }
        if let (Some(broker), Some(client_id), true) = (&self.broker, client_id, ends_at_broker(reason)) {
            broker.want_end_of(&client_id, &Holder::of(session.identity()));
        }
        Some(session.id())
    }

    /// Waits until those who were told to leave have left.
    pub(crate) async fn wait_until_left(&self, ended: Vec<SessionId>) {
        let late = self.sessions.left(ended, LEAVING_MAX).await;
        if late > 0 {
            tracing::error!(late, "sessions were told to end and are still there");
        }
    }

    /// Tells the log that another policy decides from here on, if it is another one than noted last.
    pub(crate) async fn note_policy(&self, noted: &mut Option<PolicyVersion>) {
        let policy = self.trust.policy_version();
        if let Some(policy) = policy.filter(|policy| Some(*policy) != *noted) {
            let changed = PolicyChanged { at: self.clock.now(), policy };
            // A log that cannot be written denies everything by itself.
            let _ = self.log.queued(Record::PolicyChanged(changed)).await;
        }
        *noted = policy;
    }

    /// Orders the end of all sessions because of the feed's age.
    pub(crate) fn end_all_as_stale(&self) {
        for session in self.sessions.all() {
            session.order_end(DenyReason::StatusStale);
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
                // Of a certificate that is refused the reader of the feed has said it.
                if !self.trust.is_cut_off() {
                    say(verdict);
                }
                freshness = verdict;
            }
            if verdict == Some(Freshness::CutSessions) {
                self.end_all_as_stale();
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
