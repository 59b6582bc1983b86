//! The subscriptions of one session at the broker, so that one whose right is gone can be named there.
//!
//! In: SUBSCRIBEs and UNSUBSCRIBEs that go to the broker. Out: by which of them a message came.

use std::collections::{BTreeMap, BTreeSet};
use touchmark_mqtt::{
    ProtocolVersion, QoS, RetainHandling, Subscription, SubscriptionIdentifier, TopicFilter as MqttFilter,
};
use touchmark_policy::{DecisionTable, RuleId, Topic, TopicFilter};

/// Subscriptions of one session: a device has one, or a few for its parts.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 128;

/// How a subscription was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<SubscriptionIdentifier>,
}

impl Asked {
    pub(crate) fn of(subscription: &Subscription<'_>, identifier: Option<SubscriptionIdentifier>) -> Self {
        let Subscription { qos, no_local, retain_as_published, .. } = *subscription;
        Self { qos, no_local, retain_as_published, identifier }
    }

    /// The same again; retained messages came before.
    pub(crate) fn again<'a>(&self, filter: MqttFilter<'a>, version: ProtocolVersion) -> Subscription<'a> {
        let mut subscription = Subscription::new(filter, self.qos);
        subscription.no_local = self.no_local;
        subscription.retain_as_published = self.retain_as_published;
        if version == ProtocolVersion::V5 {
            subscription.retain_handling = RetainHandling::DoNotSend;
        }
        subscription
    }
}

/// Of one session at the broker, which may outlive a connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    held: BTreeMap<Box<str>, Asked>,
    /// Withdrawn by this gateway until they are permitted again: messages of theirs may still be on their way.
    withdrawn: BTreeMap<Box<str>, Asked>,
}

/// By which subscriptions a message came that may not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// These: the device may not hold them any more. None of them is shared.
    Lost(Vec<Box<str>>),
    /// One that was withdrawn before, or that is permitted while this topic is not.
    Known,
    /// A shared one, or one that is not known here: the message may be meant for others as well.
    Shared,
}

