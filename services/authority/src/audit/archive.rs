//! Decision logs that gateways shipped: kept frame by frame, held against the gateway's own signed heads, and
//! read for sightings and for the first proof of a certificate.
//!
//! An archive that is not in order is set aside: its gateway gets nothing from us, all others do. What is in a
//! file was validated before it was written, and nothing is promised before it is on disk. Blocking I/O.

mod fault;
mod frames;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use fault::ArchiveFault;
pub(crate) use frames::{decode, for_each_frame};
pub(crate) use tally::{Position, Tally, What, what};

use frames::with_length;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_decisions::{Decision, DecisionReader, Frame, Record, SequenceCheck};
use touchmark_durable::{AppendFile, Mode, create_dir_durable, write_atomic};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_tlog::{Checkpoint, Frontier, VerifierKey, leaf_hash, open_note};

/// Frames of one upload, together.
pub(crate) const UPLOAD_OCTETS_MAX: usize = 1024 * 1024;
pub(crate) const FRAMES_FILE: &str = "frames";
pub(crate) const VKEY_FILE: &str = "vkey";
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

/// What one gateway shipped.
pub(crate) struct Archive {
    frames: AppendFile,
    directory: PathBuf,
    vkey: Option<VerifierKey>,
    checkpoint: Option<String>,
    frontier: Frontier,
    sequence: SequenceCheck,
    reader: DecisionReader,
    /// What may not be counted yet; `None` when only the file and the stored position tell.
    tally: Option<Tally>,
}

/// Held while somebody works with an archive.
type Shared = Arc<Mutex<Archive>>;

/// All archives, one directory per gateway.
pub(crate) struct Archives {
    root: PathBuf,
    /// Open ones, and what was found in those that were set aside.
    known: Mutex<BTreeMap<Name, Result<Shared, String>>>,
}

/// What an upload brought.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Index of the next leaf.
    pub next_leaf: u64,
    /// The last head that was verified.
    pub checkpoint: Option<String>,
}

impl Archives {
    /// Archives below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    /// Works with a gateway's archive, alone.
    ///
    /// # Errors
    /// [`ArchiveFault::Damaged`] when it was set aside, or is now; others when it cannot be opened at all.
    pub(crate) fn with<T>(
        &self,
        gateway: &Name,
        work: impl FnOnce(&mut Archive) -> T,
    ) -> Result<T, ArchiveFault> {
        let archive = self.of(gateway)?;
        let mut archive = lock(&archive);
        Ok(work(&mut archive))
    }

    fn of(&self, gateway: &Name) -> Result<Shared, ArchiveFault> {
        let mut known = lock(&self.known);
        let damaged = |what| ArchiveFault::Damaged { gateway: gateway.clone(), what };
        if let Some(known) = known.get(gateway) {
            return known.clone().map_err(damaged);
        }
        let opened = match Archive::open(&self.root.join(gateway.as_str()), gateway) {
            Ok(archive) => Ok(Arc::new(Mutex::new(archive))),
            // Perhaps it can be read the next time.
            Err(fault @ (ArchiveFault::Write(_) | ArchiveFault::Read { .. })) => return Err(fault),
            Err(fault) => {
                tracing::error!(%gateway, %fault, "a decision archive is damaged and is set aside");
                Err(match fault {
                    ArchiveFault::Damaged { what, .. } => what,
                    other => other.to_string(),
                })
            }
        };
        known.insert(gateway.clone(), opened.clone());
        opened.map_err(damaged)
    }

    /// Remembers a gateway's log key, for ever.
    ///
    /// # Errors
    /// [`ArchiveFault::OtherKey`] when it registered another one before.
    pub(crate) fn register(&self, gateway: &Name, vkey: &str) -> Result<(), ArchiveFault> {
        let key: VerifierKey = vkey.parse().map_err(|_| ArchiveFault::BadHead)?;
        self.with(gateway, |archive| archive.register(key, vkey))?
    }

    /// Visits every decision of every gateway, oldest first in each.
    ///
    /// # Errors
    /// [`ArchiveFault`] when an archive cannot be read: an answer without it would look complete.
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

    /// Every gateway with an archive, damaged ones too.
    ///
    /// # Errors
    /// [`ArchiveFault::Read`].
    pub(crate) fn gateways(&self) -> Result<Vec<Name>, ArchiveFault> {
        gateways_below(&self.root)
    }
}

