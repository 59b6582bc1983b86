//! What must be true of every store at every moment: its journal is whole, and its rows are what the journal says.

use touchmark_inventory::{Store, StoredEntry, Tables, project};
use touchmark_journal::Entry;

/// Entries read at a time.
const PAGE: usize = 500;

/// The whole journal, read in pages, each place taken once.
///
/// # Panics
/// When a place is missing, or a leaf is not the bytes of its entry.
pub fn journal(store: &dyn Store) -> Vec<StoredEntry> {
    let mut all: Vec<StoredEntry> = Vec::new();
    loop {
        let page = store.journal_from(all.len() as u64, PAGE).expect("the journal can be read");
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    for (seq, stored) in (0..).zip(&all) {
        assert_eq!(stored.entry.seq, seq, "the journal has a gap");
        let public = Entry::read(seq, &stored.leaf, None).expect("a leaf reads back");
        assert_eq!(public.event, stored.entry.event, "entry {seq} is not what its leaf says");
        assert_eq!(public.envelope, stored.entry.envelope, "entry {seq} is not what its leaf says");
    }
    assert_eq!(store.journal_len().expect("the journal can be read"), all.len() as u64);
    all
}

/// The rows that follow from a journal.
///
/// # Panics
/// When an entry cannot be projected.
pub fn replayed(journal: &[StoredEntry]) -> Tables {
    let mut tables = Tables::default();
    for stored in journal {
        let changes = project(&stored.entry).expect("a stored entry can be projected");
        changes.into_iter().for_each(|change| tables.apply(change));
    }
    tables
}

/// Replay equals rows (P17).
///
/// # Panics
/// When it does not.
pub fn assert_rows_equal_replay(store: &dyn Store) {
    let expected = replayed(&journal(store)).dump();
    let rows = store.dump_rows().expect("the rows can be read");
    if rows == expected {
        return;
    }
    let missing: Vec<_> = expected.iter().filter(|line| !rows.contains(line)).collect();
    let extra: Vec<_> = rows.iter().filter(|line| !expected.contains(line)).collect();
    panic!("replay says {missing:#?}, the rows say {extra:#?} (none: another order, or a line twice)");
}
