//! A session whose far end is the sink: answers as a broker would, stores what is published, fans nothing out.

use super::{Message, Sink};
use crate::mqtt::plain::Plain;
use crate::mqtt::{Ending, Opening, PACKET_OCTETS_MAX, encoded};
use crate::permitted::Permitted;
use crate::trust::PathIdentity;
use bytes::{Bytes, BytesMut};
use core::num::NonZeroU32;
use std::collections::HashSet;
use std::sync::Arc;
use touchmark_listen::Clock;
use touchmark_mqtt::{
    Acknowledgement, Connack, Delivery, Fault, Frame, Packet, PacketId, ProtocolVersion, Publish, QoS,
    ReasonCode, Suback, Text, Unsuback,
};

/// Says what a subscriber must know.
const NO_FAN_OUT: &str = "accepted to keep the session; the built-in sink delivers nothing: fan-out needs a broker (--upstream-mqtt)";
/// QoS 2 messages received and not yet released.
const UNRELEASED_MAX: usize = 256;

/// One client at the sink.
pub(crate) struct SinkSession {
    sink: Arc<Sink>,
    clock: Clock,
    version: ProtocolVersion,
    explains: bool,
    device: Arc<str>,
    unreleased: HashSet<PacketId>,
}

impl SinkSession {
    /// Begins a permitted session; with its CONNACK.
    pub(crate) fn begin(
        opening: Permitted<Opening<'_>>,
        sink: Arc<Sink>,
        clock: Clock,
        identity: &PathIdentity,
    ) -> (Self, Bytes) {
        let Opening { connect, greeting } = opening.sent();
        let device: Arc<str> = identity.id().name.as_str().into();
        let explains = connect.properties.request_problem_information.unwrap_or(true);
        let mut connack = Connack::default();
        connack.properties.assigned_client_identifier = greeting.assigned().and_then(|id| Text::new(id).ok());
        connack.properties.maximum_packet_size = NonZeroU32::new(PACKET_OCTETS_MAX as u32);
        // Nothing is kept between connections, and nothing is delivered.
        connack.properties.session_expiry_interval = Some(0);
        connack.properties.shared_subscription_available = Some(false);
        let octets = encoded(connect.version, &connack.into());
        let unreleased = HashSet::new();
        (Self { sink, clock, version: connect.version, explains, device, unreleased }, octets)
    }

    /// Takes a packet that was judged: stores a message and acknowledges it, or grants subscriptions.
    pub(crate) fn take_permitted(
        &mut self,
        permitted: Permitted<Frame>,
        back: &mut BytesMut,
    ) -> Result<(), Ending> {
        let frame = permitted.sent();
        match frame.parse(self.version).map_err(Ending::Broken)? {
            Packet::Publish(publish) => self.store(&publish, back),
            Packet::Subscribe(subscribe) => {
                let reasons = subscribe.subscriptions.iter().map(|wanted| granted(wanted.qos)).collect();
                let mut suback =
                    Suback { packet_id: subscribe.packet_id, properties: Default::default(), reasons };
                if self.version == ProtocolVersion::V5 && self.explains {
                    suback.properties.reason_string = Text::new(NO_FAN_OUT).ok();
                }
                self.answer(suback.into(), back);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn store(&mut self, publish: &Publish<'_>, back: &mut BytesMut) -> Result<(), Ending> {
        let Some(topic) = publish.topic else { return Ok(()) };
        let again = match publish.delivery {
            Delivery::ExactlyOnce { packet_id, .. } => self.unreleased.contains(&packet_id),
            Delivery::AtMostOnce | Delivery::AtLeastOnce { .. } => false,
        };
        if !again {
            let message = Message {
                n: 0,
                at: self.clock.now(),
                device: Arc::clone(&self.device),
                topic: topic.as_str().into(),
                qos: publish.delivery.qos().bits(),
                retain: publish.retain,
                payload: Bytes::copy_from_slice(publish.payload),
            };
            if let Err(error) = self.sink.store(message) {
                tracing::error!(%error, "the sink cannot store messages");
                return Err(Ending::UpstreamGone);
            }
        }
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce { packet_id, .. } => {
                self.answer(Packet::Puback(Acknowledgement::new(packet_id, ReasonCode::Success)), back);
            }
            Delivery::ExactlyOnce { packet_id, .. } => {
                if self.unreleased.len() >= UNRELEASED_MAX {
                    return Err(Ending::Exceeded(ReasonCode::ReceiveMaximumExceeded));
                }
                self.unreleased.insert(packet_id);
                self.answer(Packet::Pubrec(Acknowledgement::new(packet_id, ReasonCode::Success)), back);
            }
        }
        Ok(())
    }

    /// Answers a packet that no table is asked about.
    pub(crate) fn take(&mut self, plain: &Plain, back: &mut BytesMut) -> Result<(), Ending> {
        let packet = plain.frame().parse(self.version).map_err(Ending::Broken)?;
        match packet {
            Packet::Pingreq => self.answer(Packet::Pingresp, back),
            Packet::Unsubscribe(unsubscribe) => {
                let reasons = match self.version {
                    ProtocolVersion::V5 => unsubscribe.filters.iter().map(|_| ReasonCode::Success).collect(),
                    ProtocolVersion::V311 => Vec::new(),
                };
                let packet_id = unsubscribe.packet_id;
                self.answer(Unsuback { packet_id, properties: Default::default(), reasons }.into(), back);
            }
            Packet::Pubrel(release) => {
                let known = self.unreleased.remove(&release.packet_id);
                let reason = match self.version {
                    ProtocolVersion::V5 if !known => ReasonCode::PacketIdentifierNotFound,
                    _ => ReasonCode::Success,
                };
                self.answer(Packet::Pubcomp(Acknowledgement::new(release.packet_id, reason)), back);
            }
            // Nothing is delivered from here, so nothing can be acknowledged.
            Packet::Puback(_) | Packet::Pubrec(_) | Packet::Pubcomp(_) => {
                return Err(Ending::Broken(Fault::ProtocolError { what: "acknowledgement of nothing" }));
            }
            _ => {}
        }
        Ok(())
    }

    /// Stores a permitted will.
    pub(crate) fn store_will(&mut self, message: Permitted<Frame>) {
        // Not a message of the client's packets: whatever waits for its release is over with the session.
        self.unreleased.clear();
        if self.take_permitted(message, &mut BytesMut::new()).is_err() {
            tracing::error!("the sink cannot store a will");
        }
    }

    fn answer(&self, packet: Packet<'_>, back: &mut BytesMut) {
        back.extend_from_slice(&encoded(self.version, &packet));
    }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}
