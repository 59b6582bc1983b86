//! Results of path checks by leaf fingerprint: bounded, and tagged with the anchors they were reached under.

use super::path_check::PathIdentity;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use touchmark_identity::Fingerprint;

/// Results kept: half a kilobyte each. A fleet that is larger pays for some path checks again.
const PATHS_MAX: usize = 16_384;

/// Two generations of use: when the young half is full, what was not asked for since is dropped.
#[derive(Default)]
pub(crate) struct PathCache(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    generation: u64,
    young: HashMap<Fingerprint, Arc<PathIdentity>>,
    old: HashMap<Fingerprint, Arc<PathIdentity>>,
}

impl Halves {
    /// Results under other anchors are of no use to anyone.
    fn at(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    fn put(&mut self, fingerprint: Fingerprint, identity: Arc<PathIdentity>) {
        if self.young.len() >= PATHS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, identity);
    }
}

impl PathCache {
    pub(crate) fn get(&self, generation: u64, fingerprint: &Fingerprint) -> Option<Arc<PathIdentity>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.at(generation);
        if let Some(found) = halves.young.get(fingerprint) {
            return Some(Arc::clone(found));
        }
        let found = halves.old.remove(fingerprint)?;
        halves.put(*fingerprint, Arc::clone(&found));
        Some(found)
    }

    pub(crate) fn put(&self, generation: u64, identity: &Arc<PathIdentity>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.at(generation);
        halves.put(identity.fingerprint(), Arc::clone(identity));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let halves = self.0.lock().unwrap();
        halves.young.len() + halves.old.len()
    }
}
