//! A small MQTT client for these tests, over TLS to the gateway or in plain text to the broker.

use super::super::wire::{Inbound, Incoming, Outbound, PACKET_OCTETS_MAX, Stream};
use crate::lab::{Broker, CAP, Holder, Lab, Running};
use bytes::BytesMut;
use std::net::SocketAddr;
use tokio::time::timeout;
use touchmark_mqtt::{
    Connack, Connect, Delivery, Frame, Packet, PacketId, PacketType, ProtocolVersion, Publish, QoS,
    ReasonCode, Suback, Subscribe, SubscribeProperties, Subscription, Text, TopicFilter, TopicName,
};

pub(crate) struct Client {
    version: ProtocolVersion,
    inbound: Inbound,
    outbound: Outbound,
}

pub(crate) const V5: ProtocolVersion = ProtocolVersion::V5;
pub(crate) const V311: ProtocolVersion = ProtocolVersion::V311;

pub(crate) fn connect(version: ProtocolVersion, client_id: &str) -> Connect<'_> {
    Connect::new(version, Text::new(client_id).unwrap())
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn message<'a>(topic: &'a str, qos: QoS, number: u16, payload: &'a str) -> Publish<'a> {
    let delivery = match qos {
        QoS::AtMostOnce => Delivery::AtMostOnce,
        QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id: id(number), duplicate: false },
        QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id: id(number), duplicate: false },
    };
    Publish::new(delivery, TopicName::new(topic).unwrap(), payload.as_bytes())
}

impl Client {
    /// Over a stream that the test made.
    pub(crate) fn on(stream: Stream, version: ProtocolVersion) -> Self {
        Self::over(stream, version)
    }

    /// Sends to a peer that may have closed already.
    pub(crate) async fn try_send(&mut self, packet: Packet<'_>) -> std::io::Result<()> {
        let mut octets = BytesMut::new();
        packet.encode(self.version, &mut octets).unwrap();
        self.outbound.write(&octets).await
    }

    /// The next packet, if one comes before the end.
    pub(crate) async fn try_next(&mut self) -> Option<Frame> {
        match timeout(CAP, self.inbound.next(None)).await.expect("a packet or the end in time") {
            Incoming::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    pub(crate) fn over(stream: Stream, version: ProtocolVersion) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { version, inbound: Inbound::new(read, PACKET_OCTETS_MAX), outbound: Outbound::new(write) }
    }

    /// Connects with TLS; nothing is sent yet.
    pub(crate) async fn dial(
        lab: &Lab,
        holder: &Holder,
        address: SocketAddr,
        version: ProtocolVersion,
    ) -> Self {
        let tls = lab.client_tls(Some(holder));
        let stream = tls.connect(&address.to_string(), "127.0.0.1", CAP).await.unwrap();
        Self::over(Box::new(stream), version)
    }

    /// Connects and is welcome.
    pub(crate) async fn welcome(lab: &Lab, holder: &Holder, running: &Running, hello: &Connect<'_>) -> Self {
        let mut client = Self::dial(lab, holder, running.address, hello.version).await;
        let frame = client.ask(hello.clone().into()).await.expect("an answer to CONNECT");
        let Packet::Connack(connack) = frame.parse(hello.version).unwrap() else { panic!("{frame:?}") };
        assert_eq!(connack.reason.octet(), 0, "{connack:?}");
        client
    }

    /// A service on the broker's side.
    pub(crate) async fn behind(broker: &Broker, client_id: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(broker.address()).await.unwrap();
        let mut client = Self::over(Box::new(stream), V5);
        let frame = client.ask(connect(V5, client_id).into()).await.unwrap();
        assert_eq!(frame.packet_type(), PacketType::Connack);
        client
    }

    pub(crate) async fn send(&mut self, packet: Packet<'_>) {
        let mut octets = BytesMut::new();
        packet.encode(self.version, &mut octets).unwrap();
        self.outbound.write(&octets).await.unwrap();
    }

    pub(crate) async fn send_octets(&mut self, octets: &[u8]) {
        self.outbound.write(octets).await.unwrap();
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        match timeout(CAP, self.inbound.next(None)).await.expect("a packet or the end in time") {
            Incoming::Frame(frame) => Some(frame),
            Incoming::End => None,
            Incoming::Silence => panic!("no limit was set"),
            Incoming::Fault(fault) => panic!("{fault}"),
        }
    }

    pub(crate) async fn ask(&mut self, packet: Packet<'_>) -> Option<Frame> {
        self.send(packet).await;
        self.next().await
    }

    pub(crate) async fn subscribe(&mut self, filters: &[&str]) -> Suback<'static> {
        let subscriptions = filters
            .iter()
            .map(|filter| Subscription::new(TopicFilter::new(filter).unwrap(), QoS::AtLeastOnce))
            .collect();
        let subscribe =
            Subscribe { packet_id: id(77), properties: SubscribeProperties::default(), subscriptions };
        let frame = self.ask(subscribe.into()).await.expect("SUBACK");
        let Packet::Suback(suback) = frame.parse(self.version).unwrap() else { panic!("{frame:?}") };
        Suback { packet_id: suback.packet_id, properties: Default::default(), reasons: suback.reasons }
    }

