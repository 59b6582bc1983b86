//! The one writer of a log directory.
//!
//! Leaves appended are in memory until [`TileLog::publish`] makes tiles and then a signed head durable.
//! Rules kept through every crash: a head is durable before anyone can see it; never two heads of one
//! size; never a smaller head after a larger; every tile of a head is durable before the head is signed.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use touchmark_durable::{Mode, create_dir_durable, rename_durable};
use touchmark_tlog::{
    Checkpoint, ConsistencyProof, ENTRY_OCTETS_MAX, Hash, InclusionProof, ProofFault, Receipt, TileKind,
    TilePath, VerifierKey, bundle_entries, leaf_hash, open_note,
};

use crate::disk::Disk;
use crate::edge::Edge;
use crate::fault::TileLogFault;
use crate::files::{self, CHECKPOINT_FILE, LOCK_FILE, NEXT_CHECKPOINT_FILE, TILE_DIRECTORY};
use crate::reader::TileReader;
use crate::signer::NoteSigner;

/// Octets of leaves that may wait for [`TileLog::publish`]: they are held in memory until then.
pub const PENDING_OCTETS_MAX: usize = 256 * 1024 * 1024;

/// An open log. One process may have it open; dropping it forgets leaves that were not published.
#[derive(Debug)]
pub struct TileLog {
    directory: PathBuf,
    disk: Disk,
    signer: NoteSigner,
    edge: Edge,
    head: Checkpoint,
    note: String,
    /// Signed and perhaps shown, but not known to be: the next publication finishes it before anything else.
    pending: Option<(Checkpoint, String)>,
    /// Held locked while the log is open.
    _lock: File,
}

impl TileLog {
    /// Opens the log in `directory`, or founds it: signs the head of no leaves.
    ///
    /// Leaves behind the last signed head are gone: the caller appends again what it knows from
    /// [`TileLog::size`] on. Reads the right-most tile of each level, whatever the size of the log.
    ///
    /// `floor` is the last head that the caller keeps elsewhere, in its database. If the directory is
    /// older than it, or has another history, the log does not open: signing on it would be a fork.
    pub fn open(
        directory: &Path,
        signer: NoteSigner,
        mode: Mode,
        floor: Option<&Checkpoint>,
    ) -> Result<Self, TileLogFault> {
        create_dir_durable(directory, mode)?;
        let lock = lock(directory)?;
        let key = signer.verifier_key();
        let (head, note) = match current_head(directory, key)? {
            Some(head) => head,
            None => {
                let empty = signer.sign_head(0, touchmark_tlog::empty_root());
                refuse_below(floor, &empty.0)?;
                Disk::new(mode).write(&directory.join(CHECKPOINT_FILE), empty.1.as_bytes())?;
                empty
            }
        };
        refuse_below(floor, &head)?;
        let reader = TileReader::new(directory, head.size);
        let edge = resume(&reader, &head)?;
        if let Some(floor) = floor
            && reader.root_at(floor.size)? != floor.root
        {
            return Err(TileLogFault::ForkedFromFloor { floor: floor.size });
        }
        remove_unsigned_partials(directory, head.size)?;
        let (directory, disk) = (directory.to_owned(), Disk::new(mode));
        Ok(Self { directory, disk, signer, edge, head, note, pending: None, _lock: lock })
    }

    /// Appends leaves of at most 65535 octets each, all or none. Returns their indices.
    ///
    /// They are in memory only: not durable, not provable, until [`TileLog::publish`].
    pub fn append<L: AsRef<[u8]>>(&mut self, leaves: &[L]) -> Result<Range<u64>, TileLogFault> {
        let mut octets_total = self.edge.pending_octets();
        for (position, leaf) in leaves.iter().enumerate() {
            let octets = leaf.as_ref().len();
            if octets > ENTRY_OCTETS_MAX {
                return Err(TileLogFault::LeafTooLong { position, octets });
            }
            octets_total += 2 + octets;
        }
        if octets_total > PENDING_OCTETS_MAX {
            return Err(TileLogFault::Backlog);
        }
        let first = self.size();
        for (position, leaf) in leaves.iter().enumerate() {
            self.edge.append(position, leaf.as_ref())?;
        }
        Ok(first..self.size())
    }

