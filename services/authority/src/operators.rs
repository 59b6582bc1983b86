//! Operators: who they are (a certificate of ours), what the operator policy lets them do, and who could.

pub(crate) mod environments;
pub(crate) mod let_in;
pub(crate) mod policies;
pub(crate) mod reading;
pub(crate) mod tokens;

use crate::audit::refusals::Refusals;
use crate::operators::reading::{CAUSE, Lookup};
use crate::store::commit::Commits;
use std::sync::Arc;
use touchmark_identity::{Actor, EnvironmentName, Name, Permission, Timestamp};
use touchmark_inventory::{CertificateRow, Holder, PartyRow, StoreFault};
use touchmark_journal::{IdentityKind, Reach};
use touchmark_listen::Clock;
use touchmark_policy_cedar::{OperatorPermit, OperatorPolicy, OperatorRequest};
use touchmark_ra::{Act, Mandate, reach_of};

/// The code of a refusal by the operator policy.
const NOT_PERMITTED: &str = "not-permitted";
/// Role of a service that pulls the status feed and whose decision log counts.
pub(crate) const ROLE_GATEWAY: &str = "gateway";
/// Role of any other service.
pub(crate) const ROLE_SERVICE: &str = "service";

/// Somebody whose operator or service certificate was proven and is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Operator or service.
    pub kind: IdentityKind,
    pub name: Name,
    /// Roles for the operator policy.
    pub roles: Vec<String>,
    /// The environment whose authority vouches for it.
    pub environment: EnvironmentName,
    /// Where its roles hold.
    pub reach: Reach,
}

