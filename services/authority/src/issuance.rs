//! Certificates: what the RA's use cases need of this process, and the way in for those who ask.

pub(crate) mod hierarchy;
pub(crate) mod makers;
pub(crate) mod renewal_hints;

mod driver;
mod keyed_lock;
#[cfg(test)]
mod tests;

use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::keyed_lock::KeyedLocks;
use crate::issuance::makers::Makers;
use crate::operators::Operators;
use crate::store::commit::Commits;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{EnvironmentName, Fingerprint, Name};
use touchmark_inventory::{CertificateRow, CertificateState, Holder, Store, StoreFault};
use touchmark_journal::{BurnCause, IdentityKind, RenewalManner};
use touchmark_listen::{Clock, PeerChain};
pub(crate) use touchmark_ra::{Enrolled, EnrolmentFault};
use touchmark_ra::{
    Evidence, Memory, Proven, Use, burn, confirm_by_name, enrol, look_at_use, may_be_renewed, prove,
};

/// What one core does at least, with room to spare: a commit shared by many, one signature, one handshake. It is there
/// for storms, not for tuning.
const PER_CORE: u32 = 4_000;

/// What a connection proved, and what its request says beside the certificate request.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    /// The whole chain, for a maker's certificate.
    pub(crate) chain: Option<Arc<PeerChain>>,
    /// Who set a renewal going.
    pub(crate) manner: Option<RenewalManner>,
}

/// An identity, whatever it brings to prove itself.
type IdentityKey = (EnvironmentName, IdentityKind, Name);

/// The use cases that every protocol ends in.
pub(crate) struct Issuance {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    makers: Arc<Makers>,
    operators: Arc<Operators>,
    clock: Clock,
    /// The schedule of all environments together: they share disk and processor.
    memory: Mutex<Memory>,
    /// One certificate at a time per identity, on whosever word.
    in_flight: KeyedLocks<IdentityKey>,
    /// Decisions and signatures at once: as many as there are cores, so that none waits for a core half-done.
    aside: Arc<Semaphore>,
}

