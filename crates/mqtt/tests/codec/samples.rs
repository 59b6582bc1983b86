//! Named packets of both versions: every type, bare and with everything that it may carry.

use core::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use touchmark_mqtt::*;

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) version: ProtocolVersion,
    pub(crate) packet: Packet<'static>,
}

impl Sample {
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        self.packet.encode(self.version, &mut out).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        out.to_vec()
    }
}

pub(crate) fn text(text: &'static str) -> Text<'static> {
    Text::new(text).unwrap()
}

pub(crate) fn topic(name: &'static str) -> TopicName<'static> {
    TopicName::new(name).unwrap()
}

pub(crate) fn filter(filter: &'static str) -> TopicFilter<'static> {
    TopicFilter::new(filter).unwrap()
}

pub(crate) fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn bytes(octets: &'static [u8]) -> Binary<'static> {
    Binary::new(octets).unwrap()
}

fn user() -> Vec<UserProperty<'static>> {
    // Names may repeat.
    vec![
        UserProperty { name: text("a"), value: text("b") },
        UserProperty { name: text("a"), value: text("") },
    ]
}

pub(crate) fn samples() -> Vec<Sample> {
    let mut all: Vec<Sample> =
        common(ProtocolVersion::V311).into_iter().chain(common(ProtocolVersion::V5)).collect();
    all.extend(full());
    all
}

/// What both versions can say.
fn common(version: ProtocolVersion) -> Vec<Sample> {
    let at_least = Delivery::AtLeastOnce { packet_id: packet_id(10), duplicate: true };
    let exactly = Delivery::ExactlyOnce { packet_id: packet_id(0xffff), duplicate: false };
    let acknowledgement = |number| Acknowledgement::new(packet_id(number), ReasonCode::Success);
    let connect = Connect::new(version, text("pump-1"));
    let full_connect = Connect {
        clean_start: false,
        keep_alive_s: 0xffff,
        will: Some(Will {
            topic: topic("plant/pump-1/gone"),
            payload: bytes(b"\x00\x01"),
            qos: QoS::ExactlyOnce,
            retain: true,
            properties: WillProperties::default(),
        }),
        user_name: Some(text("pump-1")),
        password: Some(bytes(b"\xff\x00")),
        ..connect.clone()
    };
    let retained =
        Publish { retain: true, ..Publish::new(Delivery::AtMostOnce, topic("plant/pump-1/level"), b"42") };
    let subscriptions = vec![
        Subscription::new(filter("cmd/pump-1/#"), QoS::AtLeastOnce),
        Subscription::new(filter("$share/group/+/x"), QoS::ExactlyOnce),
    ];
    let properties = AcknowledgementProperties::default;
    let packets: Vec<(&'static str, Packet<'static>)> = vec![
        ("connect", connect.into()),
        ("connect-credentials-will", full_connect.into()),
        ("connect-empty-id", Connect::new(version, text("")).into()),
        ("connack", Connack { session_present: true, ..Connack::default() }.into()),
        ("connack-refused", Connack::refusal(ReasonCode::NotAuthorized, None).into()),
        ("publish-qos0-retain", retained.into()),
        ("publish-qos1-dup", Publish::new(at_least, topic("a/b"), b"").into()),
        ("publish-qos2-long", Publish::new(exactly, topic("/\u{e9}/\u{1f600}"), &[0x55; 200]).into()),
        ("puback", Packet::Puback(acknowledgement(10))),
        ("pubrec", Packet::Pubrec(acknowledgement(11))),
        ("pubrel", Packet::Pubrel(acknowledgement(12))),
        ("pubcomp", Packet::Pubcomp(acknowledgement(13))),
        (
            "subscribe",
            Subscribe {
                packet_id: packet_id(20),
                properties: SubscribeProperties::default(),
                subscriptions: subscriptions.clone(),
            }
            .into(),
        ),
        (
            "suback",
            Suback {
                packet_id: packet_id(20),
                properties: properties(),
                reasons: vec![ReasonCode::GrantedQoS1, ReasonCode::UnspecifiedError],
            }
            .into(),
        ),
        (
            "unsubscribe",
            Unsubscribe {
                packet_id: packet_id(21),
                properties: UnsubscribeProperties::default(),
                filters: vec![filter("cmd/pump-1/#"), filter("#")],
            }
            .into(),
        ),
        ("unsuback", unsuback(version)),
        ("pingreq", Packet::Pingreq),
        ("pingresp", Packet::Pingresp),
        ("disconnect", Disconnect::default().into()),
    ];
    packets.into_iter().map(|(name, packet)| Sample { name, version, packet }).collect()
}

fn unsuback(version: ProtocolVersion) -> Packet<'static> {
    let reasons = match version {
        ProtocolVersion::V311 => vec![],
        ProtocolVersion::V5 => vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted],
    };
    Unsuback { packet_id: packet_id(21), properties: AcknowledgementProperties::default(), reasons }.into()
}

/// 5.0 packets with every property that they may carry.
fn full() -> Vec<Sample> {
    let reason_string = Some(text("device revoked"));
    let receive_maximum = NonZeroU16::new(20);
    let maximum_packet_size = NonZeroU32::new(65_536);
    let connect = Connect {
        properties: ConnectProperties {
            session_expiry_interval: Some(3600),
            receive_maximum,
            maximum_packet_size,
            topic_alias_maximum: Some(10),
            request_response_information: Some(true),
            request_problem_information: Some(false),
            authentication_method: Some(text("SCRAM")),
            authentication_data: Some(bytes(b"\x01")),
            user_properties: user(),
        },
        will: Some(Will {
            topic: topic("gone"),
            payload: bytes(b""),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: WillProperties {
                will_delay_interval: Some(5),
                payload_format_indicator: Some(true),
                message_expiry_interval: Some(60),
                content_type: Some(text("text/plain")),
                response_topic: Some(topic("answers")),
                correlation_data: Some(bytes(b"\x00\xff")),
                user_properties: user(),
            },
        }),
        // 5.0 allows a password alone.
        password: Some(bytes(b"secret")),
        ..Connect::new(ProtocolVersion::V5, text("pump-1"))
    };
    let connack = Connack {
        session_present: false,
        reason: ReasonCode::Success,
        properties: ConnackProperties {
            session_expiry_interval: Some(0),
            receive_maximum,
            maximum_qos: Some(true),
            retain_available: Some(false),
            maximum_packet_size,
            assigned_client_identifier: Some(text("pump-1")),
            topic_alias_maximum: Some(0),
            reason_string,
            user_properties: user(),
            wildcard_subscription_available: Some(true),
            subscription_identifier_available: Some(true),
            shared_subscription_available: Some(false),
            server_keep_alive: Some(30),
            response_information: Some(text("answers/")),
            server_reference: Some(text("other:8883")),
            authentication_method: Some(text("SCRAM")),
            authentication_data: Some(bytes(b"\x02")),
        },
    };
    let publish = Publish {
        topic: None,
        properties: PublishProperties {
            payload_format_indicator: Some(false),
            message_expiry_interval: Some(1),
            topic_alias: Some(TopicAlias(NonZeroU16::new(7).unwrap())),
            response_topic: Some(topic("answers/1")),
            correlation_data: Some(bytes(b"id")),
            user_properties: user(),
            subscription_identifiers: vec![
                SubscriptionIdentifier::new(1).unwrap(),
                SubscriptionIdentifier::new(268_435_455).unwrap(),
            ],
            content_type: Some(text("application/cbor")),
        },
        ..Publish::new(
            Delivery::AtLeastOnce { packet_id: packet_id(1), duplicate: false },
            topic("unused"),
            b"payload",
        )
    };
    let said = AcknowledgementProperties { reason_string, user_properties: user() };
    let acknowledgement =
        |reason| Acknowledgement { packet_id: packet_id(9), reason, properties: said.clone() };
    let subscription = Subscription {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..Subscription::new(filter("+"), QoS::AtMostOnce)
    };
    let packets: Vec<(&'static str, Packet<'static>)> = vec![
        ("connect-full", connect.into()),
        ("connack-full", connack.into()),
        ("connack-banned", Connack::refusal(ReasonCode::Banned, reason_string).into()),
        ("publish-full", publish.into()),
        ("puback-denied", Packet::Puback(Acknowledgement::new(packet_id(9), ReasonCode::NotAuthorized))),
        ("puback-full", Packet::Puback(acknowledgement(ReasonCode::NotAuthorized))),
        ("pubrec-full", Packet::Pubrec(acknowledgement(ReasonCode::QuotaExceeded))),
        ("pubrel-full", Packet::Pubrel(acknowledgement(ReasonCode::PacketIdentifierNotFound))),
        ("pubcomp-full", Packet::Pubcomp(acknowledgement(ReasonCode::Success))),
        (
            "subscribe-full",
            Subscribe {
                packet_id: packet_id(3),
                properties: SubscribeProperties {
                    subscription_identifier: SubscriptionIdentifier::new(128),
                    user_properties: user(),
                },
                subscriptions: vec![subscription],
            }
            .into(),
        ),
        (
            "suback-full",
            Suback {
                packet_id: packet_id(3),
                properties: said.clone(),
                reasons: vec![ReasonCode::NotAuthorized, ReasonCode::TopicFilterInvalid],
            }
            .into(),
        ),
        (
            "unsubscribe-full",
            Unsubscribe {
                packet_id: packet_id(4),
                properties: UnsubscribeProperties { user_properties: user() },
                filters: vec![filter("/"), filter("$SYS/#")],
            }
            .into(),
        ),
        (
            "unsuback-full",
            Unsuback {
                packet_id: packet_id(4),
                properties: said,
                reasons: vec![ReasonCode::Success, ReasonCode::NotAuthorized],
            }
            .into(),
        ),
        ("disconnect-revoked", Disconnect::because(ReasonCode::AdministrativeAction, reason_string).into()),
        ("disconnect-taken-over", Disconnect::because(ReasonCode::SessionTakenOver, None).into()),
        (
            "disconnect-full",
            Disconnect {
                reason: ReasonCode::Success,
                properties: DisconnectProperties {
                    session_expiry_interval: Some(1),
                    reason_string,
                    user_properties: user(),
                    server_reference: Some(text("other")),
                },
            }
            .into(),
        ),
        ("auth-empty", Auth::default().into()),
        (
            "auth-full",
            Auth {
                reason: ReasonCode::ContinueAuthentication,
                properties: AuthProperties {
                    authentication_method: Some(text("SCRAM")),
                    authentication_data: Some(bytes(b"\x03")),
                    reason_string,
                    user_properties: user(),
                },
            }
            .into(),
        ),
    ];
    packets.into_iter().map(|(name, packet)| Sample { name, version: ProtocolVersion::V5, packet }).collect()
}
