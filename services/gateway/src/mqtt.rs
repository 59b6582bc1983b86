//! The MQTT port: one accepted connection from CONNECT to its last packet (MQTT 3.1.1 and 5.0).
//!
//! In: connections whose handshake is done. Out: permitted packets to the far end, with exact octets.
//! The rules are in `client_side` and `broker_side` (no I/O); here is the order of things.

mod broker_sessions;
mod broker_side;
mod cleaner;
mod client_side;
mod exchange;
mod kept;
mod merge;
mod opening;
pub(crate) mod plain;
mod publish_once;
mod refusal;
mod relay;
pub(crate) mod releases;
mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;
mod upstream;
mod will;
mod wire;

pub(crate) use broker_sessions::{BrokerSessions, ends_at_broker};
pub(crate) use cleaner::Cleaner;
pub(crate) use opening::Opening;
pub(crate) use publish_once::publish_once;
pub(crate) use refusal::{Ending, encoded};
pub(crate) use upstream::{BrokerAddress, is_loopback};
pub(crate) use wire::PACKET_OCTETS_MAX;

use crate::admission::{Admission, Arrival, Opened};
use crate::arrivals::Standing;
use crate::permitted::{Permitted, Requests};
use crate::sink::{Sink, SinkSession};
use crate::trust::Holder;
use crate::uplink::Uplink;
use bytes::Bytes;
use client_side::{Behind, ClientSide};
use core::time::Duration;
use exchange::{AtBroker, Exchange};
use opening::{Greeting, Start, outlives};
use refusal::{connack, refusing_connack};
use relay::{FarSide, Talk};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use touchmark_decisions::Record;
use touchmark_listen::{Accepted, Stop};
use touchmark_mqtt::{Frame, Packet, PacketOrder, ProtocolVersion, ReasonCode};
use touchmark_policy::{Denial, DenyReason};
use will::KeptWill;
use wire::{CONNECT_OCTETS_MAX, Inbound, Incoming, Outbound, Stream};

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
    Broker { address: BrokerAddress, uplink: Arc<Uplink>, kept: Arc<BrokerSessions> },
    Sink(Arc<Sink>),
}

pub(crate) struct MqttPort {
    pub(crate) admission: Arc<Admission>,
    pub(crate) target: FarEnd,
}

impl MqttPort {
    /// Serves one connection to its end.
    ///
    /// What is needed only to open or to end a session is boxed: the memory of an idle one is its `Live` alone. So this is
    /// no `async fn`, whose arguments would stay with it.
    pub(crate) fn serve(self: Arc<Self>, accepted: Accepted, stop: Stop) -> impl Future<Output = ()> + Send {
        let entering = Box::pin(Arc::clone(&self).enter(accepted, stop));
        async move {
            let Some(mut live) = entering.await else { return };
            let Live { talk, client, target, inbound, stop, .. } = &mut live;
            let ending = talk.run(client, inbound, target, stop).await;
            Box::pin(self.end(live, ending)).await;
        }
    }

    /// Ends a session.
    async fn end(&self, live: Live, ending: Ending) {
        let Live { mut opened, talk, client, mut target, inbound, version, will, stop: _ } = live;
        self.leave(&opened, &ending, client.expiry_s());
        let mut outbound = talk.into_outbound();
        say_last(&mut outbound, &ending.disconnect(version).unwrap_or_default()).await;
        if let Some(will) = &will {
            self.say_will(will, &ending, opened.session(), &mut target).await;
        }
        if let Some(act) = target.take_folded() {
            // Withheld either way.
            let _ = self.admission.log.queued(Record::Act(act)).await;
        }
        target.end(client.farewell()).await;
        opened.ends_by(ending.cause());
        drop(opened);
        linger(inbound).await;
    }

    /// The broker goes on with a session or ends it, before its device can come back.
    fn leave(&self, opened: &Opened, ending: &Ending, expiry_s: Option<u32>) {
        let FarEnd::Broker { kept, .. } = &self.target else { return };
        // Otherwise a newer connection goes on with it.
        let Some(client_id) = opened.client_id() else { return };
        if ending.ends_at_broker() {
            kept.want_end_of(&client_id, &Holder::of(opened.session().identity()));
            opened.give_up_client_id();
        }
        kept.left(&client_id, expiry_s, self.admission.clock.now());
    }

