//! The audit: rehashes a whole log directory and holds it against its signed head and an outside one.
//!
//! In: a directory (ours, a copy, a stranger's), the log's public key, perhaps a head that a witness
//! kept. Out: a report, or the first fault with file and index. Needs no lock, writes nothing, and may
//! run while the log grows. Shares no code with the writer but the hashes and the names of files.

mod leftovers;
mod report;

use std::io;
use std::path::Path;

use touchmark_tlog::{
    BadBundle, Checkpoint, Frontier, Hash, Node, TILE_WIDTH, TileKind, TilePath, VerifierKey, bundle_entries,
    leaf_hash, open_note,
};

pub use report::{AuditFault, AuditReport, WitnessFinding};

use crate::files::{self, CHECKPOINT_FILE};

/// Audits the log in `directory`.
///
/// - Every entry bundle is rehashed; every hash tile, full or partial, and the root must follow from it.
/// - The head must be signed by `key`.
/// - `witness` is a head of the same log that somebody else kept. Without one, an old copy and a history
///   rewritten by the holder of the key look like a good log, and the report says so.
///
/// `visit` sees each leaf in order, before the audit knows that it is genuine. Its first objection is
/// reported, unless the log itself is at fault.
pub fn audit_dir(
    directory: &Path,
    key: &VerifierKey,
    witness: Option<&Checkpoint>,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<AuditReport, AuditFault> {
    let note = files::read_note(directory, CHECKPOINT_FILE)
        .map_err(unreadable(CHECKPOINT_FILE))?
        .ok_or_else(|| AuditFault::Missing { file: CHECKPOINT_FILE.to_owned() })?;
    let head = open_note(&note, key)?;
    if let Some(other) = witness.filter(|witness| witness.origin != head.origin) {
        return Err(AuditFault::OtherWitness { expected: head.origin, found: other.origin.clone() });
    }
    let mut pass = Pass::new(directory, &head, witness.map(|witness| witness.size));
    let mut objection = None;
    for index in 0..head.size.div_ceil(u64::from(TILE_WIDTH)) {
        pass.bundle(index, &mut |index, leaf| {
            if objection.is_none() {
                objection = visit(index, leaf).err().map(|says| (index, says));
            }
        })?;
    }
    pass.right_edge()?;
    pass.verdict()?;
    let not_covered = leftovers::compare(directory, head.size)?;
    if let Some((index, says)) = objection {
        let file = bundle_file(index, head.size);
        return Err(AuditFault::Leaf { file, index, says });
    }
    let witness = match witness {
        None => WitnessFinding::NotCompared,
        Some(witness) if witness.size > head.size => {
            return Err(AuditFault::BehindWitness { size: head.size, witness: witness.size });
        }
        Some(witness) if pass.root_at_witness != Some(witness.root) => {
            return Err(AuditFault::Fork { witness: witness.size });
        }
        Some(witness) => WitnessFinding::Compared { size: witness.size },
    };
    Ok(AuditReport { size: head.size, root: head.root, note, witness, not_covered })
}

/// One walk over the entries from left to right.
struct Pass<'a> {
    directory: &'a Path,
    head: &'a Checkpoint,
    frontier: Frontier,
    /// For each tile level, what the hashes of the tile that is being filled must be.
    levels: Vec<Vec<Hash>>,
    /// First leaf hash that does not follow from its entry, and the tile it stands in.
    entry_mismatch: Option<(u64, String)>,
    /// First inner hash that does not follow from the leaves below, and the tile it stands in.
    inner_mismatch: Option<(u64, String)>,
    witness_size: Option<u64>,
    root_at_witness: Option<Hash>,
}

impl<'a> Pass<'a> {
    fn new(directory: &'a Path, head: &'a Checkpoint, witness_size: Option<u64>) -> Self {
        let mut pass = Self {
            directory,
            head,
            frontier: Frontier::new(),
            levels: Vec::new(),
            entry_mismatch: None,
            inner_mismatch: None,
            witness_size,
            root_at_witness: None,
        };
        pass.note_root();
        pass
    }

    fn note_root(&mut self) {
        if self.witness_size == Some(self.frontier.size()) {
            self.root_at_witness = Some(self.frontier.root());
        }
    }

    fn bundle(&mut self, index: u64, visit: &mut dyn FnMut(u64, &[u8])) -> Result<(), AuditFault> {
        let Some(tile) = TilePath::in_tree(TileKind::Entries, index, self.head.size) else { return Ok(()) };
        let (file, bytes) = read(self.directory, &tile)?;
        let entries = entries_of(&file, &bytes)?;
        for leaf in entries.into_iter().take(usize::from(tile.width())) {
            visit(self.frontier.size(), leaf);
            let mut stored = Vec::new();
            self.frontier.append_each(leaf_hash(leaf), |node| {
                if node.level % 8 == 0 {
                    stored.push(node);
                }
            });
            stored.into_iter().try_for_each(|node| self.node(node))?;
            self.note_root();
        }
        Ok(())
    }

