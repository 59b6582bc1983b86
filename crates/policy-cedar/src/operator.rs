//! May this operator do that? The same function answers "who can revoke it": ask it for each operator.
//!
//! In: an [`OperatorRequest`]. Out: an [`OperatorPermit`] that the act consumes, or an [`OperatorDenial`].
//! Operators are few and act seldom, so plain Cedar decides each request; nothing is specialised.
//! A forbid whose condition fails to evaluate forbids.

use crate::entities::{self, uid};
use crate::fault::{PolicyFault, PolicyFaults};
use crate::{bundle, read, schema};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Effect, Entities, PolicyId, PolicySet, Response, Schema,
};
use core::fmt;
use std::collections::{BTreeSet, HashMap};
use touchmark_identity::{EnvironmentName, Name, Permission};
use touchmark_policy::{DenyReason, PolicyVersion, RuleId};

const FILE: &str = "operators.cedar";
const TAG: &str = "touchmark operator policy v1\n";

/// What an operator asks for.
#[derive(Clone, Copy, Debug)]
pub struct OperatorRequest<'a> {
    /// The operator, from the certificate.
    pub actor: &'a Name,
    /// The operator's roles, from the certificate.
    pub roles: &'a [String],
    pub permission: Permission,
    /// The environment it touches; none for acts on the whole organisation.
    pub environment: Option<&'a EnvironmentName>,
    /// Who owns what it touches, when somebody does.
    pub target_owner: Option<&'a str>,
}

/// Leave for one act of an operator; made only here, neither `Clone` nor constructible elsewhere.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct OperatorPermit {
    permission: Permission,
    rules: Vec<RuleId>,
    policy: PolicyVersion,
}

impl OperatorPermit {
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// The rules that opened, sorted.
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }

    /// The policy that they stand in.
    pub fn policy(&self) -> PolicyVersion {
        self.policy
    }
}

/// A refusal: nothing opened (`no-rule`), or these rules closed (`forbidden-by-rule`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{permission}` is refused: {reason}")]
pub struct OperatorDenial {
    pub permission: Permission,
    pub reason: DenyReason,
    /// The rules that forbid, sorted.
    pub rules: Vec<RuleId>,
}

/// A compiled operator policy.
pub struct OperatorPolicy {
    version: PolicyVersion,
    cedar: PolicySet,
    schema: Schema,
}

impl OperatorPolicy {
    /// Longest policy text.
    pub const OCTETS_MAX: usize = 256 * 1024;

    /// The policy that a new organisation starts with.
    pub fn starter_text() -> &'static str {
        include_str!("../starter/operators.cedar")
    }

    /// Compiles a text, or says everything that is wrong with it.
    pub fn compile(text: &str) -> Result<Self, PolicyFaults> {
        let mut faults = Vec::new();
        if text.len() > Self::OCTETS_MAX {
            let what = format!("{} octets, at most {} are accepted", text.len(), Self::OCTETS_MAX);
            return Err(PolicyFaults::one(PolicyFault::new(
                FILE,
                what,
                "use roles instead of a rule per operator",
            )));
        }
        let cedar = read::policies(&[(FILE, text)], schema::operator_schema(), &mut faults, |_, _| {});
        PolicyFaults::none_in(faults)?;
        let schema = schema::parse(schema::operator_schema())
            .map_err(|what| PolicyFaults::one(PolicyFault::new(FILE, what, schema::BROKEN)))?;
        Ok(Self { version: bundle::sha256([TAG, text].concat().as_bytes()), cedar, schema })
    }

    /// SHA-256 over the text and a tag.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }

    /// The roles that its rules name, sorted: any other role opens nothing.
    pub fn roles(&self) -> Vec<String> {
        let named = self.cedar.policies().flat_map(|policy| policy.entity_literals());
        let roles = named.filter(|uid| *uid.type_name() == *entities::ROLE);
        let roles: BTreeSet<String> = roles.map(|uid| uid.id().unescaped().to_owned()).collect();
        roles.into_iter().collect()
    }

    /// Decides one request.
    pub fn authorise(&self, request: &OperatorRequest<'_>) -> Result<OperatorPermit, OperatorDenial> {
        let permission = request.permission;
        let closed = |reason, rules| OperatorDenial { permission, reason, rules };
        let response = self.ask(request).ok_or_else(|| closed(DenyReason::NoRule, Vec::new()))?;
        let failed = self.failed_forbids(&response);
        if !failed.is_empty() {
            return Err(closed(DenyReason::ForbiddenByRule, failed));
        }
        let rules = rule_ids(response.diagnostics().reason());
        match response.decision() {
            Decision::Allow => Ok(OperatorPermit { permission, rules, policy: self.version }),
            Decision::Deny if rules.is_empty() => Err(closed(DenyReason::NoRule, rules)),
            Decision::Deny => Err(closed(DenyReason::ForbiddenByRule, rules)),
        }
    }

    fn ask(&self, request: &OperatorRequest<'_>) -> Option<Response> {
        let operator = entities::entity(
            uid(&entities::OPERATOR, request.actor.as_str()),
            HashMap::from([
                ("name".to_owned(), entities::text(request.actor.as_str())),
                ("roles".to_owned(), entities::texts(request.roles)),
            ]),
            request.roles.iter().map(|role| uid(&entities::ROLE, role)).collect(),
        )?;
        let mut attributes = HashMap::new();
        if let Some(environment) = request.environment {
            attributes.insert("environment".to_owned(), entities::text(environment.as_str()));
        }
        if let Some(owner) = request.target_owner {
            attributes.insert("owner".to_owned(), entities::text(owner));
        }
        let environment = request.environment.map(|name| uid(&entities::ENVIRONMENT, name.as_str()));
        let target = entities::entity(
            uid(&entities::TARGET, "target"),
            attributes,
            environment.into_iter().collect(),
        )?;
        let action = uid(&entities::ACTION, request.permission.as_str());
        let asked = entities::request(operator.uid(), action, target.uid())?;
        // With the schema, for the groups of actions that stand in it.
        let world = Entities::from_entities([operator, target], Some(&self.schema)).ok()?;
        Some(Authorizer::new().is_authorized(&asked, &self.cedar, &world))
    }

    fn failed_forbids(&self, response: &Response) -> Vec<RuleId> {
        let failed = response.diagnostics().errors().map(|fault| match fault {
            AuthorizationError::PolicyEvaluationError(fault) => fault.policy_id(),
        });
        rule_ids(
            failed.filter(|id| self.cedar.policy(id).is_none_or(|policy| policy.effect() == Effect::Forbid)),
        )
    }
}

fn rule_ids<'a>(ids: impl Iterator<Item = &'a PolicyId>) -> Vec<RuleId> {
    let mut rules: Vec<RuleId> = ids.filter_map(|id| RuleId::new(id.as_ref()).ok()).collect();
    rules.sort_unstable();
    rules
}

impl fmt::Debug for OperatorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorPolicy({} rules, {})", self.cedar.num_of_policies(), self.version)
    }
}

#[cfg(test)]
mod tests;
