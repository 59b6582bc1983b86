//! What reaches the journal, also after a commit that failed and at the end.

use super::*;
use std::sync::Arc;
use touchmark_identity::Timestamp;
use touchmark_inventory::{Fault, MemoryStore, Store};
use touchmark_journal::Event;

fn refusals() -> (Arc<MemoryStore>, Refusals) {
    let store = Arc::new(MemoryStore::new());
    let clock = Clock::new(|| Timestamp::from_unix_s(1_800_000_000));
    let refusals = Refusals::new(Commits::new(store.clone()), "example".parse().unwrap(), clock);
    (store, refusals)
}

/// Code and count of each entry.
fn recorded(store: &MemoryStore) -> Vec<(String, u64)> {
    let entries = store.journal_from(0, 100).unwrap();
    let refused = entries.into_iter().map(|stored| match stored.entry.event {
        Event::Refused(refused) => (refused.code, refused.count),
        other => panic!("{other:?}"),
    });
    refused.collect()
}

#[tokio::test]
async fn what_must_wait_is_recorded_at_the_end() {
    let (store, refusals) = refusals();
    let stranger = || refusals.count_stranger(None, "est/handshake", "plaintext");
    // After all that is counted here.
    let now = Duration::from_secs(1000);
    stranger();
    stranger();
    refusals.flush_at(now).await.unwrap();
    stranger();
    refusals.count(None, "api", "not-permitted", None);
    refusals.flush_at(now).await.unwrap();
    let two = [("plaintext".to_owned(), 2), ("not-permitted".to_owned(), 1)];
    assert_eq!(recorded(&store), two);
    refusals.finish().await.unwrap();
    refusals.finish().await.unwrap();
    assert_eq!(recorded(&store), [&two[..], &[("plaintext".to_owned(), 1)]].concat());
}

#[tokio::test]
async fn what_a_failed_commit_did_not_record_is_recorded_later() {
    let (store, refusals) = refusals();
    let count = || {
        refusals.count_stranger(None, "est/handshake", "plaintext");
        refusals.count(None, "api", "not-permitted", None);
    };
    count();
    store.plan_faults([Fault::Lost]);
    let now = Duration::from_secs(1000);
    refusals.flush_at(now).await.unwrap_err();
    count();
    refusals.flush_at(now + Duration::from_secs(1)).await.unwrap();
    let found = recorded(&store);
    assert_eq!(found, [("not-permitted".to_owned(), 2), ("plaintext".to_owned(), 2)]);
}
