//! CONNECT (MQTT 5.0 §3.1, 3.1.1 §3.1). The gateway reads it, then writes its own for the upstream.

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, packet_of, put_binary, put_text, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{
    Binary, ConnectProperties, Fault, PacketType, ProtocolVersion, QoS, Text, TopicName, WillProperties,
};

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const WILL_RETAIN: u8 = 0b0010_0000;
const WILL_QOS: u8 = 0b0001_1000;
const WILL: u8 = 0b0000_0100;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;

/// A client asks for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Version of this and of every later packet.
    pub version: ProtocolVersion,
    /// Clean Start; in 3.1.1 Clean Session.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 is without bound.
    pub keep_alive_s: u16,
    /// Client identifier; empty asks the server to make one.
    pub client_id: Text<'a>,
    /// Message to publish when the connection is lost.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<Text<'a>>,
    /// Password; `Debug` does not show it.
    pub password: Option<Binary<'a>>,
    /// Properties; empty in 3.1.1.
    pub properties: ConnectProperties<'a>,
}

/// The message that a server publishes for a client that was lost (§3.1.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    pub topic: TopicName<'a>,
    pub payload: Binary<'a>,
    /// How surely.
    pub qos: QoS,
    /// Whether it is kept for later subscribers.
    pub retain: bool,
    /// Properties; empty in 3.1.1.
    pub properties: WillProperties<'a>,
}

impl<'a> Connect<'a> {
    /// A plain CONNECT with clean start, 60 s keep alive, no will and no credentials.
    pub fn new(version: ProtocolVersion, client_id: Text<'a>) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive_s: 60,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    /// Reads variable header and payload.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let version = parse_version(&mut reader)?;
        let flags = reader.octet("connect flags")?;
        check_flags(version, flags)?;
        let keep_alive_s = reader.two_octets("keep alive")?;
        let properties: ConnectProperties<'a> = match version {
            ProtocolVersion::V311 => ConnectProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(&mut reader)?,
        };
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(Fault::ProtocolError { what: "authentication data without a method" });
        }
        let client_id = reader.text("client identifier")?;
        let clean_start = flags & CLEAN_START != 0;
        if version == ProtocolVersion::V311 && client_id.as_str().is_empty() && !clean_start {
            return Err(Fault::ClientIdentifierNotValid);
        }
        let will = match flags & WILL {
            0 => None,
            _ => Some(Will::parse(version, flags, &mut reader)?),
        };
        let user_name = match flags & USER_NAME {
            0 => None,
            _ => Some(reader.text("user name")?),
        };
        let password = match flags & PASSWORD {
            0 => None,
            _ => Some(reader.binary("password")?),
        };
        reader.finish()?;
        Ok(Self { version, clean_start, keep_alive_s, client_id, will, user_name, password, properties })
    }

    /// The version, when the octets get that far.
    pub(crate) fn peek_version(body: &[u8]) -> Option<ProtocolVersion> {
        parse_version(&mut Reader::new(body)).ok()
    }

    /// Writes the packet.
    pub fn encode(&self, out: &mut BytesMut) -> Written {
        let Self { version, clean_start, keep_alive_s, client_id, will, user_name, password, properties } =
            self;
        sayable(*version, !properties.is_empty(), "properties of CONNECT")?;
        sayable(*version, user_name.is_none() && password.is_some(), "a password without a user name")?;
        if let Some(will) = will {
            sayable(*version, !will.properties.is_empty(), "properties of a will")?;
        }
        let mut flags = 0;
        flags |= if user_name.is_some() { USER_NAME } else { 0 };
        flags |= if password.is_some() { PASSWORD } else { 0 };
        flags |= if *clean_start { CLEAN_START } else { 0 };
        flags |= will.as_ref().map_or(0, Will::flags);
        packet_of(out, PacketType::Connect, |out| {
            out.put_slice(b"\0\x04MQTT");
            out.put_u8(version.level());
            out.put_u8(flags);
            out.put_u16(*keep_alive_s);
            if *version == ProtocolVersion::V5 {
                properties.encode(out)?;
            }
            put_text(out, *client_id);
            if let Some(will) = will {
                will.encode(*version, out)?;
            }
            if let Some(user_name) = user_name {
                put_text(out, *user_name);
            }
            if let Some(password) = password {
                put_binary(out, *password);
            }
            Ok(())
        })
    }
}

impl<'a> Will<'a> {
    fn parse(version: ProtocolVersion, flags: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let qos = QoS::from_bits((flags & WILL_QOS) >> 3).ok_or(Fault::Malformed { what: "will QoS 3" })?;
        let retain = flags & WILL_RETAIN != 0;
        let properties = match version {
            ProtocolVersion::V311 => WillProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(reader)?,
        };
        let topic = reader.text("will topic").and_then(TopicName::from_text)?;
        let payload = reader.binary("will payload")?;
        Ok(Self { topic, payload, qos, retain, properties })
    }

    fn flags(&self) -> u8 {
        WILL | self.qos.bits() << 3 | if self.retain { WILL_RETAIN } else { 0 }
    }

    fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        if version == ProtocolVersion::V5 {
            self.properties.encode(out)?;
        }
        put_text(out, self.topic.text());
        put_binary(out, self.payload);
        Ok(())
    }
}

fn parse_version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, Fault> {
    let name = reader.text("protocol name")?;
    let level = reader.octet("protocol level")?;
    match name.as_str() {
        "MQTT" => ProtocolVersion::from_level(level).ok_or(Fault::UnsupportedProtocolVersion { level }),
        "MQIsdp" => Err(Fault::UnsupportedProtocolVersion { level }),
        _ => Err(Fault::Malformed { what: "protocol name" }),
    }
}

fn check_flags(version: ProtocolVersion, flags: u8) -> Result<(), Fault> {
    let malformed = |what| Err(Fault::Malformed { what });
    if flags & RESERVED != 0 {
        return malformed("reserved connect flag");
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return malformed("will flags without a will");
    }
    // 5.0 allows it (§3.1.2.9), 3.1.1 does not [MQTT-3.1.2-22 of 3.1.1].
    if version == ProtocolVersion::V311 && flags & USER_NAME == 0 && flags & PASSWORD != 0 {
        return malformed("password without a user name");
    }
    Ok(())
}