    /// Takes a hash that must stand in a tile, and compares the tile once it is full.
    fn node(&mut self, node: Node) -> Result<(), AuditFault> {
        let level = node.level / 8;
        if self.levels.len() == usize::from(level) {
            self.levels.push(Vec::new());
        }
        let Some(hashes) = self.levels.get_mut(usize::from(level)) else { return Ok(()) };
        hashes.push(node.hash);
        if hashes.len() == usize::from(TILE_WIDTH) {
            let hashes = std::mem::take(hashes);
            self.tile(level, node.index / u64::from(TILE_WIDTH), &hashes)?;
        }
        Ok(())
    }

    fn right_edge(&mut self) -> Result<(), AuditFault> {
        for (level, hashes) in std::mem::take(&mut self.levels).into_iter().enumerate() {
            let index = (self.head.size >> (8 * level)) / u64::from(TILE_WIDTH);
            self.tile(level as u8, index, &hashes)?;
        }
        Ok(())
    }

    fn tile(&mut self, level: u8, index: u64, expected: &[Hash]) -> Result<(), AuditFault> {
        let kind = TileKind::Hashes { level };
        let Some(tile) = TilePath::in_tree(kind, index, self.head.size) else { return Ok(()) };
        let (file, bytes) = read(self.directory, &tile)?;
        let stored = files::tile_hashes(&file, &bytes, tile.width())
            .ok_or_else(|| AuditFault::Length { file: file.to_string(), index: tile.first() })?;
        let Some(differs) = stored.iter().zip(expected).position(|(stored, expected)| stored != expected)
        else {
            return Ok(());
        };
        let found = (tile.first() + differs as u64, file.to_string());
        let mismatch = if level == 0 { &mut self.entry_mismatch } else { &mut self.inner_mismatch };
        mismatch.get_or_insert(found);
        Ok(())
    }

    /// If the root follows from the entries, the entries are right and a tile that differs is wrong.
    /// Otherwise the entries are wrong, first where a leaf hash contradicts them.
    fn verdict(&mut self) -> Result<(), AuditFault> {
        let entries_are_right = self.frontier.root() == self.head.root;
        match (self.entry_mismatch.take(), self.inner_mismatch.take()) {
            (Some((index, file)), _) | (None, Some((index, file))) if entries_are_right => {
                Err(AuditFault::HashTile { file, index })
            }
            (Some((index, _)), _) => {
                Err(AuditFault::Entry { file: bundle_file(index, self.head.size), index })
            }
            (None, Some((index, file))) => Err(AuditFault::HashTile { file, index }),
            (None, None) if entries_are_right => Ok(()),
            (None, None) => Err(AuditFault::Root { computed: self.frontier.root(), signed: self.head.root }),
        }
    }
}

/// The entries of a bundle file, which must be as many as its name says.
fn entries_of<'b>(file: &TilePath, bytes: &'b [u8]) -> Result<Vec<&'b [u8]>, AuditFault> {
    let length = |position: usize| {
        let index = file.first() + (position as u64).min(u64::from(file.width()) - 1);
        AuditFault::Length { file: file.to_string(), index }
    };
    match bundle_entries(bytes) {
        Ok(entries) if entries.len() == usize::from(file.width()) => Ok(entries),
        Ok(entries) => Err(length(entries.len())),
        Err(BadBundle::Torn { position }) => Err(length(position)),
        Err(BadBundle::TooMany | BadBundle::EntryTooLong { .. }) => Err(length(usize::from(TILE_WIDTH))),
    }
}

fn read(directory: &Path, tile: &TilePath) -> Result<(TilePath, Vec<u8>), AuditFault> {
    let file = tile.to_string();
    files::read_tile_or_full(directory, tile)
        .map_err(unreadable(&file))?
        .ok_or_else(|| AuditFault::Missing { file: file.clone() })
}

fn bundle_file(index: u64, size: u64) -> String {
    TilePath::in_tree(TileKind::Entries, index / u64::from(TILE_WIDTH), size)
        .map_or_else(String::new, |tile| tile.to_string())
}

fn unreadable(file: &str) -> impl FnOnce(io::Error) -> AuditFault {
    move |source| AuditFault::Unreadable { file: file.to_owned(), source }
}

#[cfg(test)]
mod tests;
