//! Packets that no table is asked about: acknowledgements, pings, UNSUBSCRIBE, DISCONNECT. None of these types can hold
//! a PUBLISH or a SUBSCRIBE, nor, on its way to a broker, a PUBREL.

use super::client_side::Behind;
use super::refusal::encoded;
use crate::permitted::Permitted;
use bytes::{Bytes, BytesMut};
use touchmark_mqtt::{Frame, Packet, PacketType, ProtocolVersion};

/// Such a packet of a client.
#[derive(Debug)]
pub(crate) struct Plain(Frame);

/// Such packets of the gateway's own for the broker.
#[derive(Debug, Default)]
pub(crate) struct PlainUp(BytesMut);

/// Such a packet for the client.
#[derive(Debug)]
pub(crate) struct PlainDown(Bytes);

/// Octets on their way to the broker.
#[derive(Default)]
pub(crate) struct ToBroker(BytesMut);

fn is_plain(packet_type: PacketType) -> bool {
    match packet_type {
        PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubcomp
        | PacketType::Unsubscribe
        | PacketType::Pingreq
        | PacketType::Disconnect => true,
        PacketType::Connect
        | PacketType::Connack
        | PacketType::Publish
        | PacketType::Pubrel
        | PacketType::Subscribe
        | PacketType::Suback
        | PacketType::Unsuback
        | PacketType::Pingresp
        | PacketType::Auth => false,
    }
}

impl Plain {
    /// `None` for a packet that has to be judged. The sink stores a message when it comes: its release is plain.
    pub(crate) fn of(frame: Frame, behind: Behind) -> Option<Self> {
        let released = frame.packet_type() == PacketType::Pubrel && behind == Behind::Sink;
        (released || is_plain(frame.packet_type())).then_some(Self(frame))
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.0
    }

    pub(crate) fn into_octets(self) -> Bytes {
        self.0.into_octets()
    }
}

impl PlainUp {
    /// Adds a packet, unless it is one that has to be judged.
    pub(crate) fn add(&mut self, version: ProtocolVersion, packet: &Packet<'_>) {
        if is_plain(packet.packet_type()) {
            self.0.extend_from_slice(&encoded(version, packet));
        }
    }

    #[cfg(test)]
    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl PlainDown {
    /// `None` for a message.
    pub(crate) fn of(frame: Frame) -> Option<Self> {
        (frame.packet_type() != PacketType::Publish).then(|| Self(frame.into_octets()))
    }

    pub(crate) fn octets(&self) -> &Bytes {
        &self.0
    }
}

impl ToBroker {
    /// A packet that was judged.
    pub(crate) fn forward(&mut self, permitted: Permitted<Frame>) {
        self.0.extend_from_slice(permitted.sent().octets());
    }

    pub(crate) fn pass(&mut self, plain: &Plain) {
        self.0.extend_from_slice(plain.0.octets());
    }

    pub(crate) fn answer(&mut self, plain: &PlainUp) {
        self.0.extend_from_slice(&plain.0);
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::tests::client::{V5, id, message};
    use touchmark_mqtt::{Acknowledgement, QoS, ReasonCode, Subscribe, Unsubscribe};

    #[test]
    fn what_has_to_be_judged_is_never_plain() {
        let acknowledges = || Acknowledgement::new(id(1), ReasonCode::Success);
        let message = |qos, id| Packet::from(message("a", qos, id, "x"));
        let filter = || touchmark_mqtt::TopicFilter::new("a").unwrap();
        let subscriptions = vec![touchmark_mqtt::Subscription::new(filter(), QoS::AtMostOnce)];
        let subscribe = Subscribe { packet_id: id(1), properties: Default::default(), subscriptions };
        let unsubscribe =
            Unsubscribe { packet_id: id(1), properties: Default::default(), filters: vec![filter()] };
        // To the broker, to the sink, of the gateway's own, to the client.
        let rows = [
            ("message", message(QoS::AtMostOnce, 0), [false, false, false, false]),
            ("message, QoS 1", message(QoS::AtLeastOnce, 1), [false, false, false, false]),
            ("message, QoS 2", message(QoS::ExactlyOnce, 1), [false, false, false, false]),
            ("release", Packet::Pubrel(acknowledges()), [false, true, false, true]),
            ("subscribe", subscribe.into(), [false, false, false, true]),
            ("unsubscribe", Packet::Unsubscribe(unsubscribe), [true, true, true, true]),
            ("ping", Packet::Pingreq, [true, true, true, true]),
            ("acknowledgement", Packet::Puback(acknowledges()), [true, true, true, true]),
            ("received", Packet::Pubrec(acknowledges()), [true, true, true, true]),
            ("complete", Packet::Pubcomp(acknowledges()), [true, true, true, true]),
            ("goodbye", touchmark_mqtt::Disconnect::default().into(), [true, true, true, true]),
        ];
        for (name, packet, expected) in rows {
            let frame = Frame::from_octets(encoded(V5, &packet)).unwrap();
            let mut own = PlainUp::default();
            own.add(V5, &packet);
            let plain = [
                Plain::of(frame.clone(), Behind::Broker).is_some(),
                Plain::of(frame.clone(), Behind::Sink).is_some(),
                !own.octets().is_empty(),
                PlainDown::of(frame).is_some(),
            ];
            assert_eq!(plain, expected, "{name}");
        }
    }
}
