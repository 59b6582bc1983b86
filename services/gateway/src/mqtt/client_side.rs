//! What a client's packets lead to, without any I/O: decide, and say what shall be recorded, passed on, answered.
//!
//! In: frames of one session after CONNECT, its decision table, the moment. Out: one [`Step`] each.
//! A PUBLISH, PUBREL or SUBSCRIBE goes on only as [`Permitted`]; its record comes first.

use super::exchange::Exchange;
use super::opening::SESSION_EXPIRY_MAX_S;
use super::plain::Plain;
use super::refusal::{Ending, encoded, reason_text};
use super::releases::NotHeld;
use super::subscriptions::Asked;
use crate::decision_log::{Denials, resource_of};
use crate::permitted::{NotReleased, Permitted, PermittedTopic};
use bytes::Bytes;
use core::num::NonZeroU32;
use std::sync::Arc;
use touchmark_decisions::{Act, SessionId, Verdict};
use touchmark_identity::Timestamp;
use touchmark_mqtt::{
    Acknowledgement, AcknowledgementProperties, Delivery, Disconnect, Fault, Frame, Packet, PacketId,
    PacketOrder, ProtocolVersion, Publish, ReasonCode, Suback, Subscribe, Subscription, Text,
};
use touchmark_policy::{
    Action, Decision, DecisionTable, Denial, DenyReason, PolicyVersion, RuleId, TopicFilter,
};

/// What to do about one packet. Records first, then the effect.
#[derive(Debug)]
pub(crate) enum Step {
    /// Acknowledgements, pings, unsubscribing: nothing to decide.
    Pass(Plain),
    /// A permitted message.
    Publish { message: Permitted<Frame>, act: Act },
    /// The release of a QoS 2 message whose topic is still permitted.
    Release(Permitted<Frame>),
    /// Permitted filters; the frame holds no others. With an answer for when nothing is left to ask for.
    Subscribe { subscribe: Permitted<Frame>, acts: Vec<Act> },
    /// Nothing of it goes on.
    Refused { acts: Vec<Act>, answer: Option<Bytes>, ending: Option<Ending> },
    /// DISCONNECT: it goes on, and nothing after it.
    Goodbye(Plain),
    /// DISCONNECT that asks for the will: it goes on after the will, see [`ClientSide::farewell`].
    GoodbyeWithWill,
    /// The protocol is broken.
    Broken(Fault),
}

/// What a QoS 2 message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// A broker, which may hold it until it is released.
    Broker,
    /// The sink, which stores it when it comes.
    Sink,
}

/// One client after its CONNECT.
pub(crate) struct ClientSide {
    version: ProtocolVersion,
    session: SessionId,
    order: PacketOrder,
    /// Whether reason strings may stand everywhere (MQTT 5.0 §3.1.2.11.7).
    explains: bool,
    /// Largest packet that the client takes.
    packet_octets_max: usize,
    exchange: Arc<Exchange>,
    behind: Behind,
    /// A DISCONNECT that waits for the will.
    farewell: Option<Bytes>,
    /// Of its DISCONNECT.
    expiry_s: Option<u32>,
    /// From the first denial on.
    denials: Option<Denials>,
}

impl ClientSide {
    pub(crate) fn new(
        version: ProtocolVersion,
        session: SessionId,
        order: PacketOrder,
        explains: bool,
        packet_octets_max: usize,
        exchange: Arc<Exchange>,
        behind: Behind,
    ) -> Self {
        Self {
            version,
            session,
            order,
            explains,
            packet_octets_max,
            exchange,
            behind,
            farewell: None,
            expiry_s: None,
            denials: None,
        }
    }

    /// The session expiry interval that its DISCONNECT asked for.
    pub(crate) fn expiry_s(&self) -> Option<u32> {
        self.expiry_s
    }

    /// What the broker gets after the will.
    pub(crate) fn farewell(&self) -> Option<&Bytes> {
        self.farewell.as_ref()
    }