    /// Publishes; whether anybody subscribes to it at the broker, connected or not. Its message is empty.
    pub(crate) async fn is_heard(&mut self, topic: &str) -> bool {
        let frame = self.ask(message(topic, QoS::AtLeastOnce, 99, "").into()).await.expect("PUBACK");
        let Packet::Puback(answer) = frame.parse(self.version).unwrap() else { panic!("{frame:?}") };
        answer.reason != ReasonCode::NoMatchingSubscribers
    }

    /// Connects, subscribes and goes away without a word; `false` once it is refused or cut.
    pub(crate) async fn races(&mut self, hello: &Connect<'_>, filter: &str) -> bool {
        let mut octets = BytesMut::new();
        Packet::from(hello.clone()).encode(self.version, &mut octets).unwrap();
        if self.outbound.write(&octets).await.is_err() {
            return false;
        }
        match self.inbound.next(Some(CAP)).await {
            Incoming::Frame(connack) if connack.body().get(1) == Some(&0) => {}
            _ => return false,
        }
        let subscriptions = vec![Subscription::new(TopicFilter::new(filter).unwrap(), QoS::AtLeastOnce)];
        let subscribe = Subscribe { packet_id: id(77), properties: Default::default(), subscriptions };
        let mut octets = BytesMut::new();
        Packet::from(subscribe).encode(self.version, &mut octets).unwrap();
        if self.outbound.write(&octets).await.is_err() {
            return false;
        }
        matches!(self.inbound.next(Some(CAP)).await, Incoming::Frame(frame) if frame.packet_type() == PacketType::Suback)
    }

    /// Waits until nobody subscribes to a topic.
    pub(crate) async fn unheard(&mut self, topic: &str) {
        let unheard = async {
            while self.is_heard(topic).await {
                tokio::time::sleep(core::time::Duration::from_millis(5)).await;
            }
        };
        timeout(CAP, unheard).await.unwrap_or_else(|_| panic!("somebody still subscribes to {topic}"));
    }

    /// The next message: topic and payload.
    pub(crate) async fn message(&mut self) -> (String, String) {
        let frame = self.next().await.expect("a message");
        let Packet::Publish(publish) = frame.parse(self.version).unwrap() else { panic!("{frame:?}") };
        let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
        (publish.topic.unwrap().as_str().to_owned(), payload)
    }

    pub(crate) async fn connack(&mut self, hello: &Connect<'_>) -> (u8, String) {
        let frame = self.ask(hello.clone().into()).await.expect("CONNACK");
        let octet = frame.body()[1];
        let Packet::Connack(connack) = frame.parse(hello.version).unwrap() else { panic!("{frame:?}") };
        let Connack { properties, .. } = *connack;
        (octet, properties.reason_string.map(|says| says.as_str().to_owned()).unwrap_or_default())
    }
}
