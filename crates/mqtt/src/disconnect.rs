//! DISCONNECT (MQTT 5.0 §3.14, 3.1.1 §3.14). A server may send it only in 5.0.

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, legal, packet_of, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{DisconnectProperties, Fault, PacketType, ProtocolVersion, ReasonCode, Text};

/// The last packet of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; [`ReasonCode::Success`] is normal disconnection and the only one in 3.1.1.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: DisconnectProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A reason, perhaps with words for people.
    pub fn because(reason: ReasonCode, reason_string: Option<Text<'a>>) -> Self {
        Self { reason, properties: DisconnectProperties { reason_string, ..Default::default() } }
    }

    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let mut disconnect = Self::default();
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            disconnect.reason = ReasonCode::parse(reader.octet("reason code")?, PacketType::Disconnect)?;
            if !reader.is_empty() {
                disconnect.properties = PropertySet::parse(&mut reader)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }

    /// Writes the packet. 3.1.1 cannot say a reason: a client that wants its will published just closes.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { reason, properties } = self;
        legal(*reason, PacketType::Disconnect)?;
        sayable(version, *reason != ReasonCode::Success, "a reason in DISCONNECT")?;
        sayable(version, !properties.is_empty(), "properties of DISCONNECT")?;
        packet_of(out, PacketType::Disconnect, |out| {
            if *reason != ReasonCode::Success || !properties.is_empty() {
                out.put_u8(reason.octet());
                if !properties.is_empty() {
                    properties.encode(out)?;
                }
            }
            Ok(())
        })
    }
}
