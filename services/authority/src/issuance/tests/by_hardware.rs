//! Enrolments by initial certificate over a store that loses commits, at once, and after what was trusted has gone.

use crate::issuance::{EnrolmentFault, Shown};
use crate::sha256;
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, LIFETIME, request};
use std::sync::Arc;
use std::time::Duration;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Fingerprint, RevocationReason};
use touchmark_inventory::{CertificateState, Fault, StoreFault};
use touchmark_journal::IdentityKind;
use touchmark_listen::PeerChain;
use touchmark_ra::{Refusal, RegisterHardware, RegisterMaker, Verb, WithdrawMaker};
use touchmark_testkit::name;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::{Certificate, KeyPlace};

macro_rules! made_by_openssl {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/ra/tests/makers/", $file))
    };
}

fn read(pem: &str) -> Certificate {
    Certificate::from_pem_many(pem).unwrap().remove(0)
}

fn acme() -> RegisterMaker {
    RegisterMaker { environment: name("lab"), name: name("acme") }
}

/// What the device of hardware SN-1 shows.
fn shown() -> PeerChain {
    PeerChain {
        leaf: read(made_by_openssl!("acme-sn-1.pem")).der().to_vec(),
        rest: vec![read(made_by_openssl!("acme-factory.pem")).der().to_vec()],
    }
}

impl House {
    async fn maker(&self) {
        let trust = self.hierarchy.default_trust().unwrap();
        let certificate = read(made_by_openssl!("acme-ca.pem"));
        self.makers.register(bootstrapped(acme()), &trust, &certificate).await.unwrap();
    }

    async fn hardware(&self) {
        let trust = self.hierarchy.default_trust().unwrap();
        let act = RegisterHardware {
            environment: name("lab"),
            maker: name("acme"),
            hardware_id: "SN-1".parse().unwrap(),
            name: name(DEVICE),
            model: None,
        };
        self.makers.register_hardware(bootstrapped(act), &trust).await.unwrap();
    }

    async fn by_hardware(&self, der: &[u8]) -> Result<Certificate, EnrolmentFault> {
        let csr = UnprovenCsr::from_der(der).unwrap().prove_possession().unwrap();
        let chain = shown();
        let credential = PresentedCredential::ClientCertificate(Fingerprint(sha256(&chain.leaf)));
        let request = EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None);
        Ok(self
            .issuance
            .enrol(request, Shown { chain: Some(Arc::new(chain)), manner: None }, "test")
            .await?
            .certificate)
    }

    async fn refused(&self, der: &[u8]) -> &'static str {
        match self.by_hardware(der).await.unwrap_err() {
            EnrolmentFault::Refused(refusal) => refusal.code(),
            other => panic!("{other}"),
        }
    }

    async fn revoke_device(&self) {
        self.contain(Verb::Revoke(RevocationReason::KeyCompromise)).await;
    }
}

