//! Admission, which both listeners share: from an accepted connection to an open session, or to a refusal.
//!
//! Order: into the index (so that a change finds it), trust, client id, policy, log. The answer to the device comes
//! after the record is durable, whatever the answer is. Strangers never get here: they are counted.

use crate::arrivals::{Account, Arrivals, Standing, Waiting};
use crate::decision_log::{DecisionLog, resource_of};
use crate::permitted::Permitted;
use crate::rates::{Metered, Rates};
use crate::session::{Entered, Judge, Session, Sessions};
use crate::trust::{PathIdentity, Trust};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use touchmark_decisions::{
    AddressFamily, CloseCause, FeedPosition, PresentedCertificate, Proof, Record, SessionClosed,
    SessionOpened, Tls, Verdict,
};
use touchmark_identity::Name;
use touchmark_listen::{AcceptFault, Accepted, Clock, TlsFacts};
use touchmark_policy::{DecisionTable, Denial, DenyReason, PolicyVersion, RuleId};

/// What the listeners share.
pub(crate) struct Admission {
    pub(crate) trust: Arc<Trust>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) log: Arc<DecisionLog>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) clock: Clock,
}

/// A peer that proved possession of a certificate with a path, and how it came.
pub(crate) struct Arrival {
    identity: Arc<PathIdentity>,
    tls: Tls,
    family: AddressFamily,
    /// Its place among those that wait, until it has a session.
    place: Mutex<Option<Waiting>>,
    account: Account,
    standing: Standing,
}

impl Arrival {
    fn new(identity: Arc<PathIdentity>, tls: Tls, family: AddressFamily, place: Waiting) -> Self {
        let (account, standing) = (place.account(), place.standing());
        Self { identity, tls, family, place: Mutex::new(Some(place)), account, standing }
    }

    /// Who it is.
    pub(crate) fn handle(&self) -> &Name {
        &self.identity.id().name
    }

    /// What its path says about it.
    pub(crate) fn identity(&self) -> &PathIdentity {
        &self.identity
    }

    /// What its refusals count against.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// What was known against it when it came.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Its identity's URI, as an upstream sees it.
    pub(crate) fn uri(&self) -> String {
        self.identity.id().to_string()
    }
}

/// An open session: it leaves the index, and its end is recorded, when this is dropped.
pub(crate) struct Opened {
    entered: Entered,
    log: Arc<DecisionLog>,
    clock: Clock,
    cause: CloseCause,
    /// Its opening stands in the log, or will.
    told: bool,
}

impl Opened {
    pub(crate) fn session(&self) -> &Arc<Session> {
        self.entered.session()
    }

    /// Its client id, unless a newer session took it over.
    pub(crate) fn client_id(&self) -> Option<Box<str>> {
        self.entered.client_id()
    }

    /// Lets go of its client id before its end.
    pub(crate) fn give_up_client_id(&self) {
        self.entered.give_up_client_id();
    }

    /// Says how it ends; without a word it was lost.
    pub(crate) fn ends_by(&mut self, cause: CloseCause) {
        self.cause = cause;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if !self.told {
            return;
        }
        let (session, at, why) = (self.session().id(), self.clock.now(), self.cause);
        self.log.note_end(Record::SessionClosed(SessionClosed { session, at, why }));
    }
}

/// What decided on an opening; for the record.
#[derive(Default)]
struct DecidedOn {
    policy: Option<PolicyVersion>,
    status: Option<FeedPosition>,
}

impl Admission {
    /// What the messages of a session are measured by.
    pub(crate) fn metered(&self, identity: &PathIdentity) -> Metered {
        self.rates.of(&identity.id().name, (identity.authority_version(), identity.serial()))
    }