impl Subscriptions {
    /// Whether there is room for these. Filters that are held already need none.
    pub(crate) fn has_room<'a>(&self, filters: impl Iterator<Item = &'a str>) -> bool {
        let new: BTreeSet<&str> = filters.filter(|filter| !self.held.contains_key(*filter)).collect();
        self.held.len() + new.len() <= SUBSCRIPTIONS_MAX
    }

    pub(crate) fn add(&mut self, filter: &str, asked: Asked) {
        self.withdrawn.remove(filter);
        if self.held.len() < SUBSCRIPTIONS_MAX || self.held.contains_key(filter) {
            self.held.insert(filter.into(), asked);
        }
    }

    pub(crate) fn remove(&mut self, filter: &str) {
        self.held.remove(filter);
        self.withdrawn.remove(filter);
    }

    /// Octets of all filters.
    pub(crate) fn octets(&self) -> usize {
        self.held.keys().chain(self.withdrawn.keys()).map(|filter| filter.len()).sum()
    }

    /// Traces a message that may not be delivered.
    pub(crate) fn origin(&self, topic: &Topic<'_>, table: &DecisionTable) -> Origin {
        let (mut lost, mut known) = (Vec::new(), false);
        let brings = |filter: &str| TopicFilter::new(filter).is_ok_and(|filter| filter.matches(topic));
        for text in self.held.keys().filter(|filter| brings(filter)) {
            let Ok(filter) = TopicFilter::new(text) else { continue };
            match table.subscribe(&filter).permitted() {
                Err(_) if filter.share_group().is_some() => return Origin::Shared,
                Err(_) => lost.push(text.clone()),
                Ok(permit) => {
                    drop(permit);
                    known = true;
                }
            }
        }
        if !lost.is_empty() {
            return Origin::Lost(lost);
        }
        match known || self.withdrawn.keys().any(|filter| brings(filter)) {
            true => Origin::Known,
            false => Origin::Shared,
        }
    }

    /// The gateway takes a subscription back.
    pub(crate) fn withdraw(&mut self, filter: &str) {
        if let Some((filter, asked)) = self.held.remove_entry(filter) {
            self.withdrawn.insert(filter, asked);
        }
        while self.withdrawn.len() > SUBSCRIPTIONS_MAX {
            self.withdrawn.pop_first();
        }
    }

    /// Those that were withdrawn and are permitted again, with the rules that permit them.
    pub(crate) fn permitted_again(&self, table: &DecisionTable) -> Vec<(Box<str>, Asked, RuleId)> {
        let permit = |text| {
            let permit = table.subscribe(&TopicFilter::new(text).ok()?).permitted().ok()?;
            Some(permit.into_basis().0)
        };
        let again =
            self.withdrawn.iter().filter_map(|(text, asked)| Some((text.clone(), *asked, permit(text)?)));
        again.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_policy::Subject;
    use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle};

    fn table(more: &str) -> DecisionTable {
        let subject = Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &[]).unwrap();
        let mut bundle = PolicyBundle::starter();
        bundle.files[0].1 += more;
        CompiledPolicy::compile(&bundle).unwrap().specialise(&subject)
    }

    #[test]
    fn a_message_is_traced_to_the_subscription_that_lost_its_right() {
        let forbidden = table(
            "\n@id(\"no\") forbid (principal, action == Action::\"subscribe\", resource in Topics::\"commands\");",
        );
        let lost = |filters: &[&str]| Origin::Lost(filters.iter().map(|f| (*f).into()).collect());
        let rows: &[(&str, &[&str], Origin)] = &[
            ("its only one", &["cmd/pump-01/#"], lost(&["cmd/pump-01/#"])),
            ("both that bring it", &["cmd/+/go", "cmd/pump-01/#", "x"], lost(&["cmd/+/go", "cmd/pump-01/#"])),
            ("a shared one", &["$share/w/cmd/pump-01/#"], Origin::Shared),
            ("a shared one beside its own", &["$share/w/cmd/pump-01/#", "cmd/pump-01/#"], Origin::Shared),
            ("none that is known", &["cmd/pump-02/#"], Origin::Shared),
            ("none at all", &[], Origin::Shared),
        ];
        let topic = Topic::new("cmd/pump-01/go").unwrap();
        for (name, filters, expected) in rows {
            let mut subscriptions = Subscriptions::default();
            filters.iter().for_each(|filter| subscriptions.add(filter, Asked::default()));
            assert_eq!(subscriptions.origin(&topic, &forbidden), *expected, "{name}");
            let Origin::Lost(filters) = expected else { continue };
            filters.iter().for_each(|filter| subscriptions.withdraw(filter));
            assert_eq!(subscriptions.origin(&topic, &forbidden), Origin::Known, "{name}: withdrawn once");
            assert!(subscriptions.permitted_again(&forbidden).is_empty(), "{name}: not yet");
            let again: Vec<_> =
                subscriptions.permitted_again(&table("")).into_iter().map(|(f, ..)| f).collect();
            let may: Vec<_> = filters.iter().filter(|f| f.contains("pump-01")).cloned().collect();
            assert_eq!(again, may, "{name}: when the rule is gone");
            subscriptions.add(&filters[0], Asked::default());
            assert!(
                matches!(subscriptions.origin(&topic, &forbidden), Origin::Lost(_)),
                "{name}: asked again"
            );
        }
    }

    #[test]
    fn subscriptions_are_bounded() {
        let mut subscriptions = Subscriptions::default();
        let filters: Vec<String> = (0..1000).map(|n| format!("cmd/pump-01/{n}")).collect();
        assert!(subscriptions.has_room(filters[..SUBSCRIPTIONS_MAX].iter().map(String::as_str)));
        assert!(!subscriptions.has_room(filters[..=SUBSCRIPTIONS_MAX].iter().map(String::as_str)));
        for filter in &filters {
            subscriptions.add(filter, Asked::default());
            subscriptions.withdraw(filter);
        }
        assert!(subscriptions.withdrawn.len() <= SUBSCRIPTIONS_MAX && subscriptions.held.is_empty());
        filters.iter().for_each(|filter| subscriptions.add(filter, Asked::default()));
        assert_eq!(subscriptions.held.len(), SUBSCRIPTIONS_MAX);
        assert!(!subscriptions.has_room(["new"].into_iter()));
        assert!(subscriptions.has_room([filters[0].as_str()].into_iter()), "one that it holds");
        subscriptions.remove(&filters[0]);
        assert!(subscriptions.has_room(["new"].into_iter()));
    }
}
