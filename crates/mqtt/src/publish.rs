//! PUBLISH (MQTT 5.0 §3.3, 3.1.1 §3.3), the packet of the hot path: reading it allocates nothing.

use core::num::NonZeroU16;

use bytes::{BufMut, BytesMut};

use crate::encode::{Unencodable, Written, packet, put_text, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{Fault, PacketType, ProtocolVersion, PublishProperties, Text, TopicName};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// Quality of service: how surely a message arrives (§4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// QoS 0.
    #[default]
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
    /// QoS 2.
    ExactlyOnce,
}

impl QoS {
    /// Of the two bits in a packet; 3 is none.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The two bits in a packet.
    pub fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// Packet identifier: never zero [MQTT-2.2.1-3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub NonZeroU16);

impl PacketId {
    /// An identifier, unless it is zero.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let number = reader.two_octets("packet identifier")?;
        Self::new(number).ok_or(Fault::Malformed { what: "packet identifier 0" })
    }
}

/// QoS together with what only QoS 1 and 2 have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0: no identifier, never a duplicate [MQTT-3.3.1-2].
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// What PUBACK repeats.
        packet_id: PacketId,
        /// Sent before.
        duplicate: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// What PUBREC, PUBREL and PUBCOMP repeat.
        packet_id: PacketId,
        /// Sent before.
        duplicate: bool,
    },
}

impl Delivery {
    /// The QoS alone.
    pub fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The identifier, from QoS 1 on.
    pub fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { packet_id, .. } | Self::ExactlyOnce { packet_id, .. } => Some(packet_id),
        }
    }

    /// Whether it was sent before.
    pub fn is_duplicate(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { duplicate, .. } | Self::ExactlyOnce { duplicate, .. } => duplicate,
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// QoS, packet identifier and duplicate flag.
    pub delivery: Delivery,
    /// Whether it is kept for, or was kept before, later subscribers.
    pub retain: bool,
    /// The topic; `None` only where a topic alias stands for it. Read it through [`crate::TopicAliases`].
    pub topic: Option<TopicName<'a>>,
    /// Properties; empty in 3.1.1.
    pub properties: PublishProperties<'a>,
    /// The message itself.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// A message without properties, not retained.
    pub fn new(delivery: Delivery, topic: TopicName<'a>, payload: &'a [u8]) -> Self {
        Self {
            delivery,
            retain: false,
            topic: Some(topic),
            properties: PublishProperties::default(),
            payload,
        }
    }

    pub(crate) fn parse(version: ProtocolVersion, flags: u8, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let duplicate = flags & DUP != 0;
        let topic = reader.text("topic name")?;
        let delivery = match QoS::from_bits((flags >> 1) & 0b11) {
            None => return Err(Fault::Malformed { what: "QoS 3" }),
            Some(QoS::AtMostOnce) if duplicate => {
                return Err(Fault::Malformed { what: "duplicate flag with QoS 0" });
            }
            Some(QoS::AtMostOnce) => Delivery::AtMostOnce,
            Some(QoS::AtLeastOnce) => {
                Delivery::AtLeastOnce { packet_id: PacketId::parse(&mut reader)?, duplicate }
            }
            Some(QoS::ExactlyOnce) => {
                Delivery::ExactlyOnce { packet_id: PacketId::parse(&mut reader)?, duplicate }
            }
        };
        let properties: PublishProperties<'a> = match version {
            ProtocolVersion::V311 => PublishProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(&mut reader)?,
        };
        let topic = match (topic.as_str(), version, properties.topic_alias) {
            ("", ProtocolVersion::V5, Some(_)) => None,
            ("", ProtocolVersion::V5, None) => {
                return Err(Fault::ProtocolError { what: "neither topic name nor topic alias" });
            }
            _ => Some(TopicName::from_text(topic)?),
        };
        let retain = flags & RETAIN != 0;
        Ok(Self { delivery, retain, topic, properties, payload: reader.take_rest() })
    }

    /// Writes the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { delivery, retain, topic, properties, payload } = self;
        sayable(version, !properties.is_empty(), "properties of PUBLISH")?;
        if topic.is_none() && properties.topic_alias.is_none() {
            return Err(Unencodable::Empty { what: "topic name of a PUBLISH without alias" });
        }
        let mut first_octet = PacketType::Publish.first_octet() | delivery.qos().bits() << 1;
        first_octet |= if delivery.is_duplicate() { DUP } else { 0 };
        first_octet |= if *retain { RETAIN } else { 0 };
        packet(out, first_octet, |out| {
            put_text(out, topic.map_or(Text::default(), TopicName::text));
            if let Some(packet_id) = delivery.packet_id() {
                out.put_u16(packet_id.get());
            }
            if version == ProtocolVersion::V5 {
                properties.encode(out)?;
            }
            out.put_slice(payload);
            Ok(())
        })
    }
}
