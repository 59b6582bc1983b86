//! Environments: how the root, a trust domain with its issuing authority, its profiles and its first policy
//! come into being. Every step is recorded in one command, so a crash leaves all of it or nothing.

use crate::entropy::random;
use crate::feed::{Feeds, PublishFault};
use crate::issuance::hierarchy::{Hierarchy, HierarchyFault, Trust, authority_key};
use crate::keys::{KeyVault, VaultFault};
use crate::store::commit::Commits;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use touchmark_ca::{AuthorityFault, create_issuing, create_root};
use touchmark_durable::{Mode, WriteFault, create_dir_durable, write_changed};
use touchmark_enrol::est::Operation;
use touchmark_identity::Permission;
use touchmark_identity::{
    Actor, AuthorityVersionId, EnvironmentName, Incarnation, Name, OrganisationName, ProfileVersionId,
    Timestamp, TrustDomain,
};
use touchmark_inventory::{AuthorityRow, Command, Conflict, Precondition, StoreFault};
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, CloneResponse, Draft, Envelope, EnvironmentCreated, Event, IdentityKind,
    PolicyActivated, ProfileActivated, Reach, RenewalRules, Scope,
};
use touchmark_listen::Clock;
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle, PolicyFaults};
use touchmark_ra::{Act, Mandate};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::{KeyAlgorithm, Signer};

/// A service or operator certificate is made anew at every start, or by its holder.
const SERVICE_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
const OPERATOR_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// Shortest life of a device certificate: below it, backdating and clocks leave too little.
const DEVICE_LIFETIME_MIN: Duration = Duration::from_secs(30);
const DEVICE_LIFETIME_MAX: Duration = Duration::from_secs(825 * 86_400);
/// A device that slept for a year is as good as lost; what comes back later is enrolled anew.
const GRACE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// The overlap after a successor is confirmed, if nothing is said: a tenth of the life, at least five minutes.
const OVERLAP_MIN: Duration = Duration::from_secs(300);

/// What follows an environment's name in its issuing authority's common name.
const ISSUING: &str = " issuing";
/// ub-common-name of X.520 (RFC 5280 appendix A.1).
const COMMON_NAME_CHARS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = COMMON_NAME_CHARS_MAX - ISSUING.len();