/// Every gateway with an archive below a directory.
///
/// # Errors
/// [`ArchiveFault::Read`].
pub(crate) fn gateways_below(root: &Path) -> Result<Vec<Name>, ArchiveFault> {
    let fault = |source| ArchiveFault::Read { path: root.to_owned(), source };
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(fault(source)),
    };
    let mut names: Vec<Name> = Vec::new();
    for entry in entries {
        let name = entry.map_err(fault)?.file_name();
        names.extend(name.to_str().and_then(|name| name.parse::<Name>().ok()));
    }
    names.sort();
    Ok(names)
}

impl Archive {
    fn open(directory: &Path, gateway: &Name) -> Result<Self, ArchiveFault> {
        create_dir_durable(directory, Mode::Private0600)?;
        let damaged = |what: &str| ArchiveFault::Damaged { gateway: gateway.clone(), what: what.into() };
        let vkey = match text(directory, VKEY_FILE)? {
            None => None,
            Some(vkey) => {
                Some(vkey.trim().parse::<VerifierKey>().map_err(|_| damaged("its key cannot be read"))?)
            }
        };
        let checkpoint = text(directory, CHECKPOINT_FILE)?;
        let head = match (&checkpoint, &vkey) {
            (None, _) => None,
            (Some(_), None) => return Err(damaged("its key is gone")),
            (Some(note), Some(vkey)) => {
                Some(open_note(note, vkey).map_err(|fault| damaged(&format!("its signed head: {fault}")))?)
            }
        };
        let path = directory.join(FRAMES_FILE);
        let mut frontier = Frontier::new();
        let mut sequence = SequenceCheck::new(gateway.clone());
        let mut reader = DecisionReader::new();
        let mut heads = Heads::new(head.as_ref(), &frontier);
        let walked = for_each_frame(&path, |leaf, bytes| {
            let frame = decode(leaf, bytes)?;
            follow(&mut sequence, leaf, &frame)?;
            drop(reader.read(&frame));
            frontier.append(leaf_hash(bytes));
            heads.grown(&frontier);
            Ok(())
        })?;
        if head.is_some() && !heads.matched {
            return Err(damaged("its frames are not those of its signed head"));
        }
        if frontier.size() > 0 && vkey.is_none() {
            return Err(damaged("its key is gone"));
        }
        let mut frames = AppendFile::open(&path, Mode::Private0600)?;
        // A crash in the middle of an append leaves part of a frame that was never acknowledged.
        if walked.tail > 0 {
            frames.truncate(walked.whole)?;
        }
        let directory = directory.to_owned();
        Ok(Self { frames, directory, vkey, checkpoint, frontier, sequence, reader, tally: None })
    }

    fn register(&mut self, key: VerifierKey, vkey: &str) -> Result<(), ArchiveFault> {
        match &self.vkey {
            Some(known) if *known == key => Ok(()),
            Some(_) => Err(ArchiveFault::OtherKey),
            None => {
                write_atomic(&self.directory.join(VKEY_FILE), vkey.as_bytes(), Mode::Private0600)?;
                self.vkey = Some(key);
                Ok(())
            }
        }
    }

    /// Takes frames in order, durably; frames that are here already are skipped. `home` is the environment
    /// of the gateway, which sees no sessions of another.
    ///
    /// # Errors
    /// [`ArchiveFault`]; good frames before a bad one are kept, durably. Under a head that is not theirs
    /// none are.
    pub(crate) fn accept(
        &mut self,
        home: &EnvironmentName,
        first_leaf: u64,
        frames: &[Vec<u8>],
        checkpoint: Option<&str>,
    ) -> Result<Accepted, ArchiveFault> {
        let vkey = self.vkey.as_ref().ok_or(ArchiveFault::NotRegistered)?;
        let head = match checkpoint {
            None => None,
            Some(note) => Some((note, open_note(note, vkey).map_err(|_| ArchiveFault::BadHead)?)),
        };
        let expected = self.frontier.size();
        if first_leaf > expected {
            return Err(ArchiveFault::OutOfOrder { expected });
        }
        let known = usize::try_from(expected - first_leaf).unwrap_or(usize::MAX);

        // Nothing here is changed before everything that is to be written is known to be good.
        let (mut sequence, mut frontier) = (self.sequence.clone(), self.frontier.clone());
        let mut heads = Heads::new(head.as_ref().map(|(_, head)| head), &frontier);
        let (mut good, mut octets, mut bad) = (Vec::new(), Vec::new(), None);
        for bytes in frames.iter().skip(known) {
            let leaf = frontier.size();
            let judged = decode(leaf, bytes).and_then(|frame| {
                at_home(home, leaf, &frame)?;
                let written = with_length(leaf, bytes)?;
                follow(&mut sequence, leaf, &frame)?;
                Ok((frame, written))
            });
            match judged {
                Ok((frame, written)) => {
                    frontier.append(leaf_hash(bytes));
                    heads.grown(&frontier);
                    good.push(frame);
                    octets.extend_from_slice(&written);
                }
                Err(fault) => {
                    bad = Some(fault);
                    break;
                }
            }
        }
        if heads.forked {
            return Err(ArchiveFault::Fork);
        }
        if !good.is_empty() {
            self.frames.append(&octets)?;
            (self.sequence, self.frontier) = (sequence, frontier);
            for decision in good.iter().flat_map(|frame| self.reader.read(frame)) {
                if let Some(tally) = &mut self.tally {
                    tally.add(&decision);
                }
            }
            self.frames.sync();
        }
        // One that covers frames that are still to come, or fewer than are here, is not kept: the next one tells.
        if let (true, Some((note, _))) = (heads.matched, &head) {
            write_atomic(&self.directory.join(CHECKPOINT_FILE), note.as_bytes(), Mode::Private0600)?;
            self.checkpoint = Some((*note).to_owned());
        }
        match bad {
            Some(fault) => Err(fault),
            None => Ok(Accepted { next_leaf: self.frontier.size(), checkpoint: self.checkpoint.clone() }),
        }
    }

