//! Ways to find certificates and tokens in memory without looking at all of them: a fleet in a simulation has
//! tens of thousands. Each index is kept by [`crate::Tables`] beside the rows and holds nothing of its own.

use crate::rows::{CertificateRow, TokenRow};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use touchmark_identity::{CertificateId, DeviceId, Fingerprint, SpkiHash, TokenId};

/// From something that a row says to the rows that say it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index<K: Hash + Eq, V: Ord>(HashMap<K, BTreeSet<V>>);

impl<K: Hash + Eq, V: Ord> Default for Index<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V: Ord + Copy> Index<K, V> {
    fn add(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
        }
    }

    /// Oldest first.
    pub(crate) fn of(&self, key: &K) -> impl DoubleEndedIterator<Item = V> + '_ {
        self.0.get(key).into_iter().flatten().copied()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    pub(crate) of_device: Index<DeviceId, CertificateId>,
    pub(crate) by_fingerprint: Index<Fingerprint, CertificateId>,
    pub(crate) by_key: Index<SpkiHash, CertificateId>,
    pub(crate) successors: Index<CertificateId, CertificateId>,
    pub(crate) by_secret: Index<[u8; 32], TokenId>,
    pub(crate) denied: HashSet<SpkiHash>,
}

impl Indexes {
    pub(crate) fn certificate_added(&mut self, row: &CertificateRow) {
        let id = row.certificate;
        if let Some(device) = row.device {
            self.of_device.add(device, id);
        }
        if let Some(spki) = row.spki {
            self.by_key.add(spki, id);
        }
        if let Some(replaces) = row.replaces.filter(|_| row.token.is_none()) {
            self.successors.add(replaces, id);
        }
        if let Some(fingerprint) = row.fingerprint {
            self.by_fingerprint.add(fingerprint, id);
        }
    }

    pub(crate) fn fingerprint_set(
        &mut self,
        id: CertificateId,
        before: Option<Fingerprint>,
        now: Fingerprint,
    ) {
        if let Some(before) = before {
            self.by_fingerprint.remove(&before, &id);
        }
        self.by_fingerprint.add(now, id);
    }

    pub(crate) fn token_added(&mut self, row: &TokenRow) {
        if let Some(secret) = row.secret_sha256 {
            self.by_secret.add(secret, row.token);
        }
    }
}
