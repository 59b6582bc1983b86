//! Denials and ends in MQTT's words: reason codes, reason strings, and the last packet of a session.

use super::broker_sessions::ends_at_broker;
use bytes::{Bytes, BytesMut};
use touchmark_decisions::CloseCause;
use touchmark_mqtt::{Connack, Disconnect, Fault, Packet, ProtocolVersion, ReasonCode, Text};
use touchmark_policy::{Denial, DenyReason};

/// Code, and what the person who can act does next; the rule where one forbade.
pub(crate) fn reason_text(denial: &Denial) -> String {
    let (code, next) = (denial.reason.code(), denial.reason.next_step());
    match &denial.rule {
        Some(rule) => format!("{code} (rule {rule}): {next}"),
        None => format!("{code}: {next}"),
    }
}

/// The reason code of a CONNACK that refuses; for 3.1.1 the codec turns it into its return code.
pub(crate) fn connack_reason(reason: DenyReason) -> ReasonCode {
    match reason {
        DenyReason::Banned => ReasonCode::Banned,
        DenyReason::LogUnavailable => ReasonCode::ServerUnavailable,
        DenyReason::TooManySessions | DenyReason::TooManyClientIds | DenyReason::Rate => {
            ReasonCode::QuotaExceeded
        }
        _ => ReasonCode::NotAuthorized,
    }
}

/// A refusing CONNACK that says why.
pub(crate) fn refusing_connack(version: ProtocolVersion, denial: &Denial) -> Bytes {
    connack(version, connack_reason(denial.reason), &reason_text(denial))
}

pub(crate) fn connack(version: ProtocolVersion, reason: ReasonCode, says: &str) -> Bytes {
    let text = Text::new(says).ok().filter(|_| version == ProtocolVersion::V5);
    encoded(version, &Connack::refusal(reason, text).into())
}

/// How a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client sent DISCONNECT.
    Goodbye,
    /// The client sent DISCONNECT and asked for its will (0x04).
    GoodbyeWithWill,
    /// The client's connection broke.
    Lost,
    /// Nothing came for one and a half keep-alive times.
    Idle,
    /// The gateway stops.
    Shutdown,
    /// The broker closed or could not be reached.
    UpstreamGone,
    /// The broker sent DISCONNECT, which the client has got.
    UpstreamGoodbye,
    /// An act was denied that can only be answered by an end, or the session may not go on.
    Denied(Denial),
    /// The same, and the broker holds something that may never be handed out: its session ends as well.
    Withdrawn(Denial),
    /// More acts were denied in a second than are written down one by one.
    DeniedTooOften(DenyReason),
    /// The client broke the protocol.
    Broken(Fault),
    /// The client used more than it may.
    Exceeded(ReasonCode),
}

impl Ending {
    pub(crate) fn cut(reason: DenyReason) -> Self {
        Self::Denied(Denial::because(reason))
    }

    /// For the record.
    pub(crate) fn cause(&self) -> CloseCause {
        match self {
            Self::Goodbye | Self::GoodbyeWithWill => CloseCause::Peer,
            Self::Lost | Self::UpstreamGone | Self::UpstreamGoodbye => CloseCause::Lost,
            Self::Idle => CloseCause::Idle,
            Self::Shutdown => CloseCause::Shutdown,
            Self::Denied(denial) | Self::Withdrawn(denial) => CloseCause::Cut(denial.reason),
            Self::DeniedTooOften(reason) => CloseCause::Cut(*reason),
            Self::Broken(Fault::PacketTooLarge { .. }) => CloseCause::Cut(DenyReason::PacketTooLarge),
            Self::Broken(_) | Self::Exceeded(_) => CloseCause::Cut(DenyReason::MalformedPacket),
        }
    }

