//! Every control packet under one roof: reading a [`Frame`] by version, writing, and converting.

use bytes::BytesMut;

use crate::encode::{Unencodable, Written, packet_of};
use crate::reader::Reader;
use crate::{
    Acknowledgement, Auth, Connack, Connect, Disconnect, Fault, Frame, PACKET_OCTETS_MAX, PacketType,
    ProtocolVersion, Publish, Suback, Subscribe, Unsuback, Unsubscribe,
};

/// A control packet. It borrows from its frame; the two large ones are boxed to keep PUBLISH small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client asks for a connection.
    Connect(Box<Connect<'a>>),
    /// Server answers.
    Connack(Box<Connack<'a>>),
    /// A message.
    Publish(Publish<'a>),
    /// QoS 1 answered.
    Puback(Acknowledgement<'a>),
    /// QoS 2 received.
    Pubrec(Acknowledgement<'a>),
    /// QoS 2 released.
    Pubrel(Acknowledgement<'a>),
    /// QoS 2 complete.
    Pubcomp(Acknowledgement<'a>),
    /// Client asks for messages.
    Subscribe(Subscribe<'a>),
    /// Server answers.
    Suback(Suback<'a>),
    /// Client wants no more.
    Unsubscribe(Unsubscribe<'a>),
    /// Server answers.
    Unsuback(Unsuback<'a>),
    /// Client is alive.
    Pingreq,
    /// Server is alive.
    Pingresp,
    /// Last packet.
    Disconnect(Disconnect<'a>),
    /// Extended authentication.
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    pub(crate) fn parse(version: ProtocolVersion, frame: &'a Frame) -> Result<Self, Fault> {
        let body = frame.body();
        let acknowledgement = |packet| Acknowledgement::parse(version, packet, body);
        Ok(match frame.packet_type() {
            PacketType::Connect => Self::Connect(Box::new(Connect::parse(body)?)),
            PacketType::Connack => Self::Connack(Box::new(Connack::parse(version, body)?)),
            PacketType::Publish => Self::Publish(Publish::parse(version, frame.flags(), body)?),
            PacketType::Puback => Self::Puback(acknowledgement(PacketType::Puback)?),
            PacketType::Pubrec => Self::Pubrec(acknowledgement(PacketType::Pubrec)?),
            PacketType::Pubrel => Self::Pubrel(acknowledgement(PacketType::Pubrel)?),
            PacketType::Pubcomp => Self::Pubcomp(acknowledgement(PacketType::Pubcomp)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::parse(version, body)?),
            PacketType::Suback => Self::Suback(Suback::parse(version, body)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::parse(version, body)?),
            PacketType::Unsuback => Self::Unsuback(Unsuback::parse(version, body)?),
            PacketType::Pingreq => Reader::new(body).finish().map(|()| Self::Pingreq)?,
            PacketType::Pingresp => Reader::new(body).finish().map(|()| Self::Pingresp)?,
            PacketType::Disconnect => Self::Disconnect(Disconnect::parse(version, body)?),
            PacketType::Auth => Self::Auth(Auth::parse(version, body)?),
        })
    }

    /// The packet's type.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet to `out`, in the words of `version`; a CONNECT is written in its own.
    ///
    /// On failure `out` is as it was. What 3.1.1 cannot say is refused, except where a packet's own `encode` says
    /// otherwise.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Result<(), Unencodable> {
        self.encode_within(version, PACKET_OCTETS_MAX, out)
    }

    /// As [`Self::encode`], but no longer than the peer's Maximum Packet Size [MQTT-3.1.2-24]. When it does not fit,
    /// a sender leaves out reason string and user properties and tries again [MQTT-3.2.2-19].
    pub fn encode_within(
        &self,
        version: ProtocolVersion,
        packet_octets_max: usize,
        out: &mut BytesMut,
    ) -> Result<(), Unencodable> {
        let start = out.len();
        self.write(version, out).inspect_err(|_| out.truncate(start))?;
        let octets = out.len() - start;
        if octets > packet_octets_max {
            out.truncate(start);
            return Err(Unencodable::TooLong { octets, max: packet_octets_max });
        }
        Ok(())
    }

    fn write(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::Connack(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::Puback(puback) => puback.encode(version, PacketType::Puback, out),
            Self::Pubrec(pubrec) => pubrec.encode(version, PacketType::Pubrec, out),
            Self::Pubrel(pubrel) => pubrel.encode(version, PacketType::Pubrel, out),
            Self::Pubcomp(pubcomp) => pubcomp.encode(version, PacketType::Pubcomp, out),
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::Suback(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::Unsuback(unsuback) => unsuback.encode(version, out),
            Self::Pingreq => packet_of(out, PacketType::Pingreq, |_| Ok(())),
            Self::Pingresp => packet_of(out, PacketType::Pingresp, |_| Ok(())),
            Self::Disconnect(disconnect) => disconnect.encode(version, out),
            Self::Auth(auth) => auth.encode(version, out),
        }
    }
}

impl<'a> From<Connect<'a>> for Packet<'a> {
    fn from(connect: Connect<'a>) -> Self {
        Self::Connect(Box::new(connect))
    }
}

impl<'a> From<Connack<'a>> for Packet<'a> {
    fn from(connack: Connack<'a>) -> Self {
        Self::Connack(Box::new(connack))
    }
}

impl<'a> From<Publish<'a>> for Packet<'a> {
    fn from(publish: Publish<'a>) -> Self {
        Self::Publish(publish)
    }
}

impl<'a> From<Subscribe<'a>> for Packet<'a> {
    fn from(subscribe: Subscribe<'a>) -> Self {
        Self::Subscribe(subscribe)
    }
}

impl<'a> From<Suback<'a>> for Packet<'a> {
    fn from(suback: Suback<'a>) -> Self {
        Self::Suback(suback)
    }
}

impl<'a> From<Unsubscribe<'a>> for Packet<'a> {
    fn from(unsubscribe: Unsubscribe<'a>) -> Self {
        Self::Unsubscribe(unsubscribe)
    }
}

impl<'a> From<Unsuback<'a>> for Packet<'a> {
    fn from(unsuback: Unsuback<'a>) -> Self {
        Self::Unsuback(unsuback)
    }
}

impl<'a> From<Disconnect<'a>> for Packet<'a> {
    fn from(disconnect: Disconnect<'a>) -> Self {
        Self::Disconnect(disconnect)
    }
}

impl<'a> From<Auth<'a>> for Packet<'a> {
    fn from(auth: Auth<'a>) -> Self {
        Self::Auth(auth)
    }
}
