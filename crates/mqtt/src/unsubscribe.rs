//! UNSUBSCRIBE and UNSUBACK (MQTT 5.0 §3.10, §3.11).

use bytes::{BufMut, BytesMut};

use crate::encode::{Unencodable, Written, legal, packet_of, put_text, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::subscribe::room_for_one_more;
use crate::{
    AcknowledgementProperties, Fault, PacketId, PacketType, ProtocolVersion, ReasonCode, TopicFilter,
    UnsubscribeProperties,
};

/// A client wants no more of these messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What UNSUBACK repeats.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: UnsubscribeProperties<'a>,
    /// Filters, in order; one at least [MQTT-3.10.3-2].
    pub filters: Vec<TopicFilter<'a>>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::parse(&mut reader)?;
        let properties = match version {
            ProtocolVersion::V311 => UnsubscribeProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(&mut reader)?,
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            room_for_one_more(filters.len(), "topic filters")?;
            filters.push(reader.text("topic filter").and_then(TopicFilter::from_text)?);
        }
        if filters.is_empty() {
            return Err(Fault::ProtocolError { what: "UNSUBSCRIBE without a topic filter" });
        }
        Ok(Self { packet_id, properties, filters })
    }

    /// Writes the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { packet_id, properties, filters } = self;
        sayable(version, !properties.is_empty(), "properties of UNSUBSCRIBE")?;
        if filters.is_empty() {
            return Err(Unencodable::Empty { what: "UNSUBSCRIBE" });
        }
        packet_of(out, PacketType::Unsubscribe, |out| {
            out.put_u16(packet_id.get());
            if version == ProtocolVersion::V5 {
                properties.encode(out)?;
            }
            filters.iter().for_each(|filter| put_text(out, filter.text()));
            Ok(())
        })
    }
}

/// A server answers UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// Which UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: AcknowledgementProperties<'a>,
    /// One code per filter, in order; empty in 3.1.1, which has none.
    pub reasons: Vec<ReasonCode>,
}

impl<'a> Unsuback<'a> {
    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::parse(&mut reader)?;
        let mut unsuback =
            Self { packet_id, properties: AcknowledgementProperties::default(), reasons: Vec::new() };
        if version == ProtocolVersion::V5 {
            unsuback.properties = PropertySet::parse(&mut reader)?;
            while !reader.is_empty() {
                room_for_one_more(unsuback.reasons.len(), "reason codes")?;
                unsuback.reasons.push(ReasonCode::parse(reader.octet("reason code")?, PacketType::Unsuback)?);
            }
            if unsuback.reasons.is_empty() {
                return Err(Fault::Malformed { what: "UNSUBACK without a code" });
            }
        }
        reader.finish()?;
        Ok(unsuback)
    }

    /// Writes the packet. For 3.1.1 codes of success are left out; a refusal cannot be said there.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { packet_id, properties, reasons } = self;
        sayable(version, !properties.is_empty(), "properties of UNSUBACK")?;
        sayable(version, reasons.iter().any(|reason| reason.is_error()), "a refusal of UNSUBSCRIBE")?;
        if version == ProtocolVersion::V5 && reasons.is_empty() {
            return Err(Unencodable::Empty { what: "UNSUBACK" });
        }
        packet_of(out, PacketType::Unsuback, |out| {
            out.put_u16(packet_id.get());
            if version == ProtocolVersion::V5 {
                properties.encode(out)?;
                for reason in reasons {
                    legal(*reason, PacketType::Unsuback)?;
                    out.put_u8(reason.octet());
                }
            }
            Ok(())
        })
    }
}