    /// From an accepted connection to a session that was welcomed; anyone else has been answered.
    async fn enter(self: Arc<Self>, accepted: Accepted, mut stop: Stop) -> Option<Live> {
        let arrival = self.admission.arrival(&accepted)?;
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
                    Ok(admitted) => return self.begin(admitted, inbound, outbound, stop).await,
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
    async fn greet<'a>(&self, arrival: &Arrival, frame: &'a Frame) -> Result<Admitted<'a>, Bytes> {
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
        let asked = connect.client_id.as_str();
        let (version, acceptable, client_id) =
            (connect.version, greeting.acceptable, greeting.client_id.clone());
        let opening = Opening { connect, greeting };
        let room = if acceptable { self.room(&opening) } else { Ok(()) };
        let judge = |table: &_| room.map_err(Denial::because).and(Permitted::opening(opening, table));
        let opened = self.admission.open(arrival, asked, Some(&client_id), judge).await;
        opened.map_err(|denial| {
            if let FarEnd::Broker { kept, .. } = &self.target
                && acceptable
            {
                let holder = Holder::of(arrival.identity());
                kept.want_end_of_refused(&client_id, &holder, version, denial.reason);
            }
            refusing_connack(version, &denial)
        })
    }

    /// Whether one more session can be left at the broker.
    fn room(&self, opening: &Opening<'_>) -> Result<(), DenyReason> {
        match (&self.target, outlives(&opening.connect)) {
            (FarEnd::Broker { kept, .. }, Some(_)) => {
                kept.room(&opening.greeting.client_id, self.admission.clock.now())
            }
            _ => Ok(()),
        }
    }

    async fn refuse(&self, arrival: &Arrival, resource: &str, reason: DenyReason) {
        let judge = |_: &_| Err(Denial::because(reason));
        // Never admitted; what it says stands in the log.
        drop(self.admission.open::<Requests>(arrival, resource, None, judge).await);
    }

    /// Connects the far end and answers CONNECT.
    async fn begin(
        &self,
        (mut opened, opening): Admitted<'_>,
        inbound: Inbound,
        mut outbound: Outbound,
        mut stop: Stop,
    ) -> Option<Live> {
        let session = Arc::clone(opened.session());
        let connect = &opening.asked().connect;
        let version = connect.version;
        let mut order = PacketOrder::from_client();
        // It is the first packet and was read before: this cannot fail.
        let _ = order.admit(&Packet::from(connect.clone()));
        let explains = connect.properties.request_problem_information.unwrap_or(true);
        let packet_octets_max =
            connect.properties.maximum_packet_size.map_or(usize::MAX, |octets| octets.get() as usize);
        let will = KeptWill::of(connect).map(Box::new);
        let reached = tokio::select! {
            biased;
            reason = session.ended() => Err(Ending::cut(reason)),
            () = stop.stopped() => Err(Ending::Shutdown),
            reached = self.reach(opening, &opened) => reached,
        };
        let (target, welcome, exchange) = match reached {
            Ok((target, welcome, exchange)) if welcome.accepted => (target, welcome, exchange),
            refused => {
                if let (FarEnd::Broker { kept, .. }, Some(client_id)) = (&self.target, opened.client_id()) {
                    kept.left(&client_id, None, self.admission.clock.now());
                }
                let (answer, cause) = match refused {
                    // In the broker's own words.
                    Ok((_, welcome, _)) => (welcome.octets, Ending::UpstreamGone.cause()),
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
        let behind = match &target {
            FarSide::Broker(_) => Behind::Broker,
            FarSide::Sink(_) => Behind::Sink,
        };
        let client =
            ClientSide::new(version, session.id(), order, explains, packet_octets_max, exchange, behind);
        let keep_alive_s = u64::from(welcome.keep_alive_s);
        let keep_alive = (keep_alive_s > 0).then(|| Duration::from_millis(keep_alive_s * 1500));
        let talk = Talk::new(session, Arc::clone(&self.admission), outbound, keep_alive);
        talk.say(&welcome.octets).await;
        Some(Live { opened, talk, client, target, inbound, stop, version, will })
    }

    /// Reaches the far end for a permitted session.
    async fn reach(
        &self,
        opening: Permitted<Opening<'_>>,
        opened: &Opened,
    ) -> Result<(FarSide, Welcome, Arc<Exchange>), Ending> {
        match &self.target {
            FarEnd::Sink(sink) => {
                let keep_alive_s = opening.asked().connect.keep_alive_s;
                let (sink, clock) = (Arc::clone(sink), self.admission.clock.clone());
                let (session, octets) = SinkSession::begin(opening, sink, clock, opened.session().identity());
                let welcome = Welcome { octets, accepted: true, keep_alive_s, session_present: false };
                Ok((FarSide::Sink(session), welcome, Arc::default()))
            }
            FarEnd::Broker { address, uplink, kept } => {
                let Opening { connect, greeting } = opening.asked();
                let (version, outlives) = (connect.version, outlives(connect));
                let (client_id, now) = (&*greeting.client_id.clone(), self.admission.clock.now());
                let mut turn = kept.turn(client_id).await;
                let holder = Holder::of(opened.session().identity());
                let known = kept.begin(client_id, holder.clone(), version, outlives, now);
                let known = known.map_err(Ending::cut)?;
                // Ordered before it was noted: nobody else ends it then.
                if let Some(reason) = opened.session().end_ordered() {
                    if ends_at_broker(reason) {
                        kept.want_end_of(client_id, &holder);
                    }
                    return Err(Ending::cut(reason));
                }
                let start = turn.wanted().map_or(Start::AsAsked, |_| Start::Clean);
                let reached = upstream::connect(opening, start, address, uplink).await;
                let (link, welcome) = reached.map_err(|error| {
                    tracing::warn!(%error, "the broker does not take a session");
                    Ending::UpstreamGone
                })?;
                let at_broker = match welcome.session_present {
                    true => known.unwrap_or_default(),
                    false => AtBroker::default(),
                };
                if welcome.accepted {
                    if turn.wanted().is_some() {
                        turn.ended();
                        kept.renewed(client_id);
                    }
                    kept.begun(client_id, &at_broker);
                    opened.session().began_at_broker();
                }
                let exchange = Exchange::of(at_broker);
                if welcome.session_present {
                    exchange.state().resume();
                }
                let exchange = Arc::new(exchange);
                let (id, keep_alive_s) = (opened.session().id(), welcome.keep_alive_s);
                let target = FarSide::broker(link, version, id, Arc::clone(&exchange), keep_alive_s);
                Ok((target, welcome, exchange))
            }
        }
    }
}

/// A session that may be held, before anyone behind knows of it.
type Admitted<'a> = (Opened, Permitted<Opening<'a>>);

/// A session that runs.
struct Live {
    opened: Opened,
    talk: Talk,
    client: ClientSide,
    target: FarSide,
    inbound: Inbound,
    stop: Stop,
    version: ProtocolVersion,
    will: Option<Box<KeptWill>>,
}

/// The answer to CONNECT.
pub(crate) struct Welcome {
    octets: Bytes,
    accepted: bool,
    keep_alive_s: u16,
    /// The broker goes on with a session from before.
    session_present: bool,
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
