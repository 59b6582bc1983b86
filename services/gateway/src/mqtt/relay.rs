//! The two directions of a live session: each packet is decided, recorded, then passed on.
//!
//! Each direction has its own loop, so that a slow reader on one side holds back that side only. What is whole in a
//! read is passed on in one write. The loops may be dropped at any await: a session ends at once when it must.
//!
//! A packet is taken without a wait; what has to wait beyond that does so in a box ([`Later`]). So an idle session is no
//! larger than what it needs to read its next packet.

use super::broker_side::{BrokerSide, Delivered, Restored};
use super::client_side::{ClientSide, Step};
use super::exchange::Exchange;
use super::plain::{Plain, ToBroker};
use super::refusal::Ending;
use super::upstream::BrokerLink;
use super::wire::{Inbound, Incoming, Outbound};
use crate::admission::Admission;
use crate::config::Ack;
use crate::decision_log::{DecisionLog, OnItsWay};
use crate::permitted::{ForClient, Permitted};
use crate::rates::{Metered, OverRate};
use crate::session::Session;
use crate::sink::SinkSession;
use bytes::{Bytes, BytesMut};
use core::convert::Infallible;
use core::pin::Pin;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::Mutex;
use touchmark_decisions::{Act, Record, SessionId, Verdict};
use touchmark_listen::Stop;
use touchmark_mqtt::{Frame, PacketType, ProtocolVersion};
use touchmark_policy::{DecisionTable, DenyReason};

/// Octets gathered before they are written although more packets are there.
const BATCH_OCTETS: usize = 64 * 1024;
/// Time for the broker to take a last packet.
const FAREWELL: Duration = Duration::from_millis(250);
/// MQTT 5.0 §3.12.
const PINGREQ: [u8; 2] = [0xc0, 0];

/// The client's side of a session, as both directions use it.
pub(crate) struct Talk {
    session: Arc<Session>,
    admission: Arc<Admission>,
    /// From its first message on.
    metered: OnceLock<Box<Metered>>,
    down: Mutex<Outbound>,
    keep_alive: Option<Duration>,
    /// Something went to the broker since it was last looked at.
    went_up: AtomicBool,
    /// PINGRESPs to come that answer pings of ours.
    our_pings: AtomicU32,
}

/// The other side.
pub(crate) enum FarSide {
    Broker(Box<BrokerFar>),
    Sink(SinkSession),
}

/// A session's connection to the broker.
pub(crate) struct BrokerFar {
    inbound: Inbound,
    outbound: Mutex<Outbound>,
    side: BrokerSide,
    pulse: Option<Duration>,
}

impl BrokerFar {
    /// Both ends, once nothing is relayed any more.
    pub(crate) fn ends(&mut self) -> (&mut Inbound, &mut Outbound) {
        (&mut self.inbound, self.outbound.get_mut())
    }
}

