//! What is superseded dies after its overlap where the environment says so, and nothing else does.

use super::*;
use crate::environments::SuccessorPlan;
use crate::tests::house::{House, LIFETIME, request};
use touchmark_inventory::Store as _;
use touchmark_journal::TokenSubject;
use touchmark_testkit::{name, replay};
use touchmark_tilelog::NoteSigner;

fn containments(house: &House, home: &std::path::Path) -> Containments {
    let signer = NoteSigner::from_seed("example.org/journal", &[7; 32]).unwrap();
    let log = JournalLog::open(home, signer, house.store.clone()).unwrap();
    let crls = Crls::new(house.commits.clone(), house.hierarchy.clone(), Vec::new(), house.clock.clone());
    Containments {
        commits: house.commits.clone(),
        hierarchy: house.hierarchy.clone(),
        feeds: house.feeds.clone(),
        crls: Arc::new(crls),
        log: Arc::new(log),
        clock: house.clock.clone(),
    }
}

#[tokio::test]
async fn what_is_superseded_is_revoked_once_its_overlap_is_over_where_the_profile_says_so() {
    for asked in [true, false] {
        let plan = SuccessorPlan { revoke_superseded: asked, ..SuccessorPlan::default() };
        let house = House::with(plan).await;
        let home = tempfile::tempdir().unwrap();
        let containments = containments(&house, home.path());
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.confirmations.confirm(&new.fingerprint(), None, "test").await.unwrap();
        let open = house.token(IdentityKind::Operational, TokenSubject::Named(name("pump-01"))).await;
        let state = |certificate: &touchmark_x509::Certificate| {
            let row = house.row(&certificate.fingerprint());
            (row.state, row.revocation_reason)
        };
        containments.revoke_superseded().await.unwrap();
        assert_eq!(state(&old), (CertificateState::Superseded, None), "in its overlap");
        house.pass(LIFETIME / 10 + Duration::from_secs(1));
        let entries = house.store.journal_len().unwrap();
        for _ in 0..2 {
            containments.revoke_superseded().await.unwrap();
        }
        let dead = (CertificateState::Revoked, Some(RevocationReason::Superseded));
        let expected = if asked { dead } else { (CertificateState::Superseded, None) };
        assert_eq!(state(&old), expected, "asked: {asked}");
        assert_eq!(state(&new), (CertificateState::Confirmed, None), "asked: {asked}");
        assert_eq!(house.store.denied_keys(&name("lab")).unwrap().len(), usize::from(asked));
        assert_eq!(house.store.journal_len().unwrap() > entries, asked);
        let token = house.store.token(open.token).unwrap().unwrap();
        assert!(!token.void, "the device did no wrong");
        replay::assert_rows_equal_replay(&*house.store);
    }
}
