//! The rules of one connected device, flattened: what is left to do for an act is to match a topic.
//!
//! In: rules that apply to this device, already specialised. Out: a decision per act, without allocation.
//! Nothing is permitted unless a rule permits it, and a forbid beats every permit.
//! A table belongs to one policy version and one identity; it is thrown away with either.

use crate::{
    Access, Action, Decision, Denial, DenyReason, Effect, Permit, PolicyVersion, RuleId, Topic, TopicFilter,
    TopicPattern, UpdatePath, UpdatePattern,
};

/// Which topics a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicReach {
    /// Every topic. In a permit this stands for `#`, so `$` topics stay closed; in a forbid they are included.
    Everything,
    /// Those that a pattern means.
    Pattern(TopicPattern),
}

/// Which update files a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateReach {
    /// Every file.
    Everything,
    /// Those that a pattern means.
    Pattern(UpdatePattern),
}

/// What a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Holding a session.
    Connect,
    /// Publishing on these topics.
    Publish(TopicReach),
    /// Receiving from these topics.
    Subscribe(TopicReach),
    /// Fetching these files.
    RequestUpdate(UpdateReach),
}

/// One line of a table: this rule permits or forbids that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRule {
    /// The rule's id in the policy.
    pub rule: RuleId,
    /// Opens or closes.
    pub effect: Effect,
    /// What it speaks of.
    pub reach: Reach,
}

#[derive(Debug)]
struct Line<T> {
    rule: RuleId,
    reach: T,
}

/// The lines of one action, in the order of the policy.
#[derive(Debug)]
struct Lines<T> {
    permits: Box<[Line<T>]>,
    forbids: Box<[Line<T>]>,
}

impl<T> Lines<T> {
    fn from_pairs(lines: Vec<(Effect, Line<T>)>) -> Self {
        let (permits, forbids): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|(effect, _)| *effect == Effect::Permit);
        let strip = |lines: Vec<(Effect, Line<T>)>| lines.into_iter().map(|(_, line)| line).collect();
        Self { permits: strip(permits), forbids: strip(forbids) }
    }

    /// The whole of deciding. `opened` and `closed` differ only for filters: held by a permit, met by a forbid.
    fn decide(
        &self,
        action: Action,
        policy: PolicyVersion,
        otherwise: DenyReason,
        opened: impl Fn(&T) -> bool,
        closed: impl Fn(&T) -> bool,
    ) -> Decision {
        if let Some(line) = self.forbids.iter().find(|line| closed(&line.reach)) {
            let rule = Some(line.rule.clone());
            return Decision::Deny(Denial { reason: DenyReason::ForbiddenByRule, rule });
        }
        match self.permits.iter().find(|line| opened(&line.reach)) {
            Some(line) => Decision::Permit(Permit { action, rule: line.rule.clone(), policy }),
            None => Decision::Deny(Denial::because(otherwise)),
        }
    }

    fn rules<'a>(&'a self, reach: impl Fn(&T) -> Reach + Copy + 'a) -> impl Iterator<Item = TableRule> + 'a {
        let line = move |effect: Effect| {
            move |line: &'a Line<T>| TableRule { rule: line.rule.clone(), effect, reach: reach(&line.reach) }
        };
        self.permits.iter().map(line(Effect::Permit)).chain(self.forbids.iter().map(line(Effect::Forbid)))
    }
}

/// Everything the active policy says about one connected device.
#[derive(Debug)]
pub struct DecisionTable {
    version: PolicyVersion,
    connect: Lines<()>,
    publish: Lines<TopicReach>,
    subscribe: Lines<TopicReach>,
    updates: Lines<UpdateReach>,
}

impl DecisionTable {
    /// Makes a table of rules that a specialiser found to apply; of several that decide, the first is named.
    pub fn from_rules(version: PolicyVersion, rules: impl IntoIterator<Item = TableRule>) -> Self {
        let (mut connect, mut publish, mut subscribe, mut updates) = (vec![], vec![], vec![], vec![]);
        for TableRule { rule, effect, reach } in rules {
            match reach {
                Reach::Connect => connect.push((effect, Line { rule, reach: () })),
                Reach::Publish(reach) => {
                    publish.push((effect, Line { rule, reach: without_reserved(effect, reach) }));
                }
                Reach::Subscribe(reach) => {
                    subscribe.push((effect, Line { rule, reach: without_reserved(effect, reach) }));
                }
                Reach::RequestUpdate(reach) => updates.push((effect, Line { rule, reach })),
            }
        }
        Self {
            version,
            connect: Lines::from_pairs(connect),
            publish: Lines::from_pairs(publish),
            subscribe: Lines::from_pairs(subscribe),
            updates: Lines::from_pairs(updates),
        }
    }

