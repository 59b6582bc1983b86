//! Operators: who they are (a certificate of ours), what the operator policy lets them do, and who could.

use crate::commit::Commits;
use std::sync::Arc;
use touchmark_identity::Permission;
use touchmark_identity::{Actor, EnvironmentName, Name, Timestamp};
use touchmark_inventory::{CertificateRow, Holder, PartyRow, StoreFault};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_policy_cedar::{OperatorPermit, OperatorPolicy, OperatorRequest};
use touchmark_ra::{Act, Mandate};

/// Role of a service that pulls the status feed and whose decision log counts.
pub(crate) const ROLE_GATEWAY: &str = "gateway";
/// Role of any other service.
pub(crate) const ROLE_SERVICE: &str = "service";

/// Somebody whose operator or service certificate was proven and is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Operator or service.
    pub kind: IdentityKind,
    /// Its name.
    pub name: Name,
    /// Roles for the operator policy.
    pub roles: Vec<String>,
    /// The environment whose authority vouches for it.
    pub environment: EnvironmentName,
}

/// Why a caller gets nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerFault {
    /// The certificate is not in the inventory, or not an operator's or service's.
    #[error("this certificate is not an operator's or a service's")]
    Unknown,
    /// It is dead, superseded or past its time.
    #[error("this certificate is {0}")]
    NotLive(&'static str),
    /// The operator policy says no.
    #[error("the operator policy does not permit {verb} to {caller}")]
    Denied {
        /// What was asked.
        verb: &'static str,
        /// Who asked.
        caller: Name,
        /// The roles that it is permitted to.
        roles: Vec<String>,
    },
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Whether whoever proves this certificate's key is let in now.
///
/// # Errors
/// [`CallerFault::NotLive`].
pub(crate) fn accepted(row: &CertificateRow, now: Timestamp) -> Result<(), CallerFault> {
    if !row.state.is_live() {
        return Err(CallerFault::NotLive(row.state.as_str()));
    }
    if row.refused_from.is_some_and(|from| now >= from) {
        return Err(CallerFault::NotLive("superseded"));
    }
    if !row.validity.contains(now) {
        return Err(CallerFault::NotLive("outside its validity"));
    }
    Ok(())
}

/// What the policy permitted, with the rule that did.
#[derive(Debug)]
pub(crate) struct Permitted {
    /// For the RA.
    pub mandate: Mandate,
    /// The rule.
    pub rule: String,
}

/// The directory of callers and the policy over them.
pub(crate) struct Operators {
    commits: Commits,
    policy: Arc<OperatorPolicy>,
    clock: Clock,
}

impl Operators {
    /// Wires it.
    pub(crate) fn new(commits: Commits, policy: Arc<OperatorPolicy>, clock: Clock) -> Self {
        Self { commits, policy, clock }
    }

    /// Who is behind a certificate whose possession the TLS handshake proved; `row` is its row as it is now. Asked on
    /// every request, so that a revoked operator loses a kept-alive connection too.
    ///
    /// # Errors
    /// [`CallerFault`].
    pub(crate) fn caller(&self, row: &CertificateRow) -> Result<Caller, CallerFault> {
        let store = self.commits.store();
        accepted(row, self.clock.now())?;
        let (Some(identity), Some(environment)) = (&row.identity, &row.scope.environment) else {
            return Err(CallerFault::Unknown);
        };
        if row.kind == IdentityKind::Operational {
            return Err(CallerFault::Unknown);
        }
        let party = store
            .parties()?
            .into_iter()
            .find(|party| party.kind == row.kind && party.name == identity.name)
            .ok_or(CallerFault::Unknown)?;
        Ok(Caller {
            kind: row.kind,
            name: identity.name.clone(),
            roles: party.roles,
            environment: environment.clone(),
        })
    }

    /// The roles that the policy speaks of, sorted.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.policy.roles()
    }

    /// Asks the policy for a mandate.
    ///
    /// # Errors
    /// [`CallerFault::Denied`].
    pub(crate) fn mandate(
        &self,
        caller: &Caller,
        verb: Permission,
        environment: &EnvironmentName,
    ) -> Result<Permitted, CallerFault> {
        let act = act_of(verb).ok_or_else(|| self.denied(caller, verb, environment))?;
        self.mandate_for(caller, verb, act, environment)
    }

    /// Asks the policy for a mandate for `act`, under the permission `verb`.
    ///
    /// # Errors
    /// [`CallerFault::Denied`].
    pub(crate) fn mandate_for(
        &self,
        caller: &Caller,
        verb: Permission,
        act: Act,
        environment: &EnvironmentName,
    ) -> Result<Permitted, CallerFault> {
        let rule = self.permits(caller, verb, environment)?;
        let actor = match caller.kind {
            IdentityKind::Operator => Actor::person(caller.name.clone()),
            IdentityKind::Service | IdentityKind::Operational => Actor::automation(caller.name.clone()),
        };
        Ok(Permitted { mandate: Mandate::assert_permitted(actor, act), rule })
    }

    /// Asks the policy; gives the rule that permits.
    ///
    /// # Errors
    /// [`CallerFault::Denied`].
    pub(crate) fn permits(
        &self,
        caller: &Caller,
        verb: Permission,
        environment: &EnvironmentName,
    ) -> Result<String, CallerFault> {
        // Services act only through their own routes; the operator policy is for people.
        if caller.kind != IdentityKind::Operator {
            return Err(self.denied(caller, verb, environment));
        }
        let permit = self.ask(caller, &caller.roles, verb, environment);
        let permit = permit.ok_or_else(|| self.denied(caller, verb, environment))?;
        Ok(permit.rules().first().map(ToString::to_string).unwrap_or_default())
    }

    fn ask(
        &self,
        caller: &Caller,
        roles: &[String],
        verb: Permission,
        environment: &EnvironmentName,
    ) -> Option<OperatorPermit> {
        let (actor, environment) = (&caller.name, Some(environment));
        self.policy
            .authorise(&OperatorRequest { actor, roles, permission: verb, environment, target_owner: None })
            .ok()
    }

    /// Names what would have permitted it to the same operator.
    fn denied(&self, caller: &Caller, verb: Permission, environment: &EnvironmentName) -> CallerFault {
        let mut roles = self.policy.roles();
        roles.retain(|role| self.ask(caller, core::slice::from_ref(role), verb, environment).is_some());
        CallerFault::Denied { verb: verb.as_str(), caller: caller.name.clone(), roles }
    }

    /// Everyone who could do this now: exactly those with a live certificate whose own request would pass.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn who_can(
        &self,
        verb: Permission,
        environment: &EnvironmentName,
    ) -> Result<Vec<(PartyRow, String)>, StoreFault> {
        let store = self.commits.store();
        let mut able = Vec::new();
        for party in store.parties()? {
            let holder = Holder::Party { kind: party.kind, name: party.name.clone() };
            let certificates = store.current_certificates(&holder)?;
            let has_live = certificates.iter().any(|row| accepted(row, self.clock.now()).is_ok());
            let Some(home) = party.scope.environment.clone() else { continue };
            let caller = Caller {
                kind: party.kind,
                name: party.name.clone(),
                roles: party.roles.clone(),
                environment: home,
            };
            if let (true, Ok(rule)) = (has_live, self.permits(&caller, verb, environment)) {
                able.push((party, rule));
            }
        }
        Ok(able)
    }
}