    /// Takes the next packet.
    pub(crate) fn take(&mut self, frame: Frame, table: &DecisionTable, now: Timestamp) -> Step {
        let step = self.decide(frame, table, now);
        let (Step::Refused { acts, .. } | Step::Subscribe { acts, .. }) = &step else { return step };
        let denied = acts.iter().filter_map(|act| match act.verdict {
            Verdict::Deny(reason) => Some((act, reason)),
            Verdict::Allow => None,
        });
        let count = denied.clone().count();
        let Some((first, reason)) = denied.clone().next() else { return step };
        if self.denials.get_or_insert_with(|| Denials::new(now)).spend(count, now) {
            return step;
        }
        // One record stands for all of this packet: nothing of it goes on.
        let (acts, ending) = (vec![first.clone()], Some(Ending::DeniedTooOften(reason)));
        Step::Refused { acts, answer: None, ending }
    }

    fn decide(&mut self, frame: Frame, table: &DecisionTable, now: Timestamp) -> Step {
        let packet = match frame.parse(self.version) {
            Ok(packet) => packet,
            Err(fault) => return Step::Broken(fault),
        };
        if let Err(fault) = self.order.admit(&packet) {
            return Step::Broken(fault);
        }
        match &packet {
            Packet::Publish(publish) => match self.publish(publish, table, now) {
                Published::Permitted(topic, act) => match topic.publish(frame) {
                    Some(message) => Step::Publish { message, act },
                    None => Step::Broken(NOT_AS_JUDGED),
                },
                Published::Refused(step) => step,
            },
            Packet::Subscribe(subscribe) => match self.subscribe(subscribe, table, now) {
                Subscribed::Asks { part, acts } => {
                    match Permitted::subscribe(part.unwrap_or(frame), self.version, table) {
                        Ok(subscribe) => Step::Subscribe { subscribe, acts },
                        Err(_) => Step::Broken(NOT_AS_JUDGED),
                    }
                }
                Subscribed::Other(step) => step,
            },
            Packet::Pubrel(release) if self.behind == Behind::Broker => {
                let id = release.packet_id;
                self.release(id, frame, table, now)
            }
            Packet::Unsubscribe(unsubscribe) => {
                let mut state = self.exchange.state();
                unsubscribe.filters.iter().for_each(|filter| state.subscriptions.remove(filter.as_str()));
                drop(state);
                self.plain(frame, Step::Pass)
            }
            Packet::Disconnect(goodbye) => {
                let (reason, asked) = (goodbye.reason, goodbye.properties.session_expiry_interval);
                self.expiry_s = asked.map(|seconds| seconds.min(SESSION_EXPIRY_MAX_S));
                let frame = match self.shortened(goodbye) {
                    None => frame,
                    Some(Ok(shorter)) => shorter,
                    Some(Err(fault)) => return Step::Broken(fault),
                };
                if reason == ReasonCode::DisconnectWithWill {
                    self.farewell = Plain::of(frame, self.behind).map(Plain::into_octets);
                    return Step::GoodbyeWithWill;
                }
                self.plain(frame, Step::Goodbye)
            }
            Packet::Puback(_)
            | Packet::Pubrec(_)
            | Packet::Pubrel(_)
            | Packet::Pubcomp(_)
            | Packet::Pingreq => self.plain(frame, Step::Pass),
            // The order of packets lets none of these through from a client after CONNECT.
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp
            | Packet::Auth(_) => {
                Step::Broken(Fault::ProtocolError { what: "a packet that is not for a client" })
            }
        }
    }

    fn plain(&self, frame: Frame, step: impl FnOnce(Plain) -> Step) -> Step {
        Plain::of(frame, self.behind).map_or(Step::Broken(NOT_AS_JUDGED), step)
    }

