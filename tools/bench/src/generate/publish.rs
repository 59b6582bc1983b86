//! MQTT publishes: QoS 1 with one in flight per client, or QoS 0 as fast as the other side takes them.

use super::handshake::{After, converse, opening};
use super::tally::{Count, Tally};
use super::tls::{PATIENCE, Stream, Target, plain};
use super::{ready, tell};
use crate::fault::{Outcome, While as _};
use crate::stock;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use touchmark_mqtt::{
    Delivery, Packet, PacketId, ProtocolVersion, Publish, QoS, Subscribe, SubscribeProperties, Subscription,
    TopicFilter, TopicName,
};

/// What is published is as long as this.
const PAYLOAD: [u8; 100] = [b'x'; 100];
/// Topics that one client uses in turn, as a device with some sensors does.
const TOPICS: usize = 8;
/// QoS 0: publishes in one write.
const TOGETHER: usize = 32;
const VERSION: ProtocolVersion = ProtocolVersion::V311;

/// One window of publishes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishJob {
    pub(crate) target: Target,
    /// Clients are the first identities in this file.
    pub(crate) identities: PathBuf,
    pub(crate) clients: usize,
    /// QoS 1 with a window of one; else QoS 0, closed with one acknowledged publish per client.
    pub(crate) acknowledged: bool,
    /// A subscriber of everything, at this address without TLS, as a service behind the broker is.
    pub(crate) subscriber: Option<String>,
    pub(crate) seconds: f64,
    /// Never more publishes per client than these.
    pub(crate) most: usize,
}

impl PublishJob {
    pub(super) async fn run(self) -> Outcome<()> {
        let clients = self.target.clients()?;
        let mut streams = Vec::new();
        for identity in stock::read(&self.identities, 0, self.clients)? {
            let mut stream = clients.client(Some(&identity))?.connect().await?;
            let hello = opening(After::Mqtt, &identity.name)?;
            converse(&mut stream, After::Mqtt, &hello, &mut Vec::new()).await?;
            streams.push((identity.name, stream));
        }
        if let Some(address) = &self.subscriber {
            subscribe(address).await?;
        }
        ready()?;
        let begun = Instant::now();
        let until = begun + Duration::from_secs_f64(self.seconds);
        let mut tasks = JoinSet::new();
        for (name, mut stream) in streams {
            let (acknowledged, most) = (self.acknowledged, self.most);
            tasks.spawn(async move {
                let mut count = Count::default();
                let run = async {
                    if acknowledged {
                        one_by_one(&name, &mut stream, until, most, &mut count).await
                    } else {
                        flood(&name, &mut stream, until, most, &mut count).await
                    }
                };
                if let Err(fault) = run.await {
                    count.errors.push(format!("{name}: {fault}"));
                }
                (count, stream)
            });
        }
        let (mut count, mut open) = (Count::default(), Vec::new());
        while let Some(ended) = tasks.join_next().await {
            let (one, stream) = ended?;
            count.add(one);
            open.push(stream);
        }
        tell(&Tally::of(count, begun.elapsed()))
    }
}

async fn one_by_one(
    name: &str,
    stream: &mut Stream,
    until: Instant,
    most: usize,
    count: &mut Count,
) -> Outcome<()> {
    let messages: Vec<_> = (0..TOPICS).map(|n| publish(name, n, QoS::AtLeastOnce)).collect::<Outcome<_>>()?;
    for octets in messages.iter().cycle().take(most) {
        let since = Instant::now();
        if since >= until {
            break;
        }
        stream.write_all(octets).await.while_("send")?;
        stream.flush().await.while_("send")?;
        acknowledged(stream).await?;
        count.done(since.elapsed());
    }
    Ok(())
}

async fn flood(
    name: &str,
    stream: &mut Stream,
    until: Instant,
    most: usize,
    count: &mut Count,
) -> Outcome<()> {
    let mut together = Vec::new();
    for n in 0..TOGETHER {
        together.extend(publish(name, n % TOPICS, QoS::AtMostOnce)?);
    }
    let since = Instant::now();
    let mut sent = 0;
    while Instant::now() < until && sent + TOGETHER <= most {
        tokio::time::timeout(PATIENCE, stream.write_all(&together))
            .await
            .while_("the other side stopped")??;
        sent += TOGETHER;
    }
    // The connection keeps the order: when this one is acknowledged, all before it were taken.
    stream.write_all(&publish(name, 0, QoS::AtLeastOnce)?).await.while_("send")?;
    stream.flush().await.while_("send")?;
    acknowledged(stream).await?;
    for _ in 0..=sent {
        count.done(since.elapsed());
    }
    Ok(())
}

async fn acknowledged(stream: &mut Stream) -> Outcome<()> {
    let mut puback = [0; 4];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut puback));
    read.await.while_("no PUBACK in time")?.while_("PUBACK")?;
    if puback == [0x40, 2, 0, 1] { Ok(()) } else { Err(format!("not a PUBACK: {puback:02x?}").into()) }
}

fn publish(name: &str, n: usize, qos: QoS) -> Outcome<Vec<u8>> {
    let topic = format!("plant/{name}/sensor-{n}");
    let packet_id = PacketId::new(1).while_("a packet id")?;
    let delivery = match qos {
        QoS::AtMostOnce => Delivery::AtMostOnce,
        QoS::AtLeastOnce => Delivery::AtLeastOnce { packet_id, duplicate: false },
        QoS::ExactlyOnce => Delivery::ExactlyOnce { packet_id, duplicate: false },
    };
    let mut octets = BytesMut::new();
    let packet = Packet::from(Publish::new(delivery, TopicName::new(&topic).while_("a topic")?, &PAYLOAD));
    packet.encode(VERSION, &mut octets)?;
    Ok(octets.to_vec())
}

/// Subscribes to everything with QoS 0, and reads on whatever comes.
async fn subscribe(address: &str) -> Outcome<()> {
    let mut stream = plain(address).await?;
    converse(&mut stream, After::Mqtt, &opening(After::Mqtt, "bench-subscriber")?, &mut Vec::new()).await?;
    let packet = Packet::from(Subscribe {
        packet_id: PacketId::new(1).while_("a packet id")?,
        properties: SubscribeProperties::default(),
        subscriptions: vec![Subscription::new(TopicFilter::new("#").while_("a filter")?, QoS::AtMostOnce)],
    });
    let mut octets = BytesMut::new();
    packet.encode(VERSION, &mut octets)?;
    stream.write_all(&octets).await?;
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).await?;
    tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
    Ok(())
}
