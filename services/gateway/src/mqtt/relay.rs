//! The two directions of a live session: each packet is decided, recorded, then passed on.
//!
//! Each direction has its own loop, so that a slow reader on one side holds back that side only. What is whole in a
//! read is passed on in one write. The loops may be dropped at any await: a session ends at once when it must.

use super::broker_side::{BrokerSide, Delivered, Restored};
use super::client_side::{ClientSide, Step};
use super::exchange::Exchange;
use super::refusal::Ending;
use super::upstream::BrokerLink;
use super::wire::{Inbound, Incoming, Outbound};
use crate::config::Ack;
use crate::decision_log::{DecisionLog, LogUnavailable, OnItsWay};
use crate::door::Door;
use crate::rates::{Metered, OverRate};
use crate::session::Session;
use crate::sink::SinkSession;
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use tokio::sync::Mutex;
use touchmark_decisions::{Act, Record, SessionId, Verdict};
use touchmark_listen::{Clock, Stop};
use touchmark_mqtt::{Frame, PacketType, ProtocolVersion};
use touchmark_policy::{DecisionTable, DenyReason, Permit};

/// Octets gathered before they are written although more packets are there.
const BATCH_OCTETS: usize = 64 * 1024;
/// Time for the broker to take a last packet.
const FAREWELL: Duration = Duration::from_millis(250);
/// MQTT 5.0 §3.12.
const PINGREQ: [u8; 2] = [0xc0, 0];

/// The client's side of a session, as both directions use it.
pub(crate) struct Talk {
    session: Arc<Session>,
    log: Arc<DecisionLog>,
    metered: Metered,
    clock: Clock,
    down: Mutex<Outbound>,
    keep_alive: Option<Duration>,
    /// Something went to the broker since it was last looked at.
    went_up: AtomicBool,
    /// PINGRESPs to come that answer pings of ours.
    our_pings: AtomicU32,
}

/// The other side.
#[expect(
    clippy::large_enum_variant,
    reason = "one a session, and where sessions are counted they have a broker"
)]
pub(crate) enum FarSide {
    Broker { inbound: Inbound, outbound: Mutex<Outbound>, side: BrokerSide, pulse: Option<Duration> },
    Sink(SinkSession),
}

