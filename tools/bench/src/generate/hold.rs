//! Sessions that are held: so many, then more; asked whether they live; and the moment that each one ends.

use super::handshake::{After, converse, opening};
use super::tell;
use super::tls::{PATIENCE, Stream, Target};
use crate::fault::{Outcome, While as _};
use crate::stock;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, WriteHalf};
use tokio::task::JoinSet;

const PINGREQ: [u8; 2] = [0xc0, 0];
/// Handshakes at once while sessions are opened.
const AT_ONCE: usize = 32;

/// MQTT sessions of the first identities in a file. Orders: `hold N`, `ping`, `end`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HoldJob {
    pub(crate) target: Target,
    pub(crate) identities: PathBuf,
    pub(crate) most: usize,
    /// Tell of each session that ends.
    pub(crate) watch: bool,
}

/// Answer to `hold` and `ping`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Sessions that are there, or that answered.
    pub(crate) sessions: usize,
}

/// A session ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) name: String,
    /// Nanoseconds since 1970, when the end was read.
    pub(crate) at_ns: u64,
}

/// Nanoseconds since 1970: one clock for driver and generator.
pub(crate) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl HoldJob {
    pub(super) async fn run(self) -> Outcome<()> {
        let identities = stock::read(&self.identities, 0, self.most)?;
        let clients = self.target.clients()?;
        let mut waiting = Vec::with_capacity(identities.len());
        for identity in &identities {
            waiting.push((identity.name.clone(), clients.client(Some(identity))?));
        }
        waiting.reverse();
        let mut held: Vec<WriteHalf<Stream>> = Vec::new();
        let answered = Arc::new(AtomicUsize::new(0));
        tell(&"ready")?;
        loop {
            // Orders come seldom; reading them in a thread keeps the sessions' tasks going.
            let line = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).map(|_| line)
            });
            let line = line.await??;
            match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
                ("hold", number) => {
                    let number: usize = number.parse()?;
                    while held.len() < number {
                        let mut tasks = JoinSet::new();
                        for (name, client) in (held.len()..number).take(AT_ONCE).filter_map(|_| waiting.pop())
                        {
                            let (answered, watch) = (answered.clone(), self.watch);
                            tasks.spawn(async move {
                                let open = async {
                                    let mut stream = client.connect().await?;
                                    let octets = opening(After::Mqtt, &name)?;
                                    converse(&mut stream, After::Mqtt, &octets, &mut Vec::new()).await?;
                                    Outcome::Ok(stream)
                                };
                                let stream =
                                    tokio::time::timeout(PATIENCE, open).await.while_("CONNECT")??;
                                Outcome::Ok(listened(name, stream, answered, watch))
                            });
                        }
                        if tasks.is_empty() {
                            return Err("more sessions than identities".into());
                        }
                        while let Some(ended) = tasks.join_next().await {
                            held.push(ended??);
                        }
                    }
                    tell(&Held { sessions: held.len() })?;
                }
                ("ping", _) => {
                    answered.store(0, Ordering::Relaxed);
                    let mut sent = 0;
                    for stream in &mut held {
                        let asked = async {
                            stream.write_all(&PINGREQ).await?;
                            stream.flush().await
                        };
                        sent += usize::from(asked.await.is_ok());
                    }
                    let all = async {
                        while answered.load(Ordering::Relaxed) < sent {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    };
                    // Those that do not answer in time are missing in the number.
                    let _ = tokio::time::timeout(PATIENCE / 4, all).await;
                    tell(&Held { sessions: answered.load(Ordering::Relaxed) })?;
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Splits a session: what it hears is counted, and its end told; what it says is left to the caller.
fn listened(name: String, stream: Stream, answered: Arc<AtomicUsize>, watch: bool) -> WriteHalf<Stream> {
    let (mut from, to) = tokio::io::split(stream);
    tokio::spawn(async move {
        let mut octets = [0; 64];
        loop {
            match from.read(&mut octets).await {
                Ok(0) | Err(_) => break,
                // Nothing but PINGRESP comes: two octets each.
                Ok(number) => {
                    answered.fetch_add(number / 2, Ordering::Relaxed);
                }
            }
        }
        let at_ns = unix_ns();
        if watch {
            // A driver that is gone needs no news.
            let _ = tell(&Ended { name, at_ns });
        }
    });
    to
}
