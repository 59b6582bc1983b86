//! Which properties each 5.0 packet may carry, under which identifier (MQTT 5.0 table 2-4).
//!
//! One struct per packet, so that a property in the wrong packet is unknown there, and a caller cannot write one.

use core::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;

use crate::property::{PropertySet, Slot};
use crate::reader::Reader;
use crate::{Binary, Fault, SubscriptionIdentifier, Text, TopicAlias, TopicName, UserProperty};

macro_rules! property_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $slot:ty = $identifier:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name<'a> { $($(#[$field_doc])* pub $field: $slot),* }

        impl<'a> PropertySet<'a> for $name<'a> {
            fn read(&mut self, identifier: u8, reader: &mut Reader<'a>) -> Result<(), Fault> {
                match identifier {
                    $($identifier => Slot::fill(&mut self.$field, reader, stringify!($field)),)*
                    _ => Err(Fault::Malformed { what: "property unknown, or not of this packet" }),
                }
            }

            fn write(&self, out: &mut BytesMut) {
                $(Slot::put(&self.$field, $identifier, out);)*
            }
        }
    };
}

property_set! {
    /// CONNECT (§3.1.2.11).
    ConnectProperties {
        /// Seconds that the session outlives the connection; absent is 0.
        session_expiry_interval: Option<u32> = 0x11,
        /// QoS 1 and 2 messages that the client takes unanswered; absent is 65 535.
        receive_maximum: Option<NonZeroU16> = 0x21,
        /// Largest packet, in octets, that the client takes.
        maximum_packet_size: Option<NonZeroU32> = 0x27,
        /// Highest alias that the server may use; absent is 0.
        topic_alias_maximum: Option<u16> = 0x22,
        /// Whether CONNACK may carry response information.
        request_response_information: Option<bool> = 0x19,
        /// Whether reason strings may stand everywhere; absent is yes.
        request_problem_information: Option<bool> = 0x17,
        /// Extended authentication: its method.
        authentication_method: Option<Text<'a>> = 0x15,
        /// Extended authentication: its data.
        authentication_data: Option<Binary<'a>> = 0x16,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}

property_set! {
    /// The will inside CONNECT (§3.1.3.2).
    WillProperties {
        /// Seconds between the loss and the will.
        will_delay_interval: Option<u32> = 0x18,
        /// Whether the payload is UTF-8.
        payload_format_indicator: Option<bool> = 0x01,
        /// Lifetime of the message in seconds.
        message_expiry_interval: Option<u32> = 0x02,
        /// What the payload is, as the application says.
        content_type: Option<Text<'a>> = 0x03,
        /// Where an answer goes.
        response_topic: Option<TopicName<'a>> = 0x08,
        /// What an answer repeats.
        correlation_data: Option<Binary<'a>> = 0x09,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}

property_set! {
    /// CONNACK (§3.2.2.3).
    ConnackProperties {
        /// Session expiry, when the server chose another.
        session_expiry_interval: Option<u32> = 0x11,
        /// QoS 1 and 2 messages that the server takes unanswered.
        receive_maximum: Option<NonZeroU16> = 0x21,
        /// Highest QoS: `false` is 0, `true` is 1; absent is 2.
        maximum_qos: Option<bool> = 0x24,
        /// Whether retained messages are supported; absent is yes.
        retain_available: Option<bool> = 0x25,
        /// Largest packet, in octets, that the server takes.
        maximum_packet_size: Option<NonZeroU32> = 0x27,
        /// The client identifier that the server made.
        assigned_client_identifier: Option<Text<'a>> = 0x12,
        /// Highest alias that the client may use; absent is 0.
        topic_alias_maximum: Option<u16> = 0x22,
        /// Why, for people.
        reason_string: Option<Text<'a>> = 0x1f,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
        /// Whether wildcard subscriptions are supported; absent is yes.
        wildcard_subscription_available: Option<bool> = 0x28,
        /// Whether subscription identifiers are supported; absent is yes.
        subscription_identifier_available: Option<bool> = 0x29,
        /// Whether shared subscriptions are supported; absent is yes.
        shared_subscription_available: Option<bool> = 0x2a,
        /// Keep alive in seconds, when the server chose another; the client must obey.
        server_keep_alive: Option<u16> = 0x13,
        /// Base of response topics.
        response_information: Option<Text<'a>> = 0x1a,
        /// Another server to use.
        server_reference: Option<Text<'a>> = 0x1c,
        /// Extended authentication: its method.
        authentication_method: Option<Text<'a>> = 0x15,
        /// Extended authentication: its data.
        authentication_data: Option<Binary<'a>> = 0x16,
    }
}

property_set! {
    /// PUBLISH (§3.3.2.3).
    PublishProperties {
        /// Whether the payload is UTF-8.
        payload_format_indicator: Option<bool> = 0x01,
        /// Lifetime of the message in seconds.
        message_expiry_interval: Option<u32> = 0x02,
        /// Number for the topic; see [`crate::TopicAliases`].
        topic_alias: Option<TopicAlias> = 0x23,
        /// Where an answer goes.
        response_topic: Option<TopicName<'a>> = 0x08,
        /// What an answer repeats.
        correlation_data: Option<Binary<'a>> = 0x09,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
        /// Subscriptions that matched; only a server may send them.
        subscription_identifiers: Vec<SubscriptionIdentifier> = 0x0b,
        /// What the payload is, as the application says.
        content_type: Option<Text<'a>> = 0x03,
    }
}

property_set! {
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    AcknowledgementProperties {
        /// Why, for people.
        reason_string: Option<Text<'a>> = 0x1f,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}

property_set! {
    /// SUBSCRIBE (§3.8.2.1).
    SubscribeProperties {
        /// Number that messages of these subscriptions will carry.
        subscription_identifier: Option<SubscriptionIdentifier> = 0x0b,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}

property_set! {
    /// UNSUBSCRIBE (§3.10.2.1).
    UnsubscribeProperties {
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}

property_set! {
    /// DISCONNECT (§3.14.2.2).
    DisconnectProperties {
        /// New session expiry in seconds; only a client may send it.
        session_expiry_interval: Option<u32> = 0x11,
        /// Why, for people.
        reason_string: Option<Text<'a>> = 0x1f,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
        /// Another server to use; only a server may send it.
        server_reference: Option<Text<'a>> = 0x1c,
    }
}

property_set! {
    /// AUTH (§3.15.2.2).
    AuthProperties {
        /// Method, always present but in an empty AUTH.
        authentication_method: Option<Text<'a>> = 0x15,
        /// Data.
        authentication_data: Option<Binary<'a>> = 0x16,
        /// Why, for people.
        reason_string: Option<Text<'a>> = 0x1f,
        /// User properties.
        user_properties: Vec<UserProperty<'a>> = 0x26,
    }
}
