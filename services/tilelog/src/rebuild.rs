//! Tiles that were lost or damaged, written again from the leaves that the caller keeps elsewhere.
//!
//! Nothing is signed: a head that was signed before says what the tiles must be, and nothing is written before the
//! leaves are known to be those of that head.

use std::fs;
use std::path::Path;

use touchmark_durable::{Mode, create_dir_durable, write_atomic, write_atomic_all};
use touchmark_tlog::{Checkpoint, Frontier, TilePath, VerifierKey, leaf_hash, open_note};

use crate::edge::Edge;
use crate::fault::TileLogFault;
use crate::files::{self, CHECKPOINT_FILE, NEXT_CHECKPOINT_FILE};
use crate::log::{lock, remove_unsigned_partials};

/// Writes the tiles of the largest head that is signed by `key`: the log's own, one that was about to be shown, or
/// `known`, which the caller keeps. `leaves` gives some leaves from an index on.
///
/// # Errors
/// [`TileLogFault`]: no such head, or the leaves are others. What `leaves` says.
pub fn rebuild<E: From<TileLogFault>>(
    directory: &Path,
    mode: Mode,
    key: &VerifierKey,
    known: Option<&str>,
    mut leaves: impl FnMut(u64) -> Result<Vec<Vec<u8>>, E>,
) -> Result<Checkpoint, E> {
    create_dir_durable(directory, mode).map_err(TileLogFault::from)?;
    let _lock = lock(directory)?;
    let (head, note) = largest_head(directory, key, known)?.ok_or(TileLogFault::CheckpointMissing)?;
    let mut frontier = Frontier::new();
    each_leaf(&head, &mut leaves, |leaf| {
        frontier.append(leaf_hash(leaf));
        Ok(())
    })?;
    if frontier.size() != head.size || frontier.root() != head.root {
        return Err(TileLogFault::ForkedFromFloor { floor: head.size }.into());
    }
    let mut edge = Edge::empty();
    each_leaf(&head, &mut leaves, |leaf| {
        edge.append(0, leaf)?;
        let full = edge.take_full();
        write(directory, mode, full.iter().map(|(tile, bytes)| (tile, bytes.as_slice())))
    })?;
    let last = edge.unpublished(0);
    write(directory, mode, last.iter().map(|(tile, bytes)| (tile, bytes.as_ref())))?;
    remove_unsigned_partials(directory, head.size)?;
    write_atomic(&directory.join(CHECKPOINT_FILE), note.as_bytes(), mode).map_err(TileLogFault::from)?;
    // It is shown now, or smaller than what is shown.
    let _ = fs::remove_file(directory.join(NEXT_CHECKPOINT_FILE));
    Ok(head)
}

fn largest_head(
    directory: &Path,
    key: &VerifierKey,
    known: Option<&str>,
) -> Result<Option<(Checkpoint, String)>, TileLogFault> {
    let mut notes: Vec<String> = known.map(ToOwned::to_owned).into_iter().collect();
    for file in [CHECKPOINT_FILE, NEXT_CHECKPOINT_FILE] {
        // One that is damaged is as good as gone: another says as much.
        notes.extend(files::read_note(directory, file).unwrap_or_default());
    }
    let heads = notes.into_iter().filter_map(|note| Some((open_note(&note, key).ok()?, note)));
    Ok(heads.max_by_key(|(head, _)| head.size))
}

fn each_leaf<E: From<TileLogFault>>(
    head: &Checkpoint,
    leaves: &mut impl FnMut(u64) -> Result<Vec<Vec<u8>>, E>,
    mut each: impl FnMut(&[u8]) -> Result<(), TileLogFault>,
) -> Result<(), E> {
    let mut next = 0;
    while next < head.size {
        let some = leaves(next)?;
        if some.is_empty() {
            break;
        }
        for leaf in some.iter().take(usize::try_from(head.size - next).unwrap_or(usize::MAX)) {
            each(leaf)?;
            next += 1;
        }
    }
    Ok(())
}

fn write<'a>(
    directory: &Path,
    mode: Mode,
    tiles: impl Iterator<Item = (&'a TilePath, &'a [u8])>,
) -> Result<(), TileLogFault> {
    let tiles: Vec<_> = tiles.map(|(tile, bytes)| (directory.join(tile.to_string()), bytes)).collect();
    for parent in tiles.iter().filter_map(|(path, _)| path.parent()) {
        if !parent.is_dir() {
            create_dir_durable(parent, mode)?;
        }
    }
    Ok(write_atomic_all(tiles, mode)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{audit, copy, files, grow, leaf, open, signer};

    fn rebuilt(directory: &Path, known: Option<&str>, history: u64) -> Result<Checkpoint, TileLogFault> {
        let some = |from: u64| Ok((from..from + 100).map(|index| leaf(history, index)).collect());
        rebuild(directory, Mode::Public0644, signer().verifier_key(), known, some)
    }

    #[test]
    fn lost_tiles_are_written_again_as_they_were() {
        let home = tempfile::tempdir().unwrap();
        let good = home.path().join("good");
        let mut log = open(&good);
        let head = grow(&mut log, 1, &[250, 700]);
        let note = log.checkpoint_note().to_owned();
        drop(log);
        type Harm = fn(&Path);
        let rows: [(&str, Harm, bool); 6] = [
            ("all tiles", |log| fs::remove_dir_all(log.join("tile")).unwrap(), false),
            ("one tile", |log| fs::remove_file(log.join("tile/entries/001")).unwrap(), false),
            ("a tile of zeros", |log| fs::write(log.join("tile/0/000"), [0; 8192]).unwrap(), false),
            ("the head too, but for the caller's", |log| fs::remove_dir_all(log).unwrap(), true),
            (
                "a head about to be shown",
                |log| {
                    fs::rename(log.join("checkpoint"), log.join(NEXT_CHECKPOINT_FILE)).unwrap();
                    fs::remove_dir_all(log.join("tile")).unwrap();
                },
                false,
            ),
            ("nothing", |_| (), false),
        ];
        for (what, harm, known) in rows {
            let directory = home.path().join(what);
            copy(&good, &directory);
            harm(&directory);
            assert_eq!(rebuilt(&directory, known.then_some(&note), 1).unwrap(), head, "{what}");
            assert_eq!(files(&directory), files(&good), "{what}");
            assert_eq!(audit(&directory, Some(&head)).unwrap().size, 700, "{what}");
            grow(&mut open(&directory), 1, &[900]);
        }
    }

    #[test]
    fn nothing_is_written_from_other_leaves_or_without_a_head() {
        let home = tempfile::tempdir().unwrap();
        grow(&mut open(home.path()), 1, &[300]);
        fs::remove_dir_all(home.path().join("tile")).unwrap();
        assert!(matches!(rebuilt(home.path(), None, 2), Err(TileLogFault::ForkedFromFloor { floor: 300 })));
        let short = |from: u64| Ok((from..10).map(|index| leaf(1, index)).collect());
        let refused: Result<_, TileLogFault> =
            rebuild(home.path(), Mode::Public0644, signer().verifier_key(), None, short);
        assert!(matches!(refused, Err(TileLogFault::ForkedFromFloor { .. })));
        assert!(!home.path().join("tile").exists());
        fs::remove_file(home.path().join("checkpoint")).unwrap();
        assert!(matches!(rebuilt(home.path(), None, 1), Err(TileLogFault::CheckpointMissing)));
    }
}