    /// Makes all appended leaves durable and publishes a signed head over them.
    ///
    /// Without new leaves the last head is returned as it is. After an error nothing new is visible and
    /// the leaves still wait: call again. The steps, and what a crash before each of them leaves:
    /// 1. tiles: the old head, and tiles that no head covers; they are written again.
    /// 2. `.checkpoint.next`: the same. From here on the new head exists, and the next `open` shows it.
    /// 3. rename to `checkpoint`: it may be visible, and is durable under its other name.
    /// 4. removal of partial tiles that are full now: nothing but leftovers.
    ///
    /// An error at 2 or 3 leaves a head of which nobody knows whether it will be shown by the next `open`. It is
    /// finished first by the next call: until then no tile is written or removed, for it may need them.
    pub fn publish(&mut self) -> Result<&Checkpoint, TileLogFault> {
        self.finish_pending()?;
        if self.edge.size() == self.head.size {
            return Ok(&self.head);
        }
        let files = self.edge.unpublished(self.head.size);
        let tiles: Vec<TilePath> = files.iter().map(|(tile, _)| *tile).collect();
        self.prepare_directories(&tiles)?;
        self.disk.write_all(files.iter().map(|(tile, bytes)| (self.path(tile), bytes)))?;

        self.pending = Some(self.signer.sign_head(self.edge.size(), self.edge.root()));
        self.finish_pending()?;
        for tile in tiles.iter().filter(|tile| !tile.is_partial()) {
            // Leftovers harm nobody, and the audit compares them: a failure is no reason to stop.
            let _ = fs::remove_dir_all(self.directory.join(tile.partials_directory()));
        }
        Ok(&self.head)
    }

    /// Shows the head that was signed last, if it is not known to be shown. Its tiles are durable.
    fn finish_pending(&mut self) -> Result<(), TileLogFault> {
        let Some((_, note)) = &self.pending else { return Ok(()) };
        let next = self.directory.join(NEXT_CHECKPOINT_FILE);
        self.disk.write(&next, note.as_bytes())?;
        self.disk.rename(&next, &self.directory.join(CHECKPOINT_FILE))?;
        if let Some((head, note)) = self.pending.take() {
            if head.size == self.edge.size() {
                self.edge.published();
            }
            (self.head, self.note) = (head, note);
        }
        Ok(())
    }

    /// Leaves appended so far, published or not: the index of the next one.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Root over all leaves appended so far, published or not.
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// The last published head.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.head
    }

    /// The last published head as its signed note, the content of `checkpoint`.
    pub fn checkpoint_note(&self) -> &str {
        &self.note
    }

    /// The key that the heads verify with.
    pub fn verifier_key(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// Reads what is published, on its own: other threads may use it while this one appends.
    pub fn reader(&self) -> TileReader {
        TileReader::new(&self.directory, self.head.size)
    }

    /// Published leaves of a range of at most [`crate::READ_ENTRIES_MAX`].
    pub fn read_entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, TileLogFault> {
        self.reader().read_entries(range)
    }

    /// Proof that leaf `index` is in the tree of the first `size` leaves, of those published.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, TileLogFault> {
        self.reader().inclusion(index, size)
    }

    /// Proof that the first `old` published leaves are a prefix of the first `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, TileLogFault> {
        self.reader().consistency(old, new)
    }

    /// Receipt for a published leaf against the last published head.
    pub fn receipt(&self, index: u64) -> Result<Receipt, TileLogFault> {
        if index >= self.head.size {
            return Err(ProofFault::OutOfRange { wanted: index, size: self.head.size }.into());
        }
        let proof = self.inclusion(index, self.head.size)?;
        Ok(Receipt { extra: None, index, proof, note: self.note.clone() })
    }

    fn path(&self, tile: &TilePath) -> PathBuf {
        self.directory.join(tile.to_string())
    }

    fn prepare_directories(&self, tiles: &[TilePath]) -> Result<(), TileLogFault> {
        for tile in tiles.iter().filter(|tile| tile.is_partial()) {
            let begun_before = TilePath::in_tree(tile.kind(), tile.index(), self.head.size).is_some();
            if !begun_before {
                // No head covers any part of this tile: what lies here was left by a crash, and might
                // stay beside the true partial tiles if it is wider than they are.
                remove_directory(&self.directory, &tile.partials_directory())?;
            }
        }
        let directories: BTreeSet<PathBuf> =
            tiles.iter().filter_map(|tile| Some(self.path(tile).parent()?.to_owned())).collect();
        directories.iter().try_for_each(|directory| self.disk.create_directory(directory))?;
        Ok(())
    }
}

