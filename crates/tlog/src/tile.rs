//! Where a node or a leaf lies among the tiles, and how a tile is called in a URL or a directory.
//!
//! In: levels, indices, sizes, paths from strangers. Out: [`TilePath`], whose text form is
//! `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. No tile is read here.
//! Standard: C2SP tlog-tiles.

use core::fmt;
use core::ops::Range;
use core::str::FromStr;

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;
/// log2 of [`TILE_WIDTH`]: tree levels that one tile spans.
const TILE_HEIGHT: u8 = 8;
/// The highest tile level that C2SP lets a path name.
const LEVEL_MAX: u8 = 63;
/// The longest path of a tile: seven elements for a u64, a level and a width.
const PATH_OCTETS_MAX: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// Tree hashes of tree level `8 * level`.
    Hashes {
        /// Tile level: 0 holds leaf hashes.
        level: u8,
    },
    /// The leaves themselves.
    Entries,
}

/// Name of one tile: its kind, its index from the left, and how much of it is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// Place of a tree node among the hash tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// Tile level.
    pub level: u8,
    /// Tile index within that level.
    pub index: u64,
    /// The hashes of the tile whose [`crate::subtree_root`] is the node.
    pub hashes: Range<usize>,
}

/// A path does not name a tile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile (C2SP tlog-tiles)")]
pub struct BadTilePath;

impl TilePath {
    /// A tile of `width` filled places. `None` unless the width is 1..=256 and the level at most 63.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Option<Self> {
        let level_fits = match kind {
            TileKind::Hashes { level } => level <= LEVEL_MAX,
            TileKind::Entries => true,
        };
        (level_fits && (1..=TILE_WIDTH).contains(&width)).then_some(Self { kind, index, width })
    }

    /// The tile of this kind and index in a tree of `size` leaves. `None` where that tree has no such tile.
    pub fn in_tree(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        Self::new(kind, index, tile_width(kind, index, size))
    }

    /// The full tile with this kind and index.
    pub fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// What it holds.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its position from the left within its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Filled places, 1..=256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether fewer than 256 places are filled.
    pub fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// Index, within the level, of the first hash or entry of this tile.
    pub fn first(&self) -> u64 {
        self.index.saturating_mul(u64::from(TILE_WIDTH))
    }

    /// The directory of this tile's partial forms, `..../<N>.p`.
    pub fn partials_directory(&self) -> String {
        format!("{}.p", self.full())
    }
}

/// Filled places of one tile in a tree of `size` leaves: 0 where the tree does not reach.
pub fn tile_width(kind: TileKind, index: u64, size: u64) -> u16 {
    let places = match kind {
        TileKind::Entries => size,
        TileKind::Hashes { level } => {
            size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
        }
    };
    let first = index.saturating_mul(u64::from(TILE_WIDTH));
    places.saturating_sub(first).min(u64::from(TILE_WIDTH)) as u16
}

impl NodePlace {
    /// Finds the node `index` of tree level `level`, counted in doublings from the leaves.
    pub fn of(level: u8, index: u64) -> Self {
        let doublings = level % TILE_HEIGHT;
        let first = index << doublings;
        let offset = (first % u64::from(TILE_WIDTH)) as usize;
        Self {
            level: level / TILE_HEIGHT,
            index: first / u64::from(TILE_WIDTH),
            hashes: offset..offset + (1 << doublings),
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut elements = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            elements.push(rest % 1000);
            rest /= 1000;
        }
        for (position, element) in elements.iter().enumerate().rev() {
            match position {
                0 => write!(f, "{element:03}")?,
                _ => write!(f, "x{element:03}/")?,
            }
        }
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = BadTilePath;

    /// Reads the one spelling that [`TilePath`] prints, without a leading slash.
    fn from_str(path: &str) -> Result<Self, BadTilePath> {
        let spelt = Self::read(path).ok_or(BadTilePath)?;
        // Zeroes in front, an `x000` and a width of 256 would name one tile twice.
        if spelt.to_string() == path { Ok(spelt) } else { Err(BadTilePath) }
    }
}

impl TilePath {
    fn read(path: &str) -> Option<Self> {
        if path.len() > PATH_OCTETS_MAX {
            return None;
        }
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: decimal(level)?.try_into().ok()? },
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width)?.try_into().ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut number = 0u64;
        for element in index.split('/') {
            let digits = element.strip_prefix('x').unwrap_or(element);
            number = number.checked_mul(1000)?.checked_add(decimal(digits)?)?;
        }
        Self::new(kind, number, width)
    }
}

