//! Reason codes of 5.0, the return codes of 3.1.1, which packet may carry which, and the way between them.

use crate::{Direction, Fault, PacketType};

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal),* $(,)?) => {
        /// MQTT 5.0 reason code (§2.4). From 0x80 upward it is a refusal or failure.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ReasonCode { $($(#[$doc])* $name = $value),* }

        impl ReasonCode {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code of an octet, when the standard has one.
            pub fn from_octet(octet: u8) -> Option<Self> {
                match octet { $($value => Some(Self::$name),)* _ => None }
            }
        }
    };
}

reason_codes! {
    /// Success; in DISCONNECT normal disconnection, in SUBACK granted QoS 0.
    #[default]
    Success = 0x00,
    /// Granted QoS 1.
    GrantedQoS1 = 0x01,
    /// Granted QoS 2.
    GrantedQoS2 = 0x02,
    /// The client leaves, but its will is to be published.
    DisconnectWithWill = 0x04,
    /// Accepted, nobody listens.
    NoMatchingSubscribers = 0x10,
    /// There was no such subscription.
    NoSubscriptionExisted = 0x11,
    /// Authentication goes on.
    ContinueAuthentication = 0x18,
    /// Authentication starts again.
    ReAuthenticate = 0x19,
    /// No better reason is told.
    UnspecifiedError = 0x80,
    /// Octets that are not MQTT.
    MalformedPacket = 0x81,
    /// MQTT, but not allowed here.
    ProtocolError = 0x82,
    /// Allowed by MQTT, not by this implementation.
    ImplementationSpecificError = 0x83,
    /// This version is not spoken.
    UnsupportedProtocolVersion = 0x84,
    /// The client identifier is not allowed.
    ClientIdentifierNotValid = 0x85,
    /// User name or password is wrong.
    BadUserNameOrPassword = 0x86,
    /// Not authorized.
    NotAuthorized = 0x87,
    /// The server is not available.
    ServerUnavailable = 0x88,
    /// The server is busy.
    ServerBusy = 0x89,
    /// This client is banned.
    Banned = 0x8a,
    /// The server stops.
    ServerShuttingDown = 0x8b,
    /// The authentication method is not known or changed.
    BadAuthenticationMethod = 0x8c,
    /// Nothing came for one and a half keep-alive times.
    KeepAliveTimeout = 0x8d,
    /// The same client identifier connected elsewhere.
    SessionTakenOver = 0x8e,
    /// The topic filter is well formed but not accepted.
    TopicFilterInvalid = 0x8f,
    /// The topic name is well formed but not accepted.
    TopicNameInvalid = 0x90,
    /// The packet identifier is in use.
    PacketIdentifierInUse = 0x91,
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92,
    /// More unanswered messages than allowed.
    ReceiveMaximumExceeded = 0x93,
    /// Topic alias zero, above the maximum, or unknown.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than accepted.
    PacketTooLarge = 0x95,
    /// Messages come too fast.
    MessageRateTooHigh = 0x96,
    /// A limit was exceeded.
    QuotaExceeded = 0x97,
    /// An administrator did it.
    AdministrativeAction = 0x98,
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99,
    /// Retained messages are not supported.
    RetainNotSupported = 0x9a,
    /// This QoS is not supported.
    QoSNotSupported = 0x9b,
    /// Use another server for now.
    UseAnotherServer = 0x9c,
    /// Use another server from now on.
    ServerMoved = 0x9d,
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9e,
    /// Connections come too fast.
    ConnectionRateExceeded = 0x9f,
    /// This connection may not last longer.
    MaximumConnectTime = 0xa0,
    /// Subscription identifiers are not supported.
    SubscriptionIdentifiersNotSupported = 0xa1,
    /// Wildcard subscriptions are not supported.
    WildcardSubscriptionsNotSupported = 0xa2,
}

use ReasonCode as R;