/// The writing end of the other side, for the upward direction.
enum FarWriter<'a> {
    Broker(&'a Mutex<Outbound>),
    Sink(&'a mut SinkSession),
}

/// Octets on their way, to the far side and back to the client.
#[derive(Default)]
struct Batch {
    up: ToBroker,
    back: BytesMut,
    /// Records that have to be on disk first, where acknowledgements wait for it.
    unwritten: Vec<OnItsWay>,
    /// Messages of the rate that were taken and not sent yet.
    credit: u32,
}

/// What has to be waited for before the next packet is looked at.
type Later<'a> = Pin<Box<dyn Future<Output = Result<(), Ending>> + Send + 'a>>;

/// A packet that was taken: done, or done later.
type Taken<'a> = Result<Option<Later<'a>>, Ending>;

/// The record of a message.
enum Recording {
    /// The rate is still to be asked.
    Due(Act),
    /// It has its place in the rate.
    Counted(Record),
}

/// Why a permitted message is not passed on.
enum KeptBack {
    Because(DenyReason),
    Ended(Ending),
}

impl FarSide {
    pub(crate) fn broker(
        link: BrokerLink,
        version: ProtocolVersion,
        session: SessionId,
        exchange: Arc<Exchange>,
        keep_alive_s: u16,
    ) -> Self {
        let BrokerLink { inbound, outbound, order, connack: _ } = link;
        let side = BrokerSide::new(version, session, order, exchange);
        let pulse = (keep_alive_s > 0).then(|| Duration::from_millis(u64::from(keep_alive_s) * 500));
        Self::Broker(Box::new(BrokerFar { inbound, outbound: Mutex::new(outbound), side, pulse }))
    }

    /// What was withheld from the client and is not recorded yet.
    pub(crate) fn take_folded(&mut self) -> Option<Act> {
        match self {
            Self::Broker(broker) => broker.side.take_folded(),
            Self::Sink(_) => None,
        }
    }

    /// Ends the far side, with the client's DISCONNECT where that waited for the will.
    pub(crate) async fn end(self, farewell: Option<&Bytes>) {
        if let Self::Broker(broker) = self {
            let mut outbound = broker.outbound.into_inner();
            let farewell = async {
                if let Some(octets) = farewell {
                    outbound.write(octets).await?;
                }
                outbound.shutdown().await
            };
            // The connection is dropped either way.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }
}

impl Talk {
    pub(crate) fn new(
        session: Arc<Session>,
        admission: Arc<Admission>,
        down: Outbound,
        keep_alive: Option<Duration>,
    ) -> Self {
        Self {
            session,
            admission,
            metered: OnceLock::new(),
            down: Mutex::new(down),
            keep_alive,
            went_up: AtomicBool::new(false),
            our_pings: AtomicU32::new(0),
        }
    }

    pub(crate) fn into_outbound(self) -> Outbound {
        self.down.into_inner()
    }

    /// Writes to the client outside of a batch.
    pub(crate) async fn say(&self, octets: &[u8]) {
        // A client that is gone is found by the next read.
        let _ = self.down.lock().await.write(octets).await;
    }

    /// Relays until something ends the session.
    pub(crate) async fn run(
        &self,
        client: &mut ClientSide,
        inbound: &mut Inbound,
        target: &mut FarSide,
        stop: &mut Stop,
    ) -> Ending {
        match target {
            FarSide::Sink(sink) => {
                tokio::select! {
                    biased;
                    reason = self.session.ended() => Ending::cut(reason),
                    () = stop.stopped() => Ending::Shutdown,
                    ending = self.upward(client, inbound, FarWriter::Sink(sink)) => ending,
                }
            }
            FarSide::Broker(broker) => Box::pin(self.between(client, inbound, broker, stop)).await,
        }
    }

    /// Relays between the client and a broker.
    pub(super) async fn between(
        &self,
        client: &mut ClientSide,
        inbound: &mut Inbound,
        broker: &mut BrokerFar,
        stop: &mut Stop,
    ) -> Ending {
        let BrokerFar { inbound: from_broker, outbound, side, pulse } = broker;
        tokio::select! {
            biased;
            reason = self.session.ended() => Ending::cut(reason),
            () = stop.stopped() => Ending::Shutdown,
            ending = self.upward(client, inbound, FarWriter::Broker(outbound)) => ending,
            ending = self.downward(from_broker, outbound, side) => ending,
            ending = self.keep_up(outbound, *pulse) => ending,
        }
    }

    /// Keeps the session at the broker alive: what a client sends may all be denied, and none of it goes up then.
    async fn keep_up(&self, to_broker: &Mutex<Outbound>, pulse: Option<Duration>) -> Ending {
        let Some(pulse) = pulse else { return core::future::pending().await };
        loop {
            tokio::time::sleep(pulse).await;
            if self.went_up.swap(false, Ordering::Relaxed) {
                continue;
            }
            self.our_pings.fetch_add(1, Ordering::Relaxed);
            if to_broker.lock().await.write(&PINGREQ).await.is_err() {
                return Ending::UpstreamGone;
            }
        }
    }

    /// Whether a PINGRESP answers one of our pings. All are alike: as many reach the client as it asked for.
    fn is_our_pong(&self) -> bool {
        let taken = |pings: u32| pings.checked_sub(1);
        self.our_pings.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// From the client. Returns with everything written that was permitted before the end.
    async fn upward(
        &self,
        client: &mut ClientSide,
        inbound: &mut Inbound,
        mut target: FarWriter<'_>,
    ) -> Ending {
        let mut batch = Batch::default();
        let relayed: Result<Infallible, Ending> = async {
            loop {
                let frame = match self.next(inbound, self.keep_alive, &mut batch, &target).await? {
                    Incoming::Frame(frame) => frame,
                    Incoming::End => return Err(Ending::Lost),
                    Incoming::Silence => return Err(Ending::Idle),
                    Incoming::Fault(fault) => return Err(Ending::Broken(fault)),
                };
                if let Some(later) = self.take_upward(frame, client, &mut target, &mut batch)? {
                    later.await?;
                }
            }
        }
        .await;
        let Err(ending) = relayed;
        // What came before the end still goes where it was going.
        match self.flush(&mut batch, &target).await {
            Ok(()) => ending,
            Err(_) if ending != Ending::Lost => ending,
            Err(other) => other,
        }
    }

    /// From the broker.
    async fn downward(
        &self,
        from_broker: &mut Inbound,
        to_broker: &Mutex<Outbound>,
        side: &mut BrokerSide,
    ) -> Ending {
        let mut batch = Batch::default();
        let target = FarWriter::Broker(to_broker);
        let relayed: Result<Infallible, Ending> = async {
            loop {
                let frame = match self.next(from_broker, None, &mut batch, &target).await? {
                    Incoming::Frame(frame) => frame,
                    Incoming::End | Incoming::Silence => return Err(Ending::UpstreamGone),
                    Incoming::Fault(fault) => return Err(broker_broke(fault)),
                };
                if frame.packet_type() == PacketType::Pingresp {
                    if let Some(restored) = side.restore(&*self.table()?, self.admission.clock.now()) {
                        Box::pin(self.restore(restored, &target, &mut batch)).await?;
                    }
                    if self.is_our_pong() {
                        continue;
                    }
                }
                if let Some(later) = self.take_downward(frame, side, &mut batch)? {
                    later.await?;
                }
            }
        }
        .await;
        let Err(ending) = relayed;
        // The broker's last words are the client's to read.
        let _ = self.flush(&mut batch, &target).await;
        ending
    }

    /// The next packet. What was gathered is written before it is waited for.
    async fn next(
        &self,
        inbound: &mut Inbound,
        limit: Option<Duration>,
        batch: &mut Batch,
        target: &FarWriter<'_>,
    ) -> Result<Incoming, Ending> {
        if batch.up.octets().len() + batch.back.len() < BATCH_OCTETS
            && let Some(incoming) = inbound.buffered()
        {
            return Ok(incoming);
        }
        self.flush(batch, target).await?;
        Ok(inbound.next(limit).await)
    }

    /// Takes a packet of the client.
    fn take_upward<'a>(
        &'a self,
        frame: Frame,
        client: &'a mut ClientSide,
        target: &'a mut FarWriter<'_>,
        batch: &'a mut Batch,
    ) -> Taken<'a> {
        match client.take(frame, &*self.table()?, self.admission.clock.now()) {
            Step::Pass(plain) => target.pass(&plain, batch)?,
            Step::Publish { message, act } => return self.publish(message, act, client, target, batch),
            Step::Release(release) => target.forward(release, batch)?,
            Step::Subscribe { subscribe, acts } => {
                return Ok(Some(Box::pin(self.subscribe(subscribe, acts, target, batch))));
            }
            Step::Refused { acts, answer, ending } => {
                return Ok(Some(Box::pin(async move {
                    // Refused either way.
                    let _ = self.log().all_queued(records(acts)).await;
                    answered(answer.as_deref(), ending, batch)
                })));
            }
            Step::Goodbye(plain) => {
                target.pass(&plain, batch)?;
                return Err(Ending::Goodbye);
            }
            Step::GoodbyeWithWill => return Err(Ending::GoodbyeWithWill),
            Step::Broken(fault) => return Err(Ending::Broken(fault)),
        }
        Ok(None)
    }

    /// Takes a packet of the broker.
    fn take_downward<'a>(&'a self, frame: Frame, side: &mut BrokerSide, batch: &'a mut Batch) -> Taken<'a> {
        match side.take(frame, &*self.table()?, self.admission.clock.now()) {
            Delivered::Pass(plain) => batch.back.extend_from_slice(plain.octets()),
            Delivered::Deliver(message) => deliver(message, batch),
            Delivered::Withheld { acts, answer } => {
                return Ok(Some(Box::pin(async move {
                    // Withheld either way.
                    let _ = self.log().all_queued(records(acts)).await;
                    batch.up.answer(&answer);
                    Ok(())
                })));
            }
            Delivered::Withdrawn { act, denial } => {
                return Ok(Some(Box::pin(async move {
                    let _ = self.log().queued(Record::Act(act)).await;
                    Err(Ending::Withdrawn(denial))
                })));
            }
            Delivered::Ours => {}
            Delivered::Answer(answer) => batch.up.answer(&answer),
            Delivered::Goodbye(octets) => {
                batch.back.extend_from_slice(&octets);
                return Err(Ending::UpstreamGoodbye);
            }
            Delivered::Broken(fault) => return Err(broker_broke(fault)),
        }
        Ok(None)
    }

    /// Asks the broker again for subscriptions; done before the PINGRESP that brought it about goes down.
    async fn restore(
        &self,
        restored: Restored,
        target: &FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        let Restored { subscribes, acts } = restored;
        let recorded = self.log().all_durable(records(acts)).await;
        recorded.map_err(|_| Ending::cut(DenyReason::LogUnavailable))?;
        subscribes.into_iter().for_each(|subscribe| batch.up.forward(subscribe));
        self.flush(batch, target).await
    }

    async fn subscribe(
        &self,
        subscribe: Permitted<Frame>,
        acts: Vec<Act>,
        target: &mut FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        // Others of this session need not wait for the disk.
        self.flush(batch, target).await?;
        let recorded = self.log().all_durable(records(acts)).await;
        recorded.map_err(|_| Ending::cut(DenyReason::LogUnavailable))?;
        target.forward(subscribe, batch)
    }

    /// Records and passes on a permitted message: at once where a message of the rate is left, and the log's word is
    /// enough and is there.
    fn publish<'a>(
        &'a self,
        message: Permitted<Frame>,
        act: Act,
        client: &'a ClientSide,
        target: &'a mut FarWriter<'_>,
        batch: &'a mut Batch,
    ) -> Taken<'a> {
        let Some(left) = batch.credit.checked_sub(1).filter(|_| self.log().ack() == Ack::Queued) else {
            let recording = Recording::Due(act);
            return Ok(Some(Box::pin(self.publish_later(message, recording, client, target, batch))));
        };
        batch.credit = left;
        match self.log().queued_at_once(Record::Act(act)) {
            None => target.forward(message, batch).map(|()| None),
            Some(record) => {
                let recording = Recording::Counted(record);
                Ok(Some(Box::pin(self.publish_later(message, recording, client, target, batch))))
            }
        }
    }

    /// Records and passes on a permitted message that has to wait. Where acknowledgements wait for the disk, it goes on
    /// with its batch, which waits.
    async fn publish_later(
        &self,
        message: Permitted<Frame>,
        recording: Recording,
        client: &ClientSide,
        target: &mut FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        match self.record(&message, recording, client, target, batch).await {
            Ok(()) => target.forward(message, batch),
            Err(KeptBack::Ended(ending)) => Err(ending),
            Err(KeptBack::Because(reason)) => {
                let (answer, ending) = client.kept_back(message.asked(), reason);
                answered(answer.as_deref(), ending, batch)
            }
        }
    }

    async fn record(
        &self,
        message: &Permitted<Frame>,
        recording: Recording,
        client: &ClientSide,
        target: &FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), KeptBack> {
        let record = match recording {
            Recording::Counted(record) => record,
            Recording::Due(act) => {
                match batch.credit.checked_sub(1) {
                    Some(left) => batch.credit = left,
                    None => {
                        self.take_portion(&act, target, batch).await?;
                        // It may have waited: what counts is whether it may go now.
                        self.may_still(message, &act, client).await?;
                    }
                }
                Record::Act(act)
            }
        };
        let recorded = match self.log().ack() {
            Ack::Queued => self.log().queued(record).await,
            Ack::Durable => self.log().begin_durable(record).await.map(|way| batch.unwritten.push(way)),
        };
        recorded.map_err(|_| KeptBack::Because(DenyReason::LogUnavailable))
    }

    /// Takes the next messages of the rate, this one included. While it waits, nothing more is read from the client.
    async fn take_portion(
        &self,
        act: &Act,
        target: &FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), KeptBack> {
        let metered = self.metered.get_or_init(|| Box::new(self.admission.metered(self.session.identity())));
        let portion = metered.portion();
        match metered.take(portion, Instant::now()) {
            Ok(Duration::ZERO) => {}
            Ok(wait) => {
                // What came before need not wait.
                self.flush(batch, target).await.map_err(KeptBack::Ended)?;
                tokio::time::sleep(wait).await;
            }
            Err(OverRate) => {
                let verdict = Verdict::Deny(DenyReason::Rate);
                let denied = Act { verdict, rule: None, ..act.clone() };
                // Refused either way.
                let _ = self.log().queued(Record::Act(denied)).await;
                return Err(KeptBack::Because(DenyReason::Rate));
            }
        }
        batch.credit = portion.saturating_sub(1);
        Ok(())
    }

    async fn may_still(
        &self,
        message: &Permitted<Frame>,
        act: &Act,
        client: &ClientSide,
    ) -> Result<(), KeptBack> {
        let table = self.table().map_err(KeptBack::Ended)?;
        let Err(denial) = client.may_publish(message.asked(), &table) else { return Ok(()) };
        let verdict = Verdict::Deny(denial.reason);
        let denied = Act { verdict, rule: denial.rule, policy: Some(table.version()), ..act.clone() };
        // Refused either way.
        let _ = self.log().queued(Record::Act(denied)).await;
        Err(KeptBack::Because(denial.reason))
    }

    /// Waits until the records of a batch are on disk. If one is not, nothing of the batch goes anywhere.
    async fn written(&self, batch: &mut Batch) -> Result<(), Ending> {
        for on_its_way in std::mem::take(&mut batch.unwritten) {
            if on_its_way.wait().await.is_err() {
                *batch = Batch { credit: batch.credit, ..Batch::default() };
                return Err(Ending::cut(DenyReason::LogUnavailable));
            }
        }
        Ok(())
    }

    fn log(&self) -> &DecisionLog {
        &self.admission.log
    }

    fn table(&self) -> Result<Arc<DecisionTable>, Ending> {
        self.session.table().ok_or(Ending::cut(DenyReason::PolicyMissing))
    }

    async fn flush(&self, batch: &mut Batch, target: &FarWriter<'_>) -> Result<(), Ending> {
        if !batch.unwritten.is_empty() {
            Box::pin(self.written(batch)).await?;
        }
        if !batch.back.is_empty() {
            self.down.lock().await.write(&batch.back).await.map_err(|_| Ending::Lost)?;
            batch.back = BytesMut::new();
        }
        if let FarWriter::Broker(outbound) = target
            && !batch.up.octets().is_empty()
        {
            outbound.lock().await.write(batch.up.octets()).await.map_err(|_| Ending::UpstreamGone)?;
            batch.up = ToBroker::default();
            self.went_up.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl FarWriter<'_> {
    /// Passes on a packet that no table is asked about.
    fn pass(&mut self, plain: &Plain, batch: &mut Batch) -> Result<(), Ending> {
        match self {
            Self::Broker(_) => batch.up.pass(plain),
            Self::Sink(sink) => sink.take(plain, &mut batch.back)?,
        }
        Ok(())
    }

    /// Passes on a packet that was judged.
    fn forward(&mut self, permitted: Permitted<Frame>, batch: &mut Batch) -> Result<(), Ending> {
        match self {
            Self::Broker(_) => {
                batch.up.forward(permitted);
                Ok(())
            }
            Self::Sink(sink) => sink.take_permitted(permitted, &mut batch.back),
        }
    }
}

/// Hands a message to the receiver.
fn deliver(message: Permitted<ForClient>, batch: &mut Batch) {
    batch.back.extend_from_slice(message.sent().octets());
}

fn records(acts: Vec<Act>) -> Vec<Record> {
    acts.into_iter().map(Record::Act).collect()
}

fn answered(answer: Option<&[u8]>, ending: Option<Ending>, batch: &mut Batch) -> Result<(), Ending> {
    batch.back.extend_from_slice(answer.unwrap_or_default());
    ending.map_or(Ok(()), Err)
}

fn broker_broke(fault: touchmark_mqtt::Fault) -> Ending {
    tracing::warn!(%fault, "the broker breaks the protocol, or sends more than this gateway takes");
    Ending::UpstreamGone
}
