//! The use cases, wired once and visibly.

use super::StartFault;
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
use crate::issuance::clones::CloneAlarms;
use crate::issuance::confirmation::Confirmations;
use crate::issuance::enrolment::{Enrolments, InitialEnrolments};
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::makers::Makers;
use crate::issuance::renewal::Renewals;
use crate::issuance::schedule::Schedule;
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

/// # Errors
/// [`StartFault::OperatorPolicy`], [`StartFault::Makers`].
pub(crate) fn wire(founded: Founded, config: &AuthorityConfig, clock: &Clock) -> Result<Shell, StartFault> {
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
    let crls = Arc::new(Crls::new(commits.clone(), hierarchy.clone(), roots, time.clone()));
    let confirmations = Arc::new(Confirmations::new(commits.clone(), hierarchy.clone(), clock.clone()));
    let refusals = Arc::new(Refusals::new(commits.clone(), organisation.clone(), clock.clone()));
    let operators = Arc::new(Operators {
        commits: commits.clone(),
        policy: OperatorPolicy::compile(OperatorPolicy::starter_text())?,
        refusals: refusals.clone(),
        clock: clock.clone(),
        turn: tokio::sync::Mutex::default(),
    });
    let clones = Arc::new(CloneAlarms::new(commits.clone(), hierarchy.clone(), clock.clone()));
    let issuance = Arc::new(Issuance::new(
        commits.clone(),
        hierarchy.clone(),
        Schedule::new(config.enrolments_per_second, clock.clone()),
        clock.clone(),
    ));
    let makers = Arc::new(Makers::load(commits.clone(), hierarchy.clone(), clock.clone())?);
    let intake = Arc::new(DecisionIntake {
        archives: Archives::new(config.decisions()),
        commits: commits.clone(),
        confirmations: confirmations.clone(),
        clones: clones.clone(),
        organisation: organisation.clone(),
    });
    let gateways = Arc::new(Gateways {
        commits: commits.clone(),
        feeds: feeds.clone(),
        intake: intake.clone(),
        clock: clock.clone(),
    });
    Ok(Shell::new(UseCases {
        clock: clock.clone(),
        organisation: organisation.clone(),
        rows: Rows::new(store.clone()),
        cursors: CursorKey::draw(),
        hierarchy: hierarchy.clone(),
        enrolments: Arc::new(Enrolments::new(
            commits.clone(),
            hierarchy.clone(),
            issuance.clone(),
            operators.clone(),
            clock.clone(),
        )),
        initial: Arc::new(InitialEnrolments::new(
            commits.clone(),
            hierarchy.clone(),
            makers.clone(),
            issuance.clone(),
            clock.clone(),
        )),
        makers,
        issuance: issuance.clone(),
        renewals: Arc::new(Renewals::new(
            commits.clone(),
            hierarchy.clone(),
            issuance,
            confirmations.clone(),
            clock.clone(),
        )),
        hints: Arc::default(),
        est_turns: Semaphore::new(EST_TURNS),
        clones: clones.clone(),
        confirmations,
        containments: Arc::new(Containments {
            commits: commits.clone(),
            hierarchy: hierarchy.clone(),
            gateways: gateways.clone(),
            crls: crls.clone(),
            operators: operators.clone(),
            clock: clock.clone(),
            time: time.clone(),
        }),
        environments,
        policies: Arc::new(Policies {
            commits: commits.clone(),
            gateways: gateways.clone(),
            organisation: organisation.clone(),
            clock: clock.clone(),
        }),
        tokens: Arc::new(Tokens::new(commits.clone(), clock.clone())),
        operators: operators.clone(),
        explain: Arc::new(Explain {
            commits: commits.clone(),
            hierarchy: hierarchy.clone(),
            operators,
            clock: clock.clone(),
        }),
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
    }))
}