    fn publish(&self, publish: &Publish<'_>, table: &DecisionTable, now: Timestamp) -> Published {
        // None are offered, so each is at fault [MQTT-3.3.2-9].
        if let Some(alias) = publish.properties.topic_alias {
            return Published::Refused(Step::Broken(Fault::TopicAliasInvalid { alias: alias.0.get() }));
        }
        let Some(topic) = publish.topic else {
            let what = "a message without a topic";
            return Published::Refused(Step::Broken(Fault::ProtocolError { what }));
        };
        let act =
            |verdict, rule| self.act(now, table.version(), Action::Publish, topic.as_str(), verdict, rule);
        match PermittedTopic::to_publish(topic, publish, table) {
            Ok((permitted, rule)) => {
                if let Err(why) = self.hold(publish.delivery, topic.as_str()) {
                    return Published::Refused(not_held(&why));
                }
                Published::Permitted(permitted, act(Verdict::Allow, Some(rule)))
            }
            Err(denial) => {
                let acts = vec![act(Verdict::Deny(denial.reason), denial.rule.clone())];
                let (answer, ending) = match publish.delivery {
                    // Sent before and permitted then: the broker has it, and the client may never release it.
                    Delivery::ExactlyOnce { packet_id, .. }
                        if self.exchange.state().releases.holds(packet_id) =>
                    {
                        let (answer, _) = self.refused_publish(publish, denial.clone());
                        (answer, Some(Ending::Withdrawn(denial)))
                    }
                    _ => self.refused_publish(publish, denial),
                };
                Published::Refused(Step::Refused { acts, answer, ending })
            }
        }
    }

    /// Whether a message that waited may go on.
    pub(crate) fn may_publish(&self, frame: &Frame, table: &DecisionTable) -> Result<(), Denial> {
        let invalid = Denial::because(DenyReason::TopicInvalid);
        let Ok(Packet::Publish(publish)) = frame.parse(self.version) else { return Err(invalid) };
        PermittedTopic::to_publish(publish.topic.ok_or(invalid)?, &publish, table).map(drop)
    }

    /// Remembers the topic of a message until its release.
    fn hold(&self, delivery: Delivery, topic: &str) -> Result<(), NotHeld> {
        let (Behind::Broker, Delivery::ExactlyOnce { packet_id, .. }) = (self.behind, delivery) else {
            return Ok(());
        };
        self.exchange.state().releases.hold(packet_id, topic)
    }

    /// PUBREL: the broker hands the message out now, so its right is asked for now. It cannot be told to forget one
    /// message: on a no its whole session ends.
    fn release(&self, id: PacketId, frame: Frame, table: &DecisionTable, now: Timestamp) -> Step {
        let answered = |answer| Step::Refused { acts: Vec::new(), answer: Some(answer), ending: None };
        let (topic, denial) = match Permitted::release(frame, &self.exchange.state().releases, table) {
            Ok(release) => return Step::Release(release),
            // Its PUBCOMP was lost on the way to the client.
            Err(NotReleased::Done) => {
                let done = Acknowledgement::new(id, ReasonCode::Success);
                return answered(self.encoded(Packet::Pubcomp(done)));
            }
            Err(NotReleased::Nothing) => return answered(self.not_found(id, None)),
            Err(NotReleased::Denied(topic, denial)) => (topic, denial),
        };
        let (verdict, rule) = (Verdict::Deny(denial.reason), denial.rule.clone());
        let acts = vec![self.act(now, table.version(), Action::Publish, &topic, verdict, rule)];
        // 3.1.1 reads any PUBCOMP as success: it gets none.
        let answer = (self.version == ProtocolVersion::V5).then(|| self.not_found(id, Some(&denial)));
        Step::Refused { acts, answer, ending: Some(Ending::Withdrawn(denial)) }
    }

    /// PUBCOMP for a message that is not there. 3.1.1 has no other word than that it is done.
    fn not_found(&self, id: PacketId, denial: Option<&Denial>) -> Bytes {
        let reason = match self.version {
            ProtocolVersion::V5 => ReasonCode::PacketIdentifierNotFound,
            ProtocolVersion::V311 => ReasonCode::Success,
        };
        let says = denial.and_then(|denial| self.explanation(denial));
        let mut answer = Acknowledgement::new(id, reason);
        answer.properties.reason_string = says.as_deref().and_then(|says| Text::new(says).ok());
        self.encoded(Packet::Pubcomp(answer))
    }

