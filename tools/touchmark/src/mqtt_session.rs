//! One MQTT connection of a device: 5.0 or 3.1.1 over mutual TLS, one act at a time.
//!
//! In: where to connect and what to do. Out: for each act a [`Verdict`], with the server's words, and the
//! messages and the end that come unasked. No rule is applied here: it shows what the gateway decided.
//! Standards: MQTT 5.0 and 3.1.1 (OASIS), codec in `touchmark_mqtt`.

use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure, printable};
use crate::home::{self, Home};
use crate::management::no_credential;
use bytes::BytesMut;
use core::time::Duration;
use serde::Serialize;
use std::collections::VecDeque;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use touchmark_dial::{ClientTls, DialFault, TlsReason};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_mqtt::{
    Acknowledgement, Connect, Delivery, Disconnect, FrameReader, Packet, PacketId, ProtocolVersion, Publish,
    PublishProperties, QoS, ReasonCode, Subscribe, Subscription, Text, TopicFilter, TopicName,
};

/// Longest packet that is read: the gateway's own bound on messages is lower.
const PACKET_OCTETS_MAX: usize = 1024 * 1024;
/// Messages kept while an answer is awaited; older ones are dropped first.
const INBOX_MAX: usize = 1024;
/// Without a word from the server (MQTT 5.0 §3.2.2.3.3, and every 3.1.1): what all servers known here can bear.
const RECEIVE_MAXIMUM: u16 = 20;
/// Time for connecting, and for each answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a device connects, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    pub tls: ClientTls,
    /// `host:port`.
    pub address: String,
}

impl Target {
    /// A device of this data directory at its gateway.
    pub async fn of(home: &Home, environment: &EnvironmentName, name: &Name) -> Result<Self, Failure> {
        let directory = CredentialDir::new(home.device(environment, name));
        if !directory.is_there(name)? {
            return Err(no_credential(home, environment, name).await);
        }
        let address = home::address(home.ready()?.mqtt, "gateway")?;
        Ok(Self { tls: directory.tls()?, address })
    }
}

/// A refusal, as it reached the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// `connack 0x87 NotAuthorized`, `tls alert CertificateRequired`, `closed`.
    pub code: String,
    /// The server's words; empty where the protocol has no place for them.
    pub reason: String,
    /// Whether somebody decided so, rather than that something broke or stops.
    #[serde(skip)]
    pub decided: bool,
}

impl Denial {
    pub fn new(code: impl Into<String>, reason: &str) -> Self {
        Self { code: code.into(), reason: printable(reason), decided: false }
    }

    fn alert(alert: &str) -> Self {
        Self { decided: true, ..Self::new(format!("tls alert {alert}"), "") }
    }

    pub fn by(packet: &str, reason: ReasonCode, words: Option<Text<'_>>) -> Self {
        let code = format!("{packet} 0x{:02x} {reason:?}", reason.octet());
        let passes = matches!(
            reason,
            ReasonCode::ServerUnavailable
                | ReasonCode::ServerBusy
                | ReasonCode::ServerShuttingDown
                | ReasonCode::KeepAliveTimeout
                | ReasonCode::ConnectionRateExceeded
                | ReasonCode::UnspecifiedError
        );
        Self { decided: !passes, ..Self::new(code, words.map_or("", Text::as_str)) }
    }
}

/// What became of one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied(Denial),
    /// The connection ended before, or instead of, an answer.
    Closed(Denial),
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    pub topic: String,
    pub payload: String,
}

/// A connection that the server accepted.
pub struct Session {
    stream: Box<dyn Stream>,
    frames: FrameReader,
    version: ProtocolVersion,
    receive_maximum: u16,
    last_id: u16,
    inbox: VecDeque<Message>,
}

/// A session taken apart, for who sends and hears at the same time.
pub struct Parts {
    pub stream: Box<dyn Stream>,
    pub frames: FrameReader,
    pub version: ProtocolVersion,
    /// QoS 1 messages that may wait for their acknowledgement at a time.
    pub receive_maximum: u16,
}

/// A packet from the server, freed from its frame.
enum Incoming {
    Message(Message),
    Puback(Result<(), Denial>),
    Suback(Result<(), Denial>),
    Pingresp,
    Other,
}

