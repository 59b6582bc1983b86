//! The authority: one environment over the store in memory, what its operator does, and its commits.
//!
//! The use cases are the product's, carried out one request at a time; commits meet the faults that the scenario draws.
//! Feeds, CRLs and the log are left out.

use super::chance::Chance;
use super::scenario::Scenario;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use touchmark_ca::{IssuingAuthority, Profile, create_issuing, create_root};
use touchmark_enrol::{Draw, EnrolmentRequest, RenewalHint, RenewalPlanner, RenewalWindow};
use touchmark_identity::{
    Actor, AuthorityVersionId, DeviceId, EnvironmentName, Fingerprint, Incarnation, Name, ProfileVersionId,
    RevocationReason, SerialNumber, Timestamp,
};
use touchmark_inventory::{
    CertificateRow, Command, DeviceRow, Fault, MemoryStore, PartyRow, Receipt, Store, StoreFault,
};
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, Draft, Envelope, EnvironmentCreated, Event, IdentityKind,
    ProfileActivated, Reach, RenewalManner, RenewalRefused, RenewalRules, Scope, TokenSubject,
};
use touchmark_ra::{
    Act, ActiveProfile, Contain, Enrolled, EnrolmentFault, Evidence, Mandate, Memory, Moment, Notice, Proven,
    Step, TokenOrder, Trust, Trusts, Turn, Use, Verb, World, confirm_by_name, contain, create_token, enrol,
    look_at_use, may_be_renewed, prove, was_superseded,
};
use touchmark_x509::{
    Certificate, KeyAlgorithm, KeyPlace, PublicKey, SignatureAlgorithm, Signer, SigningFault, SoftwareKey,
};

/// Cause of what renewals leave in the journal.
pub(super) const RENEWAL: &str = "est/simplereenroll";
const ENROLMENT: &str = "est/simpleenroll";

/// One environment's authority.
pub(super) struct Authority {
    pub(super) store: MemoryStore,
    pub(super) trust: Arc<Trust>,
    trusts: Arc<Trusts>,
    signer: Arc<dyn Signer>,
    planner: RenewalPlanner,
    memory: Mutex<Memory>,
    pub(super) waiting_most: usize,
    chance: Chance,
    now: Timestamp,
    refused: BTreeMap<(DeviceId, &'static str), u64>,
    commit_lost: u32,
    commit_reported_lost: u32,
}

/// A key that is kept here or elsewhere, as the scenario says.
struct Kept {
    key: SoftwareKey,
    place: KeyPlace,
}

impl Signer for Kept {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn place(&self) -> KeyPlace {
        self.place
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault> {
        self.key.sign(message)
    }
}

/// What a device is given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) certificate: Certificate,
    pub(super) hint: RenewalHint,
    /// Made just now, rather than given once more.
    pub(super) fresh: bool,
}

impl World for Authority {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn moment(&mut self) -> Moment {
        Moment::new(self.now, self.chance.octets())
    }

    fn memory(&self) -> &Mutex<Memory> {
        &self.memory
    }

    /// One request at a time.
    fn take_turn(&mut self, _: &Turn) -> bool {
        true
    }

    fn signer(&self, _: AuthorityVersionId) -> Option<Arc<dyn Signer>> {
        Some(Arc::clone(&self.signer))
    }

    /// Devices let nobody in.
    fn closes_last_way_in(&self, _: &PartyRow, _: &[String], _: Reach) -> Result<bool, StoreFault> {
        Ok(false)
    }

    fn tell(&self, _: &Notice) {}
}

impl Authority {
    /// A new environment, as `services/authority` makes it.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let now = Scenario::start();
        let mut chance = Chance::new(scenario.seed, 1);
        let generate = || SoftwareKey::generate(KeyAlgorithm::P256).expect("the provider makes keys");
        let (root_key, key) = (generate(), generate());
        let incarnation = Incarnation::FIRST;
        let root = create_root("example root", &root_key, incarnation, now, chance.octets()).expect("a root");
        let url = "http://127.0.0.1/crl/root/0.crl";
        let certificate =
            create_issuing("lab issuing", &key, &root, &root_key, url, incarnation, now, chance.octets())
                .expect("an issuing authority");
        let version = AuthorityVersionId::draw(now, chance.octets());
        let kind = IdentityKind::Operational;
        let profile = Profile {
            version: ProfileVersionId::draw(now, chance.octets()),
            kind,
            lifetime: scenario.lifetime,
        };
        let overlap = (scenario.lifetime / 10).max(Duration::from_secs(300));
        let store = MemoryStore::new();
        let events = beginnings(scenario, &root, &certificate, version, &profile, overlap, &mut chance);
        store.commit(Command { preconditions: Vec::new(), entries: events }).expect("nothing is there yet");
        let mut issuing =
            IssuingAuthority::new(version, certificate, &key, "http://127.0.0.1/crl".to_owned(), 1);
        issuing.prepare(&profile).expect("a template");
        let active = ActiveProfile {
            profile,
            name: "device".parse().expect("the word is a name"),
            overlap,
            grace: scenario.grace,
            on_clone: scenario.on_clone,
            revoke_superseded: false,
        };
        let environment = store.environments().expect("rows").pop().expect("one environment");
        let name = environment.name.clone();
        let profiles = HashMap::from([(kind, active)]);
        let root_version = version;
        let trust = Arc::new(Trust { environment, issuing, root, root_version, profiles });
        let by_name = BTreeMap::from([(name, Arc::clone(&trust))]);
        Self {
            store,
            trust,
            trusts: Arc::new(Trusts { by_name, incarnation }),
            signer: Arc::new(Kept { key, place: scenario.key }),
            planner: RenewalPlanner::new(scenario.lifetime),
            memory: Mutex::new(Memory::new(scenario.issue_schedule)),
            waiting_most: 0,
            chance,
            now,
            refused: BTreeMap::new(),
            commit_lost: scenario.chances.commit_lost,
            commit_reported_lost: scenario.chances.commit_reported_lost,
        }
    }

