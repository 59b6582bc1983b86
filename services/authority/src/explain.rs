//! The four questions, for anything that names a device, a certificate, a key or a decision.

mod bound;

use crate::archive::{ArchiveFault, Archives};
use crate::commit::Commits;
use crate::hierarchy::Hierarchy;
use crate::operators::Operators;
use crate::views;
use bound::{CERTIFICATES_MAX, bound};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use touchmark_api::{Answer, Candidate, Explanation, History, OnExpiry, Revoker, Sighting};
use touchmark_decisions::DecisionId;
use touchmark_identity::{
    ActorKind, CertificateId, DeviceId, EnvironmentName, Fingerprint, Name, PathKind, SerialNumber, SpiffeId,
    SpkiHash, Timestamp,
};
use touchmark_inventory::{CertificateRow, DeviceRow, RenewalRow, StoreFault};
use touchmark_journal::{IdentityKind, RenewalManner};
use touchmark_listen::Clock;
use touchmark_policy_cedar::OperatorVerb;

/// Journal entries shown of a device.
const HISTORY_MAX: usize = 50;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainFault {
    /// Nothing has this identifier.
    #[error("nothing here is called that")]
    Unknown,
    /// Several things have it.
    #[error("the identifier means several things")]
    Ambiguous(Vec<Candidate>),
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The decision logs.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
}

/// What an identifier was found to mean.
enum Subject {
    Device(Box<DeviceRow>),
    Party(IdentityKind, Name),
}

/// The queries.
pub(crate) struct Explain {
    /// Rows.
    pub commits: Commits,
    /// Authorities.
    pub hierarchy: Arc<Hierarchy>,
    /// Who may.
    pub operators: Arc<Operators>,
    /// The clock.
    pub clock: Clock,
}

impl Explain {
    /// Answers the four questions about whatever `asked` names.
    ///
    /// # Errors
    /// [`ExplainFault`].
    pub(crate) fn explain(&self, asked: &str, archives: &Archives) -> Result<Explanation, ExplainFault> {
        if let Ok(id) = DecisionId::from_str(asked) {
            return self.explain_decision(asked, &id, archives);
        }
        let subject = self.resolve(asked)?;
        self.answer(asked, &subject)
    }

    fn explain_decision(
        &self,
        asked: &str,
        id: &DecisionId,
        archives: &Archives,
    ) -> Result<Explanation, ExplainFault> {
        let mut found = None;
        archives.visit(|decision| {
            if decision.is_named(id) {
                found = Some(decision);
            }
        })?;
        let decision = found.ok_or(ExplainFault::Unknown)?;
        let holder = match decision.certificate() {
            Some(fingerprint) => self.commits.store().certificate_by_fingerprint(&fingerprint)?,
            None => None,
        };
        let mut explanation = match holder {
            Some(row) => self.answer(asked, &self.subject_of(&row)?)?,
            None => nobody(asked),
        };
        explanation.decision = Some(views::decision(&decision));
        Ok(explanation)
    }

    fn resolve(&self, asked: &str) -> Result<Subject, ExplainFault> {
        let store = self.commits.store();
        if let Ok(id) = asked.parse::<DeviceId>() {
            return self.known_device(store.device(id)?);
        }
        if let Ok(id) = asked.parse::<CertificateId>() {
            let row = store.certificate(id)?.ok_or(ExplainFault::Unknown)?;
            return self.subject_of(&row);
        }
        if let Ok(id) = asked.parse::<SpiffeId>() {
            return self.by_uri(&id);
        }
        if let Ok(fingerprint) = asked.parse::<Fingerprint>() {
            if let Some(row) = store.certificate_by_fingerprint(&fingerprint)? {
                return self.subject_of(&row);
            }
            let rows = store.certificates_by_key(&SpkiHash(fingerprint.0))?;
            return self.one_of(rows);
        }
        if let Ok(name) = asked.parse::<Name>() {
            let named = self.by_name(&name)?;
            if !named.is_empty() {
                return one(named);
            }
        }
        match asked.parse::<SerialNumber>() {
            Ok(serial) => self.one_of(store.certificates_by_serial(&serial)?),
            Err(_) => Err(ExplainFault::Unknown),
        }
    }

    fn known_device(&self, row: Option<DeviceRow>) -> Result<Subject, ExplainFault> {
        row.map(|row| Subject::Device(Box::new(row))).ok_or(ExplainFault::Unknown)
    }

    fn by_uri(&self, id: &SpiffeId) -> Result<Subject, ExplainFault> {
        let in_domain =
            |trust: &Arc<crate::hierarchy::Trust>| trust.environment.trust_domain == id.trust_domain;
        let trust = self.hierarchy.all().into_iter().find(in_domain).ok_or(ExplainFault::Unknown)?;
        match id.kind {
            PathKind::Device => {
                self.known_device(self.commits.store().device_by_name(&trust.environment.name, &id.name)?)
            }
            PathKind::Service => self.known_party(IdentityKind::Service, &id.name),
            PathKind::Operator => self.known_party(IdentityKind::Operator, &id.name),
        }
    }

