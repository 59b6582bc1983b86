//! The control packet types and the flags that their first octet must carry.

use crate::Fault;

/// MQTT control packet type, the high nibble of the first octet (MQTT 5.0 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Client asks for a connection.
    Connect = 1,
    /// Server answers CONNECT.
    Connack = 2,
    /// A message, either way.
    Publish = 3,
    /// Answer to a QoS 1 PUBLISH.
    Puback = 4,
    /// QoS 2, first answer.
    Pubrec = 5,
    /// QoS 2, release.
    Pubrel = 6,
    /// QoS 2, end.
    Pubcomp = 7,
    /// Client asks for messages.
    Subscribe = 8,
    /// Server answers SUBSCRIBE.
    Suback = 9,
    /// Client wants no more of them.
    Unsubscribe = 10,
    /// Server answers UNSUBSCRIBE.
    Unsuback = 11,
    /// Client is alive.
    Pingreq = 12,
    /// Server is alive.
    Pingresp = 13,
    /// Last word; in 5.0 from either side.
    Disconnect = 14,
    /// Extended authentication, 5.0 only.
    Auth = 15,
}

impl PacketType {
    /// Reads a first octet: the type, after the reserved flag bits were checked [MQTT-2.1.3-1].
    pub fn from_first_octet(octet: u8) -> Result<Self, Fault> {
        let packet_type = match octet >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return Err(Fault::Malformed { what: "packet type 0" }),
        };
        if packet_type != Self::Publish && octet & 0x0f != packet_type.reserved_flags() {
            return Err(Fault::Malformed { what: "reserved bits of the fixed header" });
        }
        Ok(packet_type)
    }

    /// First octet of every packet of this type but PUBLISH, whose low nibble varies.
    pub(crate) fn first_octet(self) -> u8 {
        (self as u8) << 4 | self.reserved_flags()
    }

    /// The type's name as the standard writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    fn reserved_flags(self) -> u8 {
        match self {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl core::fmt::Display for PacketType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}
