//! One at a time per key: the concurrent uses of one token wait for each other, others do not.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// Locks that exist only while somebody holds or waits for them.
pub(crate) struct KeyedLocks<K>(Arc<Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>>);

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Held while the turn lasts.
pub(crate) struct Turn<K: Eq + Hash> {
    held: Option<OwnedMutexGuard<()>>,
    key: K,
    all: Arc<Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>>,
}

impl<K: Eq + Hash + Clone> KeyedLocks<K> {
    /// The key's turn, if nobody has it.
    pub(crate) fn try_lock(&self, key: K) -> Option<Turn<K>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(all.entry(key.clone()).or_default());
        let held = Some(lock.try_lock_owned().ok()?);
        Some(Turn { held, key, all: Arc::clone(&self.0) })
    }

    /// Waits for the key's turn.
    pub(crate) async fn lock(&self, key: K) -> Turn<K> {
        let lock = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key.clone()).or_default())
        };
        let held = Some(lock.lock_owned().await);
        Turn { held, key, all: Arc::clone(&self.0) }
    }
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.held = None;
        // The map holds the one reference that is left unless somebody waits.
        if all.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            all.remove(&self.key);
        }
    }
}
