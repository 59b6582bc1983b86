//! The journal: order, bytes, pages, a device's history; and the log's head.

use super::{Case, Claim};
use crate::journal_builder::name;
use crate::replay::journal as whole;
use touchmark_inventory::{LogHead, StoreFault};
use touchmark_journal::{Draft, Entry, Standing, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("entries come back in order, byte for byte, with their private parts", exact),
    ("the journal is read in pages from any place", pages),
    ("a device's history holds what concerns it and its certificates, newest first", of_device),
    ("the log's head advances only from the size it has", head),
];

fn exact(case: &mut Case<'_>) {
    let device = case.builder.device_id();
    let token = case.builder.token_id();
    let intent = case.builder.intent(Some(device), case.authority).on(token);
    let drafts: Vec<Draft> = vec![
        case.builder.root_created(),
        case.builder.environment_created(),
        case.builder.token_created(token, TokenSubject::Named(name("pump-01")), 1),
        case.builder.device_registered(device, "pump-01"),
        case.builder.intended(&intent),
        case.builder.issued(intent.certificate, touchmark_identity::Fingerprint([1; 32])),
        case.builder.policy_activated(),
    ];
    let (first, rest) = drafts.split_at(3);
    case.accept(first.to_vec());
    case.accept(rest.to_vec());
    let stored = whole(case.store);
    assert_eq!(stored.len(), drafts.len());
    for (seq, (stored, draft)) in (0..).zip(stored.iter().zip(drafts)) {
        let leaf = draft.leaf().expect("it was accepted");
        assert_eq!(stored.leaf, leaf, "leaf {seq}");
        let private = draft.private.as_ref().map(|(salt, private)| (*salt, private.to_bytes()));
        let private = private.as_ref().map(|(salt, bytes)| (salt, bytes.as_slice()));
        assert_eq!(Entry::read(seq, &leaf, private), Ok(stored.entry.clone()), "entry {seq}");
        assert_eq!(draft.at(seq), stored.entry, "entry {seq}");
    }
}

fn pages(case: &mut Case<'_>) {
    for _ in 0..10 {
        let entry = case.builder.refused("code", 1, None);
        case.accept([entry]);
    }
    let rows: [(u64, usize, &[u64]); 6] = [
        (0, 3, &[0, 1, 2]),
        (8, 3, &[8, 9]),
        (10, 3, &[]),
        (u64::MAX, 3, &[]),
        (4, 0, &[]),
        (9, usize::MAX, &[9]),
    ];
    for (seq, limit, expected) in rows {
        let page = case.store.journal_from(seq, limit).expect("the journal can be read");
        let places: Vec<u64> = page.iter().map(|stored| stored.entry.seq).collect();
        assert_eq!(places, expected, "from {seq}, at most {limit}");
    }
}

fn of_device(case: &mut Case<'_>) {
    let (mine, other) = (case.device("pump-01"), case.device("pump-02"));
    let old = case.intended(Some(mine));
    let foreign = case.intended(Some(other));
    let party = case.intended(None);
    for intent in [&old, &foreign, &party] {
        case.issue(intent);
        let entry = case.builder.confirmed(intent.certificate);
        case.accept([entry]);
    }
    let by = case.intended(Some(mine));
    let drafts = [
        case.builder.superseded(old.certificate, by.certificate),
        case.builder.burned(by.certificate, None),
        case.builder.standing_changed(mine, Standing::Quarantined),
        case.builder.refused("csr-ca", 1, Some(mine)),
        case.builder.refused("csr-ca", 1, Some(other)),
        case.builder.refused("csr-ca", 1, None),
        case.builder.revoked(Some(mine), &[&old]),
        case.builder.revoked(None, &[&party]),
        case.builder.started(1, 1),
    ];
    case.accept(drafts);
    let words = |limit| {
        let history = case.store.journal_of_device(mine, limit).expect("the journal can be read");
        assert!(history.is_sorted_by(|a, b| a.entry.seq > b.entry.seq), "newest first");
        history.iter().map(|stored| stored.entry.event.word()).collect::<Vec<_>>()
    };
    let expected = [
        "certificates-revoked",
        "refused",
        "standing-changed",
        "certificate-burned",
        "certificate-superseded",
        "certificate-intended",
        "certificate-confirmed",
        "certificate-issued",
        "certificate-intended",
        "device-registered",
    ];
    assert_eq!(words(100), expected);
    assert_eq!(words(3), expected[..3]);
    // Intent and issue in one command.
    let both = case.builder.intent(Some(other), case.authority);
    let drafts = [
        case.builder.intended(&both),
        case.builder.issued(both.certificate, touchmark_identity::Fingerprint([4; 32])),
    ];
    case.accept(drafts);
    let history = case.store.journal_of_device(other, 2).expect("the journal can be read");
    assert_eq!(history.len(), 2);
    assert!(history.iter().all(|stored| stored.entry.seq >= history.len() as u64 + 10));
}

fn head(case: &mut Case<'_>) {
    let store = case.store;
    let head = |size| LogHead { size, note: format!("origin\n{size}\n") };
    let refused = |outcome| matches!(outcome, Err(StoreFault::Damaged(_)));
    assert!(refused(store.advance_log_head(3, head(5))), "no head yet");
    assert_eq!(store.log_head(), Ok(None));
    assert_eq!(store.advance_log_head(0, head(5)), Ok(()));
    assert_eq!(store.log_head(), Ok(Some(head(5))));
    assert!(refused(store.advance_log_head(0, head(6))), "somebody advanced it");
    assert!(refused(store.advance_log_head(5, head(4))), "never back");
    let resigned = LogHead { size: 5, note: "the same tree, signed again".into() };
    assert_eq!(store.advance_log_head(5, resigned.clone()), Ok(()));
    assert_eq!(store.log_head(), Ok(Some(resigned)));
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|racer| scope.spawn(move || store.advance_log_head(5, head(6 + racer)).is_ok()))
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().ok()).filter(|won| *won).count()
    });
    assert_eq!(won, 1, "one of those that saw the same head advances it");
    assert!(store.log_head().is_ok_and(|head| head.is_some_and(|head| head.size >= 6)));
}
