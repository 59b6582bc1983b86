//! What a broker's packets lead to, without any I/O: a message is delivered only if its receiver may have it *now*.
//!
//! Subscriptions live in the broker and may be older than the policy, or than the device's rights: each message is
//! held against the table in force (CVE-2021-34434). One that may not be delivered is recorded, and the subscription that
//! brought it is taken back at the broker.

use super::client_side::NOT_AS_JUDGED;
use super::exchange::{Exchange, Exchanged};
use super::merge::Merged;
use super::plain::{PlainDown, PlainUp};
use super::refusal::encoded;
use super::subscriptions::Origin;
use crate::allowance::{Allowance, Terms};
use crate::decision_log::denied_resource;
use crate::permitted::{ForClient, Permitted, PermittedTopic};
use bytes::Bytes;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use std::collections::HashSet;
use std::sync::Arc;
use touchmark_decisions::{Act, Resource, SessionId, Verdict};
use touchmark_identity::Timestamp;
use touchmark_mqtt::{
    Acknowledgement, Delivery, Disconnect, Fault, Frame, Packet, PacketId, PacketOrder, ProtocolVersion,
    Publish, ReasonCode, Suback, Subscribe, SubscribeProperties, Text, TopicFilter, Unsubscribe,
};
use touchmark_policy::{Action, DecisionTable, Denial, DenyReason, Topic};

/// QoS 2 messages withheld and not yet released: a broker keeps far fewer in flight to one client.
const WITHHELD_MAX: usize = 1_024;
/// Messages withheld from one session that are recorded one by one: so many at once, and one in ten seconds, which then
/// stands for all since.
const RECORDED: Terms = Terms { at_once: 50, one_every_ms: 10_000 };
/// Packet identifiers of SUBSCRIBEs and UNSUBSCRIBEs of the gateway's own: clients count from 1 and rarely come here.
const OUR_IDS: RangeInclusive<u16> = 0xffe0..=0xfffe;

/// What to do about one packet of the broker.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Nothing to decide.
    Pass(PlainDown),
    /// A message that the receiver may have.
    Deliver(Permitted<ForClient>),
    /// A message that it may not have: recorded, with others where there are many, and answered to the broker.
    Withheld { acts: Vec<Act>, answer: PlainUp },
    /// A message that it may not have and that others may be meant to get: not answered, so that the broker can hand
    /// it on when the session ends.
    Withdrawn { act: Act, denial: Denial },
    /// The answer to a packet of the gateway's own.
    Ours,
    /// Answered to the broker alone.
    Answer(PlainUp),
    /// DISCONNECT of the broker: the last packet.
    Goodbye(Bytes),
    /// The broker breaks the protocol.
    Broken(Fault),
}

/// Subscriptions that go to the broker once more. Records first.
pub(crate) struct Restored {
    pub(crate) subscribes: Vec<Permitted<Frame>>,
    pub(crate) acts: Vec<Act>,
}

/// One broker connection after its CONNACK.
pub(crate) struct BrokerSide {
    version: ProtocolVersion,
    session: SessionId,
    order: PacketOrder,
    exchange: Arc<Exchange>,
    /// From the first message that was withheld on.
    withheld: Option<Box<Withheld>>,
}

/// Messages that were withheld.
struct Withheld {
    /// Those of QoS 2 that the broker has not released.
    unreleased: HashSet<PacketId>,
    recorded: Allowance,
    /// Those that are not recorded yet.
    folded: Option<Act>,
}

impl BrokerSide {
    pub(crate) fn new(
        version: ProtocolVersion,
        session: SessionId,
        order: PacketOrder,
        exchange: Arc<Exchange>,
    ) -> Self {
        Self { version, session, order, exchange, withheld: None }
    }