    /// Why the client's will may not be said: not for a device that is no longer trusted.
    pub(crate) fn forbids_will(&self) -> Option<DenyReason> {
        match self {
            Self::Goodbye
            | Self::GoodbyeWithWill
            | Self::Lost
            | Self::Idle
            | Self::Shutdown
            | Self::UpstreamGone
            | Self::UpstreamGoodbye
            | Self::DeniedTooOften(_)
            | Self::Broken(_)
            | Self::Exceeded(_) => None,
            Self::Denied(denial) | Self::Withdrawn(denial) => match denial.reason {
                DenyReason::SessionTakenOver
                | DenyReason::NoRule
                | DenyReason::ForbiddenByRule
                | DenyReason::ReservedTopic
                | DenyReason::ReleaseUnknown
                | DenyReason::ResponseTopicNotPermitted
                | DenyReason::TopicInvalid
                | DenyReason::Rate => None,
                reason => Some(reason),
            },
        }
    }

    /// Whether what the broker keeps of the session has to end with it.
    pub(crate) fn ends_at_broker(&self) -> bool {
        match self {
            Self::Withdrawn(_) => true,
            // Not a single act that was denied: that ends a connection only.
            Self::Denied(Denial { reason: DenyReason::NoRule | DenyReason::ForbiddenByRule, .. }) => false,
            Self::Denied(denial) => ends_at_broker(denial.reason),
            _ => false,
        }
    }

    /// Whether the connection to the broker is of no use any more.
    pub(crate) fn lost_the_broker(&self) -> bool {
        matches!(self, Self::UpstreamGone | Self::UpstreamGoodbye)
    }

    /// The server's DISCONNECT; 3.1.1 has none.
    pub(crate) fn disconnect(&self, version: ProtocolVersion) -> Option<Bytes> {
        if version == ProtocolVersion::V311 {
            return None;
        }
        let (reason, says) = match self {
            Self::Goodbye | Self::GoodbyeWithWill | Self::Lost | Self::UpstreamGoodbye => return None,
            Self::Idle => {
                (ReasonCode::KeepAliveTimeout, "nothing came for one and a half keep-alive times".to_owned())
            }
            Self::Shutdown => {
                (ReasonCode::ServerShuttingDown, "the gateway stops; connect again soon".to_owned())
            }
            Self::UpstreamGone => (
                ReasonCode::UnspecifiedError,
                "the broker behind the gateway is gone; connect again soon".to_owned(),
            ),
            Self::Denied(denial) | Self::Withdrawn(denial) => {
                (disconnect_reason(denial.reason), reason_text(denial))
            }
            Self::DeniedTooOften(reason) => (
                ReasonCode::QuotaExceeded,
                format!("too many denials in a second; the last: {}: {}", reason.code(), reason.next_step()),
            ),
            Self::Broken(fault) => (fault.reason_code(), fault.to_string()),
            Self::Exceeded(reason) => (*reason, "more than this session may use".to_owned()),
        };
        Some(encoded(version, &Disconnect::because(reason, Text::new(&says).ok()).into()))
    }
}

fn disconnect_reason(reason: DenyReason) -> ReasonCode {
    match reason {
        DenyReason::SessionTakenOver => ReasonCode::SessionTakenOver,
        DenyReason::Rate => ReasonCode::QuotaExceeded,
        DenyReason::PolicyChanged
        | DenyReason::NoRule
        | DenyReason::ForbiddenByRule
        | DenyReason::ReservedTopic
        | DenyReason::ReleaseUnknown
        | DenyReason::ResponseTopicNotPermitted
        | DenyReason::TopicInvalid
        | DenyReason::LogUnavailable => ReasonCode::NotAuthorized,
        // Somebody decided it about this device: revoked, quarantined, banned, superseded, a stale feed.
        _ => ReasonCode::AdministrativeAction,
    }
}

/// Encodes a packet of ours. All of them are short and legal; one that is not is left out.
pub(crate) fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Bytes {
    let mut out = BytesMut::new();
    if let Err(error) = packet.encode(version, &mut out) {
        tracing::error!(%error, "a packet of ours cannot be written");
    }
    out.freeze()
}
