//! The use cases, wired once and visibly.

use super::StartFault;
use super::bootstrap::OwnIdentities;
use super::upkeep::Upkeep;
use crate::audit::archive::Archives;
use crate::audit::explain::Explain;
use crate::audit::journal_log::JournalLog;
use crate::audit::refusals::Refusals;
use crate::audit::sightings::DecisionIntake;
use crate::config::AuthorityConfig;
use crate::containment::Containments;
use crate::containment::gateways::Gateways;
use crate::feed::Feeds;
use crate::feed::crls::{Crls, RootCrl};
use crate::http::{CursorKey, EST_TURNS, Rows, Shell, UseCases};
use crate::issuance::Issuance;
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::makers::Makers;
use crate::operators::Operators;
use crate::operators::environments::Environments;
use crate::operators::policies::Policies;
use crate::operators::tokens::Tokens;
use crate::steady_time::SteadyTime;
use crate::store::commit::Commits;
use crate::store::disk_reserve::DiskReserve;
use std::sync::Arc;
use tokio::sync::Semaphore;
use touchmark_identity::OrganisationName;
use touchmark_listen::Clock;
use touchmark_policy_cedar::OperatorPolicy;

/// What stands before the use cases: rows, hierarchy, feeds, log, the root.
pub(crate) struct Founded {
    pub(crate) commits: Commits,
    pub(crate) environments: Arc<Environments>,
    pub(crate) hierarchy: Arc<Hierarchy>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) roots: Vec<RootCrl>,
    pub(crate) log: Arc<JournalLog>,
    pub(crate) reserve: Arc<DiskReserve>,
    pub(crate) time: SteadyTime,
    pub(crate) log_origin: String,
    pub(crate) organisation: OrganisationName,
}

/// What came of it: what the routes reach, what the slow turns look after, what makes our own identities.
pub(crate) struct Wired {
    pub(crate) shell: Shell,
    pub(crate) upkeep: Upkeep,
    pub(crate) own: OwnIdentities,
}

/// # Errors
/// [`StartFault::OperatorPolicy`], [`StartFault::Makers`], [`StartFault::NoDefault`].
pub(crate) fn wire(founded: Founded, config: &AuthorityConfig, clock: &Clock) -> Result<Wired, StartFault> {
    let Founded {
        commits,
        environments,
        hierarchy,
        feeds,
        roots,
        log,
        reserve,
        time,
        log_origin,
        organisation,
    } = founded;
    let store = commits.store().clone();
    let crls =
        Arc::new(Crls::new(commits.clone(), hierarchy.clone(), roots, time.clone(), store.journal_len()?));
    let refusals = Arc::new(Refusals::new(commits.clone(), organisation.clone(), clock.clone()));
    let operators = Arc::new(Operators::new(
        commits.clone(),
        OperatorPolicy::compile(OperatorPolicy::starter_text())?,
        refusals.clone(),
        time.clock(),
    ));
    let makers = Arc::new(Makers::load(commits.clone(), hierarchy.clone(), clock.clone())?);
    let issuance = Arc::new(Issuance::new(
        commits.clone(),
        hierarchy.clone(),
        makers.clone(),
        operators.clone(),
        config.enrolments_per_second,
        clock.clone(),
    ));
    let intake = Arc::new(DecisionIntake::new(
        Archives::new(config.decisions()),
        commits.clone(),
        issuance.clone(),
        organisation.clone(),
    ));
    let gateways = Arc::new(Gateways::new(commits.clone(), feeds.clone(), intake.clone(), clock.clone()));
    let containments = Arc::new(Containments::new(
        commits.clone(),
        hierarchy.clone(),
        gateways.clone(),
        crls.clone(),
        operators.clone(),
        time.clock(),
        time.clone(),
    ));
    let tokens = Arc::new(Tokens::new(commits.clone(), clock.clone()));
    let own = OwnIdentities {
        tokens: tokens.clone(),
        issuance: issuance.clone(),
        store: store.clone(),
        environment: hierarchy.default_trust().ok_or(StartFault::NoDefault)?.environment.clone(),
        clock: clock.clone(),
    };
    let upkeep = Upkeep {
        clock: clock.clone(),
        time: time.clone(),
        reserve: reserve.clone(),
        refusals: refusals.clone(),
        commits: commits.clone(),
        crls: crls.clone(),
        containments: containments.clone(),
        issuance: issuance.clone(),
        makers: makers.clone(),
        feeds: feeds.clone(),
    };
    let shell = Shell::new(UseCases {
        clock: clock.clone(),
        organisation: organisation.clone(),
        rows: Rows::new(store.clone()),
        cursors: CursorKey::draw(),
        hierarchy: hierarchy.clone(),
        makers,
        issuance,
        hints: Arc::default(),
        est_turns: Semaphore::new(EST_TURNS),
        containments,
        environments,
        policies: Arc::new(Policies::new(
            commits.clone(),
            gateways.clone(),
            organisation.clone(),
            clock.clone(),
        )),
        tokens,
        operators: operators.clone(),
        explain: Arc::new(Explain::new(commits.clone(), hierarchy.clone(), operators, clock.clone())),
        feeds,
        gateways,
        crls,
        log,
        reserve,
        time,
        intake,
        refusals,
        log_directory: config.log(),
        log_origin,
    });
    Ok(Wired { shell, upkeep, own })
}
