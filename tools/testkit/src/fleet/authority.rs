//! The authority: one environment over the store in memory, what its operator does, and its commits.
//!
//! Driven in the order of `services/authority`, one request at a time; `admission` and `issuance` hold the two halves
//! of a request. Commits meet the faults that the scenario draws. Feeds, CRLs and the log are left out.

use super::admission::Denied;
use super::chance::Chance;
use super::scenario::Scenario;
use core::time::Duration;
use std::collections::BTreeMap;
use touchmark_ca::{IssuingAuthority, Profile, create_issuing, create_root};
use touchmark_enrol::RenewalPlanner;
use touchmark_identity::{
    Actor, AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, Incarnation, Name,
    ProfileVersionId, RevocationReason, Timestamp,
};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, DeviceRow, EnvironmentRow, Fault, Holder, IssueRow,
    MemoryStore, Store, StoreFault,
};
use touchmark_journal::Reach;
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, CloneResponse, Draft, Envelope, EnvironmentCreated, Event, IdentityKind,
    ProfileActivated, RenewalRefused, RenewalRules, Scope, TokenSubject,
};
use touchmark_ra::{
    Act, Contain, IssueSchedule, Mandate, Presented, Refusal, TokenOrder, Verb, contain, create_token,
};
use touchmark_x509::{Certificate, KeyAlgorithm, SoftwareKey};

/// As `services/authority`: one certificate raises one alarm in so long.
pub(super) const ALARM_QUIET: Duration = Duration::from_secs(3600);
/// Cause of what renewals leave in the journal.
pub(super) const RENEWAL: &str = "est/simplereenroll";

/// The rows behind a certificate whose key was proven.
pub(super) struct Rows {
    pub(super) row: CertificateRow,
    pub(super) device: DeviceRow,
    pub(super) certificates: Vec<CertificateRow>,
    issues: Vec<IssueRow>,
}

/// One environment's authority.
pub(super) struct Authority {
    pub(super) store: MemoryStore,
    pub(super) environment: EnvironmentRow,
    pub(super) issuing: IssuingAuthority,
    pub(super) signer: SoftwareKey,
    pub(super) root: Certificate,
    pub(super) profile: Profile,
    pub(super) overlap: Duration,
    pub(super) grace: Duration,
    pub(super) on_clone: CloneResponse,
    pub(super) planner: RenewalPlanner,
    pub(super) issue_schedule: IssueSchedule,
    pub(super) waiting_most: usize,
    pub(super) chance: Chance,
    pub(super) rang: BTreeMap<CertificateId, Timestamp>,
    pub(super) refused: BTreeMap<(DeviceId, &'static str), u64>,
    commit_lost: u32,
    commit_reported_lost: u32,
}

impl Authority {
    /// A new environment, as `services/authority` makes it.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let now = Scenario::start();
        let mut chance = Chance::new(scenario.seed, 1);
        let generate = || SoftwareKey::generate(KeyAlgorithm::P256).expect("the provider makes keys");
        let (root_key, signer) = (generate(), generate());
        let first = Incarnation::FIRST;
        let root = create_root("example root", &root_key, first, now, chance.octets()).expect("a root");
        let url = "http://127.0.0.1/crl/root/0.crl";
        let certificate =
            create_issuing("lab issuing", &signer, &root, &root_key, url, first, now, chance.octets())
                .expect("an issuing authority");
        let version = AuthorityVersionId::draw(now, chance.octets());
        let profile = Profile {
            version: ProfileVersionId::draw(now, chance.octets()),
            kind: IdentityKind::Operational,
            lifetime: scenario.lifetime,
        };
        let overlap = (scenario.lifetime / 10).max(Duration::from_secs(300));
        let store = MemoryStore::new();
        let events = beginnings(scenario, &root, &certificate, version, &profile, overlap, &mut chance);
        store.commit(Command { preconditions: Vec::new(), entries: events }).expect("nothing is there yet");
        let base = "http://127.0.0.1/crl".to_owned();
        let mut issuing = IssuingAuthority::new(version, certificate, &signer, base, 1);
        issuing.prepare(&profile).expect("a template");
        let environment = store.environments().expect("rows").pop().expect("one environment");
        Self {
            store,
            environment,
            issuing,
            signer,
            root,
            planner: RenewalPlanner::new(scenario.lifetime),
            issue_schedule: IssueSchedule::new(scenario.issue_schedule),
            waiting_most: 0,
            profile,
            overlap,
            grace: scenario.grace,
            on_clone: scenario.on_clone,
            chance,
            rang: BTreeMap::new(),
            refused: BTreeMap::new(),
            commit_lost: scenario.chances.commit_lost,
            commit_reported_lost: scenario.chances.commit_reported_lost,
        }
    }

    /// An operator makes a token.
    pub(super) fn new_token(&mut self, subject: TokenSubject, uses: u32, password: &str, now: Timestamp) {
        let order = TokenOrder {
            scope: self.environment.scope.clone(),
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
        let scope = self.environment.scope.clone();
        let envelope = Envelope { scope, actor, cause: RENEWAL.into(), at: now };
        let entries = counted.into_iter().map(|((device, code), count)| Draft {
            envelope: envelope.clone(),
            event: Event::RenewalRefused(RenewalRefused { device, code: code.to_owned(), count }),
            private: None,
        });
        let command = Command { preconditions: Vec::new(), entries: entries.collect() };
        self.store.commit(command).expect("refusals have no preconditions");
    }

    /// The rows of a certificate that was shown.
    pub(super) fn rows(&self, peer: &Fingerprint) -> Result<Rows, Denied> {
        let row = self.store.certificate_by_fingerprint(peer)?.ok_or(Refusal::CertificateUnknown)?;
        let device = row.device.ok_or(Refusal::CertificateUnknown)?;
        let device = self.store.device(device)?.ok_or(Refusal::CertificateUnknown)?;
        let certificates = match row.state {
            CertificateState::Superseded => self.store.certificates_of_device(device.device)?,
            _ => self.store.current_certificates(&Holder::Device(device.device))?,
        };
        let key = touchmark_identity::SpkiHash([0; 32]);
        let issues =
            self.store.certificate_facts(peer, Some(&key))?.map(|facts| facts.of.issues).unwrap_or_default();
        Ok(Rows { row, device, certificates, issues })
    }

    /// For the RA.
    pub(super) fn presented<'a>(&'a self, rows: &'a Rows) -> Presented<'a> {
        Presented {
            row: &rows.row,
            environment: &self.environment,
            device: Some(&rows.device),
            certificates: &rows.certificates,
            issues: &rows.issues,
            grace: self.grace,
        }
    }

    /// The device of this name.
    pub(super) fn device_named(&self, name: &Name) -> Result<Option<DeviceRow>, StoreFault> {
        self.store.device_by_name(&self.environment.name, name)
    }

    /// One commit, with the fate that it draws.
    pub(super) fn commit(&mut self, command: Command) -> Result<(), StoreFault> {
        let fate = if self.chance.hits(self.commit_lost) {
            Fault::Lost
        } else if self.chance.hits(self.commit_reported_lost) {
            Fault::StoredButReportedLost
        } else {
            Fault::None
        };
        self.store.plan_faults([fate]);
        self.store.commit(command).map(drop)
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

pub(super) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    hash
}
