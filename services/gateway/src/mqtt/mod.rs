//! The MQTT port: one accepted connection from CONNECT to its last packet (MQTT 3.1.1 and 5.0).
//!
//! In: connections whose handshake is done. Out: permitted packets to the far end, with exact octets.
//! The rules are in `client_side` and `broker_side` (no I/O); here is the order of things.

mod broker_side;
mod client_side;
mod merge;
mod opening;
mod publish_once;
mod refusal;
mod relay;
#[cfg(test)]
pub(crate) mod tests;
mod upstream;
mod will;
mod wire;

pub(crate) use publish_once::publish_once;
pub(crate) use refusal::{Ending, encoded};
pub(crate) use upstream::{BrokerAddress, is_loopback};

use crate::arrivals::Standing;
use crate::decision_log::denied_resource;
use crate::door::{Arrival, Door, Opened, Wish};
use crate::sink::{Sink, SinkSession};
use crate::uplink::Uplink;
use bytes::Bytes;
use client_side::ClientSide;
use core::time::Duration;
use merge::Merges;
use opening::{Greeting, connack_for_client, connect_for_upstream};
use refusal::{connack, refusing_connack};
use relay::{FarSide, Talk};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use touchmark_listen::{Accepted, Stop};
use touchmark_mqtt::{Frame, Packet, PacketOrder, ProtocolVersion, ReasonCode};
use touchmark_policy::{DenyReason, Permit};
use will::KeptWill;
use wire::{CONNECT_OCTETS_MAX, Inbound, Incoming, Outbound, PACKET_OCTETS_MAX, Stream};

/// Time for CONNECT after the handshake, and for the broker's answer to ours.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The same for a certificate that will be refused: time to be told why.
const CONNECT_WAIT_KNOWN_BAD: Duration = Duration::from_secs(3);
/// Time for the last packet and the end of the stream: a client that takes nothing must not prolong its session.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// After the end we read on for so long and so much: closing with unread data resets the connection, and the
/// reset can overtake the packet that says why.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_OCTETS_MAX: u64 = 64 * 1024;

/// Where permitted packets go.
pub(crate) enum FarEnd {
    Broker { address: BrokerAddress, uplink: Arc<Uplink> },
    Sink(Arc<Sink>),
}

/// The port.
pub(crate) struct MqttPort {
    pub(crate) door: Arc<Door>,
    pub(crate) far: FarEnd,
}

impl MqttPort {
    /// Serves one connection to its end.
    ///
    /// What is needed only to open or to end a session is boxed: the memory of an idle one is its `Live` alone.
    pub(crate) async fn serve(self: Arc<Self>, accepted: Accepted, mut stop: Stop) {
        let Some(live) = Box::pin(self.enter(accepted, &mut stop)).await else { return };
        let Live { mut opened, talk, mut client, mut far, mut inbound, version, will } = live;
        let ending = talk.run(&mut client, &mut inbound, &mut far, &mut stop).await;
        Box::pin(async move {
            let mut outbound = talk.into_outbound();
            say_last(&mut outbound, &ending.disconnect(version).unwrap_or_default()).await;
            if let Some(will) = &will {
                self.say_will(will, &ending, opened.session(), &mut far).await;
            }
            far.end(client.farewell()).await;
            opened.ends_by(ending.cause());
            drop(opened);
            linger(inbound).await;
        })
        .await;
    }

