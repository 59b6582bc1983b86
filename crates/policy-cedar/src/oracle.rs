//! The same question answered by plain Cedar: slow, and right by definition.
//!
//! In: a device and an attempt. Out: a [`Verdict`]. No filing, no specialisation: the whole set is asked, with the
//! topic as an entity whose parents are the names that speak of it. Tests hold tables against this; `explain` may use it.
//! A filter is asked twice: a permit counts when a name holds all of it, a forbid when a name meets any of it.

use crate::CompiledPolicy;
use crate::entities::{self, uid};
use cedar_policy::{Authorizer, Decision, Entity, EntityUid, Response};
use std::collections::{HashMap, HashSet};
use touchmark_policy::{Access, RuleId, Subject, TopicPattern, UpdatePath};

/// What Cedar says, with every rule that took part: all forbids that applied, or else all permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Is it allowed?
    pub permitted: bool,
    /// The rules that decided, sorted; empty when nothing permitted.
    pub rules: Vec<RuleId>,
}

impl Verdict {
    fn closed() -> Self {
        Self { permitted: false, rules: Vec::new() }
    }

    fn of(response: &Response) -> Self {
        let mut rules: Vec<RuleId> =
            response.diagnostics().reason().filter_map(|id| RuleId::new(id.as_ref()).ok()).collect();
        rules.sort_unstable();
        Self { permitted: response.decision() == Decision::Allow, rules }
    }
}

impl CompiledPolicy {
    /// Decides by plain Cedar over the whole policy.
    pub fn evaluate(&self, subject: &Subject, access: &Access<'_>) -> Verdict {
        let Access::Subscribe(filter) = access else {
            return self.ask(subject, access, self.resource(subject, access));
        };
        let named = |speaks: &dyn Fn(&TopicPattern) -> bool| {
            let parents = self.topics_where(subject, speaks);
            entities::entity(uid(&entities::TOPIC, filter.as_str()), HashMap::new(), parents)
        };
        let met = self.ask(subject, access, named(&|pattern| pattern.overlaps(filter)));
        if !met.permitted && !met.rules.is_empty() {
            return met;
        }
        self.ask(subject, access, named(&|pattern| pattern.contains(filter)))
    }

    fn resource(&self, subject: &Subject, access: &Access<'_>) -> Option<Entity> {
        match access {
            Access::Connect => entities::entity(entities::gateway(), HashMap::new(), HashSet::new()),
            Access::Publish(topic) => {
                let parents = self.topics_where(subject, &|pattern| pattern.matches(topic));
                entities::entity(uid(&entities::TOPIC, topic.as_str()), HashMap::new(), parents)
            }
            Access::RequestUpdate(path) => self.update(subject, path),
            // Asked twice, above.
            Access::Subscribe(_) => None,
        }
    }

    fn update(&self, subject: &Subject, path: &UpdatePath<'_>) -> Option<Entity> {
        let parents = self
            .named
            .update_names()
            .filter(|name| self.named.updates(name, subject).any(|pattern| pattern.matches(path)))
            .map(|name| uid(&entities::UPDATES, name))
            .collect();
        let attributes = HashMap::from([
            ("model".to_owned(), entities::text(path.model())),
            ("file".to_owned(), entities::text(path.file())),
        ]);
        entities::entity(uid(&entities::UPDATE, &path.to_string()), attributes, parents)
    }

    fn topics_where(&self, subject: &Subject, speaks: &dyn Fn(&TopicPattern) -> bool) -> HashSet<EntityUid> {
        self.named
            .topic_names()
            .filter(|name| self.named.topics(name, subject).any(|pattern| speaks(&pattern)))
            .map(|name| uid(&entities::TOPICS, name))
            .collect()
    }

    fn ask(&self, subject: &Subject, access: &Access<'_>, resource: Option<Entity>) -> Verdict {
        let asked = || {
            let (device, resource) = (entities::device(subject)?, resource?);
            let action = uid(&entities::ACTION, entities::device_action(access.action())?);
            let request = entities::request(device.uid(), action, resource.uid())?;
            let world = entities::entities([device, resource])?;
            Some(Authorizer::new().is_authorized(&request, &self.cedar, &world))
        };
        asked().map_or_else(Verdict::closed, |response| Verdict::of(&response))
    }
}
