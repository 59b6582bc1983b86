//! What the sink keeps of each message, and for how long.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_durable::{AppendFile, Mode, WriteFault};
use touchmark_identity::Timestamp;

const FILE: &str = "sink.ndjson";
const OLD_FILE: &str = "sink.ndjson.1";
/// The file is put aside at this length; one older file is kept.
const FILE_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Messages and octets for `/messages`.
const RING_MESSAGES_MAX: usize = 1_000;
const RING_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Topics and octets of last values; the topic that was silent longest goes first.
const TOPICS_MAX: usize = 10_000;
const LAST_OCTETS_MAX: usize = 32 * 1024 * 1024;

/// One message, as kept.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Counts from 1 in each run.
    pub(crate) n: u64,
    pub(crate) at: Timestamp,
    pub(crate) device: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) payload: Bytes,
}

/// The same as one line of JSON: text as text, anything else in base64.
#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    at: String,
    device: &'a str,
    topic: &'a str,
    qos: u8,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl Message {
    pub(crate) fn to_line(&self) -> String {
        let text = core::str::from_utf8(&self.payload).ok();
        let line = Line {
            n: self.n,
            at: self.at.to_string(),
            device: &self.device,
            topic: &self.topic,
            qos: self.qos,
            retain: self.retain,
            payload: text,
            payload_base64: text.is_none().then(|| STANDARD.encode(&self.payload)),
        };
        // Numbers and texts always have a form in JSON.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }

    fn octets(&self) -> usize {
        self.payload.len() + self.topic.len() + self.device.len()
    }
}

/// The store; shared by all sessions.
pub(crate) struct Sink {
    file_octets_max: u64,
    inner: Mutex<Inner>,
    path: PathBuf,
    old: PathBuf,
}

struct Inner {
    file: AppendFile,
    next: u64,
    ring: VecDeque<Message>,
    ring_octets: usize,
    last: HashMap<Arc<str>, Message>,
    by_age: BTreeMap<u64, Arc<str>>,
    last_octets: usize,
}

impl Sink {
    pub(crate) fn open(data: &Path) -> Result<Self, WriteFault> {
        Self::open_with(data, FILE_OCTETS_MAX)
    }

    /// The same with a file of another length.
    pub(super) fn open_with(data: &Path, file_octets_max: u64) -> Result<Self, WriteFault> {
        let (path, old) = (data.join(FILE), data.join(OLD_FILE));
        let inner = Inner {
            file: AppendFile::open(&path, Mode::Private0600)?,
            next: 1,
            ring: VecDeque::new(),
            ring_octets: 0,
            last: HashMap::new(),
            by_age: BTreeMap::new(),
            last_octets: 0,
        };
        Ok(Self { file_octets_max, inner: Mutex::new(inner), path, old })
    }

    /// Keeps a message; it is in the file when this returns (not synced: telemetry, not evidence).
    ///
    /// # Errors
    /// What the system said; the message is not kept, and must not be acknowledged.
    pub(crate) fn store(&self, mut message: Message) -> Result<(), io::Error> {
        let mut inner = self.lock();
        message.n = inner.next;
        let written = inner.file.append(message.to_line().as_bytes());
        written.map_err(|fault| fault.source)?;
        inner.next += 1;
        inner.keep_in_ring(message.clone());
        inner.keep_as_last(message);
        if inner.file.len() > self.file_octets_max {
            self.rotate(&mut inner);
        }
        Ok(())
    }

    /// The last message of a topic.
    pub(crate) fn last(&self, topic: &str) -> Option<Message> {
        self.lock().last.get(topic).cloned()
    }

    /// The messages after number `n` that are still in memory, oldest first.
    pub(crate) fn after(&self, n: u64) -> Vec<Message> {
        self.lock().ring.iter().filter(|message| message.n > n).cloned().collect()
    }

    fn rotate(&self, inner: &mut Inner) {
        let renamed = std::fs::rename(&self.path, &self.old);
        match renamed.map(|()| AppendFile::open(&self.path, Mode::Private0600)) {
            Ok(Ok(file)) => inner.file = file,
            Ok(Err(error)) => tracing::error!(%error, "the sink's file cannot be begun anew"),
            Err(error) => tracing::error!(%error, "the sink's file cannot be put aside"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep_in_ring(&mut self, message: Message) {
        self.ring_octets += message.octets();
        self.ring.push_back(message);
        while self.ring.len() > RING_MESSAGES_MAX || self.ring_octets > RING_OCTETS_MAX {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_octets -= oldest.octets();
        }
    }

    fn keep_as_last(&mut self, message: Message) {
        self.last_octets += message.octets();
        self.by_age.insert(message.n, Arc::clone(&message.topic));
        if let Some(before) = self.last.insert(Arc::clone(&message.topic), message) {
            self.by_age.remove(&before.n);
            self.last_octets -= before.octets();
        }
        while self.last.len() > TOPICS_MAX || self.last_octets > LAST_OCTETS_MAX {
            let Some((_, topic)) = self.by_age.pop_first() else { break };
            if let Some(oldest) = self.last.remove(&topic) {
                self.last_octets -= oldest.octets();
            }
        }
    }
}
