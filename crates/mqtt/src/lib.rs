//! A bounded, strict MQTT codec for 3.1.1 (OASIS 2014) and 5.0 (OASIS 2019), without I/O.
//!
//! In: octets in any fragments ([`FrameReader`]). Out: whole packets as [`Frame`]s, whose exact octets can be
//! forwarded untouched, and borrowed [`Packet`]s to look at; the same packet structs encode themselves.
//! Both directions, client and server, use it. No socket, clock or session state may live here, and no
//! decision about who may publish what: only whether octets are MQTT.
//! `[MQTT-x.y.z-n]` in comments is a conformance statement of MQTT 5.0 (with its 3.1.1 twin where one exists).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acknowledge;
mod alias;
mod authenticate;
mod connack;
mod connect;
mod disconnect;
mod encode;
mod fault;
mod frame;
mod order;
mod packet;
mod packet_type;
mod property;
mod property_sets;
mod publish;
mod reader;
mod reason;
mod subscribe;
mod text;
mod topic;
mod unsubscribe;
mod version;

pub use acknowledge::Acknowledgement;
pub use alias::TopicAliases;
pub use authenticate::Auth;
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use encode::Unencodable;
pub use fault::Fault;
pub use frame::{Frame, FrameReader, PACKET_OCTETS_MAX};
pub use order::{Direction, PacketOrder};
pub use packet::Packet;
pub use packet_type::PacketType;
pub use property::{REPEATED_PROPERTIES_MAX, SubscriptionIdentifier, TopicAlias, UserProperty};
pub use property_sets::{
    AcknowledgementProperties, AuthProperties, ConnackProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, UnsubscribeProperties, WillProperties,
};
pub use publish::{Delivery, PacketId, Publish, QoS};
pub use reason::{ConnectReturnCode, ReasonCode};
pub use subscribe::{FILTERS_PER_PACKET_MAX, RetainHandling, Suback, Subscribe, Subscription};
pub use text::{Binary, Text};
pub use topic::{TopicFilter, TopicName};
pub use unsubscribe::{Unsuback, Unsubscribe};
pub use version::ProtocolVersion;
