//! Containment with live effect: durable event, then feed, then CRL, then what the gateways report.

pub(crate) mod gateways;

use crate::containment::gateways::{Gateways, GatewaysFault};
use crate::feed::PublishFault;
use crate::feed::crls::Crls;
use crate::issuance::certificates_of;
use crate::issuance::hierarchy::Hierarchy;
use crate::operators::Operators;
use crate::operators::let_in::let_in;
use crate::steady_time::SteadyTime;
use crate::store::commit::Commits;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchmark_api::{CertificateName, ContainmentOutcome, Whom};
use touchmark_identity::{Actor, EnvironmentName};
use touchmark_inventory::{CertificateRow, Command, DeviceRow, Holder, Receipt, StoreFault, killed, lives};
use touchmark_journal::{IdentityKind, Standing};
use touchmark_listen::Clock;
use touchmark_ra::{
    Contain, ContainmentFault, Mandate, RevokeCertificate, RevokeParty, Verb, contain, revoke_certificate,
    revoke_party, revoke_superseded,
};

/// Superseded certificates that are revoked in one command; the next turn takes more.
const SUPERSEDED_AT_ONCE: usize = 1_000;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainFault {
    /// The RA's rules.
    #[error(transparent)]
    Rules(#[from] ContainmentFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The feed; the event is durable, and gateways learn it with their next snapshot.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// Who has it in force; it is durable, and on its way.
    #[error(transparent)]
    Gateways(#[from] GatewaysFault),
    /// Nobody could let an operator in any more.
    #[error("this is the last operator of the organisation who can let others in")]
    LastWayIn,
    /// A device without an environment cannot exist.
    #[error("the device has no environment")]
    NoEnvironment,
}

/// One decided change, on its way to rows, feed and CRL.
struct Change {
    environment: EnvironmentName,
    /// For people: the device's name, or the identity of the certificate.
    name: Option<Whom>,
    /// The certificates that would die now: for a dry run, which changes nothing.
    would_die: Vec<CertificateRow>,
    command: Command,
    rule: String,
}

pub(crate) struct Containments {
    /// Rows.
    commits: Commits,
    /// Authorities.
    hierarchy: Arc<Hierarchy>,
    /// Who must hear of it.
    gateways: Arc<Gateways>,
    /// CRLs.
    pub(crate) crls: Arc<Crls>,
    /// Who could still let an operator in.
    operators: Arc<Operators>,
    clock: Clock,
    /// What of it may be believed.
    time: SteadyTime,
}

impl Containments {
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        gateways: Arc<Gateways>,
        crls: Arc<Crls>,
        operators: Arc<Operators>,
        clock: Clock,
        time: SteadyTime,
    ) -> Self {
        Self { commits, hierarchy, gateways, crls, operators, clock, time }
    }

    /// Decides, and does it unless `dry_run`. Waits up to `wait` for the gateways' reports.
    ///
    /// # Errors
    /// [`ContainFault`].
    pub(crate) async fn contain(
        &self,
        mandate: Mandate<Contain>,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let Contain { device, verb } = mandate.act().clone();
        let device = &device;
        let environment = device.scope.environment.clone().ok_or(ContainFault::NoEnvironment)?;
        let rule = mandate.rule().to_owned();
        let command = contain(mandate, self.clock.now())?;
        let would_die = match verb {
            Verb::Revoke(_) | Verb::Ban(_) if dry_run => self.alive(&Holder::Device(device.device))?,
            _ => Vec::new(),
        };
        let name = device.name.clone().map(Whom::Name);
        let change = Change { environment, name, would_die, command, rule };
        let outcome = self.carry_out(change, dry_run, wait).await;
        match outcome {
            // Somebody else contained it meanwhile: what is to be said now is said by its row.
            Err(ContainFault::Store(StoreFault::Conflict(_))) => {
                let now =
                    self.commits.store().device(device.device)?.map_or(device.standing, |row| row.standing);
                Err(match now {
                    Standing::Banned => ContainmentFault::Banned,
                    standing => ContainmentFault::Already(standing),
                }
                .into())
            }
            Ok(outcome) if matches!(verb, Verb::Revoke(_)) => Ok(already_revoked(outcome, device)),
            outcome => outcome,
        }
    }

    /// Kills all that an operator or service has: certificates, keys, tokens.
    ///
    /// # Errors
    /// [`ContainFault`]; [`ContainFault::LastWayIn`] when nobody could let an operator in afterwards.
    pub(crate) async fn revoke_party(
        &self,
        mandate: Mandate<RevokeParty>,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let party = mandate.act().party.clone();
        let environment = party.scope.environment.clone().ok_or(ContainFault::NoEnvironment)?;
        let holder = Holder::Party { kind: party.kind, name: party.name.clone() };
        let turn = self.operators.turn.lock().await;
        if self.operators.is_last_way_in(&party)? {
            return Err(ContainFault::LastWayIn);
        }
        let rule = mandate.rule().to_owned();
        let command = revoke_party(mandate, self.clock.now());
        let would_die = if dry_run { self.alive(&holder)? } else { Vec::new() };
        let name = Some(Whom::Name(party.name.clone()));
        let change = Change { environment, name, would_die, command, rule };
        let mut outcome = self.carry_out_in_turn(change, dry_run, wait, turn).await?;
        if party.kind == IdentityKind::Operator {
            let environments: Vec<_> =
                self.hierarchy.all().iter().map(|trust| trust.environment.name.clone()).collect();
            let store = self.commits.store();
            outcome.let_in = Some(let_in(&**store, &environments, &party.name, self.clock.now())?);
        }
        Ok(outcome)
    }

    /// Kills one certificate, whoever holds it, and its successors that nobody proved; the device's tokens and standing
    /// stay. The answer names what of the identity lives on.
    ///
    /// # Errors
    /// [`ContainFault`]; [`ContainFault::LastWayIn`] when nobody could let an operator in afterwards.
    pub(crate) async fn revoke_one(
        &self,
        mandate: Mandate<RevokeCertificate>,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let row = &mandate.act().certificate.clone();
        let environment = row.scope.environment.clone().ok_or(ContainFault::NoEnvironment)?;
        let turn = match row.kind {
            IdentityKind::Operator => Some(self.operators.turn.lock().await),
            IdentityKind::Service | IdentityKind::Operational => None,
        };
        let rule = mandate.rule().to_owned();
        let command = revoke_certificate(mandate, self.clock.now())?;
        let would_die = self.line_of(row)?;
        if row.kind == IdentityKind::Operator && self.is_last_of_last(row, &would_die)? {
            return Err(ContainFault::LastWayIn);
        }
        let name = row.identity.clone().map(Whom::Identity);
        let would_die = if dry_run { would_die } else { Vec::new() };
        let change = Change { environment, name, would_die, command, rule };
        let mut outcome =
            self.carry_out_in_turn(change, dry_run, wait, turn).await.map_err(|fault| match fault {
                ContainFault::Store(StoreFault::Conflict(_)) => ContainmentFault::NothingLive.into(),
                fault => fault,
            })?;
        if let Some(holder) = Holder::of(row) {
            let shown = self.alive(&holder)?.iter().map(shown).collect::<Vec<_>>();
            outcome.lives_on = shown.into_iter().filter(|id| !outcome.certificates.contains(id)).collect();
        }
        Ok(outcome)
    }

    /// What of a holder opens something now.
    fn alive(&self, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
        let now = self.clock.now();
        let all = certificates_of(&**self.commits.store(), holder)?;
        Ok(all.into_iter().filter(|row| lives(row, now)).collect())
    }

    /// A certificate, and the successors that die with it.
    fn line_of(&self, row: &CertificateRow) -> Result<Vec<CertificateRow>, StoreFault> {
        let now = self.clock.now();
        let successors = self.commits.store().successors_of(row.certificate)?;
        let mut line = vec![row.clone()];
        line.extend(successors.into_iter().filter(|row| row.confirmed_at.is_none() && lives(row, now)));
        Ok(line)
    }

    /// Whether these are all that the last operator who can let others in has left.
    fn is_last_of_last(&self, row: &CertificateRow, dying: &[CertificateRow]) -> Result<bool, StoreFault> {
        let Some(Holder::Party { kind, name }) = Holder::of(row) else { return Ok(false) };
        let store = self.commits.store();
        let current = store.current_certificates(&Holder::Party { kind, name: name.clone() })?;
        let survives = |row: &CertificateRow| {
            row.state.is_live() && !dying.iter().any(|dead| dead.certificate == row.certificate)
        };
        if current.iter().any(survives) {
            return Ok(false);
        }
        let party = store.parties()?.into_iter().find(|party| party.kind == kind && party.name == name);
        party.map_or(Ok(false), |party| self.operators.is_last_way_in(&party))
    }

    async fn carry_out(
        &self,
        change: Change,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        self.carry_out_in_turn(change, dry_run, wait, ()).await
    }

    /// `turn` is held until the commit, and not while gateways are waited for.
    async fn carry_out_in_turn<T>(
        &self,
        change: Change,
        dry_run: bool,
        wait: Duration,
        turn: T,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let mut outcome = ContainmentOutcome {
            device: change.name.clone(),
            seq: None,
            accepted_at: None,
            dry_run,
            certificates: change.would_die.iter().map(shown).collect(),
            lives_on: Vec::new(),
            let_in: None,
            sessions_closed: 0,
            gateways: Vec::new(),
            already: false,
            rule: change.rule.clone(),
        };
        if dry_run {
            return Ok(outcome);
        }
        let before = self.gateways.before(&change.environment)?;
        // Durable first; the feed follows, which is what ends sessions.
        let receipt = self.commits.commit(change.command).await?;
        let accepted = Instant::now();
        drop(turn);
        let dead = self.killed_by(receipt)?;
        outcome.certificates = dead.iter().map(shown).collect();
        outcome.seq = Some(receipt.first_seq);
        outcome.accepted_at = Some(self.clock.now());
        if let Err(fault) = self.crls.follow().await {
            tracing::error!(%fault, "recorded and told to gateways, but the CRL is still the old one; it is tried again");
        }
        self.commits.is_fed(receipt)?;
        let enforced = self.gateways.enforced(&before, accepted, wait).await?;
        outcome.gateways = enforced.gateways;
        outcome.sessions_closed = enforced.sessions_closed;
        Ok(outcome)
    }

    /// The rows that a command killed, as its entries say: the store found them as it accepted it.
    fn killed_by(&self, receipt: Receipt) -> Result<Vec<CertificateRow>, StoreFault> {
        let store = self.commits.store();
        let count = usize::try_from(receipt.entries).unwrap_or(usize::MAX);
        let entries = store.journal_from(receipt.first_seq, count)?;
        let mut dead = Vec::new();
        for revoked in entries.iter().flat_map(|stored| killed(&stored.entry.event)) {
            dead.extend(store.certificate(revoked.certificate)?);
        }
        Ok(dead)
    }

    /// Revokes what is superseded and past its overlap, in environments whose profiles ask for it. A clock
    /// that only jumped ahead ends no overlap.
    ///
    /// # Errors
    /// [`ContainFault`]; the next turn goes on.
    pub(crate) async fn revoke_superseded(&self) -> Result<(), ContainFault> {
        let (least, now) = (self.time.at_least(), self.clock.now());
        for trust in self.hierarchy.all() {
            let asked: Vec<IdentityKind> =
                trust.profiles.values().filter(|p| p.revoke_superseded).map(|p| p.profile.kind).collect();
            if asked.is_empty() {
                continue;
            }
            let environment = trust.environment.name.clone();
            let mut rows = Vec::new();
            for kind in asked {
                rows.extend(self.commits.store().superseded_due(
                    &environment,
                    kind,
                    least,
                    SUPERSEDED_AT_ONCE,
                )?);
            }
            let Some(command) = revoke_superseded(&rows, now) else { continue };
            let change = Change {
                environment,
                name: None,
                would_die: Vec::new(),
                command,
                rule: "profile/revoke-superseded".into(),
            };
            self.carry_out(change, false, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Quarantines whose time is over end by themselves: the device's standing goes back to active. A clock that only
    /// jumped ahead ends none.
    ///
    /// # Errors
    /// [`ContainFault`].
    pub(crate) async fn end_due_quarantines(&self) -> Result<(), ContainFault> {
        let now = self.time.at_least();
        for trust in self.hierarchy.all() {
            for device in self.commits.store().standing_exceptions(&trust.environment.name)? {
                let due = device.standing_until.is_some_and(|until| now >= until);
                if due && device.standing == Standing::Quarantined {
                    let actor = Actor::automation("quarantine-timer".parse().expect("the word is a name"));
                    // The operator who set the end permitted this act when the quarantine was made.
                    let act = Contain { device, verb: Verb::EndQuarantine };
                    let mandate = Mandate::permitted_unchecked(actor, "quarantine-ttl", act);
                    match self.contain(mandate, false, Duration::ZERO).await {
                        // Another end was set for it meanwhile.
                        Err(ContainFault::Rules(_)) => {}
                        outcome => drop(outcome?),
                    }
                }
            }
        }
        Ok(())
    }
}

/// How an answer names a certificate.
fn shown(row: &CertificateRow) -> CertificateName {
    row.fingerprint.map_or(CertificateName::Id(row.certificate), CertificateName::Fingerprint)
}

/// A second revocation finds no certificate to kill; it still takes back what was made since. What it answers is since
/// when the device is out.
fn already_revoked(outcome: ContainmentOutcome, device: &DeviceRow) -> ContainmentOutcome {
    match device.revoked_at {
        Some(first) if outcome.certificates.is_empty() => {
            ContainmentOutcome { already: true, accepted_at: Some(first), ..outcome }
        }
        Some(_) | None => outcome,
    }
}

#[cfg(test)]
mod tests;