    /// From an accepted connection to a session that was welcomed; anyone else has been answered.
    async fn enter(&self, accepted: Accepted, stop: &mut Stop) -> Option<Live> {
        let arrival = self.door.arrival(&accepted)?;
        let patience = match arrival.standing() {
            Standing::Good => CONNECT_WAIT,
            Standing::KnownBad => CONNECT_WAIT_KNOWN_BAD,
        };
        let stream: Stream = accepted.stream;
        let (read, write) = tokio::io::split(stream);
        let mut inbound = Inbound::new(read, CONNECT_OCTETS_MAX);
        let mut outbound = Outbound::new(write);
        let first = tokio::select! {
            () = stop.stopped() => return None,
            first = inbound.next(Some(patience)) => first,
        };
        let answer = match first {
            Incoming::Frame(frame) => {
                inbound.set_packet_octets_max(PACKET_OCTETS_MAX);
                match self.greet(&arrival, &frame).await {
                    Ok(admitted) => return self.begin(admitted, &frame, inbound, outbound, stop).await,
                    Err(answer) => answer,
                }
            }
            Incoming::Fault(fault) => {
                let reason = match fault {
                    touchmark_mqtt::Fault::PacketTooLarge { .. } => DenyReason::PacketTooLarge,
                    _ => DenyReason::MalformedPacket,
                };
                // Its version is not known, so there are no words to answer in.
                self.refuse(&arrival, "", reason).await;
                Bytes::new()
            }
            // It proved who it is and asked for nothing.
            Incoming::End | Incoming::Silence => Bytes::new(),
        };
        say_last(&mut outbound, &answer).await;
        linger(inbound).await;
        None
    }

    /// Reads CONNECT and decides on it. An error is the answer to send.
    async fn greet(&self, arrival: &Arrival, frame: &Frame) -> Result<Admitted, Bytes> {
        let version = frame.connect_version();
        let connect = match frame.parse_connect() {
            Ok(connect) => connect,
            Err(fault) => {
                let reason = match fault {
                    touchmark_mqtt::Fault::UnsupportedProtocolVersion { .. } => {
                        DenyReason::ProtocolUnsupported
                    }
                    _ => DenyReason::MalformedPacket,
                };
                self.refuse(arrival, "", reason).await;
                // A client of another version understands 3.1.1's CONNACK at least.
                let version = version.unwrap_or(ProtocolVersion::V311);
                return Err(connack(version, fault.reason_code(), &fault.to_string()));
            }
        };
        let greeting = Greeting::read(&connect, arrival.handle());
        if connect.properties.authentication_method.is_some() {
            self.refuse(arrival, &greeting.client_id, DenyReason::ProtocolUnsupported).await;
            let says = "the certificate authenticates here; leave extended authentication out";
            return Err(connack(connect.version, ReasonCode::BadAuthenticationMethod, says));
        }
        // Longer ones are no device's, and are refused.
        let client_id = denied_resource(connect.client_id.as_str());
        let wish = Wish {
            resource: client_id.as_str(),
            fault: (!greeting.acceptable).then_some(DenyReason::ClientIdMismatch),
            will_topic: connect.will.as_ref().map(|will| will.topic.as_str()),
            client_id: Some(&greeting.client_id),
        };
        match self.door.open(arrival, &wish).await {
            Ok((opened, permit)) => Ok(Admitted { opened, permit, greeting }),
            Err(denial) => Err(refusing_connack(connect.version, &denial)),
        }
    }

    async fn refuse(&self, arrival: &Arrival, resource: &str, reason: DenyReason) {
        let resource = denied_resource(resource);
        let wish =
            Wish { resource: resource.as_str(), fault: Some(reason), will_topic: None, client_id: None };
        // With a fault the door never opens; what it says stands in the log.
        drop(self.door.open(arrival, &wish).await);
    }