/// `u64::from_str` would also take a plus sign.
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelt_as_c2sp_says_and_read_back() {
        let hashes = |level| TileKind::Hashes { level };
        let cases = [
            ("the first tile", hashes(0), 0, 256, "tile/0/000"),
            ("partial", hashes(1), 0, 17, "tile/1/000.p/17"),
            ("the example of the standard", hashes(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            ("zeroes inside", TileKind::Entries, 1_000_000, 1, "tile/entries/x001/x000/000.p/1"),
            ("999 stays flat", TileKind::Entries, 999, 255, "tile/entries/999.p/255"),
            ("the largest", hashes(63), u64::MAX, 256, "tile/63/x018/x446/x744/x073/x709/x551/615"),
        ];
        for (name, kind, index, width, text) in cases {
            let path = TilePath::new(kind, index, width).unwrap();
            assert_eq!(path.to_string(), text, "{name}");
            assert_eq!(text.parse(), Ok(path), "{name}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for (name, text) in [
            ("empty", ""),
            ("not a tile", "checkpoint"),
            ("leading slash", "/tile/0/000"),
            ("two digits", "tile/0/00"),
            ("four digits", "tile/0/0000"),
            ("idle x000", "tile/0/x000/001"),
            ("x on the last element", "tile/0/x001/x234"),
            ("x missing", "tile/0/001/234"),
            ("level with a zero in front", "tile/00/000"),
            ("level past 63", "tile/64/000"),
            ("level past u8", "tile/256/000"),
            ("full width spelt out", "tile/0/000.p/256"),
            ("empty tile", "tile/0/000.p/0"),
            ("width with a zero in front", "tile/0/000.p/01"),
            ("signed width", "tile/0/000.p/+1"),
            ("climbing out", "tile/0/../000"),
            ("index past u64", "tile/0/x018/x446/x744/x073/x709/x551/616"),
            ("no index", "tile/0/"),
            ("behind the width", "tile/0/000.p/1/"),
            ("not ASCII", "tile/0/٠٠٠"),
        ] {
            assert_eq!(TilePath::from_str(text), Err(BadTilePath), "{name}: {text}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_that_the_standard_counts() {
        let width = |level, index| tile_width(TileKind::Hashes { level }, index, 70_000);
        assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [256, 112, 0]);
        assert_eq!([width(1, 0), width(1, 1), width(1, 2)], [256, 17, 0]);
        assert_eq!([width(2, 0), width(2, 1), width(3, 0), width(63, 0)], [1, 0, 0, 0]);
        assert_eq!(tile_width(TileKind::Entries, 273, 70_000), 112);
        assert_eq!(TilePath::in_tree(TileKind::Entries, 274, 70_000), None);
        assert_eq!(tile_width(TileKind::Entries, u64::MAX, u64::MAX), 0);
    }

    #[test]
    fn a_node_is_found_in_the_tile_below_it() {
        for (level, index, place) in [
            (0, 0, NodePlace { level: 0, index: 0, hashes: 0..1 }),
            (0, 300, NodePlace { level: 0, index: 1, hashes: 44..45 }),
            (7, 3, NodePlace { level: 0, index: 1, hashes: 128..256 }),
            (8, 3, NodePlace { level: 1, index: 0, hashes: 3..4 }),
            (10, 65, NodePlace { level: 1, index: 1, hashes: 4..8 }),
        ] {
            assert_eq!(NodePlace::of(level, index), place, "level {level} index {index}");
        }
    }
}