pub(crate) fn lock(directory: &Path) -> Result<File, TileLogFault> {
    let failed = |source| TileLogFault::Read { file: LOCK_FILE.to_owned(), source };
    let file = File::create(directory.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TileLogFault::Locked { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The last signed head. Finishes the publication that a crash interrupted between signing and showing.
fn current_head(directory: &Path, key: &VerifierKey) -> Result<Option<(Checkpoint, String)>, TileLogFault> {
    let read = |file: &'static str| {
        let note = files::read_note(directory, file)
            .map_err(|source| TileLogFault::Read { file: file.to_owned(), source })?;
        note.map(|note| match open_note(&note, key) {
            Ok(head) => Ok((head, note)),
            Err(source) => Err(TileLogFault::Checkpoint { file, source }),
        })
        .transpose()
    };
    let current = read(CHECKPOINT_FILE)?;
    let next = read(NEXT_CHECKPOINT_FILE)?;
    match (current, next) {
        (None, None) if directory.join(TILE_DIRECTORY).exists() => Err(TileLogFault::CheckpointMissing),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(TileLogFault::CheckpointMissing),
        (Some(current), Some(next)) if next.0.size > current.0.size => {
            let (from, to) = (directory.join(NEXT_CHECKPOINT_FILE), directory.join(CHECKPOINT_FILE));
            rename_durable(&from, &to)?;
            Ok(Some(next))
        }
        (Some(current), _) => Ok(Some(current)),
    }
}

fn refuse_below(floor: Option<&Checkpoint>, head: &Checkpoint) -> Result<(), TileLogFault> {
    let Some(floor) = floor else { return Ok(()) };
    if floor.origin != head.origin {
        let (expected, found) = (head.origin.clone(), floor.origin.clone());
        return Err(TileLogFault::OtherLog { expected, found });
    }
    if floor.size > head.size {
        return Err(TileLogFault::BehindFloor { disk: head.size, floor: floor.size });
    }
    Ok(())
}

/// Reads the edge and holds it against the signed root, so that nothing is built on damage.
fn resume(reader: &TileReader, head: &Checkpoint) -> Result<Edge, TileLogFault> {
    let damaged = |file: String, says| TileLogFault::Damaged { file, says };
    let levels = reader.right_edge()?;
    let mut bundle = Vec::new();
    let last = head.size / u64::from(touchmark_tlog::TILE_WIDTH);
    if let Some(tile) = TilePath::in_tree(TileKind::Entries, last, head.size) {
        let (file, bytes) = reader.read_tile(&tile)?;
        let entries =
            bundle_entries(&bytes).map_err(|_| damaged(file.to_string(), "it is no bundle of entries"))?;
        let kept = entries.get(..usize::from(tile.width())).unwrap_or_default();
        let hashes: Vec<Hash> = kept.iter().map(|leaf| leaf_hash(leaf)).collect();
        if entries.len() != usize::from(file.width()) || levels.first() != Some(&hashes) {
            return Err(damaged(file.to_string(), "its entries are not those of the hash tile"));
        }
        let octets = kept.iter().map(|leaf| 2 + leaf.len()).sum();
        bundle.extend(bytes.into_iter().take(octets));
    }
    let says = "the right-most tiles do not lead to its root";
    let edge = Edge::resume(head.size, levels, bundle);
    edge.filter(|edge| edge.root() == head.root).ok_or_else(|| damaged(CHECKPOINT_FILE.to_owned(), says))
}

/// Removes partial tiles at the edge that are wider than the head allows: a crash left them behind.
/// What it left further right is written anew, or removed, when the log gets there.
pub(crate) fn remove_unsigned_partials(directory: &Path, size: u64) -> Result<(), TileLogFault> {
    let hash_levels = (0..8).map(|level| TileKind::Hashes { level });
    for kind in hash_levels.chain([TileKind::Entries]) {
        let places = match kind {
            TileKind::Hashes { level } => size >> (8 * level),
            TileKind::Entries => size,
        };
        let index = places / u64::from(touchmark_tlog::TILE_WIDTH);
        let width = touchmark_tlog::tile_width(kind, index, size);
        let Some(first) = TilePath::new(kind, index, 1) else { continue };
        if width == 0 {
            remove_directory(directory, &first.partials_directory())?;
            continue;
        }
        for width in width + 1..touchmark_tlog::TILE_WIDTH {
            let Some(tile) = TilePath::new(kind, index, width) else { continue };
            remove(&tile.to_string(), fs::remove_file(directory.join(tile.to_string())))?;
        }
    }
    Ok(())
}

fn remove_directory(directory: &Path, name: &str) -> Result<(), TileLogFault> {
    remove(name, fs::remove_dir_all(directory.join(name)))
}

fn remove(name: &str, removed: io::Result<()>) -> Result<(), TileLogFault> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TileLogFault::Read { file: name.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
