//! The sessions that devices left at the broker: how many each may have, and which have to end.
//!
//! In: sessions that begin and end, ends that were ordered. Out: turns at a client id: one at a time connects to the
//! broker under it, a device's session or the gateway that ends one. Known here is what came by this gateway.

use super::exchange::{AtBroker, locked};
use super::kept::{Kept, KeptSessions, from_text, handle_of, to_text};
use crate::trust::Holder;
use core::ops::Bound;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use touchmark_identity::Timestamp;
use touchmark_mqtt::ProtocolVersion;
use touchmark_policy::{DenyReason, PolicyVersion};

/// Sessions that one device may leave at the broker: as many as it may have at once.
pub(crate) const CLIENT_IDS_MAX: usize = 32;
/// Sessions that all devices may leave: more than a gateway takes connections; some 300 octets each.
const KEPT_MAX: usize = 65_536;
/// What is remembered of one that is away: a few filters, a few messages in flight.
const REMEMBERED_OCTETS_MAX: usize = 4 * 1024;
/// Ends that wait, of sessions that this gateway does not know: their client ids come from peers that were refused.
const UNKNOWN_ENDS_MAX: usize = 1_024;
/// Client ids remembered as ended, so that a peer that is refused over and over costs the broker one connection.
const CLEAN_MAX: usize = 4_096;
const FILE: &str = "broker-sessions";

/// Whether the session of a device at the broker ends with its right to connect. Not for a device that may come back
/// with what it has: its certificate ended and is renewed, the feed is old, another connection took over.
pub(crate) fn ends_at_broker(reason: DenyReason) -> bool {
    matches!(
        reason,
        DenyReason::Revoked
            | DenyReason::KeyDenied
            | DenyReason::Superseded
            | DenyReason::Quarantined
            | DenyReason::Banned
            | DenyReason::UnknownIssuer
            | DenyReason::NoRule
            | DenyReason::ForbiddenByRule
            | DenyReason::PolicyChanged
    )
}

/// Whether it is the device that may not connect, whatever certificate it has.
fn concerns_identity(reason: DenyReason) -> bool {
    matches!(
        reason,
        DenyReason::Quarantined | DenyReason::Banned | DenyReason::NoRule | DenyReason::ForbiddenByRule
    )
}

/// All of them, of one gateway.
pub(crate) struct BrokerSessions {
    inner: Mutex<Inner>,
    file: PathBuf,
    /// A turn came back, or an end is wanted.
    changed: Notify,
    /// The feed said something, or the file is to be written.
    look: Notify,
    ended: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct Inner {
    kept: KeptSessions,
    turns: HashMap<Box<str>, Turn>,
    queue: VecDeque<Box<str>>,
    clean: BTreeSet<Box<str>>,
    clean_order: VecDeque<Box<str>>,
    dirty: bool,
}

#[derive(Default)]
struct Turn {
    taken: bool,
    wanted: Option<Wanted>,
}

/// A session that has to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) version: ProtocolVersion,
    /// How often it was tried in vain.
    pub(crate) tried: u32,
}

/// The right to connect to the broker under a client id; given back when dropped.
pub(crate) struct AtTurn<'a> {
    sessions: &'a BrokerSessions,
    client_id: Box<str>,
    wanted: Option<Wanted>,
}

