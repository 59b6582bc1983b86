//! A device that speaks MQTT octet by octet: what it is told, and the moment its connection ends.

use crate::device::Key;
use crate::lab::Lab;
use crate::patience::PATIENCE;
use bytes::BytesMut;
use std::future::Future;
use std::sync::LazyLock;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use touchmark_dial::{ClientIdentity, ClientTls, DialFault};
use touchmark_mqtt::{
    Connect, Delivery, Frame, FrameReader, Packet, PacketId, ProtocolVersion, Publish, QoS, Subscribe,
    SubscribeProperties, Subscription, Text, TopicFilter, TopicName,
};
use touchmark_x509::Certificate;

/// Larger than any packet that a gateway sends.
const PACKET_OCTETS_MAX: usize = 1 << 20;

/// One for all: hundreds of connections are read on it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("patience ran out") })
}

fn client(key: &Key, chain: &[Certificate]) -> ClientIdentity {
    let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
    ClientIdentity::from_der(chain, key.pkcs8())
}

/// What CONNECT was answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeted {
    /// Reason code, or return code in 3.1.1.
    pub code: u8,
    /// Reason string.
    pub says: String,
    /// Client id that was made by the other side.
    pub assigned: String,
    /// The other side had a session of this client id.
    pub session_present: bool,
}

/// A device's connection.
#[derive(Debug)]
pub struct Mqtt {
    version: ProtocolVersion,
    stream: TlsStream<TcpStream>,
    reader: FrameReader,
    packet_id: u16,
}

impl Mqtt {
    /// Shakes hands. In TLS 1.3 a refusal of our certificate comes only with the first read.
    ///
    /// # Errors
    /// When there is no TLS connection.
    pub fn dial(
        lab: &Lab,
        identity: Option<(&Key, &[Certificate])>,
        version: ProtocolVersion,
    ) -> Result<Self, DialFault> {
        let identity = identity.map(|(key, chain)| client(key, chain));
        Self::dial_at(lab, lab.mqtt(), identity, version)
    }

    fn dial_at(
        lab: &Lab,
        address: &str,
        identity: Option<ClientIdentity>,
        version: ProtocolVersion,
    ) -> Result<Self, DialFault> {
        let anchors = std::fs::read(lab.gateway_anchors()).unwrap();
        let tls = ClientTls::from_pem(&anchors, identity, Default::default()).unwrap();
        let stream = wait(tls.connect(address, "127.0.0.1", PATIENCE))?;
        Ok(Self { version, stream, reader: FrameReader::new(PACKET_OCTETS_MAX), packet_id: 0 })
    }

    /// Shakes hands and is greeted; it must be welcome.
    pub fn welcome(lab: &Lab, identity: (&Key, &[Certificate]), client_id: &str) -> Self {
        let mut device = Self::dial(lab, Some(identity), ProtocolVersion::V5).unwrap();
        let greeted = device.hello(client_id).unwrap();
        assert_eq!(greeted.code, 0, "{client_id}: {greeted:?}");
        device
    }

    /// The same at another gateway of the lab.
    pub fn welcome_at(
        lab: &Lab,
        address: &str,
        (key, chain): (&Key, &[Certificate]),
        client_id: &str,
    ) -> Self {
        let identity = Some(client(key, chain));
        let mut device = Self::dial_at(lab, address, identity, ProtocolVersion::V5).unwrap();
        let greeted = device.hello(client_id).unwrap();
        assert_eq!(greeted.code, 0, "{client_id} at {address}: {greeted:?}");
        device
    }

    /// CONNECT.
    ///
    /// # Errors
    /// How the connection ended without a CONNACK.
    pub fn hello(&mut self, client_id: &str) -> Result<Greeted, String> {
        let connect = Connect::new(self.version, Text::new(client_id).unwrap());
        self.greet(&connect)
    }

