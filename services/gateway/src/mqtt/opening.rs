//! CONNECT and CONNACK on their way through: whose client id, what the broker is told, what the client is told.

use super::Welcome;
use super::publish_once;
use super::refusal::encoded;
use super::releases::UNRELEASED_MAX;
use super::wire::PACKET_OCTETS_MAX;
use core::num::{NonZeroU16, NonZeroU32};
use touchmark_identity::Name;
use touchmark_mqtt::{
    Connack, ConnackProperties, Connect, ConnectProperties, Fault, Frame, Packet, ProtocolVersion,
    ReasonCode, Text,
};

/// Longest time for which a broker keeps the session of a device that is away: over a weekend and a holiday. Its queue
/// and its shared subscriptions are held by the broker as long.
pub(crate) const SESSION_EXPIRY_MAX_S: u32 = 7 * 24 * 3600;
/// Longest suffix of a client id: names a part of the device.
const SUFFIX_OCTETS_MAX: usize = 64;

/// A CONNECT, and what its client id comes to.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) connect: Connect<'a>,
    pub(crate) greeting: Greeting,
}

/// Whom the client says it is, and who that makes it upstream.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// The client id upstream: as given, or the handle.
    pub(crate) client_id: String,
    /// It is the handle, or `handle/suffix`.
    pub(crate) acceptable: bool,
    given: bool,
}

impl Greeting {
    pub(crate) fn read(connect: &Connect<'_>, handle: &Name) -> Self {
        let asked = connect.client_id.as_str();
        match asked {
            "" => Self { client_id: handle.to_string(), acceptable: true, given: false },
            _ => Self { client_id: asked.to_owned(), acceptable: belongs_to(asked, handle), given: true },
        }
    }

    /// The client id that was made here, to tell the client.
    pub(crate) fn assigned(&self) -> Option<&str> {
        (!self.given).then_some(self.client_id.as_str())
    }
}

/// `handle` or `handle/suffix`, exactly; a suffix has no character that means anything in topics or access rules.
fn belongs_to(client_id: &str, handle: &Name) -> bool {
    let Some(rest) = client_id.strip_prefix(handle.as_str()) else { return false };
    match rest.strip_prefix('/') {
        None => rest.is_empty(),
        Some(suffix) => {
            (1..=SUFFIX_OCTETS_MAX).contains(&suffix.len())
                && !suffix.starts_with(publish_once::SUFFIX)
                && suffix.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        }
    }
}

/// Whether a session that the broker kept may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// As the client asks.
    AsAsked,
    /// No: it is to be ended.
    Clean,
}

/// For how long a session of this CONNECT outlives its connection, in seconds; `None` when it does not. 3.1.1 knows no
/// time: the gateway ends such a session after the longest time.
pub(crate) fn outlives(connect: &Connect<'_>) -> Option<u32> {
    match connect.version {
        ProtocolVersion::V311 => (!connect.clean_start).then_some(SESSION_EXPIRY_MAX_S),
        ProtocolVersion::V5 => {
            let asked = connect.properties.session_expiry_interval.unwrap_or(0);
            (asked > 0).then_some(asked.min(SESSION_EXPIRY_MAX_S))
        }
    }
}

/// Our own CONNECT for the broker: the proven client id, no will, user name, password or user properties of the
/// client's. A will stays here, where it is judged when it is said.
pub(crate) fn connect_for_upstream<'a>(opening: &'a Opening<'_>, start: Start) -> Connect<'a> {
    let Opening { connect, greeting } = opening;
    let theirs = &connect.properties;
    let ours = NonZeroU32::new(PACKET_OCTETS_MAX as u32);
    let properties = match connect.version {
        ProtocolVersion::V311 => ConnectProperties::default(),
        ProtocolVersion::V5 => ConnectProperties {
            session_expiry_interval: theirs
                .session_expiry_interval
                .map(|asked| asked.min(SESSION_EXPIRY_MAX_S)),
            receive_maximum: theirs.receive_maximum,
            maximum_packet_size: theirs.maximum_packet_size.min(ours).or(ours),
            // Each delivery is decided by its topic, so it must be there.
            topic_alias_maximum: None,
            request_response_information: theirs.request_response_information,
            request_problem_information: theirs.request_problem_information,
            authentication_method: None,
            authentication_data: None,
            user_properties: Vec::new(),
        },
    };
    Connect {
        version: connect.version,
        clean_start: connect.clean_start || start == Start::Clean,
        keep_alive_s: connect.keep_alive_s,
        // A name and a suffix: always a text.
        client_id: Text::new(&greeting.client_id).unwrap_or_default(),
        will: None,
        user_name: None,
        password: None,
        properties,
    }
}