    /// A DISCONNECT that asks for a longer session than any may have, cut to that; `None` for another.
    fn shortened(&self, goodbye: &Disconnect<'_>) -> Option<Result<Frame, Fault>> {
        goodbye.properties.session_expiry_interval.filter(|seconds| *seconds > SESSION_EXPIRY_MAX_S)?;
        let mut shorter = goodbye.clone();
        shorter.properties.session_expiry_interval = Some(SESSION_EXPIRY_MAX_S);
        Some(Frame::from_octets(encoded(self.version, &shorter.into())))
    }

    /// How a client learns that its message was refused: by an answer where MQTT has one, else by the end.
    pub(crate) fn refused_publish(
        &self,
        publish: &Publish<'_>,
        denial: Denial,
    ) -> (Option<Bytes>, Option<Ending>) {
        let reason = match denial.reason {
            DenyReason::TopicInvalid => ReasonCode::TopicNameInvalid,
            DenyReason::Rate => ReasonCode::QuotaExceeded,
            _ => ReasonCode::NotAuthorized,
        };
        let says = self.explanation(&denial);
        let answer = |packet_id| {
            let mut answer = Acknowledgement::new(packet_id, reason);
            answer.properties.reason_string = says.as_deref().and_then(|says| Text::new(says).ok());
            answer
        };
        match (self.version, publish.delivery) {
            (ProtocolVersion::V5, Delivery::AtLeastOnce { packet_id, .. }) => {
                (Some(self.encoded(Packet::Puback(answer(packet_id)))), None)
            }
            (ProtocolVersion::V5, Delivery::ExactlyOnce { packet_id, .. }) => {
                (Some(self.encoded(Packet::Pubrec(answer(packet_id)))), None)
            }
            (ProtocolVersion::V5, Delivery::AtMostOnce) | (ProtocolVersion::V311, _) => {
                (None, Some(Ending::Denied(denial)))
            }
        }
    }

    /// The same for a message that was permitted and is not passed on: it could not be recorded, or came too fast.
    pub(crate) fn kept_back(&self, frame: &Frame, reason: DenyReason) -> (Option<Bytes>, Option<Ending>) {
        let denial = Denial::because(reason);
        match frame.parse(self.version) {
            Ok(Packet::Publish(publish)) => {
                if let Delivery::ExactlyOnce { packet_id, .. } = publish.delivery {
                    self.exchange.state().releases.kept_back(packet_id);
                }
                self.refused_publish(&publish, denial)
            }
            _ => (None, Some(Ending::Denied(denial))),
        }
    }

    fn subscribe(&self, subscribe: &Subscribe<'_>, table: &DecisionTable, now: Timestamp) -> Subscribed {
        let (mut acts, mut denied) = (Vec::new(), Vec::new());
        let mut kept: Vec<Subscription<'_>> = Vec::new();
        let mut codes = Vec::with_capacity(subscribe.subscriptions.len());
        for subscription in &subscribe.subscriptions {
            let text = subscription.filter.as_str();
            let decision = match TopicFilter::new(text) {
                Ok(filter) => table.subscribe(&filter),
                Err(_) => Decision::Deny(Denial::because(DenyReason::FilterInvalid)),
            };
            let asked = kept.iter().map(|subscription| subscription.filter.as_str());
            let decision = match decision {
                Decision::Permit(_) if !self.exchange.state().subscriptions.has_room(asked.chain([text])) => {
                    Decision::Deny(Denial::because(DenyReason::TooManySubscriptions))
                }
                decision => decision,
            };
            match decision {
                Decision::Permit(permit) => {
                    let (rule, policy) = permit.into_basis();
                    acts.push(self.act(now, policy, Action::Subscribe, text, Verdict::Allow, Some(rule)));
                    kept.push(*subscription);
                    codes.push(None);
                }
                Decision::Deny(denial) => {
                    let (verdict, rule) = (Verdict::Deny(denial.reason), denial.rule.clone());
                    acts.push(self.act(now, table.version(), Action::Subscribe, text, verdict, rule));
                    codes.push(Some(suback_code(denial.reason)));
                    denied.push(denial);
                }
            }
        }
        let mut state = self.exchange.state();
        for subscription in &kept {
            let asked = Asked::of(subscription, subscribe.properties.subscription_identifier);
            state.subscriptions.add(subscription.filter.as_str(), asked);
        }
        drop(state);
        let Some(first) = denied.first() else {
            return Subscribed::Asks { part: None, acts };
        };
        let says = self.explanation(first);
        let packet_id = subscribe.packet_id;
        if kept.is_empty() {
            let reasons = codes.into_iter().flatten().collect();
            let mut suback = Suback { packet_id, properties: AcknowledgementProperties::default(), reasons };
            suback.properties.reason_string = says.as_deref().and_then(|says| Text::new(says).ok());
            let answer = Some(self.encoded(suback.into()));
            return Subscribed::Other(Step::Refused { acts, answer, ending: None });
        }
        let rest = Subscribe { packet_id, properties: subscribe.properties.clone(), subscriptions: kept };
        let octets = encoded(self.version, &rest.into());
        let frame = match Frame::from_octets(octets) {
            Ok(frame) => frame,
            Err(fault) => return Subscribed::Other(Step::Broken(fault)),
        };
        if !self.exchange.merges.expect(packet_id, codes, says) {
            let ending = Some(Ending::Exceeded(ReasonCode::QuotaExceeded));
            return Subscribed::Other(Step::Refused { acts, answer: None, ending });
        }
        Subscribed::Asks { part: Some(frame), acts }
    }