impl AtTurn<'_> {
    /// The session that was kept has to end.
    pub(crate) fn wanted(&mut self) -> Option<&mut Wanted> {
        self.wanted.as_mut()
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// It is ended, by a clean start.
    pub(crate) fn ended(&mut self) {
        if self.wanted.take().is_some() {
            self.sessions.ended.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It need not, or cannot, be ended.
    pub(crate) fn dropped(&mut self) {
        self.wanted = None;
    }
}

impl Drop for AtTurn<'_> {
    fn drop(&mut self) {
        let mut inner = self.sessions.lock();
        if let Some(wanted) = self.wanted.take() {
            inner.want(&self.client_id, wanted);
        }
        if let Some(turn) = inner.turns.get_mut(&self.client_id) {
            turn.taken = false;
            if turn.wanted.is_none() {
                inner.turns.remove(&self.client_id);
            } else if !inner.queue.contains(&self.client_id) {
                inner.queue.push_back(self.client_id.clone());
            }
        }
        drop(inner);
        self.sessions.changed.notify_waiters();
    }
}

impl BrokerSessions {
    /// Reads what was known at the last end.
    pub(crate) fn open(data: &Path, now: Timestamp) -> Self {
        let file = data.join(FILE);
        let kept = match std::fs::read_to_string(&file) {
            Ok(text) => from_text(&text, now).unwrap_or_else(|error| {
                tracing::error!(file = %file.display(), %error, "the list of sessions at the broker cannot be read: those of devices that may not connect end when the devices try to");
                KeptSessions::default()
            }),
            // The first start.
            Err(_) => KeptSessions::default(),
        };
        let mut inner = Inner { kept, ..Inner::default() };
        let ending: Vec<_> = inner.kept.iter().filter(|(_, kept)| kept.ending).collect();
        let ending: Vec<_> = ending.into_iter().map(|(id, kept)| (id.clone(), kept.version)).collect();
        for (client_id, version) in ending {
            inner.want(&client_id, Wanted { version, tried: 0 });
        }
        Self {
            inner: Mutex::new(inner),
            file,
            changed: Notify::new(),
            look: Notify::new(),
            ended: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// How many were ended.
    #[cfg(test)]
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// How many were refused for [`CLIENT_IDS_MAX`].
    #[cfg(test)]
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether a device may leave one more session under this client id.
    ///
    /// # Errors
    /// [`DenyReason::TooManyClientIds`].
    pub(crate) fn room(&self, client_id: &str, now: Timestamp) -> Result<(), DenyReason> {
        let mut inner = self.lock();
        inner.room(client_id, now).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Notes a session that is about to begin, before the broker hears of it. Gives what is known of one that the
    /// broker may have kept.
    ///
    /// `outlives`: for how many seconds it stays behind; `None` when it does not.
    ///
    /// # Errors
    /// As [`Self::room`].
    pub(crate) fn begin(
        &self,
        client_id: &str,
        holder: Holder,
        version: ProtocolVersion,
        outlives: Option<u32>,
        now: Timestamp,
    ) -> Result<Option<AtBroker>, DenyReason> {
        let mut inner = self.lock();
        inner.forget_clean(client_id);
        if let Some(kept) = inner.kept.get_mut(client_id) {
            let known = kept.at_broker.clone();
            let changed = kept.holder != holder || kept.version != version || outlives != Some(kept.expiry_s);
            (kept.holder, kept.version, kept.left_at) = (holder, version, None);
            kept.judged_by = None;
            kept.expiry_s = outlives.unwrap_or(0);
            inner.dirty |= changed;
            return Ok(known);
        }
        let Some(expiry_s) = outlives else { return Ok(None) };
        inner.room(client_id, now).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        let kept = Kept {
            holder,
            version,
            expiry_s,
            left_at: None,
            ending: false,
            judged_by: None,
            at_broker: None,
        };
        inner.kept.insert(client_id.into(), kept);
        inner.dirty = true;
        Ok(None)
    }

    /// The broker has the session: what is known of it from here on.
    pub(crate) fn begun(&self, client_id: &str, at_broker: &AtBroker) {
        if let Some(kept) = self.lock().kept.get_mut(client_id) {
            kept.at_broker = Some(AtBroker::clone(at_broker));
        }
    }

    /// The connection of a session is over. `expiry_s`: what its DISCONNECT asked for.
    pub(crate) fn left(&self, client_id: &str, expiry_s: Option<u32>, now: Timestamp) {
        let mut inner = self.lock();
        let Some(kept) = inner.kept.get_mut(client_id) else { return };
        let expiry_s = expiry_s.unwrap_or(kept.expiry_s);
        if expiry_s == 0 && !kept.ending {
            inner.kept.remove(client_id);
            inner.dirty = true;
            return;
        }
        (kept.left_at, kept.expiry_s) = (Some(now), expiry_s);
        let too_much = |state: &AtBroker| {
            let state = locked(state);
            state.subscriptions.octets() + state.releases.octets() > REMEMBERED_OCTETS_MAX
        };
        if kept.at_broker.as_ref().is_some_and(too_much) {
            kept.at_broker = None;
        }
    }

    /// A session of this holder has to end, if it is one that stays at the broker and still that holder's.
    pub(crate) fn want_end_of(&self, client_id: &str, holder: &Holder) {
        let mut inner = self.lock();
        // One that is ending and has no turn was given up, and is tried again.
        let under_way = inner.turns.contains_key(client_id);
        let its = |kept: &&mut Kept| kept.holder == *holder && !(kept.ending && under_way);
        let Some(kept) = inner.kept.get_mut(client_id).filter(its) else { return };
        (kept.ending, kept.at_broker) = (true, None);
        let version = kept.version;
        inner.dirty = true;
        inner.want(client_id, Wanted { version, tried: 0 });
        drop(inner);
        self.changed.notify_waiters();
        self.look.notify_one();
    }

    /// A holder was refused. What it has at the broker ends, also where nobody told this gateway of it; but never what
    /// another certificate of the device holds, against which nothing is known.
    pub(crate) fn want_end_of_refused(
        &self,
        client_id: &str,
        holder: &Holder,
        version: ProtocolVersion,
        reason: DenyReason,
    ) {
        // An issuer that is not known vouches for no name.
        if !ends_at_broker(reason) || reason == DenyReason::UnknownIssuer {
            return;
        }
        let mut inner = self.lock();
        if let Some(kept) = inner.kept.get(client_id) {
            let its = kept.holder.serial == holder.serial
                && kept.holder.authority_version == holder.authority_version
                || kept.holder.spki == holder.spki;
            let (ends, of) = (its || concerns_identity(reason), kept.holder.clone());
            drop(inner);
            if ends {
                self.want_end_of(client_id, &of);
            }
            return;
        }
        // A device that is refused may try many names: as many are looked after as it could have left.
        let handle = holder.handle.as_str();
        let tried = inner.clean.range(parts_of(handle)).count() + usize::from(inner.clean.contains(handle));
        let known = inner.clean.contains(client_id) || inner.turns.contains_key(client_id);
        if known || tried >= CLIENT_IDS_MAX || inner.queue.len() >= KEPT_MAX + UNKNOWN_ENDS_MAX {
            return;
        }
        inner.note_clean(client_id);
        inner.want(client_id, Wanted { version, tried: 0 });
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Waits for the turn at a client id.
    pub(crate) async fn turn(&self, client_id: &str) -> AtTurn<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(turn) = self.take_turn(client_id) {
                return turn;
            }
            changed.await;
        }
    }

    fn take_turn(&self, client_id: &str) -> Option<AtTurn<'_>> {
        let mut inner = self.lock();
        let turn = inner.turns.entry(client_id.into()).or_default();
        if turn.taken {
            return None;
        }
        turn.taken = true;
        let wanted = turn.wanted.take();
        Some(AtTurn { sessions: self, client_id: client_id.into(), wanted })
    }

    /// Waits for a session that has to end.
    pub(crate) async fn next_wanted(&self) -> AtTurn<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(turn) = self.take_wanted() {
                return turn;
            }
            changed.await;
        }
    }

    fn take_wanted(&self) -> Option<AtTurn<'_>> {
        let mut inner = self.lock();
        // One whose turn is taken comes back when that is over.
        while let Some(client_id) = inner.queue.pop_front() {
            let Some(turn) = inner.turns.get_mut(&client_id) else { continue };
            if turn.taken {
                continue;
            }
            if let Some(wanted) = turn.wanted.take() {
                turn.taken = true;
                return Some(AtTurn { sessions: self, client_id, wanted: Some(wanted) });
            }
            inner.turns.remove(&client_id);
        }
        None
    }

    /// The broker has nothing of this client id any more.
    pub(crate) fn forget(&self, client_id: &str) {
        let mut inner = self.lock();
        inner.dirty |= inner.kept.remove(client_id).is_some();
        inner.note_clean(client_id);
    }

    /// A session began anew in the place of one that had to end.
    pub(crate) fn renewed(&self, client_id: &str) {
        let mut inner = self.lock();
        if let Some(kept) = inner.kept.get_mut(client_id) {
            kept.ending = false;
            inner.dirty = true;
        }
    }

    /// Some of those that are kept, after this client id.
    pub(crate) fn some_after(&self, client_id: Option<&str>, count: usize) -> Vec<(Box<str>, Kept)> {
        let inner = self.lock();
        let from = client_id.map_or(Bound::Unbounded, Bound::Excluded);
        let some = inner.kept.range::<str, _>((from, Bound::Unbounded)).take(count);
        some.map(|(client_id, kept)| (client_id.clone(), kept.clone())).collect()
    }

    /// A policy lets this holder connect, who is away: it is not asked again.
    pub(crate) fn judged(&self, client_id: &str, holder: &Holder, policy: PolicyVersion) {
        if let Some(kept) = self.lock().kept.get_mut(client_id).filter(|kept| kept.holder == *holder) {
            kept.judged_by = Some(policy);
        }
    }

    /// Scopes changed: the policy is asked again about everyone.
    pub(crate) fn judge_again(&self) {
        self.lock().kept.values_mut().for_each(|kept| kept.judged_by = None);
    }

    /// Has everyone who is away looked at soon.
    pub(crate) fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Waits for [`Self::look_soon`].
    pub(crate) async fn asked_to_look(&self) {
        self.look.notified().await;
    }

    /// What the file has to hold, when that has changed.
    pub(crate) fn take_changes(&self) -> Option<(PathBuf, String)> {
        let mut inner = self.lock();
        core::mem::take(&mut inner.dirty).then(|| (self.file.clone(), to_text(&inner.kept)))
    }

    /// The file could not be written.
    pub(crate) fn still_changed(&self) {
        self.lock().dirty = true;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn want(&mut self, client_id: &str, wanted: Wanted) {
        let turn = self.turns.entry(client_id.into()).or_default();
        let queued = turn.taken || turn.wanted.is_some();
        turn.wanted = Some(wanted);
        // Whoever has the turn puts it there when it comes back.
        if !queued {
            self.queue.push_back(client_id.into());
        }
    }

    fn room(&mut self, client_id: &str, now: Timestamp) -> Result<(), DenyReason> {
        if self.kept.contains_key(client_id) {
            return Ok(());
        }
        let handle = handle_of(client_id);
        let ids: Vec<Box<str>> = self.of_handle(handle);
        let over: Vec<_> =
            ids.iter().filter(|id| self.kept.get(*id).is_some_and(|kept| kept.is_over(now))).collect();
        let left = ids.len() - over.len();
        for id in over {
            self.kept.remove(id);
            self.dirty = true;
        }
        match left >= CLIENT_IDS_MAX || self.kept.len() >= KEPT_MAX {
            true => Err(DenyReason::TooManyClientIds),
            false => Ok(()),
        }
    }

    fn of_handle(&self, handle: &str) -> Vec<Box<str>> {
        let own = self.kept.get_key_value(handle).map(|(id, _)| id.clone());
        let parts = self.kept.range(parts_of(handle)).map(|(id, _)| id.clone());
        own.into_iter().chain(parts).collect()
    }

    fn note_clean(&mut self, client_id: &str) {
        if self.clean.insert(client_id.into()) {
            self.clean_order.push_back(client_id.into());
        }
        while self.clean_order.len() > CLEAN_MAX {
            if let Some(oldest) = self.clean_order.pop_front() {
                self.clean.remove(&oldest);
            }
        }
    }

    fn forget_clean(&mut self, client_id: &str) {
        if self.clean.remove(client_id) {
            self.clean_order.retain(|id| **id != *client_id);
        }
    }
}