/// The broker's CONNACK as the client gets it.
pub(crate) fn connack_for_client(frame: &Frame, opening: &Opening<'_>) -> Result<Welcome, Fault> {
    let Opening { connect, greeting } = opening;
    let Packet::Connack(theirs) = frame.parse(connect.version)? else {
        return Err(Fault::ProtocolError { what: "another packet in place of CONNACK" });
    };
    let Connack { session_present, reason, properties } = *theirs;
    let in_flight = NonZeroU16::new(UNRELEASED_MAX);
    let asked_too_much =
        connect.properties.session_expiry_interval.is_some_and(|asked| asked > SESSION_EXPIRY_MAX_S);
    let keep_alive_s = properties.server_keep_alive.unwrap_or(connect.keep_alive_s);
    let ours = NonZeroU32::new(PACKET_OCTETS_MAX as u32);
    let properties = ConnackProperties {
        maximum_packet_size: properties.maximum_packet_size.min(ours).or(ours),
        session_expiry_interval: properties
            .session_expiry_interval
            .map(|seconds| seconds.min(SESSION_EXPIRY_MAX_S))
            .or(asked_too_much.then_some(SESSION_EXPIRY_MAX_S)),
        receive_maximum: properties.receive_maximum.min(in_flight).or(in_flight),
        // What was decided on a topic must be what is sent: no aliases.
        topic_alias_maximum: None,
        assigned_client_identifier: greeting.assigned().and_then(|id| Text::new(id).ok()),
        authentication_method: None,
        authentication_data: None,
        // Brokers behind are not the client's business.
        server_reference: None,
        user_properties: Vec::new(),
        ..properties
    };
    let accepted = reason == ReasonCode::Success;
    let octets = encoded(connect.version, &Connack { session_present, reason, properties }.into());
    Ok(Welcome { octets, accepted, keep_alive_s, session_present })
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_mqtt::{Binary, UserProperty};

    #[test]
    fn a_client_id_is_the_handle_or_a_part_of_the_device() {
        let handle: Name = "pump-01".parse().unwrap();
        let rows = [
            ("empty is assigned", "", true),
            ("the handle", "pump-01", true),
            ("a part", "pump-01/telemetry", true),
            ("another device", "pump-02", false),
            ("the handle as a beginning", "pump-011", false),
            ("the handle as an end", "xpump-01", false),
            ("no suffix", "pump-01/", false),
            ("two levels", "pump-01/a/b", false),
            ("wildcard", "pump-01/+", false),
            ("the rest", "pump-01/#", false),
            ("reserved", "pump-01/$x", false),
            ("climbing reads as a part", "pump-01/..", true),
            ("another case", "PUMP-01", false),
            ("a space", "pump-01 ", false),
            ("a gateway's own suffix", "pump-01/http-1", false),
            ("too long", &format!("pump-01/{}", "a".repeat(65)), false),
        ];
        for (name, client_id, expected) in rows {
            let connect = Connect::new(ProtocolVersion::V5, Text::new(client_id).unwrap());
            let greeting = Greeting::read(&connect, &handle);
            assert_eq!(greeting.acceptable, expected, "{name}");
            assert_eq!(greeting.assigned().is_some(), client_id.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_broker_hears_the_proven_name_and_none_of_the_clients_credentials() {
        let mut connect = Connect::new(ProtocolVersion::V5, Text::default());
        connect.user_name = Some(Text::new("admin").unwrap());
        connect.password = Some(Binary::new(b"secret").unwrap());
        connect.will = Some(touchmark_mqtt::Will {
            topic: touchmark_mqtt::TopicName::new("plant/pump-01/gone").unwrap(),
            payload: Default::default(),
            qos: touchmark_mqtt::QoS::AtMostOnce,
            retain: false,
            properties: Default::default(),
        });
        connect.properties.topic_alias_maximum = Some(10);
        connect.properties.session_expiry_interval = Some(3600);
        connect.properties.user_properties =
            vec![UserProperty { name: Text::new("device").unwrap(), value: Text::new("pump-02").unwrap() }];
        let greeting = Greeting::read(&connect, &"pump-01".parse().unwrap());
        let opening = Opening { connect, greeting };
        let ours = connect_for_upstream(&opening, Start::AsAsked);
        assert_eq!(ours.client_id.as_str(), "pump-01");
        assert_eq!((ours.user_name, ours.password), (None, None));
        assert!(ours.will.is_none(), "no broker can say it later than it was judged");
        assert_eq!(ours.properties.topic_alias_maximum, None);
        assert_eq!(ours.properties.session_expiry_interval, Some(3600));
        assert_eq!(ours.properties.maximum_packet_size.map(NonZeroU32::get), Some(PACKET_OCTETS_MAX as u32));
        assert!(ours.properties.user_properties.is_empty());
    }
}
