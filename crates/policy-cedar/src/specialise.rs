//! From a policy to the table of one device: everything that depends on who it is gets decided here, once.
//!
//! In: a compiled policy and a [`Subject`]. Out: a [`DecisionTable`] in which only topics are left to match.
//! Scope heads are looked up, conditions are evaluated by Cedar with the concrete device, names become patterns.
//! Held against plain Cedar by the differential test below.

use crate::CompiledPolicy;
use crate::entities;
use crate::mutation::Mutation;
use crate::rule::{Rule, Target};
use cedar_policy::{Authorizer, Decision, Entities, EntityUid, PolicySet};
use touchmark_policy::{Action, DecisionTable, Effect, Reach, Subject, TableRule, TopicReach, UpdateReach};

#[cfg(test)]
mod differential;

impl CompiledPolicy {
    /// The table of one connected device under this policy version.
    pub fn specialise(&self, subject: &Subject) -> DecisionTable {
        self.specialise_with(subject, Mutation::None)
    }

    pub(crate) fn specialise_with(&self, subject: &Subject, mutation: Mutation) -> DecisionTable {
        let mut conditions = Conditions { subject, authorizer: Authorizer::new(), world: None };
        let mut lines = Vec::new();
        for rule in self.candidates(subject, mutation).into_iter().filter_map(|at| self.rules.get(at)) {
            #[cfg(test)]
            if mutation == Mutation::ForbidIgnored && rule.effect == Effect::Forbid {
                continue;
            }
            for action in &rule.actions {
                let applies = match &rule.condition {
                    None => true,
                    #[cfg(test)]
                    Some(_) if mutation == Mutation::ConditionIgnored => true,
                    Some(condition) => conditions.hold(condition, *action, rule.effect),
                };
                if applies {
                    self.spell_out(rule, *action, subject, mutation, &mut lines);
                }
            }
        }
        DecisionTable::from_rules(self.version, lines)
    }

    /// Positions of the rules whose scope head speaks of this device, in the order of the policy.
    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests mutate"))]
    fn candidates(&self, subject: &Subject, mutation: Mutation) -> Vec<usize> {
        let groups = subject.groups();
        #[cfg(test)]
        let groups =
            if mutation == Mutation::FirstGroupOnly { groups.get(..1).unwrap_or(groups) } else { groups };
        let mut found = self.filed.everyone.clone();
        found.extend(self.filed.by_device.get(subject.handle().as_str()).into_iter().flatten());
        for group in groups {
            found.extend(self.filed.by_group.get(group).into_iter().flatten());
        }
        found.sort_unstable();
        found
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests mutate"))]
    fn spell_out(
        &self,
        rule: &Rule,
        action: Action,
        subject: &Subject,
        mutation: Mutation,
        lines: &mut Vec<TableRule>,
    ) {
        let take = usize::MAX;
        #[cfg(test)]
        let take = if mutation == Mutation::FirstPatternOnly { 1 } else { take };
        let line = |reach: Reach| TableRule { rule: rule.id.clone(), effect: rule.effect, reach };
        let over_topics = |reach: fn(TopicReach) -> Reach, lines: &mut Vec<TableRule>| {
            if let Target::Topics(name) = &rule.target {
                let patterns = self.named.topics(name, subject).take(take);
                lines.extend(patterns.map(|pattern| line(reach(TopicReach::Pattern(pattern)))));
            } else {
                lines.push(line(reach(TopicReach::Everything)));
            }
        };
        match action {
            Action::Connect => lines.push(line(Reach::Connect)),
            Action::Publish => over_topics(Reach::Publish, lines),
            Action::Subscribe => over_topics(Reach::Subscribe, lines),
            Action::RequestUpdate => {
                if let Target::Updates(name) = &rule.target {
                    let patterns = self.named.updates(name, subject).take(take);
                    lines.extend(
                        patterns.map(|pattern| line(Reach::RequestUpdate(UpdateReach::Pattern(pattern)))),
                    );
                } else {
                    lines.push(line(Reach::RequestUpdate(UpdateReach::Everything)));
                }
            }
            // Not decided by device policies: the linter lets no rule name them.
            Action::Call | Action::Renew => {}
        }
    }
}

/// Cedar with one device in it; built when the first condition is met.
struct Conditions<'a> {
    subject: &'a Subject,
    authorizer: Authorizer,
    world: Option<(EntityUid, Entities)>,
}

impl Conditions<'_> {
    /// Does the condition hold? When Cedar cannot say, a permit does not apply and a forbid does.
    fn hold(&mut self, condition: &PolicySet, action: Action, effect: Effect) -> bool {
        self.evaluate(condition, action).unwrap_or(effect == Effect::Forbid)
    }

    fn evaluate(&mut self, condition: &PolicySet, action: Action) -> Option<bool> {
        if self.world.is_none() {
            let device = entities::device(self.subject)?;
            self.world = Some((device.uid(), entities::entities([device])?));
        }
        let (device, world) = self.world.as_ref()?;
        let action = entities::uid(&entities::ACTION, entities::device_action(action)?);
        // The linter lets no condition read the resource, so any will do.
        let request = entities::request(device.clone(), action, entities::gateway())?;
        let response = self.authorizer.is_authorized(&request, condition, world);
        match response.diagnostics().errors().next() {
            Some(_) => None,
            None => Some(response.decision() == Decision::Allow),
        }
    }
}