impl Caller {
    /// Whether what is in this environment, or what is the organisation's, concerns it at all.
    fn reaches(&self, environment: Option<&EnvironmentName>, needed: Reach) -> bool {
        match (self.reach, needed) {
            (Reach::Organisation, _) => true,
            (Reach::Environment, Reach::Environment) => environment == Some(&self.environment),
            (Reach::Environment, Reach::Organisation) => false,
        }
    }
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
    #[error("the operator policy does not permit {permission} to {caller}")]
    Denied {
        /// What was asked.
        permission: Permission,
        /// Who asked.
        caller: Name,
        /// The roles that it is permitted to.
        roles: Vec<String>,
    },
    /// The roles do not hold there.
    #[error("{caller} is an operator of `{home}`, and this is not known to be of it")]
    OutOfReach {
        /// Who asked.
        caller: Name,
        /// Where its roles hold.
        home: EnvironmentName,
    },
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

/// The directory of callers and the policy over them.
pub(crate) struct Operators {
    commits: Commits,
    policy: OperatorPolicy,
    pub(crate) refusals: Arc<Refusals>,
    clock: Clock,
    /// One at a time from the question whether somebody else could still let an operator in to the commit.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Operators {
    pub(crate) fn new(
        commits: Commits,
        policy: OperatorPolicy,
        refusals: Arc<Refusals>,
        clock: Clock,
    ) -> Self {
        Self { commits, policy, refusals, clock, turn: Arc::default() }
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
            reach: party.reach,
        })
    }

    /// The roles that the policy speaks of, sorted.
    pub(crate) fn roles(&self) -> Vec<String> {
        self.policy.roles()
    }

    /// Gives the mandate for an act, if the policy permits it to the caller; a refusal is recorded.
    ///
    /// # Errors
    /// [`CallerFault::Denied`].
    pub(crate) fn permit<A: Act>(&self, caller: &Caller, act: A) -> Result<Mandate<A>, CallerFault> {
        self.try_permit(caller, act).map_err(|(fault, act)| {
            self.refusals.count(act.environment(), act.cause(), NOT_PERMITTED, act.device());
            fault
        })
    }

    /// Gives the mandate, or the act back: for what of a list the caller may see.
    pub(crate) fn try_permit<A: Act>(&self, caller: &Caller, act: A) -> Result<Mandate<A>, (CallerFault, A)> {
        let rule = match self.rule(caller, &act) {
            Ok(rule) => rule,
            Err(fault) => return Err((fault, act)),
        };
        let actor = match caller.kind {
            IdentityKind::Operator => Actor::person(caller.name.clone()),
            IdentityKind::Service | IdentityKind::Operational => Actor::automation(caller.name.clone()),
        };
        Ok(Mandate::permitted_unchecked(actor, rule, act))
    }

    /// The rule that permits.
    fn rule(&self, caller: &Caller, act: &impl Act) -> Result<String, CallerFault> {
        let is_operator = caller.kind == IdentityKind::Operator;
        if is_operator && !caller.reaches(act.environment(), act.reach()) {
            return Err(CallerFault::OutOfReach {
                caller: caller.name.clone(),
                home: caller.environment.clone(),
            });
        }
        let mut opened = None;
        for permission in [Some(act.permission()), act.also()].into_iter().flatten() {
            // Services act only through their own routes; the operator policy is for people.
            let permit =
                self.ask(caller, &caller.roles, permission, act.environment()).filter(|_| is_operator);
            let permit = permit.ok_or_else(|| self.denied(caller, permission, act.environment()))?;
            opened.get_or_insert(permit.rules().first().map(ToString::to_string).unwrap_or_default());
        }
        for role in act.gives() {
            let more = Permission::ALL.iter().copied().find(|permission| {
                let asks = |roles| self.ask(caller, roles, *permission, act.environment()).is_some();
                asks(core::slice::from_ref(role)) && !asks(&caller.roles)
            });
            if let Some(permission) = more {
                return Err(self.denied(caller, permission, act.environment()));
            }
        }
        Ok(opened.unwrap_or_default())
    }

    fn ask(
        &self,
        caller: &Caller,
        roles: &[String],
        permission: Permission,
        environment: Option<&EnvironmentName>,
    ) -> Option<OperatorPermit> {
        let request =
            OperatorRequest { actor: &caller.name, roles, permission, environment, target_owner: None };
        self.policy.authorise(&request).ok()
    }

    /// Names what would have permitted it to the same operator.
    fn denied(
        &self,
        caller: &Caller,
        permission: Permission,
        environment: Option<&EnvironmentName>,
    ) -> CallerFault {
        let mut roles = self.policy.roles();
        roles.retain(|role| self.ask(caller, core::slice::from_ref(role), permission, environment).is_some());
        CallerFault::Denied { permission, caller: caller.name.clone(), roles }
    }

    /// What an operator must reach to act on whoever holds this certificate.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn reach_of_holder(&self, row: &CertificateRow) -> Result<Reach, StoreFault> {
        let Some(Holder::Party { kind, name }) = Holder::of(row) else { return Ok(Reach::Environment) };
        let party = self.commits.store().parties()?.into_iter().find(|p| p.kind == kind && p.name == name);
        Ok(party.as_ref().map_or(Reach::Organisation, reach_of))
    }

    /// Everyone who could do this now: exactly those with a live certificate whose own request would pass.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn who_can(&self, act: &impl Act) -> Result<Vec<(PartyRow, String)>, StoreFault> {
        self.able(act, |party| {
            let store = self.commits.store();
            let rows = store.certificates_of_party(party.kind, &party.name)?;
            Ok(rows.iter().any(|row| accepted(row, self.clock.now()).is_ok()))
        })
    }

    fn able(
        &self,
        act: &impl Act,
        is_let_in: impl Fn(&PartyRow) -> Result<bool, StoreFault>,
    ) -> Result<Vec<(PartyRow, String)>, StoreFault> {
        let mut able = Vec::new();
        for party in self.commits.store().parties()? {
            let Some(caller) = caller_of(&party) else { continue };
            // Most are services, whom the policy permits nothing: their certificates are not read.
            let Ok(rule) = self.rule(&caller, act) else { continue };
            if is_let_in(&party)? {
                able.push((party, rule));
            }
        }
        Ok(able)
    }

    /// Whether nobody could let an operator of the organisation in any more without this one: it can, and no other that
    /// can has a live certificate.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn is_last_way_in(&self, party: &PartyRow) -> Result<bool, StoreFault> {
        // A certificate in its overlap is let in and gets no successor: it is a way in for some days only.
        let lasts = |party: &PartyRow| {
            let holder = Holder::Party { kind: party.kind, name: party.name.clone() };
            let rows = self.commits.store().current_certificates(&holder)?;
            Ok(rows.iter().any(|row| accepted(row, self.clock.now()).is_ok()))
        };
        let able = self.able(&let_in(party), lasts)?;
        let is_it = |row: &PartyRow| row.kind == party.kind && row.name == party.name;
        Ok(able.iter().any(|(row, _)| is_it(row)) && able.iter().all(|(row, _)| is_it(row)))
    }

    /// Whether these roles, in the place of those that it has, would take the last way in from an operator.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn would_close_last_way_in(
        &self,
        party: &PartyRow,
        roles: &[String],
        reach: Reach,
    ) -> Result<bool, StoreFault> {
        let after = PartyRow { roles: roles.to_vec(), reach, ..party.clone() };
        let keeps = caller_of(&after).is_some_and(|caller| self.rule(&caller, &let_in(&after)).is_ok());
        Ok(!keeps && self.is_last_way_in(party)?)
    }
}

/// An operator or service as one that calls.
fn caller_of(party: &PartyRow) -> Option<Caller> {
    Some(Caller {
        kind: party.kind,
        name: party.name.clone(),
        roles: party.roles.clone(),
        environment: party.scope.environment.clone()?,
        reach: party.reach,
    })
}

/// To let an operator of the organisation in.
fn let_in(party: &PartyRow) -> Lookup {
    Lookup {
        permission: Permission::OperatorEnrol,
        environment: party.scope.environment.clone(),
        reach: Reach::Organisation,
        cause: CAUSE,
    }
}
