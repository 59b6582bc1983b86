//! Wills stay at the gateway: the broker never hears of them, so nothing behind can say one for a device that has
//! lost its right to it, however late that is found out.
//!
//! In: the will of a CONNECT. Out: one message at the end of the session, judged and recorded at that moment.
//! Will Delay Interval counts as 0 (MQTT 5.0 §3.1.3.2.2 lets a server wait less): a right is judged when it is used,
//! and nothing is left to fire after the session.

use super::publish_once::{Undelivered, deliver, publish_alone};
use super::refusal::{Ending, encoded};
use super::relay::FarSide;
use super::{FarEnd, MqttPort};
use crate::decision_log::resource_of;
use crate::permitted::Permitted;
use crate::session::{Judge, Session};
use core::num::NonZeroU32;
use core::time::Duration;
use tokio::time::timeout;
use touchmark_decisions::{Act, Record, Verdict};
use touchmark_mqtt::{Connect, Delivery, Frame, PacketId, ProtocolVersion, Publish, PublishProperties, QoS};
use touchmark_policy::{Action, Denial, DenyReason, RuleId};

/// The last packet identifier: clients count from 1, and nothing of theirs is sent after the will.
const PACKET_ID: PacketId = PacketId(core::num::NonZeroU16::MAX);
/// Time for the broker to take a will. The session holds its place so long.
const WILL_WAIT: Duration = Duration::from_secs(5);

/// The will of one session, as the PUBLISH that it becomes.
pub(crate) struct KeptWill {
    version: ProtocolVersion,
    topic: Box<str>,
    frame: Frame,
}

impl KeptWill {
    /// Takes the will out of a CONNECT.
    pub(crate) fn of(connect: &Connect<'_>) -> Option<Self> {
        let will = connect.will.as_ref()?;
        let delivery = match will.qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id: PACKET_ID, duplicate: false },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id: PACKET_ID, duplicate: false },
        };
        let mut message = Publish::new(delivery, will.topic, will.payload.as_bytes());
        message.retain = will.retain;
        message.properties = PublishProperties {
            payload_format_indicator: will.properties.payload_format_indicator,
            message_expiry_interval: will.properties.message_expiry_interval,
            content_type: will.properties.content_type,
            response_topic: will.properties.response_topic,
            correlation_data: will.properties.correlation_data,
            user_properties: will.properties.user_properties.clone(),
            ..PublishProperties::default()
        };
        let frame = Frame::from_octets(encoded(connect.version, &message.into())).ok()?;
        Some(Self { version: connect.version, topic: will.topic.as_str().into(), frame })
    }
}

impl MqttPort {
    /// Says the will of a session that ended without a DISCONNECT that calls it off, if it still may be said.
    pub(super) async fn say_will(
        &self,
        will: &KeptWill,
        ending: &Ending,
        session: &Session,
        target: &mut FarSide,
    ) {
        if *ending == Ending::Goodbye {
            return;
        }
        let decided = self.will_decision(will, ending, session);
        let (verdict, rule) = match &decided {
            Ok((_, rule)) => (Verdict::Allow, Some(rule.clone())),
            Err(denial) => (Verdict::Deny(denial.reason), denial.rule.clone()),
        };
        let (resource, at) = (resource_of(verdict, &will.topic), self.admission.clock.now());
        let (policy, count) = (session.table().map(|table| table.version()), NonZeroU32::MIN);
        let (id, action) = (session.id(), Action::Publish);
        let act = Act { session: id, at, action, resource, verdict, rule, policy, count };
        let recorded = self.admission.log.published_act(Record::Act(act)).await;
        if decided.is_err() || recorded.is_err() {
            return;
        }
        if timeout(WILL_WAIT, self.deliver_will(will, ending, session, target)).await.is_err() {
            tracing::warn!("the broker did not take a will in time");
        }
    }

    async fn deliver_will(&self, will: &KeptWill, ending: &Ending, session: &Session, target: &mut FarSide) {
        // The record may have waited for its place: asked again right before each way out.
        let permitted = || self.will_decision(will, ending, session).ok().map(|(message, _)| message);
        let release = || permitted().and_then(|message| message.into_release(will.version));
        let Some(message) = permitted() else { return };
        let outcome = match target {
            FarSide::Sink(sink) => return sink.store_will(message),
            FarSide::Broker(broker) if !ending.lost_the_broker() => {
                let (inbound, outbound) = broker.ends();
                deliver(inbound, outbound, will.version, message, release).await
            }
            FarSide::Broker(_) => Err(Undelivered::Gone),
        };
        match outcome {
            Ok(()) => {}
            Err(Undelivered::Fault(fault)) => tracing::warn!(%fault, "the broker did not take a will"),
            // The session's own connection cannot carry it any more.
            Err(Undelivered::Gone) => {
                let FarEnd::Broker { address, uplink, .. } = &self.target else { return };
                let Some(message) = permitted() else { return };
                let handle = session.identity().id().name.as_str();
                let delivered = publish_alone(message, release, address, uplink, handle, will.version);
                if let Err(error) = delivered.await {
                    tracing::warn!(%error, "the broker did not take a will");
                }
            }
        }
    }

    /// May it be said now? Trust and policy are asked anew, whatever the session was told before.
    fn will_decision(
        &self,
        will: &KeptWill,
        ending: &Ending,
        session: &Session,
    ) -> Result<(Permitted<Frame>, RuleId), Denial> {
        if let Some(reason) = ending.forbids_will() {
            return Err(Denial::because(reason));
        }
        // The first order stands, so a session that was taken over cannot be told of a revocation: judged below.
        if let Some(reason) = session.end_ordered().filter(|reason| *reason != DenyReason::SessionTakenOver) {
            return Err(Denial::because(reason));
        }
        session.judge(&self.admission.trust, Judge::Review, self.admission.clock.now())?;
        let table = session.table().ok_or(Denial::because(DenyReason::PolicyMissing))?;
        drop(table.connect().permitted()?);
        Permitted::will(will.frame.clone(), will.version, &table)
    }
}

#[cfg(test)]
mod tests;