    fn explanation(&self, denial: &Denial) -> Option<String> {
        (self.version == ProtocolVersion::V5 && self.explains).then(|| reason_text(denial))
    }

    /// Within the client's Maximum Packet Size: without its words when they do not fit [MQTT-3.4.2-2].
    fn encoded(&self, packet: Packet<'_>) -> Bytes {
        let octets = encoded(self.version, &packet);
        if octets.len() <= self.packet_octets_max {
            return octets;
        }
        let bare = match packet {
            Packet::Puback(answer) => Packet::Puback(Acknowledgement::new(answer.packet_id, answer.reason)),
            Packet::Pubrec(answer) => Packet::Pubrec(Acknowledgement::new(answer.packet_id, answer.reason)),
            Packet::Pubcomp(answer) => Packet::Pubcomp(Acknowledgement::new(answer.packet_id, answer.reason)),
            Packet::Suback(Suback { packet_id, reasons, .. }) => Packet::Suback(Suback {
                packet_id,
                properties: AcknowledgementProperties::default(),
                reasons,
            }),
            other => other,
        };
        encoded(self.version, &bare)
    }

    fn act(
        &self,
        at: Timestamp,
        policy: PolicyVersion,
        action: Action,
        on: &str,
        verdict: Verdict,
        rule: Option<RuleId>,
    ) -> Act {
        let resource = resource_of(verdict, on);
        let (session, policy, count) = (self.session, Some(policy), NonZeroU32::MIN);
        Act { session, at, action, resource, verdict, rule, policy, count }
    }
}

/// A packet is not the one that was judged: it goes nowhere.
pub(crate) const NOT_AS_JUDGED: Fault = Fault::ProtocolError { what: "a packet that was not judged" };

enum Published {
    Permitted(PermittedTopic, Act),
    Refused(Step),
}

enum Subscribed {
    /// For every filter, as the frame came, or for a part of them.
    Asks {
        part: Option<Frame>,
        acts: Vec<Act>,
    },
    Other(Step),
}

fn suback_code(reason: DenyReason) -> ReasonCode {
    match reason {
        DenyReason::FilterInvalid => ReasonCode::TopicFilterInvalid,
        DenyReason::TooManySubscriptions => ReasonCode::QuotaExceeded,
        _ => ReasonCode::NotAuthorized,
    }
}

/// The session ends: the message cannot be told from another one at its release.
fn not_held(why: &NotHeld) -> Step {
    match why {
        NotHeld::Full => Step::Refused {
            acts: Vec::new(),
            answer: None,
            ending: Some(Ending::Exceeded(ReasonCode::ReceiveMaximumExceeded)),
        },
        // Which of the two a broker releases is not the same everywhere.
        NotHeld::OtherTopic => Step::Broken(Fault::ProtocolError {
            what: "a packet identifier of another message that is not released",
        }),
    }
}
