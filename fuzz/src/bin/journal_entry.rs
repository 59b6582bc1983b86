//! Journal leaves: what is read is written with the same octets, and a private part belongs to its leaf alone.
//!
//! A length, a private part of so many octets, and the public part. The commitment is computed here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{Input, sha256};
use touchmark_journal::{BadEntry, Draft, Entry, LEAF_OCTETS_MAX, Salt};

const FORMAT: u8 = 1;
const SALT: Salt = Salt([7; 16]);

fuzz_target!(|data: &[u8]| {
    // As bytes from a damaged store.
    let _ = Entry::read(0, data, None);

    let mut input = Input::new(data);
    let (private, public) = (input.long(), input.rest());
    let commitment =
        if private.is_empty() { [0; 32] } else { sha256(&[SALT.0.as_slice(), private].concat()) };
    let leaf = [&[FORMAT], commitment.as_slice(), public].concat();
    let Ok(entry) = Entry::read(42, &leaf, None) else { return };
    assert!(leaf.len() <= LEAF_OCTETS_MAX);
    assert_eq!((entry.seq, &entry.private), (42, &None));
    let word = entry.event.word();
    assert!(!word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'));

    if private.is_empty() {
        written_again(&entry, None, &leaf);
        return;
    }
    let other = [private, &[0]].concat();
    assert_eq!(Entry::read(42, &leaf, Some((&SALT, &other))), Err(BadEntry::PrivateMismatch));
    if let Ok(whole) = Entry::read(42, &leaf, Some((&SALT, private))) {
        assert_eq!((&whole.envelope, &whole.event), (&entry.envelope, &entry.event));
        let private = whole.private.clone().expect("it was given");
        written_again(&whole, Some((SALT, private)), &leaf);
    }
});

fn written_again(entry: &Entry, private: Option<(Salt, touchmark_journal::Private)>, leaf: &[u8]) {
    let draft = Draft { envelope: entry.envelope.clone(), event: entry.event.clone(), private };
    assert_eq!(draft.leaf().as_deref(), Ok(leaf), "what this program reads, it could have written");
    assert_eq!(&draft.at(42), entry);
}
