//! Joins acts with the session they happened in, across frames: what `audit decisions` prints.
//!
//! In: the frames of one gateway, in log order. Out: whole decisions; what the log does not say is `None`,
//! as when reading begins in the middle. Memory is bounded by the sessions that are open.

use crate::record::{Proof, Record, SessionId, SessionOpened, Verdict};
use crate::{DecisionId, Frame, Resource, Tls};
use std::collections::HashMap;
use std::sync::Arc;
use touchmark_identity::{Fingerprint, Name, Timestamp};
use touchmark_policy::{Action, PolicyVersion, RuleId};

/// Sessions kept open at once; more than a gateway holds. Acts of sessions beyond it are read without them.
pub const SESSIONS_MAX: usize = 1 << 20;

/// One decision, with everything that was known when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Gateway, epoch, sequence number; of acts that were written down together, the first number.
    pub id: DecisionId,
    /// When; for a counter of refusals the beginning of its second.
    pub at: Timestamp,
    /// What was attempted.
    pub action: Action,
    /// On what; `None` for a counter of refusals.
    pub resource: Option<Resource>,
    /// Allowed, or denied and why.
    pub verdict: Verdict,
    /// The rule that decided, if one did.
    pub rule: Option<RuleId>,
    /// The policy that decided, if one did.
    pub policy: Option<PolicyVersion>,
    /// The session; `None` for strangers, and when its beginning was not read.
    pub session: Option<Arc<SessionOpened>>,
    /// How many like it: 1, but for a counter of refusals and for acts that were written down together.
    pub count: u32,
}

impl Decision {
    /// Whether this is the decision of that name, or one of several that were written down together.
    pub fn is_named(&self, id: &DecisionId) -> bool {
        // Strangers have no session; their counter has one number.
        let numbers = if self.resource.is_some() { u64::from(self.count.max(1)) } else { 1 };
        let range = self.id.sequence..self.id.sequence.saturating_add(numbers);
        (&self.id.gateway, self.id.epoch) == (&id.gateway, id.epoch) && range.contains(&id.sequence)
    }

    /// The device's handle.
    pub fn device(&self) -> Option<&Name> {
        self.session.as_ref().map(|session| &session.handle)
    }

    /// The device's certificate.
    pub fn certificate(&self) -> Option<Fingerprint> {
        self.session.as_ref()?.certificate.map(|certificate| certificate.fingerprint)
    }

    /// How the device showed who it is; `None` is "no data", strangers are [`Proof::None`].
    pub fn proof(&self) -> Option<Proof> {
        match &self.session {
            Some(session) => Some(session.proof),
            // Only counters of refusals have no resource, and they are about strangers.
            None if self.resource.is_none() => Some(Proof::None),
            None => None,
        }
    }

    /// What was negotiated.
    pub fn tls(&self) -> Option<Tls> {
        self.session.as_ref()?.tls
    }
}

/// A session that is open where the reader stands.
#[derive(Clone, Debug)]
struct Open {
    opened: Arc<SessionOpened>,
    /// Policies that were in force when it opened, counted.
    policies_before: u64,
}

/// Reads one gateway's log from its beginning, or from anywhere with fewer answers.
#[derive(Clone, Debug, Default)]
pub struct DecisionReader {
    epoch: Option<u32>,
    sessions: HashMap<SessionId, Open>,
    /// The last change of policy in this epoch, and how many there were.
    policy: Option<PolicyVersion>,
    policies: u64,
}

impl DecisionReader {
    /// Knows no session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions open where the reader stands.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The decisions of the next frame.
    pub fn read(&mut self, frame: &Frame) -> Vec<Decision> {
        if self.epoch != Some(frame.log_epoch) {
            // Sessions end with the process that held them.
            *self = Self { epoch: Some(frame.log_epoch), ..Self::default() };
        }
        frame.numbered().filter_map(|(sequence, record)| self.record(frame, sequence, record)).collect()
    }

    fn record(&mut self, frame: &Frame, sequence: Option<u64>, record: &Record) -> Option<Decision> {
        let id = sequence.map(|sequence| DecisionId {
            gateway: frame.gateway.clone(),
            epoch: frame.log_epoch,
            sequence,
        });
        match record {
            Record::EpochOpened(_) => None,
            Record::SessionOpened(opened) => {
                let opened = Arc::new(opened.clone());
                if opened.verdict == Verdict::Allow && self.sessions.len() < SESSIONS_MAX {
                    let open = Open { opened: Arc::clone(&opened), policies_before: self.policies };
                    self.sessions.insert(opened.session, open);
                }
                Some(Decision {
                    id: id?,
                    at: opened.at,
                    action: Action::Connect,
                    resource: Some(opened.resource.clone()),
                    verdict: opened.verdict,
                    rule: opened.rule.clone(),
                    policy: opened.policy,
                    session: Some(opened),
                    count: 1,
                })
            }
            Record::Act(act) => {
                let open = self.sessions.get(&act.session);
                let in_force = match open {
                    Some(open) if open.policies_before == self.policies => open.opened.policy,
                    _ => self.policy,
                };
                let policy = act.policy.or(in_force);
                Some(Decision {
                    id: id?,
                    at: act.at,
                    action: act.action,
                    resource: Some(act.resource.clone()),
                    verdict: act.verdict,
                    rule: act.rule.clone(),
                    policy,
                    session: open.map(|open| Arc::clone(&open.opened)),
                    count: act.count.get(),
                })
            }
            Record::Refused(refused) => Some(Decision {
                id: id?,
                at: refused.at(),
                action: Action::Connect,
                resource: None,
                verdict: Verdict::Deny(refused.reason),
                rule: None,
                policy: None,
                session: None,
                count: refused.count,
            }),
            Record::SessionClosed(closed) => {
                self.sessions.remove(&closed.session);
                None
            }
            Record::PolicyChanged(changed) => {
                self.policy = Some(changed.policy);
                self.policies += 1;
                None
            }
        }
    }
}
