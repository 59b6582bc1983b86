//! Everything the feed says, at one position: what a snapshot carries and what changes fold into.
//!
//! One fold for writer and reader, so that both hold the same state after the same messages.
//! Memory grows with what is wrong, not with the fleet; entries end with the certificates they are about.

use crate::canonical::{Reader, Writer};
use crate::change::{self, Anchor, Change, Revocation, Standing, Supersession};
use crate::{FeedFault, PolicyBundle};
use core::hash::Hash;
use std::collections::{BTreeMap, HashMap, HashSet};
use touchmark_identity::{AuthorityVersionId, Name, SerialNumber, SpkiHash, Timestamp};

type BySerial<V> = BTreeMap<AuthorityVersionId, HashMap<SerialNumber, V>>;

/// The status of one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    anchors: Vec<Anchor>,
    revoked: BySerial<Revocation>,
    superseded: BySerial<Supersession>,
    denied_keys: HashSet<SpkiHash>,
    standings: HashMap<Name, Standing>,
    scopes: HashMap<Name, Vec<String>>,
    policies: Option<PolicyBundle>,
}

impl State {
    /// Folds one change in.
    pub fn fold(&mut self, change: Change) {
        match change {
            Change::Anchors(anchors) => self.anchors = anchors,
            Change::Revoke { authority_version, serial, revocation } => {
                self.revoked.entry(authority_version).or_default().insert(serial, revocation);
            }
            Change::Supersede { authority_version, serial, supersession } => {
                self.superseded.entry(authority_version).or_default().insert(serial, supersession);
            }
            Change::DenyKey(spki) => {
                self.denied_keys.insert(spki);
            }
            Change::AllowKey(spki) => {
                self.denied_keys.remove(&spki);
            }
            Change::SetStanding { handle, standing } => {
                self.standings.insert(handle, standing);
            }
            Change::ClearStanding(handle) => {
                self.standings.remove(&handle);
            }
            Change::SetScope { handle, scope } => {
                self.scopes.insert(handle, scope);
            }
            Change::ClearScope(handle) => {
                self.scopes.remove(&handle);
            }
            Change::Policies(bundle) => self.policies = Some(bundle),
        }
    }

    /// All anchors.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The device policy, if any was activated.
    pub fn policies(&self) -> Option<&PolicyBundle> {
        self.policies.as_ref()
    }

    /// The revocation of a certificate.
    pub fn revocation(&self, authority: &AuthorityVersionId, serial: &SerialNumber) -> Option<Revocation> {
        self.revoked.get(authority)?.get(serial).copied()
    }

    /// The supersession of a certificate, in force or announced.
    pub fn supersession(
        &self,
        authority: &AuthorityVersionId,
        serial: &SerialNumber,
    ) -> Option<Supersession> {
        self.superseded.get(authority)?.get(serial).copied()
    }

    /// Whether a key is refused.
    pub fn key_is_denied(&self, spki: &SpkiHash) -> bool {
        self.denied_keys.contains(spki)
    }

    /// The exception to an identity's being active.
    pub fn standing(&self, handle: &Name) -> Option<Standing> {
        self.standings.get(handle).copied()
    }

    /// The scope that replaces the one in an identity's certificate.
    pub fn scope(&self, handle: &Name) -> Option<&[String]> {
        self.scopes.get(handle).map(Vec::as_slice)
    }

    /// Revoked certificates held.
    pub fn revoked_len(&self) -> usize {
        self.revoked.values().map(HashMap::len).sum()
    }

    /// Drops entries about certificates that ended before `as_of`; gives how many.
    pub fn prune(&mut self, as_of: Timestamp) -> usize {
        let before = self.entries();
        retain(&mut self.revoked, |revocation| revocation.not_after.unix_s() >= as_of.unix_s());
        retain(&mut self.superseded, |supersession| supersession.not_after.unix_s() >= as_of.unix_s());
        before.saturating_sub(self.entries())
    }

