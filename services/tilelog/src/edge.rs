//! The right edge of the log in memory: what the next tiles need, and the tiles that wait for disk.
//!
//! No I/O here. Memory: at most 256 hashes for each of 8 levels, one bundle, and what is not yet
//! published.

use std::borrow::Cow;

use touchmark_tlog::{Frontier, Hash, TILE_WIDTH, TileKind, TilePath, leaf_hash, push_entry, subtree_root};

use crate::fault::TileLogFault;

/// Everything that appending needs.
#[derive(Debug)]
pub(crate) struct Edge {
    frontier: Frontier,
    /// For each tile level, the hashes of the tile that is not full yet.
    levels: Vec<Vec<Hash>>,
    /// The entries of the bundle that is not full yet.
    bundle: Vec<u8>,
    /// Full tiles that are not published yet.
    full: Vec<(TilePath, Vec<u8>)>,
    /// Octets of leaves appended since the last publication.
    pending_octets: usize,
}

impl Edge {
    /// The edge as read from disk. `None` if the number of hashes does not fit the size.
    pub(crate) fn resume(size: u64, levels: Vec<Vec<Hash>>, bundle: Vec<u8>) -> Option<Self> {
        let mut roots = Vec::new();
        for hashes in levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (left, right) = rest.split_at(1 << rest.len().ilog2());
                roots.push(subtree_root(left)?);
                rest = right;
            }
        }
        let frontier = Frontier::from_roots(size, roots)?;
        Some(Self { frontier, levels, bundle, full: Vec::new(), pending_octets: 0 })
    }

    /// Of a log without leaves.
    pub(crate) fn empty() -> Self {
        Self {
            frontier: Frontier::new(),
            levels: Vec::new(),
            bundle: Vec::new(),
            full: Vec::new(),
            pending_octets: 0,
        }
    }

    /// Gives the full tiles away.
    pub(crate) fn take_full(&mut self) -> Vec<(TilePath, Vec<u8>)> {
        self.pending_octets = 0;
        std::mem::take(&mut self.full)
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    pub(crate) fn pending_octets(&self) -> usize {
        self.pending_octets
    }

    /// Appends one leaf of at most 65535 octets.
    pub(crate) fn append(&mut self, position: usize, leaf: &[u8]) -> Result<(), TileLogFault> {
        let Self { frontier, levels, bundle, full, pending_octets } = self;
        push_entry(bundle, leaf).map_err(|_| TileLogFault::LeafTooLong { position, octets: leaf.len() })?;
        *pending_octets += 2 + leaf.len();
        let index = frontier.size();
        frontier.append_each(leaf_hash(leaf), |node| {
            if node.level % 8 != 0 {
                return;
            }
            let level = node.level / 8;
            if levels.len() == usize::from(level) {
                levels.push(Vec::new());
            }
            let Some(hashes) = levels.get_mut(usize::from(level)) else { return };
            hashes.push(node.hash);
            if hashes.len() == usize::from(TILE_WIDTH) {
                let tile = TilePath::new(TileKind::Hashes { level }, node.index / 256, TILE_WIDTH);
                full.extend(tile.map(|tile| (tile, octets(hashes))));
                hashes.clear();
            }
        });
        if frontier.size().is_multiple_of(u64::from(TILE_WIDTH)) {
            let tile = TilePath::new(TileKind::Entries, index / u64::from(TILE_WIDTH), TILE_WIDTH);
            full.extend(tile.map(|tile| (tile, std::mem::take(bundle))));
        }
        Ok(())
    }

    /// All tiles that a head of the present size needs and the head of `published` leaves did not have.
    pub(crate) fn unpublished(&self, published: u64) -> Vec<(TilePath, Cow<'_, [u8]>)> {
        let mut tiles: Vec<_> = self.full.iter().map(|(tile, bytes)| (*tile, Cow::from(bytes))).collect();
        let mut partial = |kind, places: u64, bytes| {
            let tile = TilePath::in_tree(kind, places / u64::from(TILE_WIDTH), self.size());
            tiles.extend(tile.map(|tile| (tile, bytes)));
        };
        partial(TileKind::Entries, self.size(), Cow::from(&self.bundle));
        for (level, hashes) in self.levels.iter().enumerate() {
            let places = self.size() >> (8 * level);
            if places != published >> (8 * level) {
                partial(TileKind::Hashes { level: level as u8 }, places, Cow::from(octets(hashes)));
            }
        }
        tiles
    }

    /// Forgets the full tiles: the head that needs them is published.
    pub(crate) fn published(&mut self) {
        self.full.clear();
        self.pending_octets = 0;
    }
}

fn octets(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}
