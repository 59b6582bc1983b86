//! What decisions add up to: where each certificate was used, and which keys were proven.
//!
//! In: whole decisions from one archive, in order, beginning at a stored position. Out: rows to add. Memory grows
//! with certificates, not with the places that they choose.

use std::collections::{BTreeMap, BTreeSet};
use touchmark_decisions::{Decision, Proof, Verdict};
use touchmark_identity::{Fingerprint, Name};
use touchmark_inventory::{Seen, SightingRow, Sightings};
use touchmark_journal::Scope;
use touchmark_policy::{Action, DenyReason};
use touchmark_ra::Witnessed;

/// Epoch and sequence number of the next decision.
pub(crate) type Position = (u32, u64);

/// Decisions from a position on, added up.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    from: Position,
    used: BTreeMap<Fingerprint, Sightings>,
    proven: BTreeSet<Witnessed>,
    superseded: BTreeSet<Witnessed>,
}

impl Tally {
    /// Nothing yet; decisions before `from` are not taken.
    pub(crate) fn new(from: Position) -> Self {
        Self { from, used: BTreeMap::new(), proven: BTreeSet::new(), superseded: BTreeSet::new() }
    }

    /// Where it begins.
    pub(crate) fn from(&self) -> Position {
        self.from
    }

    /// Keys that were proven in a handshake.
    pub(crate) fn proven(&self) -> &BTreeSet<Witnessed> {
        &self.proven
    }

    /// Proven ones that were refused because a newer certificate took over; perhaps revoked for that very reason.
    pub(crate) fn superseded(&self) -> &BTreeSet<Witnessed> {
        &self.superseded
    }

    /// Takes one decision in.
    pub(crate) fn add(&mut self, decision: &Decision) {
        if (decision.id.epoch, decision.id.sequence) < self.from {
            return;
        }
        let (Some(session), Some(fingerprint)) = (&decision.session, decision.certificate()) else { return };
        if session.proof == Proof::Mtls {
            let witnessed = Witnessed {
                fingerprint,
                handle: session.handle.clone(),
                environment: session.environment.clone(),
            };
            if matches!(decision.verdict, Verdict::Deny(DenyReason::Superseded | DenyReason::Revoked)) {
                self.superseded.insert(witnessed.clone());
            }
            self.proven.insert(witnessed);
        }
        let What { action, resource, folded, seen } = what(decision);
        self.used.entry(fingerprint).or_default().add(action.into(), resource.to_owned(), folded, &seen);
    }

    /// As rows of a gateway.
    pub(crate) fn rows(&self, scope: &Scope, gateway: &Name) -> Vec<SightingRow> {
        let places = self.used.iter();
        places.flat_map(|(fingerprint, used)| used.rows(scope, *fingerprint, gateway)).collect()
    }
}

/// What was done.
pub(crate) struct What<'a> {
    pub action: &'static str,
    /// Topic or path; if `folded`, what several of them begin with.
    pub resource: &'a str,
    pub folded: bool,
    pub seen: Seen,
}

pub(crate) fn what(decision: &Decision) -> What<'_> {
    let resource = decision.resource.as_ref().map_or("", |resource| resource.as_str());
    // A gateway writes acts on several topics as one, on their common levels and `#`. A filter has its own `#`.
    let several = decision.count > 1 && decision.action != Action::Subscribe;
    let common =
        resource.strip_suffix('#').filter(|common| several && (common.is_empty() || common.ends_with('/')));
    let count = u64::from(decision.count);
    let (allowed, denied) = match decision.verdict {
        Verdict::Allow => (count, 0),
        Verdict::Deny(_) => (0, count),
    };
    What {
        action: decision.action.as_str(),
        resource: common.unwrap_or(resource),
        folded: common.is_some(),
        seen: Seen { first: decision.at, last: decision.at, allowed, denied },
    }
}
