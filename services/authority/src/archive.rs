//! Decision logs that gateways shipped: kept frame by frame, held against the gateway's own signed heads, and
//! read for sightings and for the first proof of a certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_decisions::{Decision, DecisionReader, Frame, SequenceCheck};
use touchmark_durable::{AppendFile, Mode, WriteFault, create_dir_durable, write_atomic};
use touchmark_identity::Name;
use touchmark_tlog::{Frontier, Hash, VerifierKey, leaf_hash, open_note};

/// Frames of one upload, together.
pub(crate) const UPLOAD_OCTETS_MAX: usize = 1024 * 1024;
const FRAMES_FILE: &str = "frames";
const VKEY_FILE: &str = "vkey";
const CHECKPOINT_FILE: &str = "checkpoint";

/// Why frames were not taken, or an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// Reading failed.
    #[error("cannot read the decision archive {path}: {source}")]
    Read {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The gateway did not say with which key it signs.
    #[error("the gateway has not registered its decision log's key")]
    NotRegistered,
    /// A gateway's log key does not change.
    #[error("the gateway's decision log has another key than the one it registered")]
    OtherKey,
    /// Frames are missing or come twice: the next one wanted is named.
    #[error("expected the frame of leaf {expected}")]
    OutOfOrder {
        /// The next leaf that is wanted.
        expected: u64,
    },
    /// Not a frame of this gateway, or not the one that follows.
    #[error("frame {leaf} is not acceptable: {what}")]
    BadFrame {
        /// Its leaf.
        leaf: u64,
        /// Why.
        what: String,
    },
    /// The head does not cover the frames: the gateway shows two histories.
    #[error("the gateway's signed head does not match the frames it sent")]
    Fork,
    /// Not a head of this log.
    #[error("not a signed head of this gateway's log")]
    BadHead,
}

struct Archive {
    frames: AppendFile,
    directory: PathBuf,
    vkey: Option<VerifierKey>,
    checkpoint: Option<String>,
    frontier: Frontier,
    sequence: SequenceCheck,
    reader: DecisionReader,
}

/// All archives, one directory per gateway.
pub(crate) struct Archives {
    root: PathBuf,
    open: Mutex<BTreeMap<Name, Arc<Mutex<Archive>>>>,
}

/// What an upload brought.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Index of the next leaf.
    pub next_leaf: u64,
    /// The last head that was verified.
    pub checkpoint: Option<String>,
    /// The decisions in the new frames.
    pub decisions: Vec<Decision>,
    /// Epoch and sequence number after them.
    pub position: (u32, u64),
}

impl Archives {
    /// Archives below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, open: Mutex::default() }
    }

    fn of(&self, gateway: &Name) -> Result<Arc<Mutex<Archive>>, ArchiveFault> {
        let mut open = lock(&self.open);
        if let Some(archive) = open.get(gateway) {
            return Ok(Arc::clone(archive));
        }
        let archive = Arc::new(Mutex::new(Archive::open(&self.root.join(gateway.as_str()), gateway)?));
        open.insert(gateway.clone(), Arc::clone(&archive));
        Ok(archive)
    }

    /// Remembers a gateway's log key, for ever.
    ///
    /// # Errors
    /// [`ArchiveFault::OtherKey`] when it registered another one before.
    pub(crate) fn register(&self, gateway: &Name, vkey: &str) -> Result<(), ArchiveFault> {
        let key: VerifierKey = vkey.parse().map_err(|_| ArchiveFault::BadHead)?;
        let archive = self.of(gateway)?;
        let mut archive = lock(&archive);
        match &archive.vkey {
            Some(known) if *known == key => Ok(()),
            Some(_) => Err(ArchiveFault::OtherKey),
            None => {
                write_atomic(&archive.directory.join(VKEY_FILE), vkey.as_bytes(), Mode::Private0600)?;
                archive.vkey = Some(key);
                Ok(())
            }
        }
    }

    /// Takes frames in order, durably; frames that are here already are skipped.
    ///
    /// # Errors
    /// [`ArchiveFault`]; frames before the bad one are kept.
    pub(crate) fn accept(
        &self,
        gateway: &Name,
        first_leaf: u64,
        frames: &[Vec<u8>],
        checkpoint: Option<&str>,
    ) -> Result<Accepted, ArchiveFault> {
        let archive = self.of(gateway)?;
        let mut archive = lock(&archive);
        archive.accept(first_leaf, frames, checkpoint)
    }

    /// Visits every decision of every gateway, oldest first in each.
    ///
    /// # Errors
    /// [`ArchiveFault`] when an archive cannot be read.
    pub(crate) fn visit(&self, mut each: impl FnMut(Decision)) -> Result<(), ArchiveFault> {
        for gateway in self.gateways()? {
            // Opening checks the frames and cuts a torn tail.
            self.of(&gateway)?;
            let mut reader = DecisionReader::new();
            for_each_frame(&self.root.join(gateway.as_str()).join(FRAMES_FILE), |leaf, bytes| {
                let frame = decode(leaf, bytes)?;
                reader.read(&frame).into_iter().for_each(&mut each);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Every gateway with an archive, and the epoch and sequence number after its last decision.
    ///
    /// # Errors
    /// [`ArchiveFault`] when an archive cannot be read.
    pub(crate) fn positions(&self) -> Result<BTreeMap<Name, (u32, u64)>, ArchiveFault> {
        let mut positions = BTreeMap::new();
        for gateway in self.gateways()? {
            let archive = self.of(&gateway)?;
            let position = lock(&archive).sequence.next().unwrap_or((0, 0));
            positions.insert(gateway, position);
        }
        Ok(positions)
    }

    fn gateways(&self) -> Result<Vec<Name>, ArchiveFault> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ArchiveFault::Read { path: self.root.clone(), source }),
        };
        let mut names: Vec<Name> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .collect();
        names.sort();
        Ok(names)
    }
}

