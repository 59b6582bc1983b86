//! From texts to rules, once per policy version: parse, validate strictly, lint, file by scope head.
//!
//! In: a [`PolicyBundle`]. Out: a [`CompiledPolicy`], or every fault at once.
//! A warning of Cedar's validator is a fault here: a rule that can never apply was meant to.

use crate::bundle::PolicyBundle;
use crate::fault::PolicyFaults;
use crate::rule::{Head, Rule};
use crate::topics::NamedPatterns;
use crate::{lint, read, schema};
use cedar_policy::PolicySet;
use core::fmt;
use std::collections::HashMap;
use touchmark_policy::{PolicyVersion, RuleId};

/// A device policy that can be specialised; share it behind an `Arc`.
pub struct CompiledPolicy {
    pub(crate) version: PolicyVersion,
    pub(crate) named: NamedPatterns,
    /// In the order of files and lines: of several rules that decide, the first is named.
    pub(crate) rules: Vec<Rule>,
    pub(crate) filed: Filed,
    /// The whole set as Cedar sees it, for the oracle.
    pub(crate) cedar: PolicySet,
}

/// Positions in `rules`, by scope head, so that a device touches only rules that can speak of it.
#[derive(Default)]
pub(crate) struct Filed {
    pub(crate) everyone: Vec<usize>,
    pub(crate) by_group: HashMap<String, Vec<usize>>,
    pub(crate) by_device: HashMap<String, Vec<usize>>,
}

impl Filed {
    fn new(rules: &[Rule]) -> Self {
        let mut filed = Self::default();
        for (position, rule) in rules.iter().enumerate() {
            match &rule.head {
                Head::Everyone => filed.everyone.push(position),
                Head::Group(group) => filed.by_group.entry(group.clone()).or_default().push(position),
                Head::Device(device) => filed.by_device.entry(device.clone()).or_default().push(position),
            }
        }
        filed
    }
}

impl CompiledPolicy {
    /// Compiles a bundle, or says everything that is wrong with it.
    pub fn compile(bundle: &PolicyBundle) -> Result<Self, PolicyFaults> {
        bundle.check()?;
        let mut faults = Vec::new();
        let named = NamedPatterns::read(bundle.topics_file(), &bundle.topics, &mut faults);
        let mut files: Vec<(&str, &str)> =
            bundle.files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        files.sort_unstable();
        let mut rules = Vec::new();
        let cedar = read::policies(&files, schema::device_schema(), &mut faults, |source, faults| {
            let mut report = |trouble| faults.push(source.fault(trouble));
            rules.extend(lint::rule(source.id.clone(), source.policy, &named, &mut report));
        });
        PolicyFaults::none_in(faults)?;
        let filed = Filed::new(&rules);
        Ok(Self { version: bundle.version(), named, rules, filed, cedar })
    }

    /// SHA-256 over the bundle's canonical bytes.
    pub fn version(&self) -> PolicyVersion {
        self.version
    }

    /// Every rule's id, in the order of files and lines.
    pub fn rule_ids(&self) -> impl Iterator<Item = &RuleId> {
        self.rules.iter().map(|rule| &rule.id)
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledPolicy({} rules, {})", self.rules.len(), self.version)
    }
}
