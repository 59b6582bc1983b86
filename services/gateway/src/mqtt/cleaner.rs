//! Ends sessions at the broker whose devices may not connect any more: one connection each, with a clean start, under
//! the session's own client id. Queue, subscriptions and shares end with it (MQTT 5.0 §3.1.2.4).
//!
//! In: wanted ends; the feed's word on devices that are away. A broker that is away is tried again until it is back.

use super::CONNECT_WAIT;
use super::broker_sessions::{AtTurn, BrokerSessions, ends_at_broker};
use super::upstream::{BrokerAddress, BrokerFault, end_session};
use crate::decision_log::DecisionLog;
use crate::session::Sessions;
use crate::trust::{Holder, Trust};
use crate::uplink::{Backoff, Uplink};
use core::time::Duration;
use std::sync::Arc;
use touchmark_durable::{Mode, write_atomic};
use touchmark_listen::{Clock, Stop};
use touchmark_mqtt::ProtocolVersion;
use touchmark_policy::DenyReason;

/// How often a broker that answers may refuse to end one session: then somebody there must act.
const REFUSALS_MAX: u32 = 10;
/// Sessions looked at before others get their turn.
const LOOKED_AT_ONCE: usize = 1_024;
/// Everyone who is away is looked at so often, also when the feed is silent: overlaps and waiting times end.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// At most so often, however much the feed says.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// What it takes to end sessions at the broker.
pub(crate) struct Cleaner {
    pub(crate) kept: Arc<BrokerSessions>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) log: Arc<DecisionLog>,
    pub(crate) clock: Clock,
    pub(crate) address: BrokerAddress,
    pub(crate) uplink: Arc<Uplink>,
}

impl Cleaner {
    /// Works until the gateway stops. A broker may take a while for each: some at the same time.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        tokio::join!(
            self.look(stop.clone()),
            self.end_wanted(stop.clone()),
            self.end_wanted(stop.clone()),
            self.end_wanted(stop.clone()),
            self.end_wanted(stop),
        );
    }

    async fn end_wanted(&self, mut stop: Stop) {
        let mut backoff = Backoff::new();
        loop {
            let mut turn = tokio::select! {
                () = stop.stopped() => return,
                turn = self.kept.next_wanted() => turn,
            };
            let ended = tokio::select! {
                () = stop.stopped() => return,
                ended = self.end(&mut turn) => ended,
            };
            drop(turn);
            match ended {
                Ok(()) => backoff.reset(),
                Err(()) if backoff.pause(&mut stop).await => {}
                Err(()) => return,
            }
        }
    }

    /// Ends one. An error means that it is tried again after a pause.
    async fn end(&self, turn: &mut AtTurn<'_>) -> Result<(), ()> {
        let client_id: Box<str> = turn.client_id().into();
        let Some(wanted) = turn.wanted().copied() else { return Ok(()) };
        if self.sessions.goes_on_at_broker(&client_id) {
            // One that waits for its turn is not there yet: this is of somebody who may, and was there before.
            turn.dropped();
            self.kept.renewed(&client_id);
            return Ok(());
        }
        let ending = end_session(&self.address, &self.uplink, &client_id, wanted.version);
        let fault = match tokio::time::timeout(CONNECT_WAIT, ending).await {
            Ok(Ok(())) => {
                self.kept.forget(&client_id);
                turn.ended();
                tracing::info!(%client_id, "the session at the broker is ended");
                return Ok(());
            }
            Ok(Err(fault)) => fault,
            Err(_) => BrokerFault::Closed { address: self.address.to_string() },
        };
        let refused = matches!(fault, BrokerFault::Refused { .. });
        let Some(wanted) = turn.wanted() else { return Ok(()) };
        wanted.tried = wanted.tried.saturating_add(1);
        let (first, last) = (wanted.tried == 1, refused && wanted.tried >= REFUSALS_MAX);
        if first || last {
            self.log.count_stranger(DenyReason::BrokerSessionKept, self.clock.now());
            tracing::error!(%client_id, %fault, given_up = last, "a session at the broker that must end is still there");
        }
        if last {
            // It stays among those that are kept: tried again after a restart, or when its device is refused.
            turn.dropped();
            return Ok(());
        }
        Err(())
    }

    /// Looks at those who are away, and writes down who they are.
    async fn look(self: &Arc<Self>, mut stop: Stop) {
        loop {
            // Long after a change of the policy, which is asked for each.
            let looking = Arc::clone(self);
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look_at_all()).await {
                tracing::error!(%error, "sessions at the broker were not all held against the feed");
            }
            self.write().await;
            let asked = async {
                let _ = tokio::time::timeout(LOOK_EVERY, self.kept.asked_to_look()).await;
                tokio::time::sleep(LOOK_PAUSE).await;
            };
            tokio::select! {
                () = stop.stopped() => break,
                () = asked => {}
            }
        }
        self.write().await;
    }

    fn look_at_all(&self) {
        let (now, policy) = (self.clock.now(), self.trust.policy_version());
        let mut last: Option<Box<str>> = None;
        loop {
            let some = self.kept.some_after(last.as_deref(), LOOKED_AT_ONCE);
            let Some((client_id, _)) = some.last() else { return };
            last = Some(client_id.clone());
            let holders: Vec<Holder> = some.iter().map(|(_, kept)| kept.holder.clone()).collect();
            let against = self.trust.known_against(&holders, now);
            for ((client_id, kept), against) in some.iter().zip(against) {
                if kept.ending || self.sessions.goes_on_at_broker(client_id) {
                    continue;
                }
                // In 3.1.1 no broker does it by itself.
                let late = kept.version == ProtocolVersion::V311 && kept.is_late(now);
                if late || against.is_some_and(ends_at_broker) {
                    self.kept.want_end_of(client_id, &kept.holder);
                } else if kept.is_over(now) {
                    self.kept.forget(client_id);
                } else if policy.is_some() && kept.judged_by != policy {
                    self.judge(client_id, &kept.holder);
                }
            }
            std::thread::yield_now();
        }
    }

    /// What the policy in force means for one who is away: asked once for each policy.
    fn judge(&self, client_id: &str, holder: &Holder) {
        match self.trust.may_connect(holder) {
            Some((true, policy)) => self.kept.judged(client_id, holder, policy),
            Some((false, _)) => self.kept.want_end_of(client_id, holder),
            None => {}
        }
    }

    async fn write(&self) {
        let Some((file, text)) = self.kept.take_changes() else { return };
        let written =
            tokio::task::spawn_blocking(move || write_atomic(&file, text.as_bytes(), Mode::Private0600));
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.kept.still_changed();
                tracing::error!(%error, "the list of sessions at the broker cannot be written");
            }
            Err(_) => self.kept.still_changed(),
        }
    }
}