    /// Takes the next packet.
    pub(crate) fn take(&mut self, frame: Frame, table: &DecisionTable, now: Timestamp) -> Delivered {
        let packet = match frame.parse(self.version) {
            Ok(packet) => packet,
            Err(fault) => return Delivered::Broken(fault),
        };
        if let Err(fault) = self.order.admit(&packet) {
            return Delivered::Broken(fault);
        }
        match packet {
            Packet::Publish(publish) => match self.publish(&publish, table, now) {
                Ok(topic) => {
                    topic.receive(frame).map_or(Delivered::Broken(NOT_AS_JUDGED), Delivered::Deliver)
                }
                Err(withheld) => withheld,
            },
            Packet::Suback(answer) if self.exchange.state().ours.remove(&answer.packet_id) => Delivered::Ours,
            Packet::Suback(suback) => match self.exchange.merges.fill(&suback) {
                Ok(None) => passed(frame),
                Ok(Some(merged)) => self.whole(&suback, merged),
                Err(fault) => Delivered::Broken(fault),
            },
            Packet::Unsuback(answer) if self.exchange.state().ours.remove(&answer.packet_id) => {
                Delivered::Ours
            }
            Packet::Pubrec(answer) if answer.reason.is_error() => {
                self.exchange.state().releases.refused(answer.packet_id);
                passed(frame)
            }
            Packet::Pubcomp(answer) => {
                self.exchange.state().releases.complete(answer.packet_id);
                passed(frame)
            }
            Packet::Pubrel(release) if self.releases_withheld(release.packet_id) => {
                let mut answer = PlainUp::default();
                let done = Acknowledgement::new(release.packet_id, ReasonCode::Success);
                answer.add(self.version, &Packet::Pubcomp(done));
                Delivered::Answer(answer)
            }
            // Without its properties: another server to use, say, is not the client's business.
            Packet::Disconnect(goodbye) => {
                Delivered::Goodbye(encoded(self.version, &Disconnect::because(goodbye.reason, None).into()))
            }
            _ => passed(frame),
        }
    }

    /// The topic that it may be delivered on, or what to do with one that may not.
    fn publish(
        &mut self,
        publish: &Publish<'_>,
        table: &DecisionTable,
        now: Timestamp,
    ) -> Result<PermittedTopic, Delivered> {
        // None were offered to the broker.
        let Some(topic) = publish.topic.filter(|_| publish.properties.topic_alias.is_none()) else {
            let what = "a topic alias that was not offered";
            return Err(Delivered::Broken(Fault::ProtocolError { what }));
        };
        let (denial, origin) = match Topic::new(topic.as_str()) {
            Err(_) => (Denial::because(DenyReason::TopicInvalid), Origin::Known),
            Ok(topic) => match PermittedTopic::to_receive(&topic, table) {
                Ok(permitted) => return Ok(permitted),
                // Nobody who subscribes through a gateway gets these.
                Err(denial) if denial.reason == DenyReason::ReservedTopic => (denial, Origin::Known),
                Err(denial) => {
                    let origin = self.exchange.state().subscriptions.origin(&topic, table);
                    (denial, origin)
                }
            },
        };
        let act = |on: &str| Act {
            session: self.session,
            at: now,
            action: Action::Subscribe,
            resource: denied_resource(on),
            verdict: Verdict::Deny(denial.reason),
            rule: denial.rule.clone(),
            policy: Some(table.version()),
            count: NonZeroU32::MIN,
        };
        let mut acts = vec![act(topic.as_str())];
        let mut answer = PlainUp::default();
        match &origin {
            Origin::Known => {}
            Origin::Shared => return Err(Delivered::Withdrawn { act: act(topic.as_str()), denial }),
            Origin::Lost(filters) => match self.unsubscribe(filters, &mut answer) {
                Some(()) => acts.extend(filters.iter().map(|filter| act(filter))),
                None => return Err(Delivered::Withdrawn { act: act(topic.as_str()), denial }),
            },
        }
        let acknowledgement = match publish.delivery {
            Delivery::AtMostOnce => None,
            Delivery::AtLeastOnce { packet_id, .. } => {
                Some(Packet::Puback(Acknowledgement::new(packet_id, ReasonCode::Success)))
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                let unreleased = &mut self.withheld(now).unreleased;
                if unreleased.len() >= WITHHELD_MAX {
                    let what = "messages in flight";
                    return Err(Delivered::Broken(Fault::TooMany { what, max: WITHHELD_MAX }));
                }
                unreleased.insert(packet_id);
                Some(Packet::Pubrec(Acknowledgement::new(packet_id, ReasonCode::Success)))
            }
        };
        if let Some(acknowledgement) = acknowledgement {
            answer.add(self.version, &acknowledgement);
        }
        let withheld = self.withheld(now);
        if withheld.recorded.spend(&RECORDED, acts.len(), now) {
            acts.extend(withheld.folded.take());
            return Err(Delivered::Withheld { acts, answer });
        }
        for act in acts.drain(..) {
            withheld.fold(act);
        }
        Err(Delivered::Withheld { acts, answer })
    }