    fn known_party(&self, kind: IdentityKind, name: &Name) -> Result<Subject, ExplainFault> {
        let known = self.commits.store().parties()?.iter().any(|row| row.kind == kind && row.name == *name);
        if known { Ok(Subject::Party(kind, name.clone())) } else { Err(ExplainFault::Unknown) }
    }

    fn by_name(&self, name: &Name) -> Result<Vec<Subject>, ExplainFault> {
        let store = self.commits.store();
        let mut found: Vec<Subject> =
            store.devices_named(name)?.into_iter().map(|row| Subject::Device(Box::new(row))).collect();
        let parties = store.parties()?.into_iter().filter(|row| row.name == *name);
        found.extend(parties.map(|row| Subject::Party(row.kind, row.name)));
        Ok(found)
    }

    fn one_of(&self, rows: Vec<CertificateRow>) -> Result<Subject, ExplainFault> {
        let mut found: Vec<Subject> = Vec::new();
        for row in &rows {
            let subject = self.subject_of(row)?;
            if !found.iter().any(|other| other.candidate().id == subject.candidate().id) {
                found.push(subject);
            }
        }
        one(found)
    }

    fn subject_of(&self, row: &CertificateRow) -> Result<Subject, ExplainFault> {
        match (row.device, &row.identity) {
            (Some(device), _) => self.known_device(self.commits.store().device(device)?),
            (None, Some(identity)) => Ok(Subject::Party(row.kind, identity.name.clone())),
            (None, None) => Err(ExplainFault::Unknown),
        }
    }

    fn answer(&self, asked: &str, subject: &Subject) -> Result<Explanation, ExplainFault> {
        let store = self.commits.store();
        let now = self.clock.now();
        let (device, mut rows) = match subject {
            Subject::Device(row) => (Some(&**row), store.certificates_of_device(row.device)?),
            Subject::Party(kind, name) => (None, store.certificates_of_party(*kind, name)?),
        };
        // Those that still work first; a stable sort keeps the newest first among them.
        let all = rows.len();
        if all > CERTIFICATES_MAX {
            rows.sort_by_key(|row| !row.state.is_live());
            rows.truncate(CERTIFICATES_MAX);
        }
        let environment = device
            .and_then(|row| row.scope.environment.clone())
            .or_else(|| rows.first().and_then(|row| row.scope.environment.clone()));
        let history = match device {
            Some(row) => self.history(row.device)?,
            None => Vec::new(),
        };
        let renewals = match device {
            Some(row) => store.renewals_of(row.device)?,
            None => None,
        };
        let explanation = Explanation {
            asked: asked.to_owned(),
            device: device.map(views::device),
            renewals: renewals
                .as_ref()
                .map_or_else(Answer::no_data, |row| Answer::Known(views::renewals(row))),
            certificates: rows
                .iter()
                .filter(|row| row.fingerprint.is_some())
                .map(|row| views::certificate(row, &self.hierarchy, now))
                .collect(),
            where_used: self.where_used(&rows)?,
            who_can_revoke: self.who_can_revoke(device, &rows, environment.as_ref())?,
            on_expiry: self.on_expiry(&rows, environment.as_ref(), renewals.as_ref(), now),
            history,
            decision: None,
            left_out: Vec::new(),
        };
        Ok(bound(explanation, all - rows.len()))
    }

    fn where_used(&self, rows: &[CertificateRow]) -> Result<Answer<Vec<Sighting>>, ExplainFault> {
        let mut sightings = Vec::new();
        for fingerprint in rows.iter().filter_map(|row| row.fingerprint) {
            sightings.extend(self.commits.store().sightings_of(&fingerprint)?);
        }
        if sightings.is_empty() {
            return Ok(Answer::no_data());
        }
        sightings.sort_by_key(|row| std::cmp::Reverse(row.last));
        let seen = sightings.into_iter().map(|row| Sighting {
            certificate: row.fingerprint.to_string(),
            gateway: row.relying_party.to_string(),
            action: row.action,
            resource: row.resource,
            first: row.first.to_string(),
            last: row.last.to_string(),
            allowed: row.allowed,
            denied: row.denied,
            folded: row.folded,
        });
        Ok(Answer::Known(seen.collect()))
    }

    /// Exactly those whose dry run would succeed: the same policy, the same question, the same rows.
    fn who_can_revoke(
        &self,
        device: Option<&DeviceRow>,
        rows: &[CertificateRow],
        environment: Option<&EnvironmentName>,
    ) -> Result<Answer<Vec<Revoker>>, ExplainFault> {
        let Some(environment) = environment else { return Ok(Answer::no_data()) };
        // A device is revoked whole, tokens included; of an operator or service, its live certificates are.
        let verb = match device {
            Some(_) => OperatorVerb::DeviceRevoke,
            None if rows.iter().any(|row| row.state.is_live()) => OperatorVerb::OperatorEnrol,
            None => return Ok(Answer::Known(Vec::new())),
        };
        let able = self.operators.who_can(verb, environment)?;
        let revokers = able.into_iter().map(|(party, rule)| Revoker {
            kind: match party.kind {
                IdentityKind::Operator => ActorKind::Person.as_str(),
                IdentityKind::Service | IdentityKind::Operational => ActorKind::Automation.as_str(),
            }
            .to_owned(),
            name: party.name.to_string(),
            rule,
        });
        Ok(Answer::Known(revokers.collect()))
    }