    /// Carries out a use case.
    fn run<T, E: From<StoreFault>>(&mut self, mut step: Step<T, E>, now: Timestamp) -> Result<T, E> {
        self.now = now;
        loop {
            step = match step.advance(self)? {
                Step::Done(outcome) => return Ok(outcome),
                Step::Commit(command, then) => {
                    let outcome = self.commit(command);
                    then(outcome, self.moment())?
                }
                more => more,
            };
        }
    }

    /// `simpleenroll` on a token, or `simplereenroll` on the word of `peer`.
    pub(super) fn enrol(
        &mut self,
        request: EnrolmentRequest,
        peer: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<Given, EnrolmentFault> {
        let (evidence, cause) = match peer {
            None => (Evidence::token(&request)?, ENROLMENT),
            Some(fingerprint) => {
                (Evidence::Certificate { fingerprint, manner: RenewalManner::Automatic }, RENEWAL)
            }
        };
        let step = enrol(request, evidence, cause, Arc::clone(&self.trusts))?;
        let outcome = self.run(step, now);
        let waiting = self.memory.lock().expect("nobody panicked").schedule.waiting();
        self.waiting_most = self.waiting_most.max(waiting);
        // What the authority could not do is no failure of the device.
        if let (Err(EnrolmentFault::Refused(refusal)), Some(peer)) = (&outcome, &peer)
            && let Some(device) = self.row_of(peer).and_then(|row| row.device)
        {
            *self.refused.entry((device, refusal.code())).or_default() += 1;
        }
        let Enrolled { certificate, fresh, .. } = outcome?;
        let (validity, draw) = (certificate.validity(), draw(certificate.serial()));
        let window = match fresh {
            true => self.planner.plan(validity, draw, now),
            false => self.planner.window(validity, draw),
        };
        Ok(Given { certificate, hint: hint(window, now), fresh })
    }

    /// Any use proves the key; a fault here keeps nobody from being answered.
    pub(super) fn used(&mut self, peer: Fingerprint, now: Timestamp) {
        let step = prove(peer, Proven::Here, "est", Arc::clone(&self.trusts));
        let Ok(Some(row)) = self.run(step, now) else { return };
        if was_superseded(&row) {
            let est = "est".parse().expect("the word is a name");
            let step = look_at_use(peer, Use::Other, est, "est", Arc::clone(&self.trusts));
            let _ = self.run(step, now);
        }
    }

    /// `confirm`: the holder asks for it by name.
    pub(super) fn confirm(&mut self, peer: Fingerprint, now: Timestamp) -> Result<(), EnrolmentFault> {
        let step = confirm_by_name(peer, None, "confirm", Arc::clone(&self.trusts));
        self.run(step, now)
    }

    /// When the certificate of the connection is to be renewed.
    pub(super) fn hinted(
        &mut self,
        peer: Fingerprint,
        now: Timestamp,
    ) -> Result<RenewalHint, EnrolmentFault> {
        let row = self.run(may_be_renewed(peer, Arc::clone(&self.trusts)), now)?;
        Ok(hint(self.planner.window(row.validity, draw(&row.serial)), now))
    }

    /// An operator makes a token.
    pub(super) fn new_token(&mut self, subject: TokenSubject, uses: u32, password: &str, now: Timestamp) {
        let order = TokenOrder {
            scope: self.trust.environment.scope.clone(),
            kind: IdentityKind::Operational,
            subject,
            uses,
            lifetime: touchmark_ra::TOKEN_LIFETIME_MAX,
            model: None,
            hosts: Vec::new(),
            roles: None,
            reach: Reach::Environment,
            known: None,
        };
        let random = self.chance.octets();
        let made = create_token(permitted(order), sha256(password.as_bytes()), now, random);
        let (_, _, command) = made.expect("a token within its limits");
        self.store.commit(command).expect("a new token");
    }

    /// An operator bans a device.
    pub(super) fn ban(&mut self, name: &Name, now: Timestamp) -> DeviceId {
        let device = self.device_named(name).expect("rows").expect("the device enrolled");
        let id = device.device;
        let act = Contain { device, verb: Verb::Ban(RevocationReason::KeyCompromise) };
        let command = contain(permitted(act), now).expect("it was not banned before");
        self.store.commit(command).expect("nothing came between");
        id
    }

    /// Records the refusals that were counted. No fault meets this commit: its counts are compared exactly.
    pub(super) fn flush(&mut self, now: Timestamp) {
        let counted = core::mem::take(&mut self.refused);
        if counted.is_empty() {
            return;
        }
        let actor = Actor::automation("admission".parse().expect("the word is a name"));
        let scope = self.trust.environment.scope.clone();
        let envelope = Envelope { scope, actor, cause: RENEWAL.into(), at: now };
        let entries = counted.into_iter().map(|((device, code), count)| Draft {
            envelope: envelope.clone(),
            event: Event::RenewalRefused(RenewalRefused { device, code: code.to_owned(), count }),
            private: None,
        });
        let command = Command { preconditions: Vec::new(), entries: entries.collect() };
        self.store.commit(command).expect("refusals have no preconditions");
    }

    /// The device of this name.
    pub(super) fn device_named(&self, name: &Name) -> Result<Option<DeviceRow>, StoreFault> {
        self.store.device_by_name(&self.trust.environment.name, name)
    }

    /// Certificates of a device, newest first.
    pub(super) fn certificates_of(&self, device: DeviceId) -> Vec<CertificateRow> {
        self.store.certificates_of_device(device).expect("rows")
    }

    /// The row of a certificate that a device holds.
    pub(super) fn row_of(&self, fingerprint: &Fingerprint) -> Option<CertificateRow> {
        self.store.certificate_by_fingerprint(fingerprint).expect("rows")
    }

    /// One commit, with the fate that it draws.
    fn commit(&mut self, command: Command) -> Result<Receipt, StoreFault> {
        let fate = if self.chance.hits(self.commit_lost) {
            Fault::Lost
        } else if self.chance.hits(self.commit_reported_lost) {
            Fault::StoredButReportedLost
        } else {
            Fault::None
        };
        self.store.plan_faults([fate]);
        self.store.commit(command)
    }
}

fn beginnings(
    scenario: &Scenario,
    root: &Certificate,
    issuing: &Certificate,
    version: AuthorityVersionId,
    profile: &Profile,
    overlap: Duration,
    chance: &mut Chance,
) -> Vec<Draft> {
    let now = Scenario::start();
    let environment: EnvironmentName = "lab".parse().expect("the word is a name");
    let root_version = AuthorityVersionId::draw(now, chance.octets());
    let authority = |authority_version, kind, name: &str, certificate: &Certificate, parent| {
        Event::AuthorityCreated(AuthorityCreated {
            authority_version,
            kind,
            name: name.parse().expect("the words are names"),
            certificate: certificate.der().to_vec(),
            parent,
            crl_shards: 1,
        })
    };
    let events = [
        authority(root_version, AuthorityKind::Root, "root", root, None),
        Event::EnvironmentCreated(EnvironmentCreated {
            name: environment.clone(),
            trust_domain: "lab.touchmark.internal".parse().expect("a host name"),
            default: true,
        }),
        authority(version, AuthorityKind::Issuing, "issuing", issuing, Some(root_version)),
        Event::ProfileActivated(ProfileActivated {
            profile_version: profile.version,
            name: "device".parse().expect("the word is a name"),
            kind: IdentityKind::Operational,
            lifetime_s: scenario.lifetime.as_secs(),
            overlap_s: overlap.as_secs(),
            renewal: Some(RenewalRules {
                grace_s: scenario.grace.as_secs(),
                on_clone: scenario.on_clone,
                revoke_superseded: false,
            }),
        }),
    ];
    let organisation = "example".parse().expect("the word is a name");
    let scope = Scope { organisation, environment: Some(environment) };
    let envelope = Envelope { scope, actor: operator(), cause: "environment/create".into(), at: now };
    let draft = |event| Draft { envelope: envelope.clone(), event, private: None };
    events.into_iter().map(draft).collect()
}

fn permitted<A: Act>(act: A) -> Mandate<A> {
    Mandate::permitted_unchecked(operator(), "fleet", act)
}

fn operator() -> Actor {
    Actor::person("ada".parse().expect("the word is a name"))
}

/// For the planner: the serial's random octets, so that the seed decides. The service takes the fingerprint's.
fn draw(serial: &SerialNumber) -> Draw {
    let mut draw = Draw::default();
    for (to, from) in draw.iter_mut().zip(serial.der_content().iter().skip(1)) {
        *to = *from;
    }
    draw
}

/// A window, and the wait until it begins.
fn hint(window: RenewalWindow, now: Timestamp) -> RenewalHint {
    let wait = window.start().since(now).as_secs().max(1);
    RenewalHint { window, retry_after: Some(Duration::from_secs(wait)) }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    hash
}
