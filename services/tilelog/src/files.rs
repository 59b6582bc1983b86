//! Names in a log directory, and bounded reads of them.
//!
//! `checkpoint` and `tile/...` are public (C2SP tlog-tiles). Names that start with a dot are ours:
//! the lock, the checkpoint that is about to be published, and temporary files of a crash.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use touchmark_tlog::{BUNDLE_OCTETS_MAX, Hash, NOTE_OCTETS_MAX, TILE_WIDTH, TileKind, TilePath};

/// The signed head, as clients fetch it.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// The next head: signed, durable, not yet shown to anyone. See [`crate::TileLog::publish`].
pub(crate) const NEXT_CHECKPOINT_FILE: &str = ".checkpoint.next";
/// Held locked by the one writer.
pub(crate) const LOCK_FILE: &str = ".lock";
/// Holds all tiles.
pub(crate) const TILE_DIRECTORY: &str = "tile";

/// Reads a note. `None` if there is no such file.
pub(crate) fn read_note(directory: &Path, file: &str) -> io::Result<Option<String>> {
    let Some(bytes) = read_bounded(&directory.join(file), NOTE_OCTETS_MAX)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Reads a tile as it is. `None` if there is no such file.
pub(crate) fn read_tile(directory: &Path, tile: &TilePath) -> io::Result<Option<Vec<u8>>> {
    read_bounded(&directory.join(tile.to_string()), octets_max(tile))
}

/// Reads a tile, or the full tile in its place: the writer deletes partial tiles once there is a full one.
pub(crate) fn read_tile_or_full(
    directory: &Path,
    tile: &TilePath,
) -> io::Result<Option<(TilePath, Vec<u8>)>> {
    if let Some(bytes) = read_tile(directory, tile)? {
        return Ok(Some((*tile, bytes)));
    }
    if !tile.is_partial() {
        return Ok(None);
    }
    Ok(read_tile(directory, &tile.full())?.map(|bytes| (tile.full(), bytes)))
}

/// The hashes of a tile; its file must have exactly as many as its name says. Keeps `width` of them.
pub(crate) fn tile_hashes(file: &TilePath, bytes: &[u8], width: u16) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<{ Hash::OCTETS }>();
    if !rest.is_empty() || hashes.len() != usize::from(file.width()) {
        return None;
    }
    Some(hashes.iter().take(usize::from(width)).map(|octets| Hash(*octets)).collect())
}

fn octets_max(tile: &TilePath) -> usize {
    match tile.kind() {
        TileKind::Hashes { .. } => usize::from(TILE_WIDTH) * Hash::OCTETS,
        TileKind::Entries => BUNDLE_OCTETS_MAX,
    }
}

/// One octet more than allowed is read, so that a file that is too long is seen as damaged, not cut to fit.
fn read_bounded(path: &Path, octets_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        // A file where a directory should be hides the tile as surely as deleting it.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(octets_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > octets_max {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(Some(bytes))
}