    fn withheld(&mut self, now: Timestamp) -> &mut Withheld {
        self.withheld.get_or_insert_with(|| {
            let recorded = Allowance::whole(&RECORDED, now);
            Box::new(Withheld { unreleased: HashSet::new(), recorded, folded: None })
        })
    }

    /// Whether the broker releases a message that was withheld.
    fn releases_withheld(&mut self, id: PacketId) -> bool {
        self.withheld.as_mut().is_some_and(|withheld| withheld.unreleased.remove(&id))
    }

    /// What was withheld and is not recorded yet, at the end.
    pub(crate) fn take_folded(&mut self) -> Option<Act> {
        self.withheld.as_mut()?.folded.take()
    }

    /// Takes subscriptions back at the broker. `None` when no packet identifier is free for it.
    fn unsubscribe(&self, filters: &[Box<str>], up: &mut PlainUp) -> Option<()> {
        let mut state = self.exchange.state();
        let packet_id = free_id(&state)?;
        let texts = filters.iter().map(|filter| TopicFilter::new(filter)).collect::<Result<_, _>>().ok()?;
        let unsubscribe = Unsubscribe { packet_id, properties: Default::default(), filters: texts };
        state.ours.insert(packet_id);
        filters.iter().for_each(|filter| state.subscriptions.withdraw(filter));
        up.add(self.version, &Packet::Unsubscribe(unsubscribe));
        Some(())
    }

    /// Asks the broker again for subscriptions that were taken back and are permitted now: their client was not told.
    pub(crate) fn restore(&self, table: &DecisionTable, now: Timestamp) -> Option<Restored> {
        let mut state = self.exchange.state();
        let again = state.subscriptions.permitted_again(table);
        let mut restored = Restored { subscribes: Vec::new(), acts: Vec::new() };
        for (text, asked, rule) in again {
            let Some(packet_id) = free_id(&state) else { break };
            let Ok(filter) = TopicFilter::new(&text) else { continue };
            let properties = SubscribeProperties {
                subscription_identifier: asked.identifier,
                ..SubscribeProperties::default()
            };
            let subscriptions = vec![asked.again(filter, self.version)];
            let subscribe = Subscribe { packet_id, properties, subscriptions };
            let Ok(frame) = Frame::from_octets(encoded(self.version, &subscribe.into())) else { continue };
            let Ok(subscribe) = Permitted::subscribe(frame, self.version, table) else { continue };
            restored.subscribes.push(subscribe);
            restored.acts.push(Act {
                session: self.session,
                at: now,
                action: Action::Subscribe,
                resource: Resource::from(&*text),
                verdict: Verdict::Allow,
                rule: Some(rule),
                policy: Some(table.version()),
                count: NonZeroU32::MIN,
            });
            state.ours.insert(packet_id);
            state.subscriptions.add(&text, asked);
        }
        (!restored.acts.is_empty()).then_some(restored)
    }

    fn whole(&self, theirs: &Suback<'_>, Merged { reasons, says }: Merged) -> Delivered {
        let mut whole =
            Suback { packet_id: theirs.packet_id, properties: theirs.properties.clone(), reasons };
        if let Some(says) = says.as_deref() {
            whole.properties.reason_string = Text::new(says).ok();
        }
        Frame::from_octets(encoded(self.version, &whole.into())).map_or_else(Delivered::Broken, passed)
    }
}

impl Withheld {
    /// One record stands for all of these.
    fn fold(&mut self, act: Act) {
        match &mut self.folded {
            None => self.folded = Some(act),
            Some(folded) => {
                folded.count = folded.count.saturating_add(1);
                if folded.resource != act.resource {
                    folded.resource = Resource::from("#");
                }
            }
        }
    }
}

fn passed(frame: Frame) -> Delivered {
    PlainDown::of(frame).map_or(Delivered::Broken(NOT_AS_JUDGED), Delivered::Pass)
}

fn free_id(state: &Exchanged) -> Option<PacketId> {
    OUR_IDS.rev().filter_map(PacketId::new).find(|id| !state.ours.contains(id))
}
