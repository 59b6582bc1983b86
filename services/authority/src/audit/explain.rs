//! The four questions, for anything that names a device, a certificate, a key or a decision.

mod bound;
mod expiry;

use crate::audit::archive::{ArchiveFault, Archives};
use crate::http::views;
use crate::issuance::hierarchy::Hierarchy;
use crate::operators::Operators;
use crate::operators::reading::Sight;
use crate::store::commit::Commits;
use bound::{CERTIFICATES_MAX, bound};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use touchmark_api::{
    Candidate, Certificate, Explanation, History, KnownIdentity, OnExpiry, Revoker, RevokerKind, Sighting,
    Word, or_no_data,
};
use touchmark_decisions::DecisionId;
use touchmark_identity::{
    Actor, CertificateId, DeviceId, EnvironmentName, Fingerprint, Name, PathKind, RevocationReason,
    SerialNumber, SpiffeId, SpkiHash, Timestamp,
};
use touchmark_inventory::{CertificateRow, DeviceRow, PartyRow, RenewalRow, StoreFault};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_ra::{Contain, RevokeCertificate, Verb};

/// Journal entries shown of a device.
const HISTORY_MAX: usize = 50;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainFault {
    /// Nothing has this identifier.
    #[error("nothing here is called that")]
    Unknown,
    /// What has it is there, and not seen.
    #[error("nothing here is called that")]
    Unseen(Option<EnvironmentName>, Option<DeviceId>),
    /// Several things have it.
    #[error("the identifier means several things")]
    Ambiguous(Vec<Candidate>),
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The decision logs.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
}

/// What an identifier was found to mean.
enum Subject {
    Device(Box<DeviceRow>),
    Party(Box<PartyRow>),
}

/// A subject, and the certificate by which it was found.
struct Found {
    subject: Subject,
    certificate: Option<CertificateId>,
}

/// The queries.
pub(crate) struct Explain {
    /// Rows.
    commits: Commits,
    /// Authorities.
    hierarchy: Arc<Hierarchy>,
    /// Who may.
    operators: Arc<Operators>,
    clock: Clock,
}

