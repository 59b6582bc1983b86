//! AUTH, the steps of extended authentication (MQTT 5.0 §3.15). 3.1.1 has none.

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, legal, packet_of, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{AuthProperties, Fault, PacketType, ProtocolVersion, ReasonCode};

/// One step of extended authentication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue, or again.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: AuthProperties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        if version == ProtocolVersion::V311 {
            return Err(Fault::Malformed { what: "packet type 15 in 3.1.1" });
        }
        let mut reader = Reader::new(body);
        // Success without properties may have no octets at all (§3.15.2.1).
        if reader.is_empty() {
            return Ok(Self::default());
        }
        let reason = ReasonCode::parse(reader.octet("reason code")?, PacketType::Auth)?;
        let properties: AuthProperties<'a> = PropertySet::parse(&mut reader)?;
        reader.finish()?;
        if properties.authentication_method.is_none() {
            return Err(Fault::ProtocolError { what: "AUTH without an authentication method" });
        }
        Ok(Self { reason, properties })
    }

    /// Writes the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { reason, properties } = self;
        sayable(version, true, "AUTH")?;
        legal(*reason, PacketType::Auth)?;
        packet_of(out, PacketType::Auth, |out| {
            if *reason == ReasonCode::Success && properties.is_empty() {
                return Ok(());
            }
            out.put_u8(reason.octet());
            properties.encode(out)
        })
    }
}
