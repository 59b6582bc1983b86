//! Enrolments over a store that loses commits: whatever was lost, the same request gets one certificate.

use crate::issuance::{EnrolmentFault, Shown};
use crate::tests::house::{DEVICE, House, key, sent};
use std::sync::Arc;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::Secret;
use touchmark_inventory::{CertificateState, Fault, StoreFault};
use touchmark_journal::{IdentityKind, TokenSubject};
use touchmark_ra::Refusal;
use touchmark_testkit::name;
use touchmark_x509::KeyPlace;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::request::certification_request;

fn kinds() -> [(&'static str, IdentityKind, TokenSubject); 4] {
    [
        ("a device by name", IdentityKind::Operational, TokenSubject::Named(name(DEVICE))),
        ("a device by prefix", IdentityKind::Operational, TokenSubject::Prefix("pump".parse().unwrap())),
        ("a service", IdentityKind::Service, TokenSubject::Named(name(DEVICE))),
        ("an operator", IdentityKind::Operator, TokenSubject::Named(name(DEVICE))),
    ]
}

#[tokio::test]
async fn whatever_commit_of_an_enrolment_is_lost_the_same_request_gets_exactly_one_certificate() {
    use Fault::{Lost, None as Passes, StoredButReportedLost as Stored};
    let faults: [(&str, &[Fault]); 8] = [
        ("the intent is lost", &[Lost]),
        ("the intent is stored, nobody is told", &[Stored]),
        ("the certificate is lost", &[Passes, Lost]),
        ("the certificate is stored, nobody is told", &[Passes, Stored]),
        ("the intent is stored, then its burning is lost", &[Stored, Lost]),
        ("the intent is stored, then its burning is stored, nobody is told of either", &[Stored, Stored]),
        ("the certificate is lost twice", &[Passes, Lost, Passes, Passes, Lost]),
        ("everything goes wrong", &[Lost, Stored, Stored, Stored, Passes, Passes, Stored]),
    ];
    for ((who, kind, subject), place) in
        kinds().into_iter().flat_map(|kind| [(kind.clone(), KeyPlace::Inside), (kind, KeyPlace::Outside)])
    {
        for (what, plan) in faults {
            let house = House::keyed(place).await;
            let token = house.token(kind, subject.clone()).await;
            let der = certification_request("", None, &key()).unwrap();
            house.store.plan_faults(plan.iter().copied());
            let mut tries = 0;
            let first = loop {
                tries += 1;
                assert!(tries <= 8, "{who}, {what}: never enrolled");
                match house.issuance.enrol(sent(&der, &token), Shown::default(), "test").await {
                    Ok(enrolled) => break enrolled.certificate,
                    Err(EnrolmentFault::Store(StoreFault::Storage(_))) => {}
                    Err(other) => panic!("{who}, {what}: refused for good: {other}"),
                }
            };
            let again =
                house.issuance.enrol(sent(&der, &token), Shown::default(), "test").await.unwrap().certificate;
            assert_eq!(again.fingerprint(), first.fingerprint(), "{who}, {what}: the same again");
            let rows = house.rows(kind);
            let (usable, dead): (Vec<_>, Vec<_>) =
                rows.iter().partition(|row| row.state == CertificateState::Issued);
            let usable: Vec<_> = usable.iter().map(|row| row.fingerprint).collect();
            assert_eq!(usable, [Some(first.fingerprint())], "{who}, {what}");
            let burned = dead.iter().all(|row| row.state == CertificateState::Burned);
            assert!(burned && (dead.is_empty() || place == KeyPlace::Outside), "{who}, {what}: {dead:#?}");
            assert_eq!(house.uses(&token), 1, "{who}, {what}: one use");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tokens_used_at_once_give_one_identity_one_unconfirmed_certificate_and_each_generation_once() {
    for (who, kind, subject) in kinds() {
        if matches!(subject, TokenSubject::Prefix(_)) {
            continue;
        }
        let house = Arc::new(House::new().await);
        let mut at_once = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (house, token) = (Arc::clone(&house), house.token(kind, subject.clone()).await);
            at_once.spawn(async move { house.enrol(&key(), &token).await });
        }
        for outcome in at_once.join_all().await {
            outcome.unwrap();
        }
        let rows = house.rows(kind);
        let mut generations: Vec<u64> = rows.iter().map(|row| row.generation).collect();
        generations.sort_unstable();
        assert_eq!(generations, [1, 2, 3, 4, 5, 6], "{who}");
        for row in &rows {
            let expected =
                if row.generation == 6 { CertificateState::Issued } else { CertificateState::Superseded };
            assert_eq!(row.state, expected, "{who}, generation {}", row.generation);
            let refused = row.refused_from.is_some_and(|from| from <= house.clock.now());
            assert_eq!(refused, row.generation < 6, "{who}, generation {}", row.generation);
        }
    }
}

#[tokio::test]
async fn a_burned_key_of_a_service_is_its_own_still() {
    let house = House::new().await;
    let key = key();
    for _ in 0..2 {
        let token = house.token(IdentityKind::Service, TokenSubject::Named(name(DEVICE))).await;
        house.store.plan_faults([Fault::None, Fault::Lost]);
        let lost = house.enrol(&key, &token).await;
        assert!(matches!(lost, Err(EnrolmentFault::Store(StoreFault::Storage(_)))), "{lost:?}");
        let closed = crate::issuance::close_open_intents(&house.commits, &house.clock).await;
        assert_eq!(closed, Ok(1));
        house.enrol(&key, &token).await.unwrap();
    }
    let stranger = house.token(IdentityKind::Operational, TokenSubject::Named(name(DEVICE))).await;
    let refused = house.enrol(&key, &stranger).await;
    assert!(matches!(refused, Err(EnrolmentFault::Refused(Refusal::Key))), "{refused:?}");
}

/// What one environment answered is nobody's answer in another, though services and operators have one name in both.
#[tokio::test]
async fn an_answer_is_not_given_again_under_another_environment() {
    for kind in [IdentityKind::Service, IdentityKind::Operator] {
        let house = House::new().await;
        house.another_environment("plant", touchmark_ra::SuccessorPlan::default()).await;
        let token = house.token(kind, TokenSubject::Named(name(DEVICE))).await;
        let der = certification_request("", None, &key()).unwrap();
        house.issuance.enrol(sent(&der, &token), Shown::default(), "test").await.unwrap();
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let credential = PresentedCredential::Token {
            username: name(DEVICE),
            password: Secret::new(token.password.expose().clone()),
        };
        let elsewhere = EnrolmentRequest::new(Intent::Enrol, csr, Some(name("plant")), credential, None);
        let refused = house.issuance.enrol(elsewhere, Shown::default(), "test").await;
        assert!(refused.is_err(), "{kind:?}");
        house.issuance.enrol(sent(&der, &token), Shown::default(), "test").await.unwrap();
    }
}