impl Explain {
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        operators: Arc<Operators>,
        clock: Clock,
    ) -> Self {
        Self { commits, hierarchy, operators, clock }
    }

    /// Answers the four questions about whatever `asked` names, as far as it is seen.
    ///
    /// # Errors
    /// [`ExplainFault`].
    pub(crate) fn explain(
        &self,
        asked: &str,
        sight: &Sight,
        archives: &Archives,
    ) -> Result<Explanation, ExplainFault> {
        if let Ok(id) = DecisionId::from_str(asked) {
            return self.explain_decision(asked, &id, sight, archives);
        }
        let mut found = self.resolve(asked)?;
        let unseen = found.last().map_or(ExplainFault::Unknown, |one| one.subject.unseen());
        found.retain(|one| sight.covers(one.subject.environment()));
        if found.is_empty() { Err(unseen) } else { self.answer(asked, &one(found)?) }
    }

    /// The environment of each gateway: that of its decisions.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn homes_of_gateways(&self) -> Result<HashMap<Name, EnvironmentName>, StoreFault> {
        let parties = self.commits.store().parties()?.into_iter();
        let services = parties.filter(|row| row.kind == IdentityKind::Service);
        Ok(services.filter_map(|row| Some((row.name, row.scope.environment?))).collect())
    }

    fn explain_decision(
        &self,
        asked: &str,
        id: &DecisionId,
        sight: &Sight,
        archives: &Archives,
    ) -> Result<Explanation, ExplainFault> {
        if !sight.whole && sight.environments.is_empty() {
            return Err(ExplainFault::Unknown);
        }
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
        let environment = self.homes_of_gateways()?.remove(&id.gateway);
        if !sight.covers(environment.as_ref()) {
            return Err(ExplainFault::Unseen(environment, None));
        }
        let mut explanation = match holder.filter(|row| sight.covers(row.scope.environment.as_ref())) {
            Some(row) => self.answer(asked, &self.holder_of(&row)?)?,
            None => nobody(asked),
        };
        explanation.decision = Some(views::decision(&decision));
        Ok(explanation)
    }

    /// Everything that `asked` may mean; never empty.
    fn resolve(&self, asked: &str) -> Result<Vec<Found>, ExplainFault> {
        let store = self.commits.store();
        if let Ok(id) = asked.parse::<DeviceId>() {
            return Ok(vec![Found::whole(device(store.device(id)?)?)]);
        }
        if let Ok(id) = asked.parse::<CertificateId>() {
            let row = store.certificate(id)?.ok_or(ExplainFault::Unknown)?;
            return Ok(vec![self.holder_of(&row)?]);
        }
        if let Ok(id) = asked.parse::<SpiffeId>() {
            return Ok(vec![Found::whole(self.by_uri(&id)?)]);
        }
        if let Ok(fingerprint) = asked.parse::<Fingerprint>() {
            if let Some(row) = store.certificate_by_fingerprint(&fingerprint)? {
                return Ok(vec![self.holder_of(&row)?]);
            }
            return self.holders_of(&store.certificates_by_key(&SpkiHash(fingerprint.0))?);
        }
        if let Ok(name) = asked.parse::<Name>() {
            let named = self.by_name(&name)?;
            if !named.is_empty() {
                return Ok(named);
            }
        }
        match asked.parse::<SerialNumber>() {
            Ok(serial) => self.holders_of(&store.certificates_by_serial(&serial)?),
            Err(_) => Err(ExplainFault::Unknown),
        }
    }

    fn by_uri(&self, id: &SpiffeId) -> Result<Subject, ExplainFault> {
        let in_domain = |trust: &Arc<crate::issuance::hierarchy::Trust>| {
            trust.environment.trust_domain == id.trust_domain
        };
        let trust = self.hierarchy.all().into_iter().find(in_domain).ok_or(ExplainFault::Unknown)?;
        let kind = match id.kind {
            PathKind::Device => IdentityKind::Operational,
            PathKind::Service => IdentityKind::Service,
            PathKind::Operator => IdentityKind::Operator,
        };
        let store = self.commits.store();
        let identity = store.identity(&trust.environment.name, kind, &id.name)?;
        match identity.ok_or(ExplainFault::Unknown)?.device {
            Some(known) => device(store.device(known)?),
            None => self.party(kind, &id.name),
        }
    }

    fn party(&self, kind: IdentityKind, name: &Name) -> Result<Subject, ExplainFault> {
        let mut parties = self.commits.store().parties()?.into_iter();
        let row = parties.find(|row| row.kind == kind && row.name == *name);
        row.map(|row| Subject::Party(Box::new(row))).ok_or(ExplainFault::Unknown)
    }

    fn by_name(&self, name: &Name) -> Result<Vec<Found>, ExplainFault> {
        let store = self.commits.store();
        let devices = store.devices_named(name)?.into_iter().map(|row| Subject::Device(Box::new(row)));
        let parties = store.parties()?.into_iter().filter(|row| row.name == *name);
        let parties = parties.map(|row| Subject::Party(Box::new(row)));
        Ok(devices.chain(parties).map(Found::whole).collect())
    }

    /// The holders of these certificates, each once; the first certificate of each is the one that is shown.
    fn holders_of(&self, rows: &[CertificateRow]) -> Result<Vec<Found>, ExplainFault> {
        let mut found: Vec<Found> = Vec::new();
        for row in rows {
            let holder = self.holder_of(row)?;
            let id = holder.subject.candidate().id;
            if !found.iter().any(|other| other.subject.candidate().id == id) {
                found.push(holder);
            }
        }
        Ok(found)
    }

    fn holder_of(&self, row: &CertificateRow) -> Result<Found, ExplainFault> {
        let subject = match (row.device, &row.identity) {
            (Some(id), _) => device(self.commits.store().device(id)?)?,
            (None, Some(identity)) => self.party(row.kind, &identity.name)?,
            (None, None) => return Err(ExplainFault::Unknown),
        };
        Ok(Found { subject, certificate: Some(row.certificate) })
    }

    fn answer(&self, asked: &str, found: &Found) -> Result<Explanation, ExplainFault> {
        let store = self.commits.store();
        let now = self.clock.now();
        let (device, party) = match &found.subject {
            Subject::Device(row) => (Some(&**row), None),
            Subject::Party(row) => (None, Some(&**row)),
        };
        let (mut rows, history, renewals) = match &found.subject {
            Subject::Device(row) => (
                store.certificates_of_device(row.device)?,
                self.history(row.device)?,
                store.renewals_of(row.device)?,
            ),
            Subject::Party(row) => (store.certificates_of_party(row.kind, &row.name)?, Vec::new(), None),
        };
        // The one that was asked for and those that still work first; a stable sort keeps the newest first among them.
        let all = rows.len();
        if all > CERTIFICATES_MAX {
            rows.sort_by_key(|row| (Some(row.certificate) != found.certificate, !row.state.is_live()));
            rows.truncate(CERTIFICATES_MAX);
        }
        let shown = |row: &CertificateRow| Certificate {
            revoked_by: row.revoked_at.and_then(|at| revoker(&history, at)),
            ..views::certificate(row, &self.hierarchy, now)
        };
        let explanation = Explanation {
            asked: asked.to_owned(),
            matched: found.certificate,
            device: device.map(views::device),
            party: party.map(views::party),
            identities: self.identities(&found.subject)?,
            renewals: renewals.as_ref().map(views::renewals),
            certificates: rows.iter().filter(|row| row.fingerprint.is_some()).map(shown).collect(),
            where_used: self.where_used(&rows)?,
            who_can_revoke: Some(self.who_can_revoke(device, &rows)?),
            on_expiry: self.on_expiry(&found.subject, &rows, renewals.as_ref(), now),
            history,
            decision: None,
            left_out: Vec::new(),
        };
        Ok(bound(explanation, all - rows.len()))
    }

    fn identities(&self, subject: &Subject) -> Result<Vec<KnownIdentity>, ExplainFault> {
        let store = self.commits.store();
        let rows = match subject {
            Subject::Device(row) => store.identities_of_device(row.device)?,
            Subject::Party(row) => match &row.scope.environment {
                Some(environment) => store.identity(environment, row.kind, &row.name)?.into_iter().collect(),
                None => Vec::new(),
            },
        };
        let known = rows.into_iter().filter_map(|row| {
            Some(KnownIdentity {
                environment: row.scope.environment?,
                kind: views::word(row.kind.as_str()),
                handle: row.handle,
                generation: row.generation,
            })
        });
        Ok(known.collect())
    }

    fn where_used(&self, rows: &[CertificateRow]) -> Result<Option<Vec<Sighting>>, ExplainFault> {
        let mut sightings = Vec::new();
        for fingerprint in rows.iter().filter_map(|row| row.fingerprint) {
            sightings.extend(self.commits.store().sightings_of(&fingerprint)?);
        }
        if sightings.is_empty() {
            return Ok(None);
        }
        sightings.sort_by_key(|row| std::cmp::Reverse(row.last));
        let seen = sightings.into_iter().map(|row| Sighting {
            certificate: row.fingerprint,
            gateway: row.relying_party,
            action: views::word(&row.action),
            resource: row.resource,
            first: row.first,
            last: row.last,
            allowed: row.allowed,
            denied: row.denied,
            folded: row.folded,
        });
        Ok(Some(seen.collect()))
    }

    /// Exactly those whose dry run would succeed: the same policy, the same question, the same rows.
    fn who_can_revoke(
        &self,
        device: Option<&DeviceRow>,
        rows: &[CertificateRow],
    ) -> Result<Vec<Revoker>, ExplainFault> {
        let reason = RevocationReason::Unspecified;
        // A device is revoked whole, tokens included; of an operator or service, its live certificates are.
        let able = match (device, rows.iter().find(|row| row.state.is_live())) {
            (Some(row), _) => {
                let act = Contain { device: row.clone(), verb: Verb::Revoke(reason) };
                self.operators.who_can(&act)?
            }
            (None, Some(row)) => self.operators.who_can(&RevokeCertificate {
                certificate: row.clone(),
                reason,
                reach: self.operators.reach_of_holder(row)?,
            })?,
            (None, None) => return Ok(Vec::new()),
        };
        let revokers = able.into_iter().map(|(party, rule)| Revoker {
            kind: Word::Known(match party.kind {
                IdentityKind::Operator => RevokerKind::Person,
                IdentityKind::Service | IdentityKind::Operational => RevokerKind::Automation,
            }),
            name: party.name,
            rule,
        });
        Ok(revokers.collect())
    }

    fn on_expiry(
        &self,
        subject: &Subject,
        rows: &[CertificateRow],
        renewals: Option<&RenewalRow>,
        now: Timestamp,
    ) -> Option<OnExpiry> {
        let row = rows.iter().filter(|row| row.state.is_live()).max_by_key(|row| row.generation)?;
        let trust = self.hierarchy.trust_of(subject.environment()?)?;
        let not_after = row.validity.not_after();
        let chain_not_after = trust
            .chain()
            .iter()
            .map(|certificate| certificate.validity().not_after())
            .fold(not_after, Timestamp::min);
        let seconds = |moment: Timestamp| i64::try_from(moment.unix_s()).unwrap_or(i64::MAX);
        let grace = trust.profiles.get(&row.kind).map(|profile| profile.grace);
        Some(OnExpiry {
            not_after,
            chain_not_after,
            in_s: seconds(chain_not_after) - seconds(now),
            effect: expiry::effect(subject.role(), renewals).to_owned(),
            actions_lost: match subject.role() {
                expiry::Role::Device => self.acts_of(row),
                party => expiry::lost(party).iter().map(|&act| act.to_owned()).collect(),
            },
            way_back: expiry::way_back(subject.role(), not_after, grace, now),
        })
    }

    /// What a device was seen to be allowed.
    fn acts_of(&self, row: &CertificateRow) -> Vec<String> {
        let Some(fingerprint) = row.fingerprint else { return Vec::new() };
        let seen = self.commits.store().sightings_of(&fingerprint).unwrap_or_default();
        let below = |folded| if folded { "*" } else { "" };
        seen.into_iter()
            .filter(|s| s.allowed > 0)
            .map(|s| format!("{} {}{}", s.action, s.resource, below(s.folded)))
            .collect()
    }

    fn history(&self, device: DeviceId) -> Result<Vec<History>, ExplainFault> {
        let entries = self.commits.store().journal_of_device(device, HISTORY_MAX)?;
        let shown = entries.into_iter().map(|stored| History {
            seq: stored.entry.seq,
            at: stored.entry.envelope.at,
            event: stored.entry.event.word().to_owned(),
            actor: Word::Known(stored.entry.envelope.actor),
            cause: stored.entry.envelope.cause,
        });
        Ok(shown.collect())
    }
}

