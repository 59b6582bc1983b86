//! Enrolments over a store that loses commits: whatever was lost, the same request gets one certificate.

use super::*;
use crate::environments::{EnvironmentPlan, Environments, bootstrap_actor};
use crate::keys::KeyVault;
use crate::tokens::{NewToken, Tokens};
use std::time::Duration;
use touchmark_enrol::Intent;
use touchmark_identity::{Incarnation, Secret};
use touchmark_inventory::{Fault, MemoryStore, Store};
use touchmark_journal::{Scope, TokenSubject};
use touchmark_ra::{Act, Mandate, TokenOrder};
use touchmark_status::FeedSigner;
use touchmark_testkit::{name, replay};
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::request::certification_request;
use touchmark_x509::{KeyAlgorithm, SoftwareKey};

const DEVICE: &str = "pump-01";

/// An authority without its ports.
struct House {
    store: Arc<MemoryStore>,
    tokens: Tokens,
    enrolments: Arc<Enrolments>,
    _home: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let passphrase = Secret::new(b"only for this test, and long enough".to_vec());
        let vault = KeyVault::open_or_found_vault(&home.path().join("keys"), &passphrase, [1; 16]).unwrap();
        let vault = Arc::new(vault);
        let store = Arc::new(MemoryStore::new());
        let dynamic: Arc<dyn Store> = store.clone();
        let commits = Commits::new(dynamic);
        let clock = Clock::system();
        let incarnation = Incarnation::try_from(1).unwrap();
        let crl_url_base = "http://127.0.0.1:1/crl".to_owned();
        let environments = Environments {
            commits: commits.clone(),
            vault: vault.clone(),
            crl_url_base: crl_url_base.clone(),
            organisation: name("example"),
            incarnation,
            clock: clock.clone(),
            anchors: home.path().join("anchors"),
            creating: tokio::sync::Mutex::default(),
        };
        let plan = EnvironmentPlan {
            name: name("lab"),
            trust_domain: name("lab.touchmark.internal"),
            device_lifetime: Duration::from_secs(86_400),
            default: true,
        };
        let mandate = Mandate::assert_permitted(bootstrap_actor(), Act::EnvironmentCreate);
        environments.create(mandate, &plan).await.unwrap();
        let hierarchy = Arc::new(Hierarchy::load(&*store, &vault, incarnation, crl_url_base).unwrap());
        let signer = FeedSigner::from_seed(&[1; 32]).unwrap();
        let feeds = Arc::new(Feeds::load(signer, 1, &hierarchy, &*store, clock.now()).unwrap());
        let enrolments = Arc::new(Enrolments::new(commits.clone(), hierarchy, feeds, clock.clone()));
        Self { store, tokens: Tokens::new(commits, clock), enrolments, _home: home }
    }

    async fn token(&self, kind: IdentityKind, subject: TokenSubject) -> NewToken {
        let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
        let lifetime = Duration::from_secs(60);
        let order = TokenOrder { scope, kind, subject, uses: 1, lifetime, model: None, hosts: Vec::new() };
        let mandate = Mandate::assert_permitted(bootstrap_actor(), Act::DeviceEnrol);
        self.tokens.create(mandate, order, Vec::new()).await.unwrap()
    }

    async fn enrol(&self, key: &SoftwareKey, token: &NewToken) -> Result<Certificate, EnrolmentFault> {
        let der = certification_request("", None, key).unwrap();
        Ok(self.enrolments.enrol(&sent(&der, token), "test").await?.certificate)
    }

    fn rows(&self, kind: IdentityKind) -> Vec<CertificateRow> {
        let device = match kind {
            IdentityKind::Operational => self.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap(),
            IdentityKind::Service | IdentityKind::Operator => {
                return self.store.certificates_of_party(kind, &name(DEVICE)).unwrap();
            }
        };
        device.map_or_else(Vec::new, |row| self.store.certificates_of_device(row.device).unwrap())
    }

    fn uses(&self, token: &NewToken) -> u32 {
        self.store.token_by_secret(&sha256(token.password.expose().as_bytes())).unwrap().unwrap().uses
    }
}

fn key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::P256).unwrap()
}

/// A request as it arrives; the same octets each time, because a device that asks again sends them again.
fn sent(der: &[u8], token: &NewToken) -> EnrolmentRequest {
    let csr = UnprovenCsr::from_der(der).unwrap().prove_possession().unwrap();
    let credential = PresentedCredential::Token {
        username: name(DEVICE),
        password: Secret::new(token.password.expose().clone()),
    };
    EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None)
}

fn kinds() -> [(&'static str, IdentityKind, TokenSubject); 4] {
    [
        ("a device by name", IdentityKind::Operational, TokenSubject::Named(name(DEVICE))),
        ("a device by prefix", IdentityKind::Operational, TokenSubject::Prefix(name("pump"))),
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
    for (who, kind, subject) in kinds() {
        for (what, plan) in faults {
            let house = House::new().await;
            let token = house.token(kind, subject.clone()).await;
            let der = certification_request("", None, &key()).unwrap();
            house.store.plan_faults(plan.iter().copied());
            let mut tries = 0;
            let first = loop {
                tries += 1;
                assert!(tries <= 8, "{who}, {what}: never enrolled");
                match house.enrolments.enrol(&sent(&der, &token), "test").await {
                    Ok(enrolled) => break enrolled.certificate,
                    Err(EnrolmentFault::Store(StoreFault::Storage(_))) => {}
                    Err(other) => panic!("{who}, {what}: refused for good: {other}"),
                }
            };
            let again = house.enrolments.enrol(&sent(&der, &token), "test").await.unwrap().certificate;
            assert_eq!(again.fingerprint(), first.fingerprint(), "{who}, {what}: the same again");
            let rows = house.rows(kind);
            let (usable, dead): (Vec<_>, Vec<_>) =
                rows.iter().partition(|row| row.state == CertificateState::Issued);
            let usable: Vec<_> = usable.iter().map(|row| row.fingerprint).collect();
            assert_eq!(usable, [Some(first.fingerprint())], "{who}, {what}");
            assert!(dead.iter().all(|row| row.state == CertificateState::Burned), "{who}, {what}: {dead:#?}");
            assert_eq!(house.uses(&token), 1, "{who}, {what}: one use");
            replay::assert_rows_equal_replay(&*house.store);
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
            let refused = row.refused_from.is_some_and(|from| from <= Clock::system().now());
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
        let closed =
            crate::recovery::close_open_intents(&house.enrolments.commits, &house.enrolments.clock).await;
        assert_eq!(closed, Ok(1));
        house.enrol(&key, &token).await.unwrap();
    }
    let stranger = house.token(IdentityKind::Operational, TokenSubject::Named(name(DEVICE))).await;
    let refused = house.enrol(&key, &stranger).await;
    assert!(matches!(refused, Err(EnrolmentFault::Refused(Refusal::Key))), "{refused:?}");
}
