//! The index of live sessions: by identity, certificate, key and client id, and by the moment they end.
//!
//! Each change finds exactly the sessions it concerns; its work does not grow with the number of all sessions.

use super::Session;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use touchmark_decisions::SessionId;
use touchmark_identity::{AuthorityVersionId, Name, SerialNumber, SpkiHash, Timestamp};
use touchmark_policy::DenyReason;

/// Sessions of one certificate: a device has one, perhaps a few for its parts; a copied key must not fill the gateway.
pub(crate) const CERTIFICATE_SESSIONS_MAX: usize = 32;
/// Sessions of one device by all its certificates: during an overlap the old one must not hold the places of the new.
pub(crate) const DEVICE_SESSIONS_MAX: usize = 4 * CERTIFICATE_SESSIONS_MAX;

/// All live sessions of this gateway.
#[derive(Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
    left: Notify,
}

#[derive(Default)]
struct Inner {
    all: HashMap<SessionId, Place>,
    by_handle: BTreeSet<(Name, SessionId)>,
    by_certificate: BTreeSet<(AuthorityVersionId, SerialNumber, SessionId)>,
    by_key: BTreeSet<(SpkiHash, SessionId)>,
    by_client_id: BTreeMap<Box<str>, SessionId>,
    by_end: BTreeSet<(Timestamp, SessionId)>,
}

struct Place {
    session: Arc<Session>,
    client_id: Option<Box<str>>,
    ends_at: Option<Timestamp>,
    /// It was found good at least once.
    judged: bool,
}

/// A session's place in the index; it leaves when this is dropped.
pub(crate) struct Entered {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Entered {
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The client id that this session holds.
    pub(crate) fn client_id(&self) -> Option<Box<str>> {
        self.sessions.client_id(self.session.id())
    }

    /// Lets go of the client id, before the session has left.
    pub(crate) fn give_up_client_id(&self) {
        self.sessions.lock().give_up_client_id(self.session.id());
    }

    /// Takes a client id over: the session that had it must end.
    pub(crate) fn claim(&self, client_id: &str) {
        let before = self.sessions.lock().claim(self.session.id(), client_id);
        if let Some(before) = before {
            before.order_end(DenyReason::SessionTakenOver);
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.session);
        self.sessions.left.notify_waiters();
    }
}

impl Sessions {
    /// Takes a session in, before it is judged: a change that comes meanwhile finds it.
    pub(crate) fn enter(self: &Arc<Self>, session: Arc<Session>) -> Entered {
        let mut inner = self.lock();
        let identity = session.identity();
        let id = session.id();
        inner.by_handle.insert((identity.id().name.clone(), id));
        inner.by_certificate.insert((identity.authority_version(), identity.serial(), id));
        inner.by_key.insert((identity.spki(), id));
        let place = Place { session: Arc::clone(&session), client_id: None, ends_at: None, judged: false };
        inner.all.insert(id, place);
        drop(inner);
        Entered { sessions: Arc::clone(self), session }
    }

    /// Whether certificate and device have room for this session, which was judged.
    ///
    /// # Errors
    /// [`DenyReason::TooManySessions`].
    pub(crate) fn has_room_for(&self, session: &Session) -> Result<(), DenyReason> {
        let inner = self.lock();
        let identity = session.identity();
        let (authority, serial) = (identity.authority_version(), identity.serial());
        let of_certificate = (authority, serial, SessionId(0))..=(authority, serial, SessionId(u64::MAX));
        // Only judged ones count against the device: whoever is refused takes no place of another certificate.
        let judged = |id: &SessionId| inner.all.get(id).is_some_and(|place| place.judged);
        let of_device = inner.of_handle(&identity.id().name).filter(judged).count();
        if inner.by_certificate.range(of_certificate).count() > CERTIFICATE_SESSIONS_MAX
            || of_device > DEVICE_SESSIONS_MAX
        {
            return Err(DenyReason::TooManySessions);
        }
        Ok(())
    }

    /// Looks at a session again at this moment, unless an earlier one is set: two judgements may come here in another
    /// order than they were made in, and the earlier moment is the one that cuts.
    pub(crate) fn look_again_at(&self, id: SessionId, at: Timestamp) {
        let mut inner = self.lock();
        let Some(place) = inner.all.get_mut(&id) else { return };
        place.judged = true;
        if place.ends_at.is_some_and(|before| before <= at) {
            return;
        }
        if let Some(before) = place.ends_at.replace(at) {
            inner.by_end.remove(&(before, id));
        }
        inner.by_end.insert((at, id));
    }

