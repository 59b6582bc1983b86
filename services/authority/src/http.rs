//! The HTTP edge: EST for devices, the API for operators and gateways, public files. Handlers read the request,
//! call one use case and map its outcome exhaustively; no rule about devices lives here.

#[cfg(feature = "faults")]
pub(crate) mod early_answer;
pub(crate) mod ports;
pub(crate) mod views;

mod api;
mod conditional;
mod connection;
mod est;
mod problem;
mod public;
mod succession;

pub(crate) use api::{CursorKey, Rows, router as api_router};
pub use api::{Route, routes};
pub(crate) use connection::{Peer, PresentedChain, serve_http, serve_http_plain};
pub(crate) use est::{refused, router as est_router};
pub(crate) use public::router as public_router;

use crate::audit::archive::Archives;
use crate::audit::explain::Explain;
use crate::audit::journal_log::JournalLog;
use crate::audit::refusals::Refusals;
use crate::audit::sightings::DecisionIntake;
use crate::containment::Containments;
use crate::containment::gateways::Gateways;
use crate::feed::Feeds;
use crate::feed::crls::Crls;
use crate::issuance::Issuance;
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::makers::Makers;
use crate::issuance::renewal_hints::RenewalHints;
use crate::operators::Operators;
use crate::operators::environments::Environments;
use crate::operators::policies::Policies;
use crate::operators::tokens::Tokens;
use crate::steady_time::SteadyTime;
use crate::store::disk_reserve::DiskReserve;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use touchmark_identity::{Fingerprint, Name, OrganisationName};
use touchmark_inventory::{CertificateRow, StoreFault};
use touchmark_listen::Clock;
use touchmark_ra::{Proven, Use, was_superseded};

/// The use cases, shared: each request takes a handle, and handles cost one count.
#[derive(Clone)]
pub(crate) struct Shell(Arc<UseCases>);

impl Shell {
    pub(crate) fn new(cases: UseCases) -> Self {
        Self(Arc::new(cases))
    }
}

impl Shell {
    /// Space for what may wait: containment, start and log need what is left of it.
    ///
    /// # Errors
    /// `disk-full`.
    fn has_space(&self) -> Result<(), problem::Refuse> {
        if self.reserve.is_short() { Err(problem::disk_full()) } else { Ok(()) }
    }
}

impl Deref for Shell {
    type Target = UseCases;

    fn deref(&self) -> &UseCases {
        &self.0
    }
}

/// Requests for certificates that are looked at at once: enough to share each commit among many, and few enough that what
/// others ask does not wait behind all of them (0.4 ms of processor time each).
pub(crate) const EST_TURNS: usize = 128;

/// What the routes reach. Each handler takes the one or two it needs.
pub(crate) struct UseCases {
    pub(crate) clock: Clock,
    pub(crate) organisation: OrganisationName,
    pub(crate) rows: Rows,
    pub(crate) cursors: CursorKey,
    pub(crate) hierarchy: Arc<Hierarchy>,
    pub(crate) makers: Arc<Makers>,
    pub(crate) issuance: Arc<Issuance>,
    pub(crate) hints: Arc<RenewalHints>,
    /// Requests for certificates that are looked at at once.
    pub(crate) est_turns: Semaphore,
    pub(crate) containments: Arc<Containments>,
    pub(crate) environments: Arc<Environments>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) operators: Arc<Operators>,
    pub(crate) explain: Arc<Explain>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) crls: Arc<Crls>,
    pub(crate) log: Arc<JournalLog>,
    pub(crate) reserve: Arc<DiskReserve>,
    pub(crate) time: SteadyTime,
    pub(crate) intake: Arc<DecisionIntake>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) log_directory: PathBuf,
    pub(crate) log_origin: String,
}

impl UseCases {
    /// Any request with a certificate proves its key: the first one makes it the current one. Whatever is asked, a
    /// replaced certificate that is used is a thief, or somebody robbed. Gives its row; `None` for none of ours.
    ///
    /// # Errors
    /// [`StoreFault`]; a later use confirms it.
    async fn used(&self, by: &Fingerprint, at: &'static str) -> Result<Option<CertificateRow>, StoreFault> {
        let row = self.issuance.proven(by, Proven::Here, at).await?;
        if row.as_ref().is_some_and(was_superseded) {
            let seen_by: Name = at.parse().expect("the word is a name");
            if let Err(fault) = self.issuance.look_at(by, Use::Other, &seen_by, at).await {
                tracing::error!(%fault, "a clone is suspected, which could not be recorded");
            }
        }
        Ok(row)
    }

    pub(crate) fn archives(&self) -> &Archives {
        &self.intake.archives
    }
}
