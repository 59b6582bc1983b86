//! An authority without its ports, on a store that loses commits on demand and a clock that tests move.

use super::held::{Between, Watched};
use crate::audit::archive::Archives;
use crate::audit::refusals::Refusals;
use crate::audit::sightings::DecisionIntake;
use crate::containment::Containments;
use crate::containment::gateways::Gateways;
use crate::feed::crls::Crls;
use crate::feed::{Feeds, Follower};
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::makers::Makers;
use crate::issuance::{EnrolmentFault, Issuance, Shown};
use crate::keys::KeyVault;
use crate::operators::Operators;
use crate::operators::environments::Environments;
use crate::operators::tokens::{NewToken, Tokens};
use crate::sha256;
use crate::start::bootstrap::bootstrapped;
use crate::steady_time::SteadyTime;
use crate::store::commit::Commits;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Fingerprint, Incarnation, Secret, Timestamp};
use touchmark_inventory::{CertificateRow, Command, MemoryStore, Store};
use touchmark_journal::Reach;
use touchmark_journal::{IdentityKind, RenewalManner, Scope, TokenSubject};
use touchmark_listen::Clock;
use touchmark_policy_cedar::OperatorPolicy;
use touchmark_ra::{Contain, TokenOrder, Verb};
use touchmark_ra::{EnvironmentPlan, SuccessorPlan};
use touchmark_status::{FeedSigner, Position};
use touchmark_testkit::name;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, KeyAlgorithm, KeyPlace, SoftwareKey};

pub(crate) const DEVICE: &str = "pump-01";
pub(crate) const LIFETIME: Duration = Duration::from_secs(86_400);

