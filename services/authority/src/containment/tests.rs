//! What is superseded dies after its overlap where the environment says so, and nothing else does.

use super::*;
use crate::tests::house::{House, LIFETIME, request};
use touchmark_identity::RevocationReason;
use touchmark_inventory::{CertificateState, Store as _};
use touchmark_journal::TokenSubject;
use touchmark_ra::SuccessorPlan;
use touchmark_testkit::name;

#[tokio::test]
async fn what_is_superseded_is_revoked_once_its_overlap_is_over_where_the_profile_says_so() {
    for asked in [true, false] {
        let plan = SuccessorPlan { revoke_superseded: asked, ..SuccessorPlan::default() };
        let house = House::with(plan).await;
        let home = tempfile::tempdir().unwrap();
        let containments = house.containments(home.path());
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
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
        assert!(
            house.store.denied_keys(&name("lab")).unwrap().is_empty(),
            "asked: {asked}: the key did no wrong"
        );
        assert_eq!(house.store.journal_len().unwrap() > entries, asked);
        let token = house.store.token(open.token).unwrap().unwrap();
        assert!(!token.void, "the device did no wrong");
    }
}

/// A certificate that nobody proved was replaced, and the same request came again: its key lives on in another one.
#[tokio::test]
async fn the_end_of_an_overlap_denies_no_key() {
    let house = House::with(SuccessorPlan { revoke_superseded: true, ..SuccessorPlan::default() }).await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    let old = house.first(IdentityKind::Operational).await;
    let (ours, other) = (request(), request());
    let replaced = house.renew(&old, &ours).await.unwrap();
    let dropped = house.renew(&old, &other).await.unwrap();
    let alive = house.renew(&old, &ours).await.unwrap();
    assert_eq!(alive.spki_hash(), replaced.spki_hash());
    house.issuance.confirm(&alive.fingerprint(), None, "test").await.unwrap();
    house.pass(Duration::from_secs(1));
    containments.revoke_superseded().await.unwrap();
    let state = |certificate: &touchmark_x509::Certificate| house.row(&certificate.fingerprint()).state;
    assert_eq!(state(&dropped), CertificateState::Revoked);
    assert_eq!(state(&replaced), CertificateState::Revoked);
    assert_eq!(state(&alive), CertificateState::Confirmed);
    assert!(house.store.denied_keys(&name("lab")).unwrap().is_empty());
    house.renew(&alive, &request()).await.unwrap();
}

#[tokio::test]
async fn a_superseded_certificate_that_was_revoked_for_it_still_raises_the_alarm() {
    use touchmark_ra::Use;
    let house = House::with(SuccessorPlan { revoke_superseded: true, ..SuccessorPlan::default() }).await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    let old = house.first(IdentityKind::Operational).await;
    let new = house.renew(&old, &request()).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    house.pass(LIFETIME / 10 + Duration::from_secs(1));
    containments.revoke_superseded().await.unwrap();
    let device = house.row(&old.fingerprint()).device.unwrap();
    house.issuance.look_at(&old.fingerprint(), Use::Other, &name("gateway-01"), "test").await.unwrap();
    assert_eq!(house.store.renewals_of(device).unwrap().unwrap().clone_alarms, 1);
}

/// R86: a device that sleeps past its end is revoked meanwhile: the grace is no way back.
#[tokio::test]
async fn a_device_that_was_revoked_while_its_certificate_was_over_does_not_come_back_by_the_grace() {
    for proven in [true, false] {
        let house = House::with(SuccessorPlan { grace: Some(LIFETIME), ..SuccessorPlan::default() }).await;
        let home = tempfile::tempdir().unwrap();
        let containments = house.containments(home.path());
        let old = house.first(IdentityKind::Operational).await;
        if proven {
            house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
        }
        house.pass(LIFETIME + Duration::from_secs(60));
        let device = house.store.device(house.row(&old.fingerprint()).device.unwrap()).unwrap().unwrap();
        let verb = Verb::Revoke(RevocationReason::KeyCompromise);
        let mandate = crate::start::bootstrap::bootstrapped(Contain { device, verb });
        containments.contain(mandate, false, Duration::ZERO).await.unwrap();
        let refused = house.renew(&old, &request()).await.map(drop).unwrap_err();
        assert!(
            matches!(&refused, crate::issuance::EnrolmentFault::Refused(refusal) if refusal.code() == "certificate-revoked"),
            "proven: {proven}: {refused}"
        );
    }
}