impl Session {
    /// Connects. A refusal, on whatever layer, is an answer too: `Ok(Err(denial))`.
    pub async fn open(
        target: &Target,
        client_id: &str,
        version: ProtocolVersion,
    ) -> Result<Result<Self, Denial>, Failure> {
        let host = target.address.rsplit_once(':').map_or(target.address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = match target.tls.connect(&target.address, host, PATIENCE).await {
            Ok(stream) => stream,
            Err(DialFault::Tls { reason: TlsReason::Refused { alert }, .. }) => {
                return Ok(Err(Denial::alert(&alert)));
            }
            Err(fault) => return Err(fault.into()),
        };
        let mut session = Self {
            stream: Box::new(stream),
            frames: FrameReader::new(PACKET_OCTETS_MAX),
            version,
            receive_maximum: RECEIVE_MAXIMUM,
            last_id: 0,
            inbox: VecDeque::new(),
        };
        let client_id = Text::new(client_id).map_err(not_sayable)?;
        if let Err(denial) = session.send(&Connect::new(version, client_id).into()).await? {
            return Ok(Err(denial));
        }
        Ok(session.connack().await.map(|()| session))
    }

    async fn connack(&mut self) -> Result<(), Denial> {
        let frame = timed(self.frame()).await?;
        match frame.parse(self.version) {
            Ok(Packet::Connack(connack)) if !connack.reason.is_error() => {
                if let Some(most) = connack.properties.receive_maximum {
                    self.receive_maximum = most.get();
                }
                Ok(())
            }
            Ok(Packet::Connack(connack)) => {
                Err(Denial::by("connack", connack.reason, connack.properties.reason_string))
            }
            Ok(other) => Err(Denial::new(format!("{} before CONNACK", other.packet_type()), "")),
            Err(fault) => Err(Denial::new("no MQTT", &fault.to_string())),
        }
    }

    /// Publishes with QoS 0 or 1. For QoS 0 a ping behind it shows whether the connection was kept.
    pub async fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS) -> Result<Verdict, Failure> {
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id: self.next_id(), duplicate: false },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id: self.next_id(), duplicate: false },
        };
        let topic = TopicName::new(topic).map_err(not_sayable)?;
        let properties = PublishProperties::default();
        let packet = Publish { delivery, retain: false, topic: Some(topic), properties, payload };
        if let Err(denial) = self.send(&packet.into()).await? {
            return Ok(Verdict::Closed(denial));
        }
        if qos == QoS::AtMostOnce {
            return self.ping().await;
        }
        Ok(timed(async {
            loop {
                match self.next().await {
                    Ok(Incoming::Puback(Ok(()))) => return Ok(Verdict::Allowed),
                    Ok(Incoming::Puback(Err(denial))) => return Ok(Verdict::Denied(denial)),
                    Ok(Incoming::Message(message)) => self.keep(message),
                    Ok(_) => {}
                    Err(denial) => return Ok(Verdict::Closed(denial)),
                }
            }
        })
        .await
        .unwrap_or_else(Verdict::Closed))
    }

    /// Subscribes to one filter.
    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<Verdict, Failure> {
        let filter = TopicFilter::new(filter).map_err(not_sayable)?;
        let packet = Subscribe {
            packet_id: self.next_id(),
            properties: Default::default(),
            subscriptions: vec![Subscription::new(filter, qos)],
        };
        if let Err(denial) = self.send(&packet.into()).await? {
            return Ok(Verdict::Closed(denial));
        }
        Ok(timed(async {
            loop {
                match self.next().await {
                    Ok(Incoming::Suback(Ok(()))) => return Ok(Verdict::Allowed),
                    Ok(Incoming::Suback(Err(denial))) => return Ok(Verdict::Denied(denial)),
                    Ok(Incoming::Message(message)) => self.keep(message),
                    Ok(_) => {}
                    Err(denial) => return Ok(Verdict::Closed(denial)),
                }
            }
        })
        .await
        .unwrap_or_else(Verdict::Closed))
    }

    /// Whether the connection lives.
    pub async fn ping(&mut self) -> Result<Verdict, Failure> {
        if let Err(denial) = self.send(&Packet::Pingreq).await? {
            return Ok(Verdict::Closed(denial));
        }
        Ok(timed(async {
            loop {
                match self.next().await {
                    Ok(Incoming::Pingresp) => return Ok(Verdict::Allowed),
                    Ok(Incoming::Message(message)) => self.keep(message),
                    Ok(_) => {}
                    Err(denial) => return Ok(Verdict::Closed(denial)),
                }
            }
        })
        .await
        .unwrap_or_else(Verdict::Closed))
    }

    /// The next message, or the end of the connection. Safe to drop and call again.
    pub async fn message(&mut self) -> Result<Message, Denial> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            if let Incoming::Message(message) = self.next().await? {
                return Ok(message);
            }
        }
    }

    pub fn into_parts(self) -> Parts {
        let Self { stream, frames, version, receive_maximum, .. } = self;
        Parts { stream, frames, version, receive_maximum }
    }

    /// Says good-bye.
    pub async fn disconnect(mut self) {
        // The server may be gone already; nothing is owed to it.
        let _ = self.send(&Disconnect::default().into()).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    fn keep(&mut self, message: Message) {
        if self.inbox.len() == INBOX_MAX {
            self.inbox.pop_front();
        }
        self.inbox.push_back(message);
    }

    fn next_id(&mut self) -> PacketId {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        PacketId(core::num::NonZeroU16::new(self.last_id).unwrap_or(core::num::NonZeroU16::MIN))
    }

    async fn send(&mut self, packet: &Packet<'_>) -> Result<Result<(), Denial>, Failure> {
        let mut octets = BytesMut::new();
        packet
            .encode(self.version, &mut octets)
            .map_err(|fault| Failure::usage("this cannot be said in MQTT").why(fault.to_string()))?;
        let written = async {
            self.stream.write_all(&octets).await?;
            self.stream.flush().await
        };
        match timed(async { Ok(written.await) }).await {
            Ok(Ok(())) => Ok(Ok(())),
            // The server's reason may still wait to be read.
            Ok(Err(error)) => Ok(Err(self.last_words().await.unwrap_or_else(|| ended(&error)))),
            Err(denial) => Ok(Err(denial)),
        }
    }

    async fn last_words(&mut self) -> Option<Denial> {
        let reading = async {
            loop {
                if let Err(denial) = self.next().await {
                    return denial;
                }
            }
        };
        tokio::time::timeout(Duration::from_millis(500), reading).await.ok()
    }

    async fn next(&mut self) -> Result<Incoming, Denial> {
        let frame = self.frame().await?;
        let packet = frame.parse(self.version).map_err(|fault| Denial::new("no MQTT", &fault.to_string()))?;
        Ok(match packet {
            Packet::Publish(publish) => {
                let message = Message {
                    topic: publish.topic.map_or_else(String::new, |topic| topic.as_str().to_owned()),
                    payload: String::from_utf8_lossy(publish.payload).into_owned(),
                };
                if let Delivery::AtLeastOnce { packet_id, .. } = publish.delivery {
                    let answer = Packet::Puback(Acknowledgement::new(packet_id, ReasonCode::Success));
                    // If it cannot be said, the connection's end is read next.
                    let _ = Box::pin(self.send(&answer)).await;
                }
                Incoming::Message(message)
            }
            Packet::Puback(ack) | Packet::Pubrec(ack) if ack.reason.is_error() => {
                Incoming::Puback(Err(Denial::by("puback", ack.reason, ack.properties.reason_string)))
            }
            Packet::Puback(_) | Packet::Pubrec(_) => Incoming::Puback(Ok(())),
            Packet::Suback(suback) => match suback.reasons.iter().find(|reason| reason.is_error()) {
                Some(reason) => {
                    Incoming::Suback(Err(Denial::by("suback", *reason, suback.properties.reason_string)))
                }
                None => Incoming::Suback(Ok(())),
            },
            Packet::Pingresp => Incoming::Pingresp,
            Packet::Disconnect(last) => {
                return Err(Denial::by("disconnect", last.reason, last.properties.reason_string));
            }
            _ => Incoming::Other,
        })
    }

    async fn frame(&mut self) -> Result<touchmark_mqtt::Frame, Denial> {
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(fault) => return Err(Denial::new("no MQTT", &fault.to_string())),
            }
            match self.stream.read_buf(self.frames.buffer_mut()).await {
                Ok(0) => return Err(Denial::new("closed", "")),
                Ok(_) => {}
                Err(error) => return Err(ended(&error)),
            }
        }
    }
}

/// Names the end of a connection; a TLS alert says more than the operating system does.
pub fn ended(error: &std::io::Error) -> Denial {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => Denial::alert(&format!("{alert:?}")),
        Some(other) => Denial::new("tls", &other.to_string()),
        None => Denial::new("closed", &error.to_string()),
    }
}

async fn timed<T>(work: impl Future<Output = Result<T, Denial>>) -> Result<T, Denial> {
    let answer = tokio::time::timeout(PATIENCE, work).await;
    answer.unwrap_or_else(|_| Err(Denial::new("no answer", "the server did not answer in time")))
}

fn not_sayable(fault: touchmark_mqtt::Fault) -> Failure {
    Failure::new(Exit::Usage, "topic", "not a topic, filter or client id that MQTT allows")
        .why(fault.to_string())
}

/// `TOPIC=PAYLOAD` of a command line.
pub fn publication(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((topic, payload)) if !topic.is_empty() => Ok((topic.to_owned(), payload.to_owned())),
        _ => Err("expected TOPIC=PAYLOAD, like plant/pump-01/temp=21".to_owned()),
    }
}