    /// Takes out the sessions whose moment has come.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Arc<Session>> {
        let mut inner = self.lock();
        let mut due = Vec::new();
        while let Some((at, id)) = inner.by_end.first().copied().filter(|(at, _)| *at <= now) {
            inner.by_end.remove(&(at, id));
            if let Some(place) = inner.all.get_mut(&id) {
                place.ends_at = None;
                due.push(Arc::clone(&place.session));
            }
        }
        due
    }

    /// The client id that a session holds; none once a newer one took it over.
    pub(crate) fn client_id(&self, id: SessionId) -> Option<Box<str>> {
        self.lock().all.get(&id)?.client_id.clone()
    }

    /// Whether a session that may stay is connected to the broker under this client id.
    pub(crate) fn goes_on_at_broker(&self, client_id: &str) -> bool {
        let inner = self.lock();
        let holder = inner.by_client_id.get(client_id).and_then(|id| inner.all.get(id));
        holder.is_some_and(|place| place.session.goes_on_at_broker())
    }

    pub(crate) fn of_handle(&self, handle: &Name) -> Vec<Arc<Session>> {
        let inner = self.lock();
        inner.of_handle(handle).filter_map(|id| inner.get(id)).collect()
    }

    pub(crate) fn of_certificate(
        &self,
        authority: AuthorityVersionId,
        serial: SerialNumber,
    ) -> Vec<Arc<Session>> {
        let inner = self.lock();
        let from = (authority, serial, SessionId(0));
        inner
            .by_certificate
            .range(from..=(authority, serial, SessionId(u64::MAX)))
            .filter_map(|(.., id)| inner.get(*id))
            .collect()
    }

    pub(crate) fn of_key(&self, spki: SpkiHash) -> Vec<Arc<Session>> {
        let inner = self.lock();
        let range = (spki, SessionId(0))..=(spki, SessionId(u64::MAX));
        inner.by_key.range(range).filter_map(|(_, id)| inner.get(*id)).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().all.values().map(|place| Arc::clone(&place.session)).collect()
    }

    /// Waits until these sessions have left, or until the time is over; gives how many have not.
    pub(crate) async fn left(&self, mut waiting: Vec<SessionId>, limit: Duration) -> usize {
        let all_left = async {
            loop {
                let changed = self.left.notified();
                tokio::pin!(changed);
                // Listens from here on, so that no departure is missed between the look and the wait.
                changed.as_mut().enable();
                {
                    let inner = self.lock();
                    waiting.retain(|id| inner.all.contains_key(id));
                }
                if waiting.is_empty() {
                    return;
                }
                changed.await;
            }
        };
        // Both outcomes are told by what still waits.
        let _ = tokio::time::timeout(limit, all_left).await;
        waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.all.get(&id).map(|place| Arc::clone(&place.session))
    }

    fn of_handle(&self, handle: &Name) -> impl Iterator<Item = SessionId> {
        let range = (handle.clone(), SessionId(0))..=(handle.clone(), SessionId(u64::MAX));
        self.by_handle.range(range).map(|(_, id)| *id)
    }

    fn claim(&mut self, id: SessionId, client_id: &str) -> Option<Arc<Session>> {
        self.all.get_mut(&id)?.client_id = Some(client_id.into());
        let before = self.by_client_id.insert(client_id.into(), id).filter(|before| *before != id)?;
        let place = self.all.get_mut(&before)?;
        place.client_id = None;
        Some(Arc::clone(&place.session))
    }

    fn give_up_client_id(&mut self, id: SessionId) {
        if let Some(client_id) = self.all.get_mut(&id).and_then(|place| place.client_id.take()) {
            self.by_client_id.remove(&client_id);
        }
    }

    fn remove(&mut self, session: &Session) {
        let (id, identity) = (session.id(), session.identity());
        let Some(place) = self.all.remove(&id) else { return };
        self.by_handle.remove(&(identity.id().name.clone(), id));
        self.by_certificate.remove(&(identity.authority_version(), identity.serial(), id));
        self.by_key.remove(&(identity.spki(), id));
        if let Some(at) = place.ends_at {
            self.by_end.remove(&(at, id));
        }
        if let Some(client_id) = place.client_id {
            self.by_client_id.remove(&client_id);
        }
    }
}
