//! What comes between the reading of rows and a commit, and between an intent and its certificate.

use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, request};
use touchmark_identity::RevocationReason;
use touchmark_inventory::{CertificateRow, CertificateState, Command, Fault, Store as _};
use touchmark_journal::{CloneResponse, IdentityKind, Reach, Standing, TokenSubject};
use touchmark_ra::SuccessorPlan;
use touchmark_ra::Use;
use touchmark_ra::{Contain, RevokeCertificate, Verb, contain, revoke_certificate};
use touchmark_testkit::name;
use touchmark_x509::KeyPlace;

fn contains(house: &House, verb: Verb) -> Command {
    let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    contain(bootstrapped(Contain { device, verb }), house.clock.now()).unwrap()
}

/// Neither a device that was held off or killed meanwhile, nor the holder of a certificate that was, gets another one.
#[tokio::test]
async fn what_is_taken_back_before_the_signature_gets_no_certificate() {
    type Meanwhile = fn(&House) -> Command;
    const COMPROMISED: RevocationReason = RevocationReason::KeyCompromise;
    let rows: [(&str, Meanwhile); 4] = [
        ("quarantined", |house| contains(house, Verb::Quarantine(None))),
        ("banned", |house| contains(house, Verb::Ban(COMPROMISED))),
        ("revoked", |house| contains(house, Verb::Revoke(COMPROMISED))),
        ("the old certificate revoked", |house| {
            let old = house.rows(IdentityKind::Operational).into_iter().find(|row| row.generation == 1);
            let act = RevokeCertificate {
                certificate: old.unwrap(),
                reach: Reach::Organisation,
                reason: COMPROMISED,
            };
            revoke_certificate(bootstrapped(act), house.clock.now()).unwrap()
        }),
    ];
    for place in [KeyPlace::Inside, KeyPlace::Outside] {
        for (what, meanwhile) in rows {
            let house = House::keyed(place).await;
            let old = house.first(IdentityKind::Operational).await;
            house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
            house.before_the_signature(meanwhile(&house));
            let refused = house.renew(&old, &request()).await;
            assert!(refused.is_err(), "{what}, {place:?}");
            let rows = house.rows(IdentityKind::Operational);
            let later: Vec<_> = rows.iter().filter(|row| row.generation > 1).collect();
            let dead = |row: &&CertificateRow| {
                matches!(row.state, CertificateState::Burned | CertificateState::Revoked) && row.der.is_none()
            };
            assert!(later.iter().all(dead), "{what}, {place:?}: {later:?}");
            assert_eq!(later.is_empty(), place == KeyPlace::Inside, "{what}, {place:?}: {later:?}");
        }
    }
}

/// One attempt finds that something moved; the next, with what is there now, goes on.
#[tokio::test]
async fn who_is_overtaken_once_is_served_all_the_same() {
    let held_off = SuccessorPlan { on_clone: CloneResponse::Quarantine, ..SuccessorPlan::default() };
    let house = House::with(held_off).await;
    house.store.plan_faults([Fault::None, Fault::Overtaken]);
    let old = house.first(IdentityKind::Operational).await;
    house.store.plan_faults([Fault::Overtaken]);
    house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
    house.store.plan_faults([Fault::Overtaken]);
    let new = house.renew(&old, &request()).await.unwrap();
    assert_eq!(house.rows(IdentityKind::Operational).len(), 2);
    house.store.plan_faults([Fault::Overtaken, Fault::Overtaken]);
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    house.store.plan_faults([Fault::Overtaken]);
    house.issuance.look_at(&old.fingerprint(), Use::Renewal, &name("gateway-01"), "test").await.unwrap();
    let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    assert_eq!(device.standing, Standing::Quarantined);
    assert_eq!(house.store.renewals_of(device.device).unwrap().unwrap().clone_alarms, 1);
}

/// The CRL that could not be recorded is made by the next turn of the upkeep, long before it is due by its age.
#[tokio::test]
async fn a_crl_that_failed_after_a_revocation_is_made_by_the_next_turn() {
    let house = House::new().await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    containments.crls.refresh_all().await.unwrap();
    house.first(IdentityKind::Operational).await;
    let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    let verb = Verb::Revoke(RevocationReason::KeyCompromise);
    house.store.plan_faults([Fault::None, Fault::Lost]);
    let mandate = bootstrapped(Contain { device, verb });
    containments.contain(mandate, false, std::time::Duration::ZERO).await.unwrap();
    let [row] = &house.rows(IdentityKind::Operational)[..] else { panic!("one certificate") };
    let named = || {
        let published = containments.crls.get(row.authority_version, row.crl_shard).unwrap();
        touchmark_x509::crl::Crl::from_der(&published.der).unwrap().find(&row.serial).is_some()
    };
    assert!(!named(), "the test is void: the CRL did not fail");
    containments.crls.refresh_all().await.unwrap();
    assert!(named());
}

/// What is revoked after a list was read together and before it is signed is named by the next one.
#[tokio::test]
async fn a_revocation_during_the_signing_of_a_crl_is_in_the_next() {
    let house = House::new().await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    containments.crls.refresh_all().await.unwrap();
    let ada = house.joins(IdentityKind::Operator, "ada", &["auditor"]).await;
    house.first(IdentityKind::Operational).await;
    let certificate = house.row(&ada.fingerprint());
    let (version, shard, serial) = (certificate.authority_version, certificate.crl_shard, certificate.serial);
    let reason = RevocationReason::KeyCompromise;
    let act = RevokeCertificate { certificate, reach: Reach::Organisation, reason };
    house.before_the_list(revoke_certificate(bootstrapped(act), house.clock.now()).unwrap());
    let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    let mandate = bootstrapped(Contain { device, verb: Verb::Revoke(reason) });
    containments.contain(mandate, false, std::time::Duration::ZERO).await.unwrap();
    let named = || {
        let published = containments.crls.get(version, shard).unwrap();
        touchmark_x509::crl::Crl::from_der(&published.der).unwrap().find(&serial).is_some()
    };
    let state = house.row(&ada.fingerprint()).state;
    assert_eq!(state, CertificateState::Revoked, "the test is void: nothing came in between");
    assert!(named());
}

/// What a crash left is burned at the start, once.
#[tokio::test]
async fn recovery_leaves_no_open_intent() {
    let house = House::new().await;
    let token = house.token(IdentityKind::Operational, TokenSubject::Named(name(DEVICE))).await;
    house.store.plan_faults([Fault::None, Fault::Lost]);
    assert!(house.enrol(&crate::tests::house::key(), &token).await.is_err());
    assert_eq!((house.store.open_intents().unwrap().len(), house.uses(&token)), (1, 1));
    for closed in [1, 0] {
        let recovered = crate::issuance::close_open_intents(&house.commits, &house.clock).await;
        assert_eq!(recovered, Ok(closed));
        assert_eq!((house.store.open_intents().unwrap().len(), house.uses(&token)), (0, 0));
    }
}

/// An answer says that a change is on its way when the feed does not say it yet.
#[tokio::test]
async fn a_containment_that_the_feed_could_not_follow_says_so() {
    let house = House::new().await;
    house.first(IdentityKind::Operational).await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    let act = Contain { device, verb: Verb::Quarantine(None) };
    house.store.refuse_journal_reads(1);
    let fault = containments.contain(bootstrapped(act), false, std::time::Duration::ZERO).await.unwrap_err();
    assert!(matches!(fault, crate::containment::ContainFault::Publish(_)), "{fault}");
}
