//! Bytes that this program did not write: never a panic, never taken for what they are not.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod samples;

use touchmark_journal::{BadEntry, Draft, Entry, LEAF_OCTETS_MAX, Salt};

/// Octets of a leaf before its public bytes: format and commitment.
const PUBLIC_AT: usize = 33;

struct Stored {
    leaf: Vec<u8>,
    private: Option<(Salt, Vec<u8>)>,
    entry: Entry,
}

impl Stored {
    fn of(draft: Draft) -> Self {
        let private = draft.private.as_ref().map(|(salt, private)| (*salt, private.to_bytes()));
        Self { leaf: draft.leaf().unwrap(), private, entry: draft.at(7) }
    }

    fn read(&self, leaf: &[u8]) -> Result<Entry, BadEntry> {
        Entry::read(7, leaf, self.private.as_ref().map(|(salt, bytes)| (salt, bytes.as_slice())))
    }
}

fn stored() -> impl Iterator<Item = (&'static str, Stored)> {
    samples::all().into_iter().map(|(name, draft)| (name, Stored::of(draft)))
}

#[test]
fn a_leaf_with_one_octet_changed_is_refused_or_says_something_else() {
    for (name, stored) in stored() {
        assert_eq!(stored.read(&stored.leaf), Ok(stored.entry.clone()), "{name}");
        for at in 0..stored.leaf.len() {
            let mut leaf = stored.leaf.clone();
            for octet in 0..=u8::MAX {
                if octet == stored.leaf[at] {
                    continue;
                }
                leaf[at] = octet;
                let read = stored.read(&leaf);
                if (1..PUBLIC_AT).contains(&at) && stored.private.is_none() {
                    // It commits to a part that is not there, like an erased one: the log's tree tells them apart.
                    continue;
                }
                assert_ne!(read, Ok(stored.entry.clone()), "{name}: octet {at} changed to {octet:#04x}");
            }
        }
    }
}

#[test]
fn a_leaf_cut_or_continued_anywhere_is_refused() {
    for (name, stored) in stored() {
        for end in 0..stored.leaf.len() {
            assert!(stored.read(&stored.leaf[..end]).is_err(), "{name} cut at {end}");
        }
        for more in [0x00, 0xf6, 0xff] {
            let longer = [stored.leaf.as_slice(), &[more]].concat();
            assert!(stored.read(&longer).is_err(), "{name} continued with {more:#04x}");
        }
    }
}

#[test]
fn a_private_part_that_is_not_the_leafs_is_refused() {
    let others: Vec<(Salt, Vec<u8>)> = stored().filter_map(|(_, stored)| stored.private).collect();
    for (name, stored) in stored() {
        for (salt, bytes) in &others {
            let its_own = stored.private.as_ref().is_some_and(|(_, own)| own == bytes);
            let read = Entry::read(7, &stored.leaf, Some((salt, bytes)));
            assert_eq!(read.is_ok(), its_own, "{name}");
            assert!(its_own || read == Err(BadEntry::PrivateMismatch), "{name}");
        }
        let Some((salt, bytes)) = &stored.private else { continue };
        let mismatch = |salt, bytes: &[u8], what| {
            let read = Entry::read(7, &stored.leaf, Some((salt, bytes)));
            assert_eq!(read, Err(BadEntry::PrivateMismatch), "{name}: {what}");
        };
        mismatch(&Salt([0; 16]), bytes, "another salt");
        mismatch(salt, &bytes[..bytes.len() - 1], "cut");
        mismatch(salt, &[bytes.as_slice(), &[0]].concat(), "continued");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            mismatch(salt, &changed, "changed");
        }
        let erased = Entry::read(7, &stored.leaf, None).unwrap();
        assert_eq!((erased.private, erased.event), (None, stored.entry.event.clone()), "{name}: erased");
    }
}

#[test]
fn an_unknown_format_is_refused_by_its_number() {
    for (name, stored) in stored() {
        for format in (0..=u8::MAX).filter(|format| *format != 1) {
            let mut leaf = stored.leaf.clone();
            leaf[0] = format;
            assert_eq!(stored.read(&leaf), Err(BadEntry::Format { format }), "{name}");
        }
    }
}

#[test]
fn bytes_that_claim_to_be_long_are_refused_without_room_for_them() {
    let head = [&[1_u8][..], &[0; 32]].concat();
    let rows: [(&str, &[u8]); 7] = [
        ("an array of 2^64 - 1 members", &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a map of 2^64 - 1 members", &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a text of 2^64 - 1 octets", &[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("an array without end", &[0x9f]),
        ("arrays in arrays", &[0x9f; 60_000]),
        ("tags on tags", &[0xc1; 60_000]),
        ("nothing", &[]),
    ];
    for (name, public) in rows {
        let leaf = [head.as_slice(), public].concat();
        assert!(matches!(Entry::read(0, &leaf, None), Err(BadEntry::Damaged { .. })), "{name}");
    }
    let long = vec![1; LEAF_OCTETS_MAX + 1];
    assert_eq!(Entry::read(0, &long, None), Err(BadEntry::TooLong { octets: LEAF_OCTETS_MAX + 1 }));
}

#[test]
fn a_draft_that_would_not_fit_a_leaf_is_refused() {
    let (_, mut draft) = samples::all().pop().unwrap();
    draft.envelope.cause = "x".repeat(64);
    assert!(draft.leaf().is_ok());
    draft.envelope.cause.push('x');
    assert_eq!(draft.leaf(), Err(BadEntry::TooLong { octets: 65 }));
    draft.envelope.cause.clear();
    let touchmark_journal::Event::Started(started) = &mut draft.event else { panic!("the last sample") };
    started.version = "x".repeat(LEAF_OCTETS_MAX);
    assert!(matches!(draft.leaf(), Err(BadEntry::TooLong { .. })));
}