#[tokio::test]
async fn whatever_commit_is_lost_the_same_request_gets_exactly_one_certificate() {
    use Fault::{Lost, None as Passes, StoredButReportedLost as Stored};
    let faults: [(&str, &[Fault]); 6] = [
        ("the intent is lost", &[Lost]),
        ("the intent is stored, nobody is told", &[Stored]),
        ("the certificate is lost", &[Passes, Lost]),
        ("the certificate is stored, nobody is told", &[Passes, Stored]),
        ("the intent is stored, then its burning is lost", &[Stored, Lost]),
        ("everything goes wrong", &[Lost, Stored, Stored, Stored, Passes, Passes, Stored]),
    ];
    let places = [KeyPlace::Inside, KeyPlace::Outside];
    for ((what, plan), place) in faults.into_iter().flat_map(|row| places.map(|place| (row, place))) {
        let house = House::keyed(place).await;
        house.maker().await;
        house.hardware().await;
        let der = request();
        house.store.plan_faults(plan.iter().copied());
        let mut tries = 0;
        let first = loop {
            tries += 1;
            assert!(tries <= 8, "{what}: never enrolled");
            match house.by_hardware(&der).await {
                Ok(certificate) => break certificate,
                Err(EnrolmentFault::Store(StoreFault::Storage(_))) => {}
                Err(other) => panic!("{what}: refused for good: {other}"),
            }
        };
        assert_eq!(house.by_hardware(&der).await.unwrap(), first, "{what}: the same again");
        let rows = house.rows(IdentityKind::Operational);
        let burned = |state: &CertificateState| *state == CertificateState::Burned;
        let usable: Vec<_> = rows.iter().map(|row| row.state).filter(|state| !burned(state)).collect();
        assert_eq!(usable, [CertificateState::Issued], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_keys_at_once_get_as_many_certificates_as_the_rate_allows_and_one_waits_for_its_proof() {
    let house = Arc::new(House::new().await);
    house.maker().await;
    house.hardware().await;
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let house = Arc::clone(&house);
        at_once.spawn(async move { house.by_hardware(&request()).await.map(drop) });
    }
    let (mut given, mut too_soon) = (0, 0);
    for outcome in at_once.join_all().await {
        match outcome {
            Ok(()) => given += 1,
            Err(EnrolmentFault::Refused(Refusal::TooSoon { wait })) => {
                assert!(wait <= LIFETIME / 64 + Duration::from_secs(1), "{wait:?}");
                too_soon += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((given, too_soon), (8, 192));
    let rows = house.rows(IdentityKind::Operational);
    let issued = rows.iter().filter(|row| row.state == CertificateState::Issued);
    assert_eq!((rows.len(), issued.map(|row| row.generation).collect::<Vec<_>>()), (8, vec![8]));
}

/// A fresh signature over the same key makes no other request: a loop gets the same certificate for ever.
#[tokio::test]
async fn one_key_gets_one_certificate_however_often_it_is_asked_for() {
    let house = House::new().await;
    house.maker().await;
    house.hardware().await;
    let key = crate::tests::house::key();
    let asked = || touchmark_x509::request::certification_request("", None, &key).unwrap();
    assert_ne!(asked(), asked(), "ECDSA signs each anew");
    let first = house.by_hardware(&asked()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(house.by_hardware(&asked()).await.unwrap().der(), first.der());
    }
    let named = touchmark_x509::request::certification_request("another", None, &key).unwrap();
    assert_eq!(house.refused(&named).await, "csr-name", "the same key with another name");
    assert_eq!(house.rows(IdentityKind::Operational).len(), 1);
}

/// R6, R55: nothing of what was good in the handshake is taken for granted on a request.
#[tokio::test]
async fn an_open_connection_outlives_nothing_that_is_taken_back() {
    let (first, second) = (request(), request());
    let house = House::new().await;
    assert_eq!(house.refused(&first).await, "maker-unknown");
    house.maker().await;
    assert_eq!(house.refused(&first).await, "hardware-unknown");
    house.hardware().await;
    let certificate = house.by_hardware(&first).await.unwrap();
    house.revoke_device().await;
    assert_eq!(house.row(&certificate.fingerprint()).state, CertificateState::Revoked);
    assert_eq!(house.refused(&first).await, "hardware-void");
    assert_eq!(house.refused(&second).await, "hardware-void");
    house.hardware().await;
    assert_eq!(house.refused(&first).await, "key-not-usable", "a revocation denies the key");
    let again = house.by_hardware(&second).await.unwrap();
    let trust = house.hierarchy.default_trust().unwrap();
    house.makers.withdraw(bootstrapped(WithdrawMaker(acme())), &trust).await.unwrap();
    assert_eq!(house.refused(&second).await, "maker-unknown");
    house.maker().await;
    assert_eq!(house.refused(&second).await, "hardware-unknown", "registered anew it is another maker");
    assert!(house.row(&again.fingerprint()).state.is_live(), "what enrolled goes on");
}

#[tokio::test]
async fn an_answer_that_was_lost_until_it_was_over_is_given_anew() {
    let house = House::new().await;
    house.maker().await;
    house.hardware().await;
    let der = request();
    let lost = house.by_hardware(&der).await.unwrap();
    house.pass(crate::tests::house::LIFETIME + std::time::Duration::from_secs(60));
    let new = house.by_hardware(&der).await.unwrap();
    assert!(new.validity().contains(house.clock.now()), "until {}", new.validity().not_after());
    assert_eq!(new.spki_hash(), lost.spki_hash(), "the request is the same");
}

/// Hardware that is expected is a device without a certificate: a token for new ones takes nothing from it.
#[tokio::test]
async fn a_token_for_new_devices_does_not_take_the_place_of_registered_hardware() {
    use crate::tests::house::key;
    use touchmark_journal::TokenSubject;
    let house = House::new().await;
    house.maker().await;
    house.hardware().await;
    let token = house.token(IdentityKind::Operational, TokenSubject::Prefix("pump".parse().unwrap())).await;
    let refused = house.enrol(&key(), &token).await.map(drop);
    assert!(matches!(refused, Err(EnrolmentFault::Refused(Refusal::DeviceExists { .. }))), "{refused:?}");
    assert_eq!(house.uses(&token), 0, "nothing is spent");
    assert!(house.rows(IdentityKind::Operational).is_empty());
    house.by_hardware(&request()).await.unwrap();
}