    /// CONNECT with everything that may stand in it.
    ///
    /// # Errors
    /// How the connection ended without a CONNACK.
    pub fn greet(&mut self, connect: &Connect<'_>) -> Result<Greeted, String> {
        self.send(connect.clone().into())?;
        let Some(frame) = self.packet()? else { return Err("closed".to_owned()) };
        let Packet::Connack(connack) = frame.parse(self.version).unwrap() else { panic!("{frame:?}") };
        let text = |text: Option<Text<'_>>| text.map_or(String::new(), |text| text.as_str().to_owned());
        Ok(Greeted {
            // The second octet after the fixed header, whatever the version calls it.
            code: frame.body()[1],
            says: text(connack.properties.reason_string),
            assigned: text(connack.properties.assigned_client_identifier),
            session_present: connack.session_present,
        })
    }

    /// PUBLISH; with QoS 1 the reason code of its PUBACK.
    ///
    /// # Errors
    /// How the connection ended instead.
    pub fn publish(&mut self, topic: &str, payload: &str, qos: QoS) -> Result<Option<u8>, String> {
        let packet_id = self.next_id();
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id, duplicate: false },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id, duplicate: false },
        };
        self.send(Publish::new(delivery, TopicName::new(topic).unwrap(), payload.as_bytes()).into())?;
        if qos == QoS::AtMostOnce {
            return Ok(None);
        }
        let Some(frame) = self.packet()? else { return Err("closed".to_owned()) };
        match frame.parse(self.version).unwrap() {
            Packet::Puback(answer) | Packet::Pubrec(answer) => Ok(Some(answer.reason.octet())),
            Packet::Disconnect(disconnect) => Err(format!("DISCONNECT {:#04x}", disconnect.reason.octet())),
            other => panic!("{other:?}"),
        }
    }

    /// SUBSCRIBE; the reason code of each filter.
    ///
    /// # Errors
    /// How the connection ended instead.
    pub fn subscribe(&mut self, filters: &[&str]) -> Result<Vec<u8>, String> {
        let packet_id = self.next_id();
        let subscriptions = filters
            .iter()
            .map(|filter| Subscription::new(TopicFilter::new(filter).unwrap(), QoS::AtLeastOnce))
            .collect();
        let properties = SubscribeProperties::default();
        self.send(Subscribe { packet_id, properties, subscriptions }.into())?;
        let Some(frame) = self.packet()? else { return Err("closed".to_owned()) };
        match frame.parse(self.version).unwrap() {
            Packet::Suback(suback) => Ok(suback.reasons.iter().map(|reason| reason.octet()).collect()),
            Packet::Disconnect(disconnect) => Err(format!("DISCONNECT {:#04x}", disconnect.reason.octet())),
            other => panic!("{other:?}"),
        }
    }

    /// Whether the connection lives: PINGREQ, PINGRESP.
    pub fn is_alive(&mut self) -> bool {
        let answered = self.send(Packet::Pingreq).and_then(|()| self.packet());
        matches!(answered, Ok(Some(frame)) if frame.parse(self.version).is_ok_and(|p| p == Packet::Pingresp))
    }

    /// Any octets.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub fn send_octets(&mut self, octets: &[u8]) -> Result<(), String> {
        wait(self.stream.write_all(octets)).map_err(|error| error.to_string())?;
        wait(self.stream.flush()).map_err(|error| error.to_string())
    }

    /// The next packet; `None` when the other side closed.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn packet(&mut self) -> Result<Option<Frame>, String> {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                return Ok(Some(frame));
            }
            let read = wait(self.stream.read_buf(self.reader.buffer_mut()));
            if read.map_err(|error| error.to_string())? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads until the connection ends, and gives that moment and what was told last.
    pub fn end(&mut self) -> (Instant, Option<Frame>) {
        let mut last = None;
        while let Ok(Some(frame)) = self.packet() {
            last = Some(frame);
        }
        (Instant::now(), last)
    }

    fn send(&mut self, packet: Packet<'_>) -> Result<(), String> {
        let mut octets = BytesMut::new();
        packet.encode(self.version, &mut octets).unwrap();
        self.send_octets(&octets)
    }

    fn next_id(&mut self) -> PacketId {
        // 0 is no identifier (MQTT 5.0 §2.2.1).
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        PacketId::new(self.packet_id).unwrap()
    }
}
