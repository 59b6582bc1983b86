//! What a peer did wrong, and the MQTT 5.0 reason code that says so. The peer must act; we close.

use crate::{PacketType, ReasonCode};

/// Octets or an order of packets that MQTT forbids, or that exceed a bound of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The octets cannot be parsed by the rules of the packet (MQTT 5.0 §4.13.1).
    #[error("malformed packet: {what}")]
    Malformed {
        /// What is wrong, in a few words without peer data.
        what: &'static str,
    },
    /// The packet ends inside a field.
    #[error("malformed packet: it ends inside the {field}")]
    Truncated {
        /// The field that is not whole.
        field: &'static str,
    },
    /// Well formed, but not allowed in this place or with these values.
    #[error("protocol error: {what}")]
    ProtocolError {
        /// What is wrong, in a few words without peer data.
        what: &'static str,
    },
    /// A packet that this side may not send, or may not send now.
    #[error("protocol error: {packet} {why}")]
    OutOfOrder {
        /// The packet that came.
        packet: PacketType,
        /// Why it may not come here.
        why: &'static str,
    },
    /// The fixed header announces more octets than the reader accepts. Nothing of it was kept.
    #[error("a packet of {octets} octets is announced, at most {max} are accepted")]
    PacketTooLarge {
        /// Whole packet as announced, fixed header included.
        octets: usize,
        /// Bound of the reader.
        max: usize,
    },
    /// More repeated elements in one packet than are accepted.
    #[error("more than {max} {what} in one packet")]
    TooMany {
        /// The repeated element.
        what: &'static str,
        /// Bound.
        max: usize,
    },
    /// A CONNECT of a version that is not spoken here.
    #[error("protocol level {level} is not supported, only 4 (3.1.1) and 5 (5.0) are")]
    UnsupportedProtocolVersion {
        /// The level octet; 3 is MQTT 3.1.
        level: u8,
    },
    /// No client identifier where the version demands one [MQTT-3.1.3-8 of 3.1.1].
    #[error("an empty client identifier needs a clean session")]
    ClientIdentifierNotValid,
    /// A topic alias that is zero, above the bound, or not set before.
    #[error("topic alias {alias} is not valid here")]
    TopicAliasInvalid {
        /// The alias as sent.
        alias: u16,
    },
}

impl Fault {
    /// The code for DISCONNECT or CONNACK in 5.0; through [`ReasonCode::return_code`] also for a 3.1.1 CONNACK.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Malformed { .. } | Self::Truncated { .. } => ReasonCode::MalformedPacket,
            Self::ProtocolError { .. } | Self::OutOfOrder { .. } => ReasonCode::ProtocolError,
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::TooMany { .. } => ReasonCode::ImplementationSpecificError,
            Self::UnsupportedProtocolVersion { .. } => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientIdentifierNotValid => ReasonCode::ClientIdentifierNotValid,
            Self::TopicAliasInvalid { .. } => ReasonCode::TopicAliasInvalid,
        }
    }
}