    /// Connects the far end and answers CONNECT.
    async fn begin(
        &self,
        admitted: Admitted,
        frame: &Frame,
        inbound: Inbound,
        mut outbound: Outbound,
        stop: &mut Stop,
    ) -> Option<Live> {
        let Admitted { mut opened, permit, greeting } = admitted;
        let session = Arc::clone(opened.session());
        let connect = frame.parse_connect().ok()?;
        let version = connect.version;
        let merges = Arc::new(Merges::default());
        let reached = tokio::select! {
            biased;
            reason = session.ended() => Err(Ending::cut(reason)),
            () = stop.stopped() => Err(Ending::Shutdown),
            reached = self.reach(permit, &connect, &greeting, &opened, &merges) => reached,
        };
        let (far, welcome) = match reached {
            Ok((far, welcome)) if welcome.accepted => (far, welcome),
            refused => {
                let (answer, cause) = match refused {
                    // In the broker's own words.
                    Ok((_, welcome)) => (welcome.octets, Ending::UpstreamGone.cause()),
                    Err(Ending::Denied(denial)) => {
                        (refusing_connack(version, &denial), Ending::Denied(denial).cause())
                    }
                    Err(ending) => {
                        let says = "the broker behind the gateway cannot be reached";
                        (connack(version, ReasonCode::ServerUnavailable, says), ending.cause())
                    }
                };
                opened.ends_by(cause);
                say_last(&mut outbound, &answer).await;
                drop(opened);
                linger(inbound).await;
                return None;
            }
        };
        let mut order = PacketOrder::from_client();
        // It is the first packet and was read before: this cannot fail.
        let _ = order.admit(&Packet::from(connect.clone()));
        let explains = connect.properties.request_problem_information.unwrap_or(true);
        let packet_octets_max =
            connect.properties.maximum_packet_size.map_or(usize::MAX, |octets| octets.get() as usize);
        let client = ClientSide::new(version, session.id(), order, explains, packet_octets_max, merges);
        let keep_alive_s = u64::from(welcome.keep_alive_s);
        let keep_alive = (keep_alive_s > 0).then(|| Duration::from_millis(keep_alive_s * 1500));
        let talk = Talk::new(session, &self.door, outbound, keep_alive);
        talk.say(&welcome.octets).await;
        let will = KeptWill::of(&connect);
        Some(Live { opened, talk, client, far, inbound, version, will })
    }

    /// Reaches the far end for a permitted session.
    async fn reach(
        &self,
        permit: Permit,
        connect: &touchmark_mqtt::Connect<'_>,
        greeting: &Greeting,
        opened: &Opened,
        merges: &Arc<Merges>,
    ) -> Result<(FarSide, Welcome), Ending> {
        match &self.far {
            FarEnd::Sink(sink) => {
                let session = SinkSession::begin(
                    permit,
                    Arc::clone(sink),
                    self.door.clock.clone(),
                    connect,
                    opened.session().identity(),
                );
                let octets = session.welcome(greeting.assigned(), PACKET_OCTETS_MAX);
                let welcome = Welcome { octets, accepted: true, keep_alive_s: connect.keep_alive_s };
                Ok((FarSide::Sink(session), welcome))
            }
            FarEnd::Broker { address, uplink } => {
                let ours = connect_for_upstream(connect, &greeting.client_id);
                let reached = timeout(CONNECT_WAIT, upstream::connect(permit, address, uplink, &ours));
                let link = match reached.await {
                    Ok(Ok(link)) => link,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the broker does not take a session");
                        return Err(Ending::UpstreamGone);
                    }
                    Err(_) => {
                        tracing::warn!(broker = %address, "the broker does not answer");
                        return Err(Ending::UpstreamGone);
                    }
                };
                let welcome =
                    connack_for_client(&link.connack, connect, greeting).ok_or(Ending::UpstreamGone)?;
                let (id, keep_alive_s) = (opened.session().id(), welcome.keep_alive_s);
                let far = FarSide::broker(link, connect.version, id, Arc::clone(merges), keep_alive_s);
                Ok((far, welcome))
            }
        }
    }
}

/// A session that may be held, before anyone behind knows of it.
struct Admitted {
    opened: Opened,
    permit: Permit,
    greeting: Greeting,
}

/// A session that runs.
struct Live {
    opened: Opened,
    talk: Talk,
    client: ClientSide,
    far: FarSide,
    inbound: Inbound,
    version: ProtocolVersion,
    will: Option<KeptWill>,
}

/// The answer to CONNECT.
pub(crate) struct Welcome {
    octets: Bytes,
    accepted: bool,
    keep_alive_s: u16,
}

async fn say_last(outbound: &mut Outbound, last: &[u8]) {
    let words = async {
        if !last.is_empty() {
            outbound.write(last).await?;
        }
        outbound.shutdown().await
    };
    // The session is over either way.
    let _ = timeout(LAST_WORDS, words).await;
}

async fn linger(inbound: Inbound) {
    let mut rest = inbound.into_half().take(LINGER_OCTETS_MAX);
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}
