//! Full handshakes, each followed by one small exchange: an HTTP request, or MQTT CONNECT and CONNACK.

use super::http::{exchange, request};
use super::tally::{Count, Tally};
use super::tls::{Client, PATIENCE, Target, cut};
use super::{ready, tell};
use crate::fault::{Outcome, While as _};
use crate::stock;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use touchmark_mqtt::{Connect, Packet, ProtocolVersion, Text};

/// What follows the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum After {
    Http,
    Mqtt,
}

/// One window of handshakes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandshakeJob {
    pub(crate) target: Target,
    pub(crate) after: After,
    /// File of identities, used in turn: from the first number, so many.
    pub(crate) identities: (PathBuf, usize, usize),
    /// Handshakes at once.
    pub(crate) at_once: usize,
    pub(crate) seconds: f64,
    pub(crate) most: usize,
}

impl HandshakeJob {
    pub(super) async fn run(self) -> Outcome<()> {
        let (file, skip, number) = &self.identities;
        let clients = self.target.clients()?;
        let mut prepared: Vec<(Client, Vec<u8>)> = Vec::with_capacity(*number);
        for identity in stock::read(file, *skip, *number)? {
            prepared.push((clients.client(Some(&identity))?, opening(self.after, &identity.name)?));
        }
        let prepared = Arc::new(prepared);
        ready()?;
        let begun = Instant::now();
        let until = begun + Duration::from_secs_f64(self.seconds);
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.at_once {
            let (prepared, next, after, most) = (prepared.clone(), next.clone(), self.after, self.most);
            tasks.spawn(async move {
                let mut count = Count::default();
                let mut buffer = Vec::new();
                while Instant::now() < until && count.errors.is_empty() {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let Some((client, octets)) = prepared.get(turn % prepared.len()).filter(|_| turn < most)
                    else {
                        break;
                    };
                    let since = Instant::now();
                    let one = async {
                        let mut stream = client.connect().await?;
                        converse(&mut stream, after, octets, &mut buffer).await?;
                        cut(stream);
                        Outcome::Ok(())
                    };
                    let done = tokio::time::timeout(PATIENCE, one).await;
                    match done.unwrap_or_else(|_| Err("no answer in time".into())) {
                        Ok(()) => count.done(since.elapsed()),
                        Err(fault) => count.errors.push(fault.to_string()),
                    }
                }
                count
            });
        }
        let mut count = Count::default();
        while let Some(ended) = tasks.join_next().await {
            count.add(ended?);
        }
        tell(&Tally::of(count, begun.elapsed()))
    }
}

/// What is said first after the handshake.
pub(super) fn opening(after: After, name: &str) -> Outcome<Vec<u8>> {
    match after {
        After::Http => Ok(request("GET", "/", &[], &[])),
        After::Mqtt => {
            let mut connect = Connect::new(ProtocolVersion::V311, Text::new(name).while_("a client id")?);
            connect.keep_alive_s = 600;
            let mut octets = BytesMut::new();
            Packet::from(connect).encode(ProtocolVersion::V311, &mut octets)?;
            Ok(octets.to_vec())
        }
    }
}

/// Says it, and reads the answer, which must be a welcome.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    after: After,
    octets: &[u8],
    buffer: &mut Vec<u8>,
) -> Outcome<()> {
    match after {
        After::Http => match exchange(stream, octets, buffer).await?.status {
            200 => Ok(()),
            status => Err(format!("status {status}").into()),
        },
        After::Mqtt => {
            stream.write_all(octets).await.while_("send")?;
            stream.flush().await.while_("send")?;
            // MQTT 3.1.1 §3.2: always four octets, the last of which is the return code.
            let mut connack = [0; 4];
            stream.read_exact(&mut connack).await.while_("CONNACK")?;
            match connack {
                [0x20, 2, _, 0] => Ok(()),
                other => Err(format!("CONNACK {other:02x?}").into()),
            }
        }
    }
}