/// What `start` wires, as far as certificates go.
pub(crate) struct House {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) commits: Commits,
    pub(crate) clock: Clock,
    pub(crate) environments: Arc<Environments>,
    pub(crate) hierarchy: Arc<Hierarchy>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) tokens: Tokens,
    pub(crate) makers: Arc<Makers>,
    pub(crate) issuance: Arc<Issuance>,
    /// What of the clock may be believed; tests look as often as they like.
    pub(crate) time: SteadyTime,
    /// What a gateway got that asked at the beginning, and its position.
    pub(super) first_feed: Option<(Position, Vec<u8>)>,
    /// What comes just before the next signature.
    between: Between,
    /// All that sign CRLs here.
    pub(super) crls: Mutex<Vec<Arc<Crls>>>,
    /// A process would have ended.
    pub(super) would_have_ended: AtomicBool,
    now_ms: Arc<AtomicU64>,
    passed_ms: Arc<AtomicU64>,
    _home: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.is_held();
        }
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(SuccessorPlan::default()).await
    }

    pub(crate) async fn with(successors: SuccessorPlan) -> Self {
        Self::paced(successors, None).await
    }

    /// With the authority's key here or elsewhere. Elsewhere is the harder case, and the other houses'.
    pub(crate) async fn keyed(place: KeyPlace) -> Self {
        Self::made(SuccessorPlan::default(), None, place).await
    }

    /// That makes so many certificates a second.
    pub(crate) async fn paced(successors: SuccessorPlan, per_second: Option<NonZeroU32>) -> Self {
        Self::made(successors, per_second, KeyPlace::Outside).await
    }

    async fn made(successors: SuccessorPlan, per_second: Option<NonZeroU32>, place: KeyPlace) -> Self {
        let home = tempfile::tempdir().unwrap();
        let vault = Arc::new(quick_vault(&home.path().join("keys")));
        let store = Arc::new(MemoryStore::new());
        let dynamic: Arc<dyn Store> = store.clone();
        let commits = Commits::new(dynamic);
        let now_ms = Arc::new(AtomicU64::new(1_800_000_000_000));
        let shown = Arc::clone(&now_ms);
        let clock = Clock::new(move || Timestamp::from_unix_ms(shown.load(Ordering::SeqCst)));
        let passed_ms = Arc::new(AtomicU64::new(0));
        let ran = Arc::clone(&passed_ms);
        let passed = move || Duration::from_millis(ran.load(Ordering::SeqCst));
        let time = SteadyTime::begin_with(clock.clone(), passed, None);
        let incarnation = Incarnation::try_from(1).unwrap();
        let crl_url_base = "http://127.0.0.1:1/crl".to_owned();
        let environments = Arc::new(Environments::new(
            commits.clone(),
            vault.clone(),
            crl_url_base.clone(),
            name("example"),
            incarnation,
            clock.clone(),
            home.path().join("anchors"),
        ));
        let plan = EnvironmentPlan {
            name: name("lab"),
            trust_domain: name("lab.touchmark.internal"),
            device_lifetime: LIFETIME,
            default: true,
            successors,
        };
        environments.create(bootstrapped(plan)).await.unwrap();
        let hierarchy = Hierarchy::load(&*store, &vault, incarnation, crl_url_base).unwrap();
        let between = Between::default();
        hierarchy.sign_by(|signer| {
            let (store, between) = (Arc::clone(&store), Arc::clone(&between));
            Arc::new(Watched { signer, store, between, place })
        });
        let hierarchy = Arc::new(hierarchy);
        let signer = FeedSigner::from_seed(&[1; 32]).unwrap();
        let feeds = Arc::new(Feeds::load(signer, 1, &hierarchy, &*store, clock.now(), clock.now()).unwrap());
        let first_feed = Some((
            feeds.of(&name("lab")).unwrap().position(),
            feeds.since(&name("lab"), None, clock.now()).unwrap(),
        ));
        let next = store.journal_len().unwrap();
        commits.feed(Follower::new(feeds.clone(), hierarchy.clone(), store.clone(), clock.clone(), next));
        let (c, h, k) = (commits.clone(), hierarchy.clone(), clock.clone());
        let makers = Arc::new(Makers::load(c.clone(), h.clone(), k.clone()).unwrap());
        let operators = operators(&c, &k);
        let issuance =
            Arc::new(Issuance::new(c.clone(), h, makers.clone(), operators, per_second, k.clone()));
        Self {
            store,
            makers,
            tokens: Tokens::new(c.clone(), k.clone()),
            issuance,
            commits,
            clock,
            environments,
            between,
            hierarchy,
            feeds,
            time,
            first_feed,
            crls: Mutex::default(),
            would_have_ended: AtomicBool::new(false),
            now_ms,
            passed_ms,
            _home: home,
        }
    }

    /// Where the authorities' keys are.
    pub(crate) fn keys(&self) -> std::path::PathBuf {
        self._home.path().join("keys")
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) {
        self.clock_goes(span);
        self.passed_ms.fetch_add(ms(span), Ordering::SeqCst);
    }

    /// The clock goes ahead, and no time passes.
    pub(crate) fn clock_goes(&self, ahead: Duration) {
        self.now_ms.fetch_add(ms(ahead), Ordering::SeqCst);
    }

    /// The clock goes back, and no time passes.
    pub(crate) fn clock_goes_back(&self, by: Duration) {
        self.now_ms.fetch_sub(ms(by), Ordering::SeqCst);
    }

    /// Says that something was stored and reported lost, which the store of the product does not survive: what the feed
    /// was not told of, the next start reads from the rows.
    pub(crate) fn would_have_ended(&self) {
        self.would_have_ended.store(true, Ordering::SeqCst);
    }

    /// What these CRLs say is looked at when the test ends.
    pub(crate) fn held_against_its_rows(&self, crls: &Arc<Crls>) {
        self.crls.lock().unwrap().push(Arc::clone(crls));
    }

    /// Commits this when the next certificate is decided on and not yet signed.
    pub(crate) fn before_the_signature(&self, command: Command) {
        *self.between.lock().unwrap() = Some((true, command));
    }

    /// Commits this when the next CRL is read together and not yet signed.
    pub(crate) fn before_the_list(&self, command: Command) {
        *self.between.lock().unwrap() = Some((false, command));
    }

    /// A second environment, ready to issue.
    pub(crate) async fn another_environment(&self, called: &str, successors: SuccessorPlan) {
        let plan = EnvironmentPlan {
            name: name(called),
            trust_domain: format!("{called}.touchmark.internal").parse().unwrap(),
            device_lifetime: LIFETIME,
            default: false,
            successors,
        };
        self.environments.create(bootstrapped(plan)).await.unwrap();
        self.environments.open(&name(called), &self.hierarchy, &self.feeds).unwrap();
    }

    /// A first certificate of somebody, with these roles.
    pub(crate) async fn joins(&self, kind: IdentityKind, who: &str, roles: &[&str]) -> Certificate {
        let order = TokenOrder {
            scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
            kind,
            subject: TokenSubject::Named(name(who)),
            uses: 1,
            lifetime: Duration::from_secs(60),
            model: None,
            hosts: Vec::new(),
            roles: Some(roles.iter().map(|&role| role.to_owned()).collect()).filter(|_| !roles.is_empty()),
            reach: Reach::Organisation,
            known: self.tokens.party(kind, &name(who)).unwrap(),
        };
        let token = self.tokens.create(bootstrapped(order)).await.unwrap();
        self.joins_on(&token, who).await
    }

    pub(crate) async fn joins_on(&self, token: &NewToken, who: &str) -> Certificate {
        let der = request();
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let password = Secret::new(token.password.expose().clone());
        let credential = PresentedCredential::Token { username: name(who), password };
        let request = EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None);
        self.issuance.enrol(request, Shown::default(), "test").await.unwrap().certificate
    }

    /// Who calls, and what the starter policy permits.
    pub(crate) fn operators(&self) -> Arc<Operators> {
        operators(&self.commits, &self.clock)
    }

    /// What an operator does to the device, with all its effects.
    pub(crate) async fn contain(&self, verb: Verb) {
        let device = self.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
        let home = tempfile::tempdir().unwrap();
        let containments = self.containments(home.path());
        let mandate = bootstrapped(Contain { device, verb });
        containments.contain(mandate, false, Duration::ZERO).await.unwrap();
    }

    /// Whom containments wait for; logs of gateways below `home`.
    pub(crate) fn gateways(&self, home: &Path) -> Arc<Gateways> {
        let intake = DecisionIntake::new(
            Archives::new(home.join("decisions")),
            self.commits.clone(),
            self.issuance.clone(),
            name("example"),
        );
        let (commits, feeds, clock) = (self.commits.clone(), self.feeds.clone(), self.clock.clone());
        Arc::new(Gateways::new(commits, feeds, Arc::new(intake), clock))
    }

    /// What contains devices, and the CRLs that it signs; files below `home`.
    pub(crate) fn containments(&self, home: &Path) -> Containments {
        let crls = Crls::new(
            self.commits.clone(),
            self.hierarchy.clone(),
            Vec::new(),
            self.time.clone(),
            self.store.journal_len().unwrap(),
        );
        let crls = Arc::new(crls);
        self.held_against_its_rows(&crls);
        Containments::new(
            self.commits.clone(),
            self.hierarchy.clone(),
            self.gateways(home),
            crls,
            self.operators(),
            self.clock.clone(),
            self.time.clone(),
        )
    }

    pub(crate) async fn token(&self, kind: IdentityKind, subject: TokenSubject) -> NewToken {
        let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
        let lifetime = Duration::from_secs(60);
        let known = match &subject {
            TokenSubject::Named(name) => self.tokens.party(kind, name).unwrap(),
            TokenSubject::Prefix(_) => None,
        };
        let order = TokenOrder {
            scope,
            kind,
            subject,
            uses: 1,
            lifetime,
            model: None,
            hosts: Vec::new(),
            roles: None,
            reach: Reach::Organisation,
            known,
        };
        self.tokens.create(bootstrapped(order)).await.unwrap()
    }

    pub(crate) async fn enrol(
        &self,
        key: &SoftwareKey,
        token: &NewToken,
    ) -> Result<Certificate, EnrolmentFault> {
        let der = certification_request("", None, key).unwrap();
        Ok(self.issuance.enrol(sent(&der, token), Shown::default(), "test").await?.certificate)
    }

    /// A first certificate of this kind, on a fresh token.
    pub(crate) async fn first(&self, kind: IdentityKind) -> Certificate {
        let token = self.token(kind, TokenSubject::Named(name(DEVICE))).await;
        self.enrol(&key(), &token).await.unwrap()
    }

    /// Asks for a successor with a request as it was sent.
    pub(crate) async fn renew(
        &self,
        with: &Certificate,
        request: &[u8],
    ) -> Result<Certificate, EnrolmentFault> {
        let csr = UnprovenCsr::from_der(request).unwrap().prove_possession().unwrap();
        let peer = with.fingerprint();
        let credential = PresentedCredential::ClientCertificate(peer);
        let request = EnrolmentRequest::new(Intent::Renew, csr, None, credential, None);
        let shown = Shown { manner: Some(RenewalManner::Automatic), ..Shown::default() };
        let enrolled = self.issuance.enrol(request, shown, "test").await?;
        Ok(enrolled.certificate)
    }

    pub(crate) fn row(&self, fingerprint: &Fingerprint) -> CertificateRow {
        self.store.certificate_by_fingerprint(fingerprint).unwrap().unwrap()
    }

    pub(crate) fn rows(&self, kind: IdentityKind) -> Vec<CertificateRow> {
        let device = match kind {
            IdentityKind::Operational => self.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap(),
            IdentityKind::Service | IdentityKind::Operator => {
                return self.store.certificates_of_party(kind, &name(DEVICE)).unwrap();
            }
        };
        device.map_or_else(Vec::new, |row| self.store.certificates_of_device(row.device).unwrap())
    }

    pub(crate) fn uses(&self, token: &NewToken) -> u32 {
        self.store.token_by_secret(&sha256(token.password.expose().as_bytes())).unwrap().unwrap().uses
    }
}