impl Archive {
    fn open(directory: &Path, gateway: &Name) -> Result<Self, ArchiveFault> {
        create_dir_durable(directory, Mode::Private0600)?;
        let path = directory.join(FRAMES_FILE);
        let mut frontier = Frontier::new();
        let mut sequence = SequenceCheck::new(gateway.clone());
        let mut reader = DecisionReader::new();
        let whole = for_each_frame(&path, |leaf, bytes| {
            let frame = decode(leaf, bytes)?;
            sequence
                .check(&frame)
                .map_err(|fault| ArchiveFault::BadFrame { leaf, what: fault.to_string() })?;
            drop(reader.read(&frame));
            frontier.append(leaf_hash(bytes));
            Ok(())
        })?;
        let mut frames = AppendFile::open(&path, Mode::Private0600)?;
        // A crash in the middle of an append leaves part of a frame that was never acknowledged.
        frames.truncate(whole)?;
        let text = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
        Ok(Self {
            frames,
            directory: directory.to_owned(),
            vkey: text(VKEY_FILE).and_then(|vkey| vkey.trim().parse().ok()),
            checkpoint: text(CHECKPOINT_FILE),
            frontier,
            sequence,
            reader,
        })
    }

    fn accept(
        &mut self,
        first_leaf: u64,
        frames: &[Vec<u8>],
        checkpoint: Option<&str>,
    ) -> Result<Accepted, ArchiveFault> {
        let vkey = self.vkey.clone().ok_or(ArchiveFault::NotRegistered)?;
        let expected = self.frontier.size();
        if first_leaf > expected {
            return Err(ArchiveFault::OutOfOrder { expected });
        }
        let known = usize::try_from(expected - first_leaf).unwrap_or(usize::MAX);
        let mut decisions = Vec::new();
        for bytes in frames.iter().skip(known) {
            let leaf = self.frontier.size();
            let frame = decode(leaf, bytes)?;
            self.sequence
                .check(&frame)
                .map_err(|fault| ArchiveFault::BadFrame { leaf, what: fault.to_string() })?;
            let length = u32::try_from(bytes.len())
                .map_err(|_| ArchiveFault::BadFrame { leaf, what: "too long".into() })?;
            self.frames.append(&[&length.to_be_bytes()[..], bytes].concat())?;
            self.frontier.append(leaf_hash(bytes));
            decisions.extend(self.reader.read(&frame));
        }
        self.frames.sync();
        if let Some(note) = checkpoint {
            self.hold_against(note, &vkey)?;
        }
        Ok(Accepted {
            next_leaf: self.frontier.size(),
            checkpoint: self.checkpoint.clone(),
            decisions,
            position: self.sequence.next().unwrap_or((0, 0)),
        })
    }

    fn hold_against(&mut self, note: &str, vkey: &VerifierKey) -> Result<(), ArchiveFault> {
        let head = open_note(note, vkey).map_err(|_| ArchiveFault::BadHead)?;
        if head.size != self.frontier.size() {
            // It covers frames that are still to come, or fewer than are here: the next one tells.
            return Ok(());
        }
        if head.root != self.frontier.root() {
            return Err(ArchiveFault::Fork);
        }
        write_atomic(&self.directory.join(CHECKPOINT_FILE), note.as_bytes(), Mode::Private0600)?;
        self.checkpoint = Some(note.to_owned());
        Ok(())
    }
}

fn decode(leaf: u64, bytes: &[u8]) -> Result<Frame, ArchiveFault> {
    Frame::decode(bytes).map_err(|fault| ArchiveFault::BadFrame { leaf, what: fault.to_string() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the frames of a file; gives the octets of all whole ones.
pub(crate) fn for_each_frame(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), ArchiveFault>,
) -> Result<u64, ArchiveFault> {
    use std::io::Read;
    let fault = |source| ArchiveFault::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(fault(source)),
    };
    let mut input = std::io::BufReader::with_capacity(256 * 1024, file);
    let (mut whole, mut leaf, mut frame) = (0, 0, Vec::new());
    loop {
        let mut length = [0; 4];
        if input.read_exact(&mut length).is_err() {
            return Ok(whole);
        }
        let length = u64::from(u32::from_be_bytes(length));
        if length > touchmark_decisions::FRAME_OCTETS_MAX as u64 {
            return Err(ArchiveFault::BadFrame { leaf, what: "longer than a frame can be".into() });
        }
        frame.clear();
        let read = (&mut input).take(length).read_to_end(&mut frame).map_err(fault)?;
        if read as u64 != length {
            return Ok(whole);
        }
        each(leaf, &frame)?;
        whole += 4 + length;
        leaf += 1;
    }
}

/// The root over an archive's frames, and how many there are.
pub(crate) fn root_of(path: &Path, size: u64) -> Result<(u64, Hash), ArchiveFault> {
    let mut frontier = Frontier::new();
    for_each_frame(path, |leaf, bytes| {
        if leaf < size {
            frontier.append(leaf_hash(bytes));
        }
        Ok(())
    })?;
    Ok((frontier.size(), frontier.root()))
}
