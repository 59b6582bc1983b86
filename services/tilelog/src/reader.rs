//! Reads a published log: entries and proofs. Needs no lock and no key; many may read at once.
//!
//! In: a directory and the size of a head that covers what is asked. Out: entries, proofs, roots.
//! Tiles are believed here: proofs made of damaged tiles fail where they are verified, and the audit
//! finds the damage.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};

use touchmark_tlog::{
    ConsistencyProof, Hash, InclusionProof, NodePlace, ProofFault, TILE_WIDTH, TileKind, TilePath,
    bundle_entries, root_at, subtree_root,
};

use crate::fault::TileLogFault;
use crate::files;

/// Entries read in one call: 16 full bundles, at most 16 MiB each. Callers page.
pub const READ_ENTRIES_MAX: u64 = 16 * TILE_WIDTH as u64;

/// A log directory up to a published size.
#[derive(Clone, Debug)]
pub struct TileReader {
    directory: PathBuf,
    size: u64,
}

impl TileReader {
    /// Reads the log in `directory` as a tree of `size` leaves, the size of a checkpoint published there.
    pub fn new(directory: &Path, size: u64) -> Self {
        Self { directory: directory.to_owned(), size }
    }

    /// The size it reads at.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The leaves of a range of at most [`READ_ENTRIES_MAX`].
    pub fn read_entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, TileLogFault> {
        let Range { start, end } = range;
        if start > end || end > self.size || end - start > READ_ENTRIES_MAX {
            let (size, at_once) = (self.size, READ_ENTRIES_MAX);
            return Err(TileLogFault::Unavailable { first: start, end, size, at_once });
        }
        let mut leaves = Vec::new();
        let mut next = start;
        while next < end {
            let index = next / u64::from(TILE_WIDTH);
            let Some(tile) = TilePath::in_tree(TileKind::Entries, index, self.size) else { break };
            let (file, bytes) = self.read_tile(&tile)?;
            let entries = bundle_entries(&bytes).map_err(|_| damaged(&file, "it is no bundle of entries"))?;
            let upto = end.min(tile.first() + u64::from(tile.width()));
            let wanted = entries.get((next - tile.first()) as usize..(upto - tile.first()) as usize);
            let wanted = wanted.ok_or_else(|| damaged(&file, "entries are missing at its end"))?;
            leaves.extend(wanted.iter().map(|leaf| leaf.to_vec()));
            next = upto;
        }
        Ok(leaves)
    }

    /// Proof that leaf `index` is in the tree of the first `size` leaves.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, TileLogFault> {
        self.within(size)?;
        self.with_nodes(|node| InclusionProof::make(index, size, node))
    }

    /// Proof that the tree of the first `old` leaves is a prefix of the tree of the first `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, TileLogFault> {
        self.within(new)?;
        self.with_nodes(|node| ConsistencyProof::make(old, new, node))
    }

    /// Root of the tree of the first `size` leaves.
    pub fn root_at(&self, size: u64) -> Result<Hash, TileLogFault> {
        self.within(size)?;
        self.with_nodes(|node| root_at(size, node))
    }

    /// The hashes of the right-most tile of each level, lowest first; none where that tile is empty.
    pub(crate) fn right_edge(&self) -> Result<Vec<Vec<Hash>>, TileLogFault> {
        let mut levels = Vec::new();
        let mut places = self.size;
        while places > 0 {
            let kind = TileKind::Hashes { level: levels.len() as u8 };
            let index = places / u64::from(TILE_WIDTH);
            levels.push(match TilePath::in_tree(kind, index, self.size) {
                Some(tile) => self.hashes(&tile)?,
                None => vec![],
            });
            places = index;
        }
        Ok(levels)
    }

    /// A tile of this tree, from its own file or from that of the full tile.
    pub(crate) fn read_tile(&self, tile: &TilePath) -> Result<(TilePath, Vec<u8>), TileLogFault> {
        files::read_tile_or_full(&self.directory, tile)
            .map_err(|source| TileLogFault::Read { file: tile.to_string(), source })?
            .ok_or_else(|| damaged(tile, "it is missing"))
    }

    fn hashes(&self, tile: &TilePath) -> Result<Vec<Hash>, TileLogFault> {
        let (file, bytes) = self.read_tile(tile)?;
        files::tile_hashes(&file, &bytes, tile.width())
            .ok_or_else(|| damaged(&file, "it has the wrong length"))
    }

    fn within(&self, size: u64) -> Result<(), TileLogFault> {
        if size <= self.size {
            return Ok(());
        }
        Err(ProofFault::OutOfRange { wanted: size, size: self.size }.into())
    }

    /// Runs a proof over the stored nodes. Each tile is read once; what hindered a read is the answer.
    fn with_nodes<T>(
        &self,
        prove: impl FnOnce(&dyn Fn(u8, u64) -> Option<Hash>) -> Result<T, ProofFault>,
    ) -> Result<T, TileLogFault> {
        let tiles: RefCell<HashMap<TilePath, Vec<Hash>>> = RefCell::default();
        let hindrance = RefCell::new(None);
        let node = |level: u8, index: u64| {
            let place = NodePlace::of(level, index);
            let tile = TilePath::in_tree(TileKind::Hashes { level: place.level }, place.index, self.size)?;
            let mut tiles = tiles.borrow_mut();
            let hashes = match tiles.entry(tile) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => match self.hashes(&tile) {
                    Ok(hashes) => unread.insert(hashes),
                    Err(fault) => {
                        hindrance.borrow_mut().get_or_insert(fault);
                        return None;
                    }
                },
            };
            subtree_root(hashes.get(place.hashes)?)
        };
        let proof = prove(&node);
        match hindrance.into_inner() {
            Some(fault) => Err(fault),
            None => Ok(proof?),
        }
    }
}

fn damaged(file: &TilePath, says: &'static str) -> TileLogFault {
    TileLogFault::Damaged { file: file.to_string(), says }
}