/// Who revoked at this moment: the entry that says so has the same time.
fn revoker(history: &[History], at: Timestamp) -> Option<Word<Actor>> {
    let kills =
        |one: &&History| one.at == at && (one.event.contains("revoked") || one.event == "standing-changed");
    history.iter().find(kills).map(|one| one.actor.clone())
}

fn device(row: Option<DeviceRow>) -> Result<Subject, ExplainFault> {
    row.map(|row| Subject::Device(Box::new(row))).ok_or(ExplainFault::Unknown)
}

impl Found {
    /// By name: no certificate in particular.
    fn whole(subject: Subject) -> Self {
        Self { subject, certificate: None }
    }
}

impl Subject {
    fn environment(&self) -> Option<&EnvironmentName> {
        match self {
            Self::Device(row) => row.scope.environment.as_ref(),
            Self::Party(row) => row.scope.environment.as_ref(),
        }
    }

    fn unseen(&self) -> ExplainFault {
        let device = if let Self::Device(row) = self { Some(row.device) } else { None };
        ExplainFault::Unseen(self.environment().cloned(), device)
    }

    fn role(&self) -> expiry::Role {
        match self {
            Self::Device(_) => expiry::Role::Device,
            Self::Party(row) if row.kind == IdentityKind::Operator => expiry::Role::Operator,
            Self::Party(row) if row.name.as_str() == SpiffeId::AUTHORITY => expiry::Role::Authority,
            Self::Party(_) => expiry::Role::Service,
        }
    }

    fn candidate(&self) -> Candidate {
        let (kind, id, name) = match self {
            Self::Device(row) => (IdentityKind::Operational, row.device.to_string(), row.name.as_ref()),
            Self::Party(row) => (row.kind, row.name.to_string(), Some(&row.name)),
        };
        let name = format!("{} in {}", or_no_data(name), or_no_data(self.environment()));
        Candidate { kind: views::subject_kind(kind), id, name }
    }
}

fn one(mut found: Vec<Found>) -> Result<Found, ExplainFault> {
    match found.len() {
        0 => Err(ExplainFault::Unknown),
        1 => Ok(found.remove(0)),
        _ => Err(ExplainFault::Ambiguous(found.iter().map(|one| one.subject.candidate()).collect())),
    }
}

/// About a decision whose peer proved nothing.
fn nobody(asked: &str) -> Explanation {
    Explanation {
        asked: asked.to_owned(),
        matched: None,
        device: None,
        party: None,
        identities: Vec::new(),
        certificates: Vec::new(),
        where_used: None,
        who_can_revoke: None,
        on_expiry: None,
        renewals: None,
        history: Vec::new(),
        decision: None,
        left_out: Vec::new(),
    }
}