    /// Who is behind an accepted connection. `None` for one without an acceptable path or without a place to wait in;
    /// that is counted.
    pub(crate) fn arrival(&self, accepted: &Accepted) -> Option<Arrival> {
        let identity = match &accepted.peer {
            Some(peer) => self.trust.known(&peer.leaf, &peer.rest, self.clock.now()),
            None => Err(DenyReason::NoCertificate),
        };
        let now = self.clock.now();
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => {
                self.log.count_stranger(reason, now);
                return None;
            }
        };
        let standing = match self.trust.is_known_bad(&identity, now) {
            true => Standing::KnownBad,
            false => Standing::Good,
        };
        let Some(place) = self.arrivals.wait(&identity, standing, now) else {
            // Counted and not asked what it wants.
            self.log.count_stranger(DenyReason::TooManySessions, now);
            return None;
        };
        let family = match accepted.remote {
            SocketAddr::V4(_) => AddressFamily::V4,
            SocketAddr::V6(_) => AddressFamily::V6,
        };
        let TlsFacts { version, cipher_suite, group } = accepted.tls;
        let tls = Tls { version, cipher_suite, group };
        Some(Arrival::new(identity, tls, family, place))
    }

    /// Counts a connection that never became one.
    pub(crate) fn count_fault(&self, fault: &AcceptFault) {
        let reason = match fault {
            AcceptFault::Plaintext => DenyReason::Plaintext,
            AcceptFault::NoCertificate => DenyReason::NoCertificate,
            AcceptFault::BadPath { code } => code.parse().unwrap_or(DenyReason::BadPath),
            AcceptFault::BadPossession => DenyReason::BadPossession,
            AcceptFault::Version
            | AcceptFault::NoCommonAlgorithm(_)
            | AcceptFault::RefusedUs(_)
            | AcceptFault::Timeout { .. }
            | AcceptFault::Busy
            | AcceptFault::Displaced
            | AcceptFault::HelloTooLong
            | AcceptFault::Closed
            | AcceptFault::Protocol(_) => DenyReason::HandshakeFailed,
        };
        self.log.count_stranger(reason, self.clock.now());
    }

    /// Decides on a session and records the decision durably. `judge` asks the table of one that is trusted.
    ///
    /// `resource`: what the log says it asked for: the client id, or the path. `client_id`: the one to hold alone.
    ///
    /// # Errors
    /// The denial to tell the peer. It is recorded too, unless it is that the log cannot be written.
    pub(crate) async fn open<T>(
        &self,
        arrival: &Arrival,
        resource: &str,
        client_id: Option<&str>,
        judge: impl FnOnce(&DecisionTable) -> Result<(Permitted<T>, RuleId), Denial>,
    ) -> Result<(Opened, Permitted<T>), Denial> {
        let session = Arc::new(Session::new(self.log.next_session(), Arc::clone(&arrival.identity)));
        let mut decided_on = DecidedOn { policy: None, status: self.trust.feed_position() };
        let decided = self.decide(&session, arrival, judge, &mut decided_on);
        if let Err(denial) = &decided {
            let now = self.clock.now();
            // How often it may still be told is asked when it comes again.
            let _ = arrival.account.may_be_told(now);
            if !arrival.account.may_be_recorded(now) {
                self.log.count_stranger(denial.reason, now);
                return Err(denial.clone());
            }
        }
        let (verdict, rule) = match &decided {
            Ok((.., rule)) => (Verdict::Allow, Some(rule.clone())),
            Err(denial) => (Verdict::Deny(denial.reason), denial.rule.clone()),
        };
        let record = self.opening(&session, arrival, resource, verdict, rule, &decided_on);
        let on_its_way = self.log.begin_durable(Record::SessionOpened(record)).await;
        // From here on whoever stops waiting leaves an end behind: the opening will stand in the log.
        let decided = decided.map(|(entered, permitted, _)| {
            let (log, clock) = (Arc::clone(&self.log), self.clock.clone());
            (Opened { entered, log, clock, cause: CloseCause::Lost, told: on_its_way.is_ok() }, permitted)
        });
        let recorded = match on_its_way {
            Ok(on_its_way) => on_its_way.wait().await,
            Err(unavailable) => Err(unavailable),
        };
        let (mut opened, permitted) = decided?;
        if recorded.is_err() {
            opened.told = false;
            return Err(Denial::because(DenyReason::LogUnavailable));
        }
        // The record stands: what comes now is a session's end, not a refusal to open.
        drop(arrival.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(client_id) = client_id {
            opened.entered.claim(client_id);
        }
        Ok((opened, permitted))
    }

    fn decide<T>(
        &self,
        session: &Arc<Session>,
        arrival: &Arrival,
        judge: impl FnOnce(&DecisionTable) -> Result<(Permitted<T>, RuleId), Denial>,
        decided_on: &mut DecidedOn,
    ) -> Result<(Entered, Permitted<T>, RuleId), Denial> {
        let entered = self.sessions.enter(Arc::clone(session));
        let peer = session.judge(&self.trust, Judge::Admit, self.clock.now())?;
        decided_on.policy = Some(peer.policy_version());
        decided_on.status = Some(peer.position());
        self.sessions.look_again_at(session.id(), peer.good_until());
        self.sessions.has_room_for(session).map_err(Denial::because)?;
        let table = session.table().ok_or(Denial::because(DenyReason::PolicyMissing))?;
        let (permitted, rule) = judge(&table)?;
        // Asked last: only what would be allowed counts.
        if !arrival.account.may_open(self.clock.now()) {
            return Err(Denial::because(DenyReason::Rate));
        }
        match session.end_ordered() {
            Some(reason) => Err(Denial::because(reason)),
            None => Ok((entered, permitted, rule)),
        }
    }

    fn opening(
        &self,
        session: &Session,
        arrival: &Arrival,
        resource: &str,
        verdict: Verdict,
        rule: Option<RuleId>,
        decided_on: &DecidedOn,
    ) -> SessionOpened {
        let identity = session.identity();
        SessionOpened {
            session: session.id(),
            at: self.clock.now(),
            verdict,
            rule,
            resource: resource_of(verdict, resource),
            certificate: Some(PresentedCertificate {
                fingerprint: identity.fingerprint(),
                issuer: identity.issuer(),
                serial: identity.serial(),
            }),
            handle: identity.id().name.clone(),
            environment: self.trust.environment().clone(),
            policy: decided_on.policy,
            status: decided_on.status,
            tls: Some(arrival.tls),
            proof: Proof::Mtls,
            peer_address_family: arrival.family,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;
    use touchmark_status::StalenessClass;

    /// R46: what cannot be written down is not allowed.
    #[tokio::test]
    async fn no_session_opens_without_its_record() {
        let lab = Lab::new();
        let (trust, clock) = (lab.trust(StalenessClass::Standard), lab.clock());
        let log = Arc::new(DecisionLog::open(&lab.log_identity(), trust.feed_position(), &clock).unwrap());
        let arrivals = Arc::new(Arrivals::new(lab.now()));
        let identity = trust.identity_of(lab.device("pump-01").certificate.der(), lab.now()).unwrap();
        let arrival = || {
            let place = arrivals.wait(&identity, Standing::Good, lab.now()).unwrap();
            let tls = Tls { version: 0x0304, cipher_suite: 0x1301, group: 0 };
            Arrival::new(Arc::clone(&identity), tls, AddressFamily::V4, place)
        };
        let admission = Admission {
            trust: Arc::clone(&trust),
            sessions: Arc::default(),
            log: Arc::clone(&log),
            arrivals: Arc::clone(&arrivals),
            rates: Arc::new(Rates::new(1)),
            clock,
        };
        let opened = admission.open(&arrival(), "pump-01", Some("pump-01"), Permitted::requests).await;
        assert!(opened.is_ok(), "while the log can be written");
        drop(opened);
        log.close().await;
        let refused = admission.open(&arrival(), "pump-01", Some("pump-01"), Permitted::requests).await.err();
        assert_eq!(refused.map(|denial| denial.reason), Some(DenyReason::LogUnavailable));
        assert!(admission.sessions.all().is_empty());
    }

    #[tokio::test]
    async fn whoever_stops_waiting_for_the_record_leaves_no_session_without_an_end() {
        let lab = Lab::new();
        let (trust, clock) = (lab.trust(StalenessClass::Standard), lab.clock());
        let log = Arc::new(DecisionLog::open(&lab.log_identity(), trust.feed_position(), &clock).unwrap());
        let arrivals = Arc::new(Arrivals::new(lab.now()));
        let identity = trust.identity_of(lab.device("pump-01").certificate.der(), lab.now()).unwrap();
        let place = arrivals.wait(&identity, Standing::Good, lab.now()).unwrap();
        let tls = Tls { version: 0x0304, cipher_suite: 0x1301, group: 0 };
        let arrival = Arrival::new(identity, tls, AddressFamily::V4, place);
        let sessions = Arc::default();
        let rates = Arc::new(Rates::new(1));
        let admission =
            Admission { trust: Arc::clone(&trust), sessions, log: Arc::clone(&log), arrivals, rates, clock };
        tokio::select! {
            biased;
            opened = admission.open(&arrival, "/publish/x", None, Permitted::requests) => drop(opened),
            () = core::future::ready(()) => {}
        }
        assert!(admission.sessions.all().is_empty());
        log.close().await;
        let records = lab.records();
        let opened = records.iter().filter(|record| matches!(record, Record::SessionOpened(_))).count();
        let closed = records.iter().filter(|record| matches!(record, Record::SessionClosed(_))).count();
        assert_eq!((opened, closed), (1, 1));
    }
}
