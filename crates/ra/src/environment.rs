//! Environments: what may be founded, and what founding one records.

use crate::mandate::{Act, Mandate};
use core::time::Duration;
use touchmark_enrol::est::Operation;
use touchmark_identity::{
    EnvironmentName, Name, OrganisationName, Permission, ProfileVersionId, Timestamp, TrustDomain,
};
use touchmark_inventory::{Command, EnvironmentRow, Precondition};
use touchmark_journal::{
    AuthorityCreated, CloneResponse, EnvironmentCreated, Event, IdentityKind, PolicyActivated,
    ProfileActivated, Reach, RenewalRules, Scope,
};

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

/// What an operator asked for.
#[derive(Clone, Debug)]
pub struct EnvironmentPlan {
    pub name: EnvironmentName,
    /// Host of its identities.
    pub trust_domain: TrustDomain,
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
pub struct SuccessorPlan {
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

/// Why an environment may not come into being. The operator must choose otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentRefusal {
    #[error("environment `{0}` exists already")]
    Exists(EnvironmentName),
    #[error("an environment has this trust domain already")]
    TrustDomainExists,
    #[error(
        "`{0}` is an operation of EST, so the paths of an environment of that name would mean something else (RFC 7030 §3.2.2)"
    )]
    Reserved(EnvironmentName),
    #[error(
        "an environment's name has at most {NAME_CHARS_MAX} characters, this one has {chars}: its authority is called `NAME{ISSUING}`, and a common name has {COMMON_NAME_CHARS_MAX} (X.520)"
    )]
    NameLength { chars: usize },
    #[error(
        "`{0}` is no trust domain: it is a host name, whose labels have 1 to 63 of a-z, 0-9 and `-`, and a letter or digit at both ends (RFC 1123 §2.1)"
    )]
    TrustDomain(TrustDomain),
    #[error("a device certificate lives from {} seconds to {} days", DEVICE_LIFETIME_MIN.as_secs(), DEVICE_LIFETIME_MAX.as_secs() / 86_400)]
    Lifetime,
    #[error("a certificate can be renewed until {} days after its end at most", GRACE_MAX.as_secs() / 86_400)]
    Grace,
    #[error("an overlap is no longer than the life of a device certificate")]
    Overlap,
}

/// A plan that no rule forbids: what an authority's key may be made for.
#[derive(Debug)]
pub struct Foundable(Mandate<EnvironmentPlan>);

impl Foundable {
    /// The common name of its issuing authority.
    pub fn issuing_name(&self) -> String {
        format!("{}{ISSUING}", self.0.act().name)
    }
}

/// Holds a plan against the rules and against `environments`, all that there are.
///
/// # Errors
/// [`EnvironmentRefusal`].
pub fn check_environment(
    mandate: Mandate<EnvironmentPlan>,
    environments: &[EnvironmentRow],
) -> Result<Foundable, EnvironmentRefusal> {
    let plan = mandate.act();
    let chars = plan.name.as_str().len();
    let label =
        |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    if !(DEVICE_LIFETIME_MIN..=DEVICE_LIFETIME_MAX).contains(&plan.device_lifetime) {
        Err(EnvironmentRefusal::Lifetime)
    } else if plan.successors.grace.is_some_and(|grace| grace > GRACE_MAX) {
        Err(EnvironmentRefusal::Grace)
    } else if plan.successors.overlap.is_some_and(|overlap| overlap > plan.device_lifetime) {
        Err(EnvironmentRefusal::Overlap)
    } else if Operation::reserves(plan.name.as_str()) {
        Err(EnvironmentRefusal::Reserved(plan.name.clone()))
    } else if chars > NAME_CHARS_MAX {
        Err(EnvironmentRefusal::NameLength { chars })
    } else if !plan.trust_domain.as_str().split('.').all(label) {
        Err(EnvironmentRefusal::TrustDomain(plan.trust_domain.clone()))
    } else if environments.iter().any(|row| row.name == plan.name) {
        // A taken name has the taken trust domain by default: then the name is what to tell of.
        Err(EnvironmentRefusal::Exists(plan.name.clone()))
    } else if environments.iter().any(|row| row.trust_domain == plan.trust_domain) {
        Err(EnvironmentRefusal::TrustDomainExists)
    } else {
        Ok(Foundable(mandate))
    }
}

/// The environment, its issuing authority, its profiles and its first policy: all of it or nothing. `random` names the
/// profiles' versions.
pub fn found_environment(
    Foundable(mandate): Foundable,
    organisation: OrganisationName,
    issuing: AuthorityCreated,
    policy: PolicyActivated,
    now: Timestamp,
    random: [[u8; 10]; 3],
) -> Command {
    let plan = mandate.act();
    let created = EnvironmentCreated {
        name: plan.name.clone(),
        trust_domain: plan.trust_domain.clone(),
        default: plan.default,
    };
    let mut events = vec![Event::EnvironmentCreated(created), Event::AuthorityCreated(issuing)];
    events.extend(profiles(plan, now, random));
    events.push(Event::PolicyActivated(policy));
    let scope = Scope { organisation, environment: Some(plan.name.clone()) };
    Command {
        preconditions: vec![Precondition::EnvironmentFree { name: plan.name.clone() }],
        entries: events.into_iter().map(|event| mandate.draft(&scope, now, event, None)).collect(),
    }
}

fn profiles(plan: &EnvironmentPlan, now: Timestamp, random: [[u8; 10]; 3]) -> [Event; 3] {
    let profile = |name: &str, kind, lifetime: Duration, successors: SuccessorPlan, random| {
        let name: Name = name.parse().expect("the words are names");
        Event::ProfileActivated(ProfileActivated {
            profile_version: ProfileVersionId::draw(now, random),
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
    let (plain, [device, service, operator]) = (SuccessorPlan::default(), random);
    [
        profile("device", IdentityKind::Operational, plan.device_lifetime, plan.successors, device),
        profile("service", IdentityKind::Service, SERVICE_LIFETIME, plain, service),
        profile("operator", IdentityKind::Operator, OPERATOR_LIFETIME, plain, operator),
    ]
}
