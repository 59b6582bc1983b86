//! Device policies: checked whole, recorded, then pushed to the gateways with the feed, and what the gateways report.

use crate::containment::gateways::{Enforced, Gateways, GatewaysFault};
use crate::feed::PublishFault;
use crate::store::commit::Commits;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchmark_identity::Permission;
use touchmark_identity::{EnvironmentName, OrganisationName};
use touchmark_inventory::{Command, StoreFault};
use touchmark_journal::{Event, PolicyActivated, Scope};
use touchmark_listen::Clock;
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle, PolicyFaults};
use touchmark_ra::{Act, Mandate};

/// A policy stands whole in one journal leaf of at most 65,535 octets, envelope and version included.
const BUNDLE_OCTETS_MAX: usize = 60_000;

/// Why a policy is not in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyActivationFault {
    /// Every fault of the bundle.
    #[error(transparent)]
    Policy(#[from] PolicyFaults),
    /// It would not fit into one journal leaf.
    #[error("a policy bundle has at most {BUNDLE_OCTETS_MAX} octets, this one has {octets}")]
    TooLarge { octets: usize },
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The feed; the policy is recorded and goes out with the next snapshot.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// Who has it in force; it is recorded, and on its way.
    #[error(transparent)]
    Gateways(#[from] GatewaysFault),
}

/// Put a device policy in force.
pub(crate) struct ActivatePolicy(pub(crate) EnvironmentName);

impl Act for ActivatePolicy {
    fn permission(&self) -> Permission {
        Permission::PolicyActivate
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        Some(&self.0)
    }

    fn cause(&self) -> &'static str {
        "api/policy"
    }
}

/// A policy in force.
pub(crate) struct Activated {
    pub(crate) version: [u8; 32],
    pub(crate) rules: Vec<String>,
    pub(crate) enforced: Enforced,
}

pub(crate) struct Policies {
    commits: Commits,
    gateways: Arc<Gateways>,
    organisation: OrganisationName,
    clock: Clock,
}

impl Policies {
    pub(crate) fn new(
        commits: Commits,
        gateways: Arc<Gateways>,
        organisation: OrganisationName,
        clock: Clock,
    ) -> Self {
        Self { commits, gateways, organisation, clock }
    }

    /// Compiles a bundle: its version and rule names.
    ///
    /// # Errors
    /// Every fault at once.
    pub(crate) fn check(bundle: &PolicyBundle) -> Result<([u8; 32], Vec<String>), PolicyActivationFault> {
        let octets = bundle.to_canonical_bytes().len();
        if octets > BUNDLE_OCTETS_MAX {
            return Err(PolicyActivationFault::TooLarge { octets });
        }
        let compiled = CompiledPolicy::compile(bundle)?;
        Ok((compiled.version().0, compiled.rule_ids().map(ToString::to_string).collect()))
    }

    /// Puts a bundle in force. Waits up to `wait` for the gateways' reports.
    ///
    /// # Errors
    /// [`PolicyActivationFault`].
    pub(crate) async fn activate(
        &self,
        mandate: Mandate<ActivatePolicy>,
        bundle: PolicyBundle,
        wait: Duration,
    ) -> Result<Activated, PolicyActivationFault> {
        let ActivatePolicy(environment) = mandate.act();
        let (version, rules) = Self::check(&bundle)?;
        let now = self.clock.now();
        let scope = Scope { organisation: self.organisation.clone(), environment: Some(environment.clone()) };
        let event =
            Event::PolicyActivated(PolicyActivated { version, files: bundle.files, topics: bundle.topics });
        let entries = vec![mandate.draft(&scope, now, event, None)];
        let before = self.gateways.before(environment)?;
        let receipt = self.commits.commit(Command { preconditions: Vec::new(), entries }).await?;
        let accepted = Instant::now();
        self.commits.is_fed(receipt)?;
        let enforced = self.gateways.enforced(&before, accepted, wait).await?;
        Ok(Activated { version, rules, enforced })
    }
}
