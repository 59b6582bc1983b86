//! What decisions add up to: where each certificate was used, and which keys were proven.
//!
//! In: whole decisions from one archive, in order, beginning at a stored position. Out: rows to add.

use std::collections::{BTreeMap, BTreeSet};
use touchmark_decisions::{Decision, Proof, Verdict};
use touchmark_identity::{EnvironmentName, Fingerprint, Name, Timestamp};
use touchmark_inventory::SightingRow;
use touchmark_journal::Scope;
use touchmark_policy::DenyReason;

/// Epoch and sequence number of the next decision.
pub(crate) type Position = (u32, u64);

/// What was done with which certificate.
pub(crate) type Place = (Fingerprint, &'static str, String);

/// How often, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// Times allowed.
    pub allowed: u64,
    /// Times denied.
    pub denied: u64,
}

/// A proof of possession as a gateway wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Witnessed {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// Who it is, says the gateway.
    pub handle: Name,
    /// Where, says the gateway.
    pub environment: EnvironmentName,
}

/// Decisions from a position on, added up.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    from: Position,
    places: BTreeMap<Place, Seen>,
    proven: BTreeSet<Witnessed>,
    superseded: BTreeSet<Witnessed>,
}

impl Tally {
    /// Nothing yet; decisions before `from` are not taken.
    pub(crate) fn new(from: Position) -> Self {
        Self { from, places: BTreeMap::new(), proven: BTreeSet::new(), superseded: BTreeSet::new() }
    }

    /// Where it begins.
    pub(crate) fn from(&self) -> Position {
        self.from
    }

    /// Every place with its counts.
    pub(crate) fn places(&self) -> &BTreeMap<Place, Seen> {
        &self.places
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
        let resource = decision.resource.as_ref().map(|r| r.as_str().to_owned()).unwrap_or_default();
        let seen = self.places.entry((fingerprint, decision.action.as_str(), resource)).or_insert(Seen {
            first: decision.at,
            last: decision.at,
            allowed: 0,
            denied: 0,
        });
        seen.first = seen.first.min(decision.at);
        seen.last = seen.last.max(decision.at);
        let count = u64::from(decision.count);
        match decision.verdict {
            Verdict::Allow => seen.allowed = seen.allowed.saturating_add(count),
            Verdict::Deny(_) => seen.denied = seen.denied.saturating_add(count),
        }
    }

    /// As rows of a gateway.
    pub(crate) fn rows(&self, scope: &Scope, gateway: &Name) -> Vec<SightingRow> {
        let row = |((fingerprint, action, resource), seen): (&Place, &Seen)| SightingRow {
            scope: scope.clone(),
            fingerprint: *fingerprint,
            relying_party: gateway.clone(),
            action: (*action).to_owned(),
            resource: resource.clone(),
            first: seen.first,
            last: seen.last,
            allowed: seen.allowed,
            denied: seen.denied,
        };
        self.places.iter().map(row).collect()
    }
}
