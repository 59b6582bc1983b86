//! What a broker's packets lead to, without any I/O: a message is delivered only if its receiver may have it *now*.
//!
//! Subscriptions live in the broker and may be older than the policy, or than the device's rights: each message is
//! held against the table in force (CVE-2021-34434). One that may not be delivered is acknowledged here, and recorded.

use super::merge::{Merged, Merges};
use super::refusal::encoded;
use crate::decision_log::denied_resource;
use bytes::Bytes;
use core::num::NonZeroU32;
use std::collections::HashSet;
use std::sync::Arc;
use touchmark_decisions::{Act, SessionId, Verdict};
use touchmark_identity::Timestamp;
use touchmark_mqtt::{
    Acknowledgement, Delivery, Disconnect, Fault, Frame, Packet, PacketId, PacketOrder, ProtocolVersion,
    Publish, ReasonCode, Suback, Text,
};
use touchmark_policy::{Action, Decision, DecisionTable, Denial, DenyReason, Permit, Topic, TopicFilter};

/// QoS 2 messages withheld and not yet released: a broker keeps far fewer in flight to one client.
const WITHHELD_MAX: usize = 1_024;

/// What to do about one packet of the broker.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// Nothing to decide.
    Pass(Bytes),
    /// A message that the receiver may have.
    Deliver { permit: Permit, octets: Bytes },
    /// A message that it may not have: recorded, and answered to the broker.
    Withheld { act: Act, answer: Option<Bytes> },
    /// Answered to the broker alone.
    Answer(Bytes),
    /// DISCONNECT of the broker: the last packet.
    Goodbye(Bytes),
    /// The broker breaks the protocol.
    Broken(Fault),
}

/// One broker connection after its CONNACK.
pub(crate) struct BrokerSide {
    version: ProtocolVersion,
    session: SessionId,
    order: PacketOrder,
    merges: Arc<Merges>,
    withheld: HashSet<PacketId>,
}

impl BrokerSide {
    pub(crate) fn new(
        version: ProtocolVersion,
        session: SessionId,
        order: PacketOrder,
        merges: Arc<Merges>,
    ) -> Self {
        Self { version, session, order, merges, withheld: HashSet::new() }
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
            Packet::Publish(publish) => self.publish(&publish, &frame, table, now),
            Packet::Suback(suback) => match self.merges.fill(&suback) {
                Ok(None) => Delivered::Pass(frame.octets().clone()),
                Ok(Some(merged)) => Delivered::Pass(self.whole(&suback, merged)),
                Err(fault) => Delivered::Broken(fault),
            },
            Packet::Pubrel(release) if self.withheld.remove(&release.packet_id) => {
                let done = Acknowledgement::new(release.packet_id, ReasonCode::Success);
                Delivered::Answer(encoded(self.version, &Packet::Pubcomp(done)))
            }
            // Without its properties: another server to use, say, is not the client's business.
            Packet::Disconnect(goodbye) => {
                Delivered::Goodbye(encoded(self.version, &Disconnect::because(goodbye.reason, None).into()))
            }
            _ => Delivered::Pass(frame.into_octets()),
        }
    }

    fn publish(
        &mut self,
        publish: &Publish<'_>,
        frame: &Frame,
        table: &DecisionTable,
        now: Timestamp,
    ) -> Delivered {
        // None were offered to the broker.
        let Some(topic) = publish.topic.filter(|_| publish.properties.topic_alias.is_none()) else {
            return Delivered::Broken(Fault::ProtocolError { what: "a topic alias that was not offered" });
        };
        let denial = match receive(table, topic.as_str()) {
            Ok(permit) => return Delivered::Deliver { permit, octets: frame.octets().clone() },
            Err(denial) => denial,
        };
        let act = Act {
            session: self.session,
            at: now,
            action: Action::Subscribe,
            resource: denied_resource(topic.as_str()),
            verdict: Verdict::Deny(denial.reason),
            rule: denial.rule,
            policy: Some(table.version()),
            count: NonZeroU32::MIN,
        };
        let answer = match publish.delivery {
            Delivery::AtMostOnce => None,
            Delivery::AtLeastOnce { packet_id, .. } => {
                Some(Packet::Puback(Acknowledgement::new(packet_id, ReasonCode::Success)))
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                if self.withheld.len() >= WITHHELD_MAX {
                    return Delivered::Broken(Fault::TooMany {
                        what: "messages in flight",
                        max: WITHHELD_MAX,
                    });
                }
                self.withheld.insert(packet_id);
                Some(Packet::Pubrec(Acknowledgement::new(packet_id, ReasonCode::Success)))
            }
        };
        Delivered::Withheld { act, answer: answer.map(|answer| encoded(self.version, &answer)) }
    }

    fn whole(&self, theirs: &Suback<'_>, Merged { reasons, says }: Merged) -> Bytes {
        let mut whole =
            Suback { packet_id: theirs.packet_id, properties: theirs.properties.clone(), reasons };
        if let Some(says) = says.as_deref() {
            whole.properties.reason_string = Text::new(says).ok();
        }
        encoded(self.version, &whole.into())
    }
}

/// May the receiver have a message of this topic? As if it subscribed to exactly this topic now.
fn receive(table: &DecisionTable, topic: &str) -> Result<Permit, Denial> {
    let invalid = || Denial::because(DenyReason::TopicInvalid);
    // A topic has no wildcard and, unlike a filter, no share group.
    let topic = Topic::new(topic).map_err(|_| invalid())?;
    if topic.as_str() == "$share" || topic.as_str().starts_with("$share/") {
        return Err(Denial::because(DenyReason::ReservedTopic));
    }
    let filter = TopicFilter::new(topic.as_str()).map_err(|_| invalid())?;
    match table.subscribe(&filter) {
        Decision::Permit(permit) => Ok(permit),
        Decision::Deny(denial) => Err(denial),
    }
}