/// The writing end of the other side, for the upward direction.
enum FarWriter<'a> {
    Broker(&'a Mutex<Outbound>),
    Sink(&'a mut SinkSession),
}

/// Octets on their way, to the far side and back to the client.
#[derive(Default)]
struct Batch {
    up: BytesMut,
    back: BytesMut,
    /// Records that have to be on disk first, where acknowledgements wait for it.
    unwritten: Vec<OnItsWay>,
    /// Messages of the rate that were taken and not sent yet.
    credit: u32,
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
        Self::Broker { inbound, outbound: Mutex::new(outbound), side, pulse }
    }

    /// What was withheld from the client and is not recorded yet.
    pub(crate) fn take_folded(&mut self) -> Option<Act> {
        match self {
            Self::Broker { side, .. } => side.take_folded(),
            Self::Sink(_) => None,
        }
    }

    /// Ends the far side, with the client's DISCONNECT where that waited for the will.
    pub(crate) async fn end(self, farewell: Option<&Bytes>) {
        if let Self::Broker { outbound, .. } = self {
            let mut outbound = outbound.into_inner();
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
        door: &Door,
        down: Outbound,
        keep_alive: Option<Duration>,
    ) -> Self {
        let (log, clock) = (Arc::clone(&door.log), door.clock.clone());
        let metered = door.metered(session.identity());
        Self {
            session,
            log,
            metered,
            clock,
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
        far: &mut FarSide,
        stop: &mut Stop,
    ) -> Ending {
        match far {
            FarSide::Sink(sink) => {
                tokio::select! {
                    biased;
                    reason = self.session.ended() => Ending::cut(reason),
                    () = stop.stopped() => Ending::Shutdown,
                    ending = self.upward(client, inbound, FarWriter::Sink(sink)) => ending,
                }
            }
            FarSide::Broker { inbound: from_broker, outbound, side, pulse } => {
                tokio::select! {
                    biased;
                    reason = self.session.ended() => Ending::cut(reason),
                    () = stop.stopped() => Ending::Shutdown,
                    ending = self.upward(client, inbound, FarWriter::Broker(outbound)) => ending,
                    ending = self.downward(from_broker, outbound, side) => ending,
                    ending = self.keep_up(outbound, *pulse) => ending,
                }
            }
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

    /// Asks the broker again for subscriptions; done before the PINGRESP that brought it about goes down.
    async fn restore(
        &self,
        restored: Restored,
        far: &FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        let Restored { permits, acts, octets } = restored;
        let recorded = self.log.all_durable(acts.into_iter().map(Record::Act).collect()).await;
        recorded.map_err(|_| Ending::cut(DenyReason::LogUnavailable))?;
        permits.into_iter().for_each(drop);
        batch.up.extend_from_slice(&octets);
        self.flush(batch, far).await
    }

    /// From the client. Returns with everything written that was permitted before the end.
    async fn upward(&self, client: &mut ClientSide, inbound: &mut Inbound, mut far: FarWriter<'_>) -> Ending {
        let mut batch = Batch::default();
        loop {
            let ending = match self.next_upward(client, inbound, &mut far, &mut batch).await {
                Ok(()) => continue,
                Err(ending) => ending,
            };
            // What came before the end still goes where it was going.
            return match self.flush(&mut batch, &far).await {
                Ok(()) => ending,
                Err(_) if ending != Ending::Lost => ending,
                Err(other) => other,
            };
        }
    }

    async fn next_upward(
        &self,
        client: &mut ClientSide,
        inbound: &mut Inbound,
        far: &mut FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        if batch.up.len() + batch.back.len() >= BATCH_OCTETS {
            self.flush(batch, far).await?;
        }
        let incoming = match inbound.buffered() {
            Some(incoming) => incoming,
            None => {
                self.flush(batch, far).await?;
                inbound.next(self.keep_alive).await
            }
        };
        let frame = match incoming {
            Incoming::Frame(frame) => frame,
            Incoming::End => return Err(Ending::Lost),
            Incoming::Silence => return Err(Ending::Idle),
            Incoming::Fault(fault) => return Err(Ending::Broken(fault)),
        };
        match client.take(frame, &*self.table()?, self.clock.now()) {
            Step::Pass(frame) => far.pass(&frame, batch),
            Step::Publish { permit, act, frame } => match self.recorded(act, far, batch).await {
                Ok(()) => far.forward(permit, &frame, batch),
                Err(KeptBack::Ended(ending)) => Err(ending),
                Err(KeptBack::Because(reason)) => {
                    let (answer, ending) = client.kept_back(&frame, reason);
                    answered(answer.as_deref(), ending, batch)
                }
            },
            Step::Release { permit, frame } => far.forward(permit, &frame, batch),
            Step::Subscribe { permits, acts, frame } => {
                // Others of this session need not wait for the disk.
                self.flush(batch, far).await?;
                let records = acts.into_iter().map(Record::Act).collect();
                let recorded = Box::pin(self.log.all_durable(records)).await;
                recorded.map_err(|_| Ending::cut(DenyReason::LogUnavailable))?;
                permits.into_iter().for_each(drop);
                far.pass(&frame, batch)
            }
            Step::Refused { acts, answer, ending } => {
                // Refused either way.
                let _ = Box::pin(self.log.all_queued(acts.into_iter().map(Record::Act).collect())).await;
                answered(answer.as_deref(), ending, batch)
            }
            Step::Goodbye(frame) => {
                far.pass(&frame, batch)?;
                Err(Ending::Goodbye)
            }
            Step::GoodbyeWithWill => Err(Ending::GoodbyeWithWill),
            Step::Broken(fault) => Err(Ending::Broken(fault)),
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
        let far = FarWriter::Broker(to_broker);
        loop {
            match self.next_downward(from_broker, side, &far, &mut batch).await {
                Ok(()) => {}
                Err(ending) => {
                    // The broker's last words are the client's to read.
                    let _ = self.flush(&mut batch, &far).await;
                    return ending;
                }
            }
        }
    }

    async fn next_downward(
        &self,
        from_broker: &mut Inbound,
        side: &mut BrokerSide,
        far: &FarWriter<'_>,
        batch: &mut Batch,
    ) -> Result<(), Ending> {
        if batch.up.len() + batch.back.len() >= BATCH_OCTETS {
            self.flush(batch, far).await?;
        }
        let incoming = match from_broker.buffered() {
            Some(incoming) => incoming,
            None => {
                self.flush(batch, far).await?;
                from_broker.next(None).await
            }
        };
        let frame = match incoming {
            Incoming::Frame(frame) => frame,
            Incoming::End | Incoming::Silence => return Err(Ending::UpstreamGone),
            Incoming::Fault(fault) => return Err(broker_broke(fault)),
        };
        if frame.packet_type() == PacketType::Pingresp {
            if let Some(restored) = side.restore(&*self.table()?, self.clock.now()) {
                Box::pin(self.restore(restored, far, batch)).await?;
            }
            if self.is_our_pong() {
                return Ok(());
            }
        }
        match side.take(frame, &*self.table()?, self.clock.now()) {
            Delivered::Pass(octets) => batch.back.extend_from_slice(&octets),
            Delivered::Deliver { permit, octets } => deliver(permit, &octets, batch),
            Delivered::Withheld { acts, answer } => {
                // Withheld either way.
                let _ = Box::pin(self.log.all_queued(acts.into_iter().map(Record::Act).collect())).await;
                batch.up.extend_from_slice(&answer);
            }
            Delivered::Withdrawn { act, denial } => {
                let _ = Box::pin(self.log.queued(Record::Act(act))).await;
                return Err(Ending::Withdrawn(denial));
            }
            Delivered::Ours => {}
            Delivered::Answer(octets) => batch.up.extend_from_slice(&octets),
            Delivered::Goodbye(octets) => {
                batch.back.extend_from_slice(&octets);
                return Err(Ending::UpstreamGoodbye);
            }
            Delivered::Broken(fault) => return Err(broker_broke(fault)),
        }
        Ok(())
    }

    /// Records a publish whose turn has come. It goes on and is acknowledged with its batch, which waits for the disk
    /// where it has to.
    async fn recorded(&self, act: Act, far: &FarWriter<'_>, batch: &mut Batch) -> Result<(), KeptBack> {
        match batch.credit.checked_sub(1) {
            Some(left) => batch.credit = left,
            None => Box::pin(self.take_portion(&act, far, batch)).await?,
        }
        let record = Record::Act(act);
        let recorded = match self.log.ack() {
            Ack::Queued => self.queued(record).await,
            Ack::Durable => {
                Box::pin(self.log.begin_durable(record)).await.map(|way| batch.unwritten.push(way))
            }
        };
        recorded.map_err(|_| KeptBack::Because(DenyReason::LogUnavailable))
    }

    /// Takes the next messages of the rate, this one included. While it waits, nothing more is read from the client.
    async fn take_portion(&self, act: &Act, far: &FarWriter<'_>, batch: &mut Batch) -> Result<(), KeptBack> {
        let portion = self.metered.portion();
        match self.metered.take(portion, Instant::now()) {
            Ok(Duration::ZERO) => {}
            Ok(wait) => {
                // What came before need not wait.
                self.flush(batch, far).await.map_err(KeptBack::Ended)?;
                tokio::time::sleep(wait).await;
            }
            Err(OverRate) => {
                let verdict = Verdict::Deny(DenyReason::Rate);
                let denied = Act { verdict, rule: None, ..act.clone() };
                // Refused either way.
                let _ = self.log.queued(Record::Act(denied)).await;
                return Err(KeptBack::Because(DenyReason::Rate));
            }
        }
        batch.credit = portion.saturating_sub(1);
        Ok(())
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

    /// Boxed where it waits: waiting is rare, and its state would weigh on every idle session.
    async fn queued(&self, record: Record) -> Result<(), LogUnavailable> {
        match self.log.queued_at_once(record) {
            None => Ok(()),
            Some(record) => Box::pin(self.log.queued(record)).await,
        }
    }

    fn table(&self) -> Result<Arc<DecisionTable>, Ending> {
        self.session.table().ok_or(Ending::cut(DenyReason::PolicyMissing))
    }

    async fn flush(&self, batch: &mut Batch, far: &FarWriter<'_>) -> Result<(), Ending> {
        if !batch.unwritten.is_empty() {
            Box::pin(self.written(batch)).await?;
        }
        if !batch.back.is_empty() {
            self.down.lock().await.write(&batch.back).await.map_err(|_| Ending::Lost)?;
            batch.back = BytesMut::new();
        }
        if let FarWriter::Broker(outbound) = far
            && !batch.up.is_empty()
        {
            outbound.lock().await.write(&batch.up).await.map_err(|_| Ending::UpstreamGone)?;
            batch.up = BytesMut::new();
            self.went_up.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl FarWriter<'_> {
    /// Passes on a packet that needs no permit.
    fn pass(&mut self, frame: &Frame, batch: &mut Batch) -> Result<(), Ending> {
        match self {
            Self::Broker(_) => batch.up.extend_from_slice(frame.octets()),
            Self::Sink(sink) => sink.take(frame, &mut batch.back)?,
        }
        Ok(())
    }

    /// Passes on a message; its permit is used up.
    fn forward(&mut self, permit: Permit, frame: &Frame, batch: &mut Batch) -> Result<(), Ending> {
        match self {
            Self::Broker(_) => {
                drop(permit);
                batch.up.extend_from_slice(frame.octets());
                Ok(())
            }
            Self::Sink(sink) => sink.store(permit, frame, &mut batch.back),
        }
    }
}

/// Hands a message to the receiver; its permit is used up.
fn deliver(permit: Permit, octets: &[u8], batch: &mut Batch) {
    drop(permit);
    batch.back.extend_from_slice(octets);
}

fn answered(answer: Option<&[u8]>, ending: Option<Ending>, batch: &mut Batch) -> Result<(), Ending> {
    batch.back.extend_from_slice(answer.unwrap_or_default());
    ending.map_or(Ok(()), Err)
}

fn broker_broke(fault: touchmark_mqtt::Fault) -> Ending {
    tracing::warn!(%fault, "the broker breaks the protocol, or sends more than this gateway takes");
    Ending::UpstreamGone
}
