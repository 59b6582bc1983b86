//! Entry bundles: up to 256 leaves in a row, each behind its length in two octets, big-endian.
//!
//! Standard: C2SP tlog-tiles, "Log entries".

use crate::tile::TILE_WIDTH;

/// The longest leaf: its length must fit two octets.
pub const ENTRY_OCTETS_MAX: usize = u16::MAX as usize;
/// The largest bundle: 256 leaves of the longest kind. Readers refuse more before they allocate.
pub const BUNDLE_OCTETS_MAX: usize = TILE_WIDTH as usize * (2 + ENTRY_OCTETS_MAX);

/// Why bytes are no bundle, or a leaf fits none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// The writer must shorten the leaf.
    #[error("a leaf of {octets} octets is longer than {ENTRY_OCTETS_MAX}")]
    EntryTooLong {
        /// Its length.
        octets: usize,
    },
    /// The file ends inside an entry.
    #[error("the bundle ends inside entry {position}")]
    Torn {
        /// Entries before it in this bundle.
        position: usize,
    },
    /// More entries than a bundle holds.
    #[error("the bundle holds more than {TILE_WIDTH} entries")]
    TooMany,
}

/// Appends one leaf to the bytes of a bundle.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), BadBundle> {
    let length = u16::try_from(leaf.len()).map_err(|_| BadBundle::EntryTooLong { octets: leaf.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
    Ok(())
}

/// The leaves of a bundle, in order, borrowed from its bytes.
pub fn bundle_entries(bundle: &[u8]) -> Result<Vec<&[u8]>, BadBundle> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(BadBundle::TooMany);
        }
        let torn = BadBundle::Torn { position: entries.len() };
        let (length, behind) = rest.split_first_chunk::<2>().ok_or(torn.clone())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (leaf, behind) = behind.split_at_checked(length).ok_or(torn)?;
        entries.push(leaf);
        rest = behind;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_of_every_length_come_back() {
        let longest = vec![7; ENTRY_OCTETS_MAX];
        let leaves: [&[u8]; 4] = [b"", b"a", &longest, b"last"];
        let mut bundle = Vec::new();
        leaves.iter().for_each(|leaf| push_entry(&mut bundle, leaf).unwrap());
        assert_eq!(bundle_entries(&bundle).unwrap(), leaves);
        assert_eq!(&bundle[..5], [0, 0, 0, 1, b'a']);
    }

    #[test]
    fn a_bundle_that_cannot_be_is_refused() {
        let too_many = [0; 2 * 257];
        let cases: [(&str, &[u8], BadBundle); 4] = [
            ("half a length", &[0], BadBundle::Torn { position: 0 }),
            ("short leaf", &[0, 2, 1], BadBundle::Torn { position: 0 }),
            ("torn behind a whole one", &[0, 1, 9, 0], BadBundle::Torn { position: 1 }),
            ("257 entries", &too_many, BadBundle::TooMany),
        ];
        for (name, bytes, fault) in cases {
            assert_eq!(bundle_entries(bytes), Err(fault), "{name}");
        }
        let long = vec![0; ENTRY_OCTETS_MAX + 1];
        assert_eq!(push_entry(&mut Vec::new(), &long), Err(BadBundle::EntryTooLong { octets: 65_536 }));
    }
}
