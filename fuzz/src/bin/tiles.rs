//! Tile paths and entry bundles: one spelling each.
//!
//! The first letter chooses: `a` a path, `b` a bundle, `c` leaves for a bundle.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{Input, chosen};
use touchmark_tlog::{
    BUNDLE_OCTETS_MAX, BadBundle, NodePlace, TILE_WIDTH, TileKind, TilePath, bundle_entries, push_entry,
    tile_width,
};

fuzz_target!(|data: &[u8]| match chosen(data) {
    (0, octets) => {
        let Ok(text) = core::str::from_utf8(octets) else { return };
        if let Ok(path) = text.parse::<TilePath>() {
            spelled(path, text);
        }
        let mut input = Input::new(octets);
        let (index, size, level) = (input.u64(), input.u64(), input.octet() % 64);
        for kind in [TileKind::Entries, TileKind::Hashes { level }] {
            let width = tile_width(kind, index, size);
            assert!(width <= TILE_WIDTH);
            let path = TilePath::in_tree(kind, index, size);
            assert_eq!(path.is_some(), width > 0);
            if let Some(path) = path {
                spelled(path, &path.to_string());
                assert!(path.first() < size);
            }
        }
        let place = NodePlace::of(level, index >> 8);
        assert!(place.hashes.end <= usize::from(TILE_WIDTH) && place.hashes.len().is_power_of_two());
    }
    (1, bundle) => {
        let Ok(entries) = bundle_entries(bundle) else { return };
        assert!(entries.len() <= usize::from(TILE_WIDTH) && bundle.len() <= BUNDLE_OCTETS_MAX);
        let mut written = Vec::new();
        entries.iter().for_each(|leaf| push_entry(&mut written, leaf).expect("it was read"));
        assert_eq!(written, bundle);
    }
    (_, octets) => {
        let mut input = Input::new(octets);
        let (mut leaves, mut bundle) = (Vec::new(), Vec::new());
        while !input.is_empty() && leaves.len() <= usize::from(TILE_WIDTH) {
            let leaf = input.short();
            push_entry(&mut bundle, leaf).expect("short");
            leaves.push(leaf);
        }
        let expected =
            if leaves.len() > usize::from(TILE_WIDTH) { Err(BadBundle::TooMany) } else { Ok(leaves) };
        assert_eq!(bundle_entries(&bundle), expected);
    }
});

fn spelled(path: TilePath, text: &str) {
    assert_eq!(path.to_string(), text);
    assert_eq!(text.parse(), Ok(path));
    assert_eq!(TilePath::new(path.kind(), path.index(), path.width()), Some(path));
    assert!(!text.contains("..") && !text.starts_with('/'));
    assert!(path.partials_directory().ends_with(".p") && !path.full().is_partial());
}