    /// What is kept here beyond the position up to which it was counted, and the position after it. `None`
    /// when that is nothing.
    ///
    /// # Errors
    /// [`ArchiveFault`] when the file cannot be read.
    pub(crate) fn uncounted(
        &mut self,
        counted: Position,
    ) -> Result<Option<(&Tally, Position)>, ArchiveFault> {
        let reached = match self.sequence.next() {
            Some(reached) if reached > counted => reached,
            _ => return Ok(None),
        };
        // After a start, and after a count of which nobody knows whether it was stored, the file tells.
        let tally = match self.tally.take().filter(|tally| tally.from() == counted) {
            Some(tally) => tally,
            None => self.tally_from(counted)?,
        };
        Ok(Some((&*self.tally.insert(tally), reached)))
    }

    /// Everything before `counted` stands in the rows.
    pub(crate) fn counted(&mut self, counted: Position) {
        self.tally = Some(Tally::new(counted));
    }

    fn tally_from(&self, counted: Position) -> Result<Tally, ArchiveFault> {
        let (mut tally, mut reader) = (Tally::new(counted), DecisionReader::new());
        for_each_frame(&self.directory.join(FRAMES_FILE), |leaf, bytes| {
            let frame = decode(leaf, bytes)?;
            reader.read(&frame).iter().for_each(|decision| tally.add(decision));
            Ok(())
        })?;
        Ok(tally)
    }
}

/// Holds a signed head against a log that grows past it.
struct Heads<'a> {
    head: Option<&'a Checkpoint>,
    matched: bool,
    forked: bool,
}

impl<'a> Heads<'a> {
    fn new(head: Option<&'a Checkpoint>, frontier: &Frontier) -> Self {
        let mut heads = Self { head, matched: false, forked: false };
        heads.grown(frontier);
        heads
    }

    fn grown(&mut self, frontier: &Frontier) {
        if let Some(head) = self.head.filter(|head| head.size == frontier.size()) {
            self.matched = head.root == frontier.root();
            self.forked = !self.matched;
        }
    }
}

fn follow(sequence: &mut SequenceCheck, leaf: u64, frame: &Frame) -> Result<(), ArchiveFault> {
    let bad = |what: String| ArchiveFault::BadFrame { leaf, what };
    sequence.check(frame).map(drop).map_err(|fault| bad(fault.to_string()))
}

/// A gateway decides about peers of its own environment only.
pub(crate) fn at_home(home: &EnvironmentName, leaf: u64, frame: &Frame) -> Result<(), ArchiveFault> {
    for record in &frame.records {
        if let Record::SessionOpened(opened) = record
            && opened.environment != *home
        {
            let what =
                format!("a session of environment `{}`, the gateway is of `{home}`", opened.environment);
            return Err(ArchiveFault::BadFrame { leaf, what });
        }
    }
    Ok(())
}

/// A file beside the frames, if there is one.
pub(crate) fn text(directory: &Path, name: &str) -> Result<Option<String>, ArchiveFault> {
    let path = directory.join(name);
    match std::fs::read(&path) {
        // What is no text is no key and no head either: whoever reads it says so.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ArchiveFault::Read { path, source }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