    fn on_expiry(
        &self,
        rows: &[CertificateRow],
        environment: Option<&EnvironmentName>,
        renewals: Option<&RenewalRow>,
        now: Timestamp,
    ) -> Answer<OnExpiry> {
        let newest_live = rows.iter().filter(|row| row.state.is_live()).max_by_key(|row| row.generation);
        let trust = environment.and_then(|name| self.hierarchy.trust_of(name));
        let (Some(row), Some(trust)) = (newest_live, trust) else { return Answer::no_data() };
        let not_after = row.validity.not_after();
        let chain_not_after = trust
            .chain()
            .iter()
            .map(|certificate| certificate.validity().not_after())
            .fold(not_after, Timestamp::min);
        let seconds = |moment: Timestamp| i64::try_from(moment.unix_s()).unwrap_or(i64::MAX);
        let mut actions_lost: Vec<String> = Vec::new();
        if let Some(fingerprint) = row.fingerprint {
            let seen = self.commits.store().sightings_of(&fingerprint).unwrap_or_default();
            let below = |folded| if folded { "*" } else { "" };
            let lost = seen
                .into_iter()
                .filter(|s| s.allowed > 0)
                .map(|s| format!("{} {}{}", s.action, s.resource, below(s.folded)));
            actions_lost.extend(lost);
        }
        Answer::Known(OnExpiry {
            not_after: not_after.to_string(),
            chain_not_after: chain_not_after.to_string(),
            in_s: seconds(chain_not_after) - seconds(now),
            effect: effect(renewals).to_owned(),
            actions_lost,
            way_back: way_back(not_after, trust.profiles.get(&row.kind).map(|profile| profile.grace), now),
        })
    }

    fn history(&self, device: DeviceId) -> Result<Vec<History>, ExplainFault> {
        let entries = self.commits.store().journal_of_device(device, HISTORY_MAX)?;
        let shown = entries.into_iter().map(|stored| History {
            seq: stored.entry.seq,
            at: stored.entry.envelope.at.to_string(),
            event: stored.entry.event.word().to_owned(),
            actor: stored.entry.envelope.actor.to_string(),
            cause: stored.entry.envelope.cause,
        });
        Ok(shown.collect())
    }
}

/// What the end means, and whether something is likely to renew before it.
fn effect(renewals: Option<&RenewalRow>) -> &'static str {
    match renewals
        .and_then(|row| row.last_manner)
        .filter(|_| renewals.is_some_and(|row| row.refused_since == 0))
    {
        Some(RenewalManner::Automatic) => {
            "refused unless its program renews it before, as it did the last time: without that every handshake \
             with it ends in a TLS alert from then on and live sessions are cut"
        }
        Some(RenewalManner::Manual | RenewalManner::Unknown) | None => {
            "refused: nothing is known to renew this certificate by itself; from then on every handshake with it \
             ends in a TLS alert and live sessions are cut"
        }
    }
}

/// What brings the holder back.
fn way_back(not_after: Timestamp, grace: Option<Duration>, now: Timestamp) -> String {
    let token = "a new token: touchmark token create --device NAME, then enrol again";
    let until = not_after.plus(grace.unwrap_or_default());
    match now.unix_s() <= until.unix_s() && until > not_after {
        true => format!("a late renewal with this very certificate, until {until}; after that {token}"),
        false => token.to_owned(),
    }
}

impl Subject {
    fn candidate(&self) -> Candidate {
        match self {
            Self::Device(row) => {
                Candidate { kind: "device".into(), id: row.device.to_string(), name: views::device(row).name }
            }
            Self::Party(kind, name) => {
                Candidate { kind: kind.as_str().into(), id: name.to_string(), name: name.to_string() }
            }
        }
    }
}

fn one(mut found: Vec<Subject>) -> Result<Subject, ExplainFault> {
    match found.len() {
        0 => Err(ExplainFault::Unknown),
        1 => Ok(found.remove(0)),
        _ => Err(ExplainFault::Ambiguous(found.iter().map(Subject::candidate).collect())),
    }
}

/// About a decision whose peer proved nothing.
fn nobody(asked: &str) -> Explanation {
    Explanation {
        asked: asked.to_owned(),
        device: None,
        certificates: Vec::new(),
        where_used: Answer::no_data(),
        who_can_revoke: Answer::no_data(),
        on_expiry: Answer::no_data(),
        renewals: Answer::no_data(),
        history: Vec::new(),
        decision: None,
        left_out: Vec::new(),
    }
}
