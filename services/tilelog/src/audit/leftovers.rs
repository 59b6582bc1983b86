//! Partial tiles of earlier heads: still served, so still compared, with the tile that outgrew them.

use std::fs;
use std::io;
use std::path::Path;

use touchmark_tlog::{Hash, TileKind, TilePath};

use super::{AuditFault, entries_of, read, unreadable};
use crate::files::{self, TILE_DIRECTORY};

/// Directories below `tile/`: a level, seven elements for an index, one for partial tiles. What lies
/// deeper is not of the log.
const DEPTH_MAX: usize = 10;

/// Compares every file under `tile/` that is narrower than the tile of the head in its place.
/// The tiles of the head itself are already known to be right. Returns how many files it does not cover.
pub(super) fn compare(directory: &Path, size: u64) -> Result<u64, AuditFault> {
    let mut not_covered = 0;
    let mut waiting = vec![(TILE_DIRECTORY.to_owned(), 1)];
    while let Some((parent, depth)) = waiting.pop() {
        for (name, is_directory) in children(directory, &parent)? {
            let path = format!("{parent}/{name}");
            if is_directory && depth < DEPTH_MAX {
                waiting.push((path, depth + 1));
            } else if !one(directory, &path, size)? {
                not_covered += 1;
            }
        }
    }
    Ok(not_covered)
}

/// Sorted, so that the same damage gives the same report.
fn children(directory: &Path, parent: &str) -> Result<Vec<(String, bool)>, AuditFault> {
    let listing = match fs::read_dir(directory.join(parent)) {
        // No leaf yet; or the writer removed partial tiles that have become full.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(unreadable(parent))?,
    };
    let mut children = Vec::new();
    for entry in listing {
        let entry = entry.map_err(unreadable(parent))?;
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        children.push((entry.file_name().to_string_lossy().into_owned(), is_directory));
    }
    children.sort();
    Ok(children)
}

/// Whether the head covers this file. An error if it does and the file is wrong.
fn one(directory: &Path, path: &str, size: u64) -> Result<bool, AuditFault> {
    let Ok(tile) = path.parse::<TilePath>() else { return Ok(false) };
    let Some(known) = TilePath::in_tree(tile.kind(), tile.index(), size) else { return Ok(false) };
    if tile.width() >= known.width() {
        return Ok(tile == known);
    }
    let Some(bytes) = files::read_tile(directory, &tile).map_err(unreadable(path))? else { return Ok(true) };
    let (known_file, known_bytes) = read(directory, &known)?;
    let file = path.to_owned();
    match tile.kind() {
        TileKind::Hashes { .. } => {
            let octets = usize::from(tile.width()) * Hash::OCTETS;
            if bytes.len() != octets {
                return Err(AuditFault::Length { file, index: tile.first() });
            }
            match differs(bytes.chunks(Hash::OCTETS), known_bytes.chunks(Hash::OCTETS)) {
                Some(position) => Err(AuditFault::HashTile { file, index: tile.first() + position }),
                None => Ok(true),
            }
        }
        TileKind::Entries => {
            let (entries, known) = (entries_of(&tile, &bytes)?, entries_of(&known_file, &known_bytes)?);
            match differs(entries.into_iter(), known.into_iter()) {
                Some(position) => Err(AuditFault::Entry { file, index: tile.first() + position }),
                None => Ok(true),
            }
        }
    }
}

fn differs<'b>(one: impl Iterator<Item = &'b [u8]>, other: impl Iterator<Item = &'b [u8]>) -> Option<u64> {
    one.zip(other).position(|(one, other)| one != other).map(|position| position as u64)
}
