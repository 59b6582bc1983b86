//! PUBACK, PUBREC, PUBREL and PUBCOMP: one shape under four types (MQTT 5.0 §3.4 to §3.7).

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, legal, packet_of, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{AcknowledgementProperties, Fault, PacketId, PacketType, ProtocolVersion, ReasonCode};

/// A step of a QoS 1 or 2 delivery. Which one is said by the variant of [`crate::Packet`] around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// Which message.
    pub packet_id: PacketId,
    /// How it went; 3.1.1 knows only success.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: AcknowledgementProperties<'a>,
}

impl<'a> Acknowledgement<'a> {
    /// Success, or a reason without more words.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: AcknowledgementProperties::default() }
    }

    pub(crate) fn parse(version: ProtocolVersion, packet: PacketType, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let mut acknowledgement = Self::new(PacketId::parse(&mut reader)?, ReasonCode::Success);
        // 5.0 leaves out what is success without properties (§3.4.2.1).
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            acknowledgement.reason = ReasonCode::parse(reader.octet("reason code")?, packet)?;
            if !reader.is_empty() {
                acknowledgement.properties = PropertySet::parse(&mut reader)?;
            }
        }
        reader.finish()?;
        Ok(acknowledgement)
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, packet: PacketType, out: &mut BytesMut) -> Written {
        let Self { packet_id, reason, properties } = self;
        legal(*reason, packet)?;
        // Left out, a refusal would read as success.
        sayable(version, reason.is_error(), "a refusal of a message")?;
        sayable(version, !properties.is_empty(), "properties of an acknowledgement")?;
        packet_of(out, packet, |out| {
            out.put_u16(packet_id.get());
            if version == ProtocolVersion::V5 && (*reason != ReasonCode::Success || !properties.is_empty()) {
                out.put_u8(reason.octet());
                if !properties.is_empty() {
                    properties.encode(out)?;
                }
            }
            Ok(())
        })
    }
}