/// The range of client ids `handle/...`: `0` is the character after `/`.
fn parts_of(handle: &str) -> (Bound<Box<str>>, Bound<Box<str>>) {
    let end = |end: char| Bound::Excluded(format!("{handle}{end}").into_boxed_str());
    (end('/'), end('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_identity::{AuthorityVersionId, SerialNumber, SpkiHash};

    /// A broker that refused to end a session too often is asked again when the holder is refused again.
    #[tokio::test]
    async fn an_end_that_was_given_up_is_wanted_again_at_the_next_refusal() {
        let home = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_ms(1_000_000);
        let sessions = BrokerSessions::open(home.path(), now);
        let holder = Holder {
            handle: "pump-01".parse().unwrap(),
            authority_version: AuthorityVersionId::try_from(&[1; 16][..]).unwrap(),
            serial: SerialNumber::try_from(&[2; 17][..]).unwrap(),
            spki: SpkiHash([3; 32]),
            scope: Default::default(),
        };
        let version = ProtocolVersion::V5;
        assert!(sessions.begin("pump-01", holder.clone(), version, Some(60), now).is_ok());
        sessions.left("pump-01", None, now);
        let refused = || sessions.want_end_of_refused("pump-01", &holder, version, DenyReason::Revoked);
        for _ in 0..2 {
            refused();
            let mut turn = sessions.take_wanted().unwrap();
            refused();
            assert!(sessions.take_wanted().is_none(), "one at a time");
            turn.dropped();
            drop(turn);
            assert!(sessions.take_wanted().is_none(), "given up");
        }
    }
}
