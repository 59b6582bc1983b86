//! CONNACK (MQTT 5.0 §3.2, 3.1.1 §3.2).

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, legal, packet_of};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{ConnackProperties, ConnectReturnCode, Fault, PacketType, ProtocolVersion, ReasonCode};

/// A server answers CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server kept a session of this client.
    pub session_present: bool,
    /// Success or why not, in the words of 5.0 for both versions.
    pub reason: ReasonCode,
    /// Properties; empty in 3.1.1.
    pub properties: ConnackProperties<'a>,
}

impl<'a> Connack<'a> {
    /// A refusal that says why.
    pub fn refusal(reason: ReasonCode, reason_string: Option<crate::Text<'a>>) -> Self {
        Self {
            session_present: false,
            reason,
            properties: ConnackProperties { reason_string, ..Default::default() },
        }
    }

    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let session_present = match reader.octet("connack flags")? {
            0 => false,
            1 => true,
            _ => return Err(Fault::Malformed { what: "reserved connack flags" }),
        };
        let code = reader.octet("connack code")?;
        let (reason, properties) = match version {
            ProtocolVersion::V311 => {
                let code = ConnectReturnCode::from_octet(code)
                    .ok_or(Fault::Malformed { what: "connect return code" })?;
                (code.reason_code(), ConnackProperties::default())
            }
            ProtocolVersion::V5 => {
                (ReasonCode::parse(code, PacketType::Connack)?, PropertySet::parse(&mut reader)?)
            }
        };
        reader.finish()?;
        if session_present && reason != ReasonCode::Success {
            return Err(Fault::ProtocolError { what: "a refusal with a session" });
        }
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(Fault::ProtocolError { what: "authentication data without a method" });
        }
        Ok(Self { session_present, reason, properties })
    }

    /// Writes the packet. For 3.1.1 the reason becomes the nearest return code and the properties are left out:
    /// a server says what it means once, for both versions. A refusal never says that a session is present.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { session_present, reason, properties } = self;
        legal(*reason, PacketType::Connack)?;
        packet_of(out, PacketType::Connack, |out| {
            out.put_u8(u8::from(*session_present && *reason == ReasonCode::Success));
            match version {
                ProtocolVersion::V311 => {
                    out.put_u8(reason.return_code().octet());
                    Ok(())
                }
                ProtocolVersion::V5 => {
                    out.put_u8(reason.octet());
                    properties.encode(out)
                }
            }
        })
    }
}