impl ReasonCode {
    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        self as u8
    }

    /// 0x80 and above.
    pub fn is_error(self) -> bool {
        self.octet() >= 0x80
    }

    /// What a 3.1.1 CONNACK says instead: the nearest of its five refusals, `NotAuthorized` failing one.
    pub fn return_code(self) -> ConnectReturnCode {
        match self {
            R::UnsupportedProtocolVersion => ConnectReturnCode::UnacceptableProtocolVersion,
            R::ClientIdentifierNotValid => ConnectReturnCode::IdentifierRejected,
            R::ServerUnavailable
            | R::ServerBusy
            | R::ServerShuttingDown
            | R::UseAnotherServer
            | R::ServerMoved
            | R::ConnectionRateExceeded
            | R::QuotaExceeded
            | R::UnspecifiedError => ConnectReturnCode::ServerUnavailable,
            R::BadUserNameOrPassword => ConnectReturnCode::BadUserNameOrPassword,
            other if other.is_error() => ConnectReturnCode::NotAuthorized,
            _ => ConnectReturnCode::Accepted,
        }
    }

    /// Whether the standard lists this code for a 5.0 packet from that side (§2.4, and the table of each packet).
    pub fn is_legal_in(self, packet: PacketType, from: Direction) -> bool {
        match packet {
            PacketType::Connack => {
                matches!(
                    self,
                    R::Success
                        | R::UnspecifiedError
                        | R::MalformedPacket
                        | R::ProtocolError
                        | R::ImplementationSpecificError
                        | R::UnsupportedProtocolVersion
                        | R::ClientIdentifierNotValid
                        | R::BadUserNameOrPassword
                        | R::NotAuthorized
                        | R::ServerUnavailable
                        | R::ServerBusy
                        | R::Banned
                        | R::BadAuthenticationMethod
                        | R::TopicNameInvalid
                        | R::PacketTooLarge
                        | R::QuotaExceeded
                        | R::PayloadFormatInvalid
                        | R::RetainNotSupported
                        | R::QoSNotSupported
                        | R::UseAnotherServer
                        | R::ServerMoved
                        | R::ConnectionRateExceeded
                )
            }
            PacketType::Puback | PacketType::Pubrec => matches!(
                self,
                R::Success
                    | R::NoMatchingSubscribers
                    | R::UnspecifiedError
                    | R::ImplementationSpecificError
                    | R::NotAuthorized
                    | R::TopicNameInvalid
                    | R::PacketIdentifierInUse
                    | R::QuotaExceeded
                    | R::PayloadFormatInvalid
            ),
            PacketType::Pubrel | PacketType::Pubcomp => {
                matches!(self, R::Success | R::PacketIdentifierNotFound)
            }
            PacketType::Suback => matches!(
                self,
                R::Success
                    | R::GrantedQoS1
                    | R::GrantedQoS2
                    | R::UnspecifiedError
                    | R::ImplementationSpecificError
                    | R::NotAuthorized
                    | R::TopicFilterInvalid
                    | R::PacketIdentifierInUse
                    | R::QuotaExceeded
                    | R::SharedSubscriptionsNotSupported
                    | R::SubscriptionIdentifiersNotSupported
                    | R::WildcardSubscriptionsNotSupported
            ),
            PacketType::Unsuback => matches!(
                self,
                R::Success
                    | R::NoSubscriptionExisted
                    | R::UnspecifiedError
                    | R::ImplementationSpecificError
                    | R::NotAuthorized
                    | R::TopicFilterInvalid
                    | R::PacketIdentifierInUse
            ),
            PacketType::Disconnect => self.is_legal_in_disconnect(from),
            PacketType::Auth => match from {
                Direction::ClientToServer => matches!(self, R::ContinueAuthentication | R::ReAuthenticate),
                Direction::ServerToClient => matches!(self, R::Success | R::ContinueAuthentication),
            },
            _ => false,
        }
    }

    /// Whether either side may put it into such a packet.
    pub(crate) fn is_known_in(self, packet: PacketType) -> bool {
        self.is_legal_in(packet, Direction::ClientToServer)
            || self.is_legal_in(packet, Direction::ServerToClient)
    }

    /// Reads the reason octet of such a packet.
    pub(crate) fn parse(octet: u8, packet: PacketType) -> Result<Self, Fault> {
        Self::from_octet(octet)
            .filter(|reason| reason.is_known_in(packet))
            .ok_or(Fault::Malformed { what: "reason code unknown, or not of this packet" })
    }

    /// Bad authentication method stands in the list of §2.4 but not in the table of §3.14.2.1: accepted.
    fn is_legal_in_disconnect(self, from: Direction) -> bool {
        let from_either = matches!(
            self,
            R::Success
                | R::UnspecifiedError
                | R::MalformedPacket
                | R::ProtocolError
                | R::ImplementationSpecificError
                | R::TopicNameInvalid
                | R::ReceiveMaximumExceeded
                | R::TopicAliasInvalid
                | R::PacketTooLarge
                | R::MessageRateTooHigh
                | R::QuotaExceeded
                | R::AdministrativeAction
                | R::PayloadFormatInvalid
        );
        let from_this = match from {
            Direction::ClientToServer => matches!(self, R::DisconnectWithWill),
            Direction::ServerToClient => matches!(
                self,
                R::NotAuthorized
                    | R::ServerBusy
                    | R::ServerShuttingDown
                    | R::BadAuthenticationMethod
                    | R::KeepAliveTimeout
                    | R::SessionTakenOver
                    | R::TopicFilterInvalid
                    | R::RetainNotSupported
                    | R::QoSNotSupported
                    | R::UseAnotherServer
                    | R::ServerMoved
                    | R::SharedSubscriptionsNotSupported
                    | R::ConnectionRateExceeded
                    | R::MaximumConnectTime
                    | R::SubscriptionIdentifiersNotSupported
                    | R::WildcardSubscriptionsNotSupported
            ),
        };
        from_either || from_this
    }
}

/// CONNACK return code of 3.1.1 (§3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConnectReturnCode {
    /// Welcome.
    Accepted = 0,
    /// This version is not spoken.
    UnacceptableProtocolVersion = 1,
    /// The client identifier is not allowed.
    IdentifierRejected = 2,
    /// The server is not available.
    ServerUnavailable = 3,
    /// User name or password is wrong.
    BadUserNameOrPassword = 4,
    /// Not authorized.
    NotAuthorized = 5,
}

impl ConnectReturnCode {
    /// The code of an octet, when the standard has one.
    pub fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Accepted,
            1 => Self::UnacceptableProtocolVersion,
            2 => Self::IdentifierRejected,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// The octet on the wire.
    pub fn octet(self) -> u8 {
        self as u8
    }

    /// The same in the words of 5.0.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Accepted => R::Success,
            Self::UnacceptableProtocolVersion => R::UnsupportedProtocolVersion,
            Self::IdentifierRejected => R::ClientIdentifierNotValid,
            Self::ServerUnavailable => R::ServerUnavailable,
            Self::BadUserNameOrPassword => R::BadUserNameOrPassword,
            Self::NotAuthorized => R::NotAuthorized,
        }
    }
}