impl Issuance {
    /// At most `per_second` certificates; as many as the cores should do when nothing is said.
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        makers: Arc<Makers>,
        operators: Arc<Operators>,
        per_second: Option<NonZeroU32>,
        clock: Clock,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let by_cores = PER_CORE.saturating_mul(u32::try_from(cores).unwrap_or(u32::MAX));
        let memory = Mutex::new(Memory::new(per_second.map_or(by_cores, NonZeroU32::get)));
        let (in_flight, aside) = (KeyedLocks::default(), Arc::new(Semaphore::new(cores)));
        Self { commits, hierarchy, makers, operators, clock, memory, in_flight, aside }
    }

    /// A certificate for this request. The same request on the same word gets the same one until it is confirmed or
    /// revoked.
    ///
    /// # Errors
    /// [`EnrolmentFault`]; a token is spent only by a certificate that is durable, and an old certificate serves on.
    pub(crate) async fn enrol(
        self: &Arc<Self>,
        request: EnrolmentRequest,
        shown: Shown,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let issuance = Arc::clone(self);
        self.run(move || {
            let evidence = issuance.evidence(&request, &shown)?;
            enrol(request, evidence, cause, issuance.hierarchy.now())
        })
        .await
    }

    /// What speaks for the requester.
    fn evidence(&self, request: &EnrolmentRequest, shown: &Shown) -> Result<Evidence, EnrolmentFault> {
        match (request.intent(), request.credential()) {
            (Intent::Renew, PresentedCredential::ClientCertificate(fingerprint)) => {
                let manner = shown.manner.unwrap_or(RenewalManner::Unknown);
                Ok(Evidence::Certificate { fingerprint: *fingerprint, manner })
            }
            (Intent::Enrol, PresentedCredential::ClientCertificate(leaf)) => {
                let chain = shown.chain.as_deref().ok_or(EnrolmentFault::NoCredential)?;
                let trusts = self.hierarchy.now();
                let trust = match request.label() {
                    Some(label) => trusts.of(label),
                    None => trusts.default_one(),
                };
                let environment = &trust.ok_or(EnrolmentFault::UnknownEnvironment)?.environment.name;
                // One of ours: it has a way of its own, which is renewal.
                if self.commits.store().certificate_by_fingerprint(leaf)?.is_some() {
                    return Err(EnrolmentFault::NoCredential);
                }
                Ok(Evidence::Initial(Box::new(self.makers.initial(environment, chain, self.clock.now())?)))
            }
            (Intent::Enrol, _) => Evidence::token(request),
            (Intent::Renew, _) => Err(EnrolmentFault::NoCredential),
        }
    }

    /// Records that the key of this certificate was proven; see [`prove`].
    ///
    /// # Errors
    /// [`StoreFault`]; a later use confirms it.
    pub(crate) async fn proven(
        self: &Arc<Self>,
        fingerprint: &Fingerprint,
        proven: Proven,
        cause: &'static str,
    ) -> Result<Option<CertificateRow>, StoreFault> {
        let step = prove(*fingerprint, proven, cause, self.hierarchy.now());
        self.run(move || Ok(step)).await
    }

    /// The holder asks for it by name: the certificate of its connection, and no other.
    ///
    /// # Errors
    /// [`EnrolmentFault`]: the RA's refusal, or the rows.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        peer: &Fingerprint,
        meant: Option<&Fingerprint>,
        cause: &'static str,
    ) -> Result<(), EnrolmentFault> {
        let step = confirm_by_name(*peer, meant.copied(), cause, self.hierarchy.now());
        self.run(move || Ok(step)).await
    }

    /// A certificate that may be renewed.
    ///
    /// # Errors
    /// [`EnrolmentFault`]: the RA's refusal, or the rows.
    pub(crate) async fn renewable(
        self: &Arc<Self>,
        peer: &Fingerprint,
    ) -> Result<CertificateRow, EnrolmentFault> {
        let step = may_be_renewed(*peer, self.hierarchy.now());
        self.run(move || Ok(step)).await
    }

    /// Looks at a use of a certificate whose key was proven to `seen_by`; does nothing where nothing is suspicious.
    ///
    /// # Errors
    /// [`StoreFault`]; the next use is looked at again.
    pub(crate) async fn look_at(
        self: &Arc<Self>,
        used: &Fingerprint,
        what: Use,
        seen_by: &Name,
        cause: &'static str,
    ) -> Result<(), StoreFault> {
        let step = look_at_use(*used, what, seen_by.clone(), cause, self.hierarchy.now());
        self.run(move || Ok(step)).await
    }

    /// Burns intents that nobody works on any more: a fault or a caller that went away came between two commits. Gives
    /// how many. `older_than` is far more than the way from one commit to the other takes.
    ///
    /// # Errors
    /// [`StoreFault`]; the next turn goes on.
    pub(crate) async fn burn_stranded(&self, older_than: Duration) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let store = self.commits.store();
        let mut burned = 0;
        for row in store.open_intents()? {
            let (Some(environment), Some(identity)) = (&row.scope.environment, &row.identity) else {
                continue;
            };
            if now.since(row.intended_at) < older_than {
                continue;
            }
            let _turn = self.in_flight.lock((environment.clone(), row.kind, identity.name.clone())).await;
            if store.certificate(row.certificate)?.is_some_and(|row| row.state == CertificateState::Intended)
            {
                self.commits.commit(burn(&row, BurnCause::Crash, now)).await?;
                burned += 1;
            }
        }
        Ok(burned)
    }
}

/// Burns every intent that was neither issued nor burned: what a crash left. Gives how many; running it twice changes
/// nothing.
///
/// # Errors
/// [`StoreFault`]; the authority must not start.
pub(crate) async fn close_open_intents(commits: &Commits, clock: &Clock) -> Result<usize, StoreFault> {
    let open = commits.store().open_intents()?;
    for intent in &open {
        commits.commit(burn(intent, BurnCause::Crash, clock.now())).await?;
    }
    Ok(open.len())
}

/// All certificates of an identity, newest first.
///
/// # Errors
/// [`StoreFault`].
pub(crate) fn certificates_of(store: &dyn Store, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
    match holder {
        Holder::Device(device) => store.certificates_of_device(*device),
        Holder::Party { kind, name } => store.certificates_of_party(*kind, name),
    }
}