/// A vault whose key is derived in no time.
pub(crate) fn quick_vault(directory: &Path) -> KeyVault {
    let header = r#"{"version":1,"kdf":"argon2id","memory_kib":8,"passes":1,"salt":"01010101010101010101010101010101"}"#;
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("vault.json"), header).unwrap();
    KeyVault::open_vault(directory, &Secret::new(b"only for this test, and long enough".to_vec())).unwrap()
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

pub(crate) fn key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::P256).unwrap()
}

/// A request for a new key that asks for nothing else.
pub(crate) fn request() -> Vec<u8> {
    certification_request("", None, &key()).unwrap()
}

/// A request as it arrives; the same octets each time, because a device that asks again sends them again.
pub(crate) fn sent(der: &[u8], token: &NewToken) -> EnrolmentRequest {
    let csr = UnprovenCsr::from_der(der).unwrap().prove_possession().unwrap();
    let credential = PresentedCredential::Token {
        username: name(DEVICE),
        password: Secret::new(token.password.expose().clone()),
    };
    EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None)
}

pub(crate) fn operators(commits: &Commits, clock: &Clock) -> Arc<Operators> {
    Arc::new(Operators::new(
        commits.clone(),
        OperatorPolicy::compile(OperatorPolicy::starter_text()).unwrap(),
        Arc::new(Refusals::new(commits.clone(), name("example"), clock.clone())),
        clock.clone(),
    ))
}