    fn entries(&self) -> usize {
        self.revoked_len().saturating_add(self.superseded.values().map(HashMap::len).sum())
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.array(7);
        change::write_anchors(&self.anchors, out);
        write_by_serial(&self.revoked, 4, out, Revocation::write);
        write_by_serial(&self.superseded, 3, out, Supersession::write);
        let keys = sorted(self.denied_keys.iter());
        out.array(keys.len());
        for key in keys {
            out.bytes(key.as_bytes());
        }
        let handles = sorted(self.standings.keys());
        out.array(handles.len());
        for handle in handles {
            let standing = self.standings.get(handle).map_or(0, |standing| standing.number());
            out.array(2).text(handle.as_str()).uint(standing);
        }
        let handles = sorted(self.scopes.keys());
        out.array(handles.len());
        for handle in handles {
            out.array(2).text(handle.as_str()).texts(self.scope(handle).unwrap_or_default());
        }
        out.array(usize::from(self.policies.is_some()));
        if let Some(bundle) = &self.policies {
            bundle.write(out);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        from.array_of(7)?;
        let anchors = change::read_anchors(from)?;
        let revoked = read_by_serial(from, 4, Revocation::read)?;
        let superseded = read_by_serial(from, 3, Supersession::read)?;
        let denied_keys = read_keys(from)?;
        let standings = read_map(from, NAME_ENTRY_OCTETS_MIN, |from| {
            from.array_of(2)?;
            Ok((from.name()?, Standing::from_number(from.uint()?)?))
        })?;
        let scopes = read_map(from, NAME_ENTRY_OCTETS_MIN, |from| {
            from.array_of(2)?;
            Ok((from.name()?, change::read_scope(from)?))
        })?;
        let policies = match from.array()? {
            0 => None,
            1 => Some(PolicyBundle::read(from)?),
            _ => return Err(FeedFault::Malformed("more than one policy")),
        };
        Ok(Self { anchors, revoked, superseded, denied_keys, standings, scopes, policies })
    }
}

fn retain<V>(entries: &mut BySerial<V>, keep: impl Fn(&V) -> bool) {
    for of_authority in entries.values_mut() {
        of_authority.retain(|_, value| keep(value));
    }
    entries.retain(|_, of_authority| !of_authority.is_empty());
}

fn sorted<'a, K: Ord + 'a>(keys: impl Iterator<Item = &'a K>) -> Vec<&'a K> {
    let mut keys: Vec<&K> = keys.collect();
    keys.sort_unstable();
    keys
}

/// Grouped by authority, so that its sixteen octets stand once for a million serial numbers.
fn write_by_serial<V>(
    entries: &BySerial<V>,
    items: usize,
    out: &mut Writer,
    write: impl Fn(&V, &mut Writer),
) {
    out.array(entries.len());
    for (authority, of_authority) in entries {
        let mut of_authority: Vec<_> = of_authority.iter().collect();
        of_authority.sort_unstable_by_key(|(serial, _)| **serial);
        out.array(2).bytes(authority.as_bytes()).array(of_authority.len());
        for (serial, value) in of_authority {
            write(value, out.array(items).bytes(serial.der_content()));
        }
    }
}

fn read_by_serial<V>(
    from: &mut Reader<'_>,
    items: usize,
    read: impl Fn(&mut Reader<'_>) -> Result<V, FeedFault>,
) -> Result<BySerial<V>, FeedFault> {
    let by_authority = read_map(from, AUTHORITY_OCTETS_MIN, |from| {
        from.array_of(2)?;
        let authority = change::read_authority_version(from)?;
        let of_authority = read_map(from, SERIAL_ENTRY_OCTETS_MIN, |from| {
            from.array_of(items)?;
            Ok((change::read_serial(from)?, read(from)?))
        })?;
        if of_authority.is_empty() {
            return Err(FeedFault::Malformed("an authority without entries"));
        }
        Ok((authority, of_authority))
    })?;
    Ok(by_authority.into_iter().collect())
}

/// Keys must ascend strictly: one order, no repeats, so equal states are equal bytes.
fn read_ascending<'b, K: Ord + Clone, V, C>(
    from: &mut Reader<'b>,
    entry_octets_min: usize,
    with_capacity: fn(usize) -> C,
    mut read: impl FnMut(&mut Reader<'b>) -> Result<(K, V), FeedFault>,
    mut insert: impl FnMut(&mut C, K, V),
) -> Result<C, FeedFault> {
    let count = from.array()?;
    // Room for as many entries as the octets that are there can hold, whatever the message claims.
    let mut entries = with_capacity(count.min(from.remaining() / entry_octets_min));
    let mut last: Option<K> = None;
    for _ in 0..count {
        let (key, value) = read(from)?;
        if last.is_some_and(|last| last >= key) {
            return Err(FeedFault::Malformed("entries out of order"));
        }
        last = Some(key.clone());
        insert(&mut entries, key, value);
    }
    Ok(entries)
}

fn read_map<'b, K: Ord + Hash + Clone, V>(
    from: &mut Reader<'b>,
    entry_octets_min: usize,
    read: impl FnMut(&mut Reader<'b>) -> Result<(K, V), FeedFault>,
) -> Result<HashMap<K, V>, FeedFault> {
    read_ascending(from, entry_octets_min, HashMap::with_capacity, read, |map, key, value| {
        map.insert(key, value);
    })
}

fn read_keys(from: &mut Reader<'_>) -> Result<HashSet<SpkiHash>, FeedFault> {
    let read = |from: &mut Reader<'_>| Ok((SpkiHash(from.fixed()?), ()));
    read_ascending(from, KEY_OCTETS, HashSet::with_capacity, read, |keys, key, ()| {
        keys.insert(key);
    })
}

/// Octets of a key's hash with its head.
const KEY_OCTETS: usize = 34;
/// Least octets of an entry by serial number: an array, a serial, and short numbers.
const SERIAL_ENTRY_OCTETS_MIN: usize = 5;
/// Least octets of an entry by name: an array, a name of one letter, one number.
const NAME_ENTRY_OCTETS_MIN: usize = 4;
/// Least octets of an authority with its entries.
const AUTHORITY_OCTETS_MIN: usize = 19;