/// Why no environment came into being.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentFault {
    /// The name is taken.
    #[error("environment `{0}` exists already")]
    Exists(EnvironmentName),
    /// EST could not tell the environment from an operation.
    #[error(
        "`{0}` is an operation of EST, so the paths of an environment of that name would mean something else (RFC 7030 §3.2.2)"
    )]
    Reserved(EnvironmentName),
    /// Its authority's name would not fit.
    #[error(
        "an environment's name has at most {NAME_CHARS_MAX} characters, this one has {chars}: its authority is called `NAME{ISSUING}`, and a common name has {COMMON_NAME_CHARS_MAX} (X.520)"
    )]
    NameLength { chars: usize },
    /// No host could be called so.
    #[error(
        "`{0}` is no trust domain: it is a host name, whose labels have 1 to 63 of a-z, 0-9 and `-`, and a letter or digit at both ends (RFC 1123 §2.1)"
    )]
    TrustDomain(TrustDomain),
    /// Out of bounds.
    #[error("a device certificate lives from {} seconds to {} days", DEVICE_LIFETIME_MIN.as_secs(), DEVICE_LIFETIME_MAX.as_secs() / 86_400)]
    Lifetime,
    /// Out of bounds.
    #[error("a certificate can be renewed until {} days after its end at most", GRACE_MAX.as_secs() / 86_400)]
    Grace,
    /// Out of bounds.
    #[error("an overlap is no longer than the life of a device certificate")]
    Overlap,
    /// There is no root yet.
    #[error("the organisation has no root authority")]
    NoRoot,
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A key.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// A certificate of an authority.
    #[error(transparent)]
    Authority(#[from] AuthorityFault),
    /// A stored certificate.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// What was created cannot be read back.
    #[error(transparent)]
    Hierarchy(#[from] HierarchyFault),
    /// The policy does not compile.
    #[error(transparent)]
    Policy(#[from] PolicyFaults),
    /// The feed.
    #[error(transparent)]
    Publish(#[from] PublishFault),
}

/// What an operator asked for.
#[derive(Clone, Debug)]
pub(crate) struct EnvironmentPlan {
    pub name: EnvironmentName,
    /// Host of its identities.
    pub trust_domain: TrustDomain,
    /// Life of a device certificate.
    pub device_lifetime: Duration,
    /// Whether EST without a label means it.
    pub default: bool,
    /// What its device certificates' successors follow.
    pub successors: SuccessorPlan,
}

impl Act for EnvironmentPlan {
    fn permission(&self) -> Permission {
        Permission::EnvironmentCreate
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        Some(&self.name)
    }

    fn reach(&self) -> Reach {
        Reach::Organisation
    }

    fn cause(&self) -> &'static str {
        "api/environments"
    }
}

/// What an operator asked for about successors of device certificates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuccessorPlan {
    /// How long past its end a certificate may be renewed; a third of its life if nothing is said.
    pub grace: Option<Duration>,
    /// How long a certificate serves beside its confirmed successor; a tenth of its life if nothing is said.
    pub overlap: Option<Duration>,
    /// What a suspected clone leads to.
    pub on_clone: CloneResponse,
    /// Whether what is superseded is revoked once its overlap is over.
    pub revoke_superseded: bool,
}

impl Default for SuccessorPlan {
    fn default() -> Self {
        Self { grace: None, overlap: None, on_clone: CloneResponse::Alarm, revoke_superseded: false }
    }
}

pub(crate) struct Environments {
    /// Rows.
    pub commits: Commits,
    /// Keys.
    pub vault: Arc<KeyVault>,
    /// Where CRLs are published.
    pub crl_url_base: String,
    /// Who is accountable.
    pub organisation: OrganisationName,
    /// Serial prefix.
    pub incarnation: Incarnation,
    pub clock: Clock,
    /// Where each environment's trust anchors are written for people.
    pub anchors: PathBuf,
    /// One creation at a time: what was free when the key was made is still free at the commit.
    pub creating: tokio::sync::Mutex<()>,
}

impl Environments {
    /// The root, made if there is none.
    ///
    /// # Errors
    /// [`EnvironmentFault`].
    pub(crate) async fn ensure_root(&self) -> Result<(AuthorityRow, Arc<dyn Signer>), EnvironmentFault> {
        if let Some(row) = self.root()? {
            let signer = authority_key(&row, &self.vault)?;
            return Ok((row, Arc::new(signer)));
        }
        let now = self.clock.now();
        let version = AuthorityVersionId::draw(now, random());
        let signer = self.vault.create(&version.to_string(), KeyAlgorithm::P256)?;
        let name = format!("{} root", self.organisation);
        let certificate = create_root(&name, &signer, self.incarnation, now, random())?;
        let event = Event::AuthorityCreated(AuthorityCreated {
            authority_version: version,
            kind: AuthorityKind::Root,
            name: "root".parse().expect("the word is a name"),
            certificate: certificate.der().to_vec(),
            parent: None,
            crl_shards: 1,
        });
        let scope = Scope { organisation: self.organisation.clone(), environment: None };
        let envelope = Envelope { scope, actor: bootstrap_actor(), cause: "bootstrap".into(), at: now };
        let entries = vec![Draft { envelope, event, private: None }];
        self.commits.commit(Command { preconditions: Vec::new(), entries }).await?;
        let row = self.root()?.ok_or(EnvironmentFault::NoRoot)?;
        Ok((row, Arc::new(signer)))
    }

    fn root(&self) -> Result<Option<AuthorityRow>, StoreFault> {
        let rows = self.commits.store().authorities()?;
        Ok(rows.into_iter().find(|row| row.kind == AuthorityKind::Root))
    }

    /// Creates an environment with its issuing authority, profiles and the starter policy.
    ///
    /// # Errors
    /// [`EnvironmentFault`]; nothing is recorded.
    pub(crate) async fn create(&self, mandate: Mandate<EnvironmentPlan>) -> Result<(), EnvironmentFault> {
        let plan = mandate.act();
        if !(DEVICE_LIFETIME_MIN..=DEVICE_LIFETIME_MAX).contains(&plan.device_lifetime) {
            return Err(EnvironmentFault::Lifetime);
        }
        if plan.successors.grace.is_some_and(|grace| grace > GRACE_MAX) {
            return Err(EnvironmentFault::Grace);
        }
        if plan.successors.overlap.is_some_and(|overlap| overlap > plan.device_lifetime) {
            return Err(EnvironmentFault::Overlap);
        }
        check_names(plan)?;
        let _one = self.creating.lock().await;
        self.check_free(plan)?;
        let (root, root_signer) = self.ensure_root().await?;
        let now = self.clock.now();
        let version = AuthorityVersionId::draw(now, random());
        let signer = self.vault.create(&version.to_string(), KeyAlgorithm::P256)?;
        let common_name = format!("{}{ISSUING}", plan.name);
        let issuing = create_issuing(
            &common_name,
            &signer,
            &Certificate::from_der(&root.certificate)?,
            &*root_signer,
            &format!("{}/{}/0.crl", self.crl_url_base, root.authority_version),
            self.incarnation,
            now,
            random(),
        )?;
        let mut events = vec![
            Event::EnvironmentCreated(EnvironmentCreated {
                name: plan.name.clone(),
                trust_domain: plan.trust_domain.clone(),
                default: plan.default,
            }),
            Event::AuthorityCreated(AuthorityCreated {
                authority_version: version,
                kind: AuthorityKind::Issuing,
                name: "issuing".parse().expect("the word is a name"),
                certificate: issuing.der().to_vec(),
                parent: Some(root.authority_version),
                crl_shards: 1,
            }),
        ];
        events.extend(profiles(plan, now));
        events.push(starter_policy()?);
        let scope = Scope { organisation: self.organisation.clone(), environment: Some(plan.name.clone()) };
        let entries = events.into_iter().map(|event| mandate.draft(&scope, now, event, None));
        let command = Command {
            preconditions: vec![Precondition::EnvironmentFree { name: plan.name.clone() }],
            entries: entries.collect(),
        };
        match self.commits.commit(command).await {
            Err(StoreFault::Conflict(_)) => Err(EnvironmentFault::Exists(plan.name.clone())),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// Before a key is made for it.
    fn check_free(&self, plan: &EnvironmentPlan) -> Result<(), EnvironmentFault> {
        let rows = self.commits.store().environments()?;
        if rows.iter().any(|row| row.name == plan.name) {
            return Err(EnvironmentFault::Exists(plan.name.clone()));
        }
        // The route refuses a taken trust domain in words; here only those arrive that were created meanwhile.
        match rows.into_iter().find(|row| row.trust_domain == plan.trust_domain) {
            Some(row) => {
                Err(StoreFault::from(Conflict { failed: Precondition::EnvironmentFree { name: row.name } })
                    .into())
            }
            None => Ok(()),
        }
    }

    /// Makes a created environment issue and feed.
    ///
    /// # Errors
    /// [`EnvironmentFault`]; the next start does it.
    pub(crate) fn open(
        &self,
        name: &EnvironmentName,
        hierarchy: &Hierarchy,
        feeds: &Feeds,
    ) -> Result<(), EnvironmentFault> {
        let store = self.commits.store();
        hierarchy.reload(&**store, &self.vault)?;
        let trust = hierarchy.trust_of(name).ok_or(EnvironmentFault::NoRoot)?;
        self.commits.while_feeds_stand(|| {
            feeds.open(&trust, &**store, self.clock.now(), Timestamp::from_unix_ms(0))
        })?;
        if let Err(fault) = write_anchors(&self.anchors, &trust) {
            tracing::error!(%fault, "the environment's anchors are not in a file yet; the next start writes them");
        }
        Ok(())
    }
}

/// Whether what is named after the environment can bear its name, before a key is made for it.
fn check_names(plan: &EnvironmentPlan) -> Result<(), EnvironmentFault> {
    if Operation::reserves(plan.name.as_str()) {
        return Err(EnvironmentFault::Reserved(plan.name.clone()));
    }
    let chars = plan.name.as_str().len();
    if chars > NAME_CHARS_MAX {
        return Err(EnvironmentFault::NameLength { chars });
    }
    let label =
        |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    match plan.trust_domain.as_str().split('.').all(label) {
        true => Ok(()),
        false => Err(EnvironmentFault::TrustDomain(plan.trust_domain.clone())),
    }
}

/// The file with an environment's trust anchors.
pub(crate) fn anchors_file(directory: &Path, environment: &EnvironmentName) -> PathBuf {
    directory.join(format!("{environment}.pem"))
}

/// Writes what people give to devices and tools: issuing certificate and root.
///
/// # Errors
/// [`WriteFault`].
pub(crate) fn write_anchors(directory: &Path, trust: &Trust) -> Result<(), WriteFault> {
    create_dir_durable(directory, Mode::Public0644)?;
    let pem: String = trust.chain().iter().map(|certificate| certificate.to_pem()).collect();
    write_changed(&anchors_file(directory, &trust.environment.name), pem.as_bytes(), Mode::Public0644)
}

/// The product itself, before there is an operator.
pub(crate) fn bootstrap_actor() -> Actor {
    Actor::automation("bootstrap".parse().expect("the word is a name"))
}

fn profiles(plan: &EnvironmentPlan, now: Timestamp) -> [Event; 3] {
    let profile = |name: &str, kind, lifetime: Duration, successors: SuccessorPlan| {
        let name: Name = name.parse().expect("the words are names");
        Event::ProfileActivated(ProfileActivated {
            profile_version: ProfileVersionId::draw(now, random()),
            name,
            kind,
            lifetime_s: lifetime.as_secs(),
            overlap_s: successors.overlap.unwrap_or((lifetime / 10).max(OVERLAP_MIN)).as_secs(),
            renewal: Some(RenewalRules {
                grace_s: successors.grace.unwrap_or(lifetime / 3).as_secs(),
                on_clone: successors.on_clone,
                revoke_superseded: successors.revoke_superseded,
            }),
        })
    };
    [
        profile("device", IdentityKind::Operational, plan.device_lifetime, plan.successors),
        profile("service", IdentityKind::Service, SERVICE_LIFETIME, SuccessorPlan::default()),
        profile("operator", IdentityKind::Operator, OPERATOR_LIFETIME, SuccessorPlan::default()),
    ]
}

fn starter_policy() -> Result<Event, PolicyFaults> {
    let bundle = PolicyBundle::starter();
    let compiled = CompiledPolicy::compile(&bundle)?;
    Ok(Event::PolicyActivated(PolicyActivated {
        version: compiled.version().0,
        files: bundle.files,
        topics: bundle.topics,
    }))
}