impl Operators {
    /// Whether nobody could let an operator in any more without this one: it can, and no other that can has a live
    /// certificate.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn is_last_way_in(&self, party: &PartyRow) -> Result<bool, StoreFault> {
        let Some(environment) = &party.scope.environment else { return Ok(false) };
        let able = self.who_can(Permission::OperatorEnrol, environment)?;
        let is_it = |row: &PartyRow| row.kind == party.kind && row.name == party.name;
        Ok(able.iter().any(|(row, _)| is_it(row)) && able.iter().all(|(row, _)| is_it(row)))
    }
}

/// The right that revoking a credential of this kind takes.
pub(crate) fn revocation_of(kind: IdentityKind) -> Permission {
    match kind {
        IdentityKind::Operational => Permission::DeviceRevoke,
        IdentityKind::Service => Permission::ServiceRevoke,
        IdentityKind::Operator => Permission::OperatorRevoke,
    }
}

/// The act that a verb permits; reading needs no mandate.
fn act_of(verb: Permission) -> Option<Act> {
    match verb {
        Permission::DeviceEnrol | Permission::ServiceEnrol | Permission::OperatorEnrol => {
            Some(Act::DeviceEnrol)
        }
        Permission::DeviceRevoke => Some(Act::DeviceRevoke),
        Permission::OperatorRevoke | Permission::ServiceRevoke => Some(Act::PartyRevoke),
        Permission::GatewayDeclare => Some(Act::GatewayDeclare),
        Permission::DeviceQuarantine | Permission::DeviceRelease => Some(Act::DeviceQuarantine),
        Permission::DeviceBan => Some(Act::DeviceBan),
        Permission::PolicyActivate => Some(Act::PolicyActivate),
        Permission::EnvironmentCreate => Some(Act::EnvironmentCreate),
        Permission::MakerRegister => Some(Act::MakerRegister),
        Permission::DeviceRead
        | Permission::CertificateRead
        | Permission::AuditRead
        | Permission::PolicyRead
        | Permission::EnvironmentRead => None,
    }
}