    /// The policy version that this table is good for.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }

    /// The lines, for showing what a device may do.
    pub fn rules(&self) -> impl Iterator<Item = TableRule> + '_ {
        self.connect
            .rules(|()| Reach::Connect)
            .chain(self.publish.rules(|reach| Reach::Publish(reach.clone())))
            .chain(self.subscribe.rules(|reach| Reach::Subscribe(reach.clone())))
            .chain(self.updates.rules(|reach| Reach::RequestUpdate(reach.clone())))
    }

    /// Decides a parsed attempt.
    pub fn decide(&self, access: &Access<'_>) -> Decision {
        match access {
            Access::Connect => self.connect(),
            Access::Publish(topic) => self.publish(topic),
            Access::Subscribe(filter) => self.subscribe(filter),
            Access::RequestUpdate(path) => self.request_path(path),
        }
    }

    /// May it hold a session?
    pub fn connect(&self) -> Decision {
        self.connect.decide(Action::Connect, self.version, DenyReason::NoRule, |()| true, |()| true)
    }

    /// May it publish on `topic`?
    pub fn publish(&self, topic: &Topic<'_>) -> Decision {
        let otherwise = if topic.is_reserved() { DenyReason::ReservedTopic } else { DenyReason::NoRule };
        let speaks = |reach: &TopicReach| match reach {
            TopicReach::Everything => true,
            TopicReach::Pattern(pattern) => pattern.matches(topic),
        };
        self.publish.decide(Action::Publish, self.version, otherwise, speaks, speaks)
    }

    /// May it leave a will on `topic`? The gateway publishes it in the device's name, so the same rules hold.
    pub fn will(&self, topic: &Topic<'_>) -> Decision {
        match self.publish(topic) {
            Decision::Deny(denial) => {
                Decision::Deny(Denial { reason: DenyReason::WillNotPermitted, rule: denial.rule })
            }
            permit @ Decision::Permit(_) => permit,
        }
    }

    /// May it subscribe to `filter`? One permit must hold every topic of it; a forbid needs only to meet it.
    pub fn subscribe(&self, filter: &TopicFilter<'_>) -> Decision {
        let otherwise = if filter.is_reserved() { DenyReason::ReservedTopic } else { DenyReason::NoRule };
        let holds = |reach: &TopicReach| match reach {
            TopicReach::Everything => true,
            TopicReach::Pattern(pattern) => pattern.contains(filter),
        };
        let meets = |reach: &TopicReach| match reach {
            TopicReach::Everything => true,
            TopicReach::Pattern(pattern) => pattern.overlaps(filter),
        };
        self.subscribe.decide(Action::Subscribe, self.version, otherwise, holds, meets)
    }

    /// May it have a message on `topic` now? As if it subscribed to exactly this topic.
    pub fn receive(&self, topic: &Topic<'_>) -> Decision {
        match TopicFilter::new(topic.as_str()) {
            // A topic has no wildcard and, unlike a filter, no group.
            Ok(filter) if filter.share_group().is_none() => self.subscribe(&filter),
            Ok(_) | Err(_) => Decision::Deny(Denial::because(DenyReason::ReservedTopic)),
        }
    }

    /// May it name `topic` as the place for answers (MQTT 5.0 §4.10)? Only where it may hear them: else it would make
    /// others publish where it may not.
    pub fn response(&self, topic: &Topic<'_>) -> Decision {
        match self.receive(topic) {
            Decision::Deny(denial) => {
                let reason = DenyReason::ResponseTopicNotPermitted;
                Decision::Deny(Denial { reason, rule: denial.rule })
            }
            permit @ Decision::Permit(_) => permit,
        }
    }

    /// May it fetch `file` of `model`? Names that are no names are refused as `path-invalid`.
    pub fn request_update(&self, model: &str, file: &str) -> Decision {
        match UpdatePath::new(model, file) {
            Ok(path) => self.request_path(&path),
            Err(_) => Decision::Deny(Denial::because(DenyReason::PathInvalid)),
        }
    }

    fn request_path(&self, path: &UpdatePath<'_>) -> Decision {
        let speaks = |reach: &UpdateReach| match reach {
            UpdateReach::Everything => true,
            UpdateReach::Pattern(pattern) => pattern.matches(path),
        };
        self.updates.decide(Action::RequestUpdate, self.version, DenyReason::NoRule, speaks, speaks)
    }
}

/// `$` topics open only to a permit that names the `$` level.
fn without_reserved(effect: Effect, reach: TopicReach) -> TopicReach {
    match (effect, reach) {
        (Effect::Permit, TopicReach::Everything) => TopicReach::Pattern(TopicPattern::everything()),
        (_, reach) => reach,
    }
}

#[cfg(test)]
mod tests;
