//! The connections of one port by who holds them: how many there may be, and which end so that newer ones begin.
//!
//! A port that refused the newest when it is full would be closed by whoever comes first. So the ones that keep
//! us waiting end first, those of the holder with the most of them, and the longest waiting of these. Devices behind
//! one address look like one holder: a bound that refused their newest would lock all of them out for one of them.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// Who holds a connection, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    /// One address.
    V4(Ipv4Addr),
    /// The first 64 bits: whoever has one address of a network has all of them (RFC 4291 §2.5.4).
    V6(u64),
    /// A hash of the certificate whose possession was proven.
    Certificate(u64),
}

impl From<IpAddr> for Holder {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// What a connection waits for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum WaitsFor {
    /// The peer has not said yet what it wants.
    Request,
    /// The peer was answered, and has the next word.
    Peer,
    /// It is our turn: such a connection is never ended for another.
    Us,
}

/// What one holder may have before its newest connections end its older ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Connections without a request.
    pub(crate) silent: usize,
    /// All.
    pub(crate) all: usize,
}

/// At most so many connections, and a share of them for one holder. Its memory is bounded by the first number.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    most: usize,
    of_one_holder: Share,
    held: Mutex<Held>,
    /// Rung when a full table may have room again.
    room: Notify,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    connections: BTreeMap<(Holder, WaitsFor, u64), oneshot::Sender<()>>,
    holders: HashMap<Holder, Counts>,
    displaceable: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    for_request: usize,
    for_peer: usize,
    for_us: usize,
}

impl Counts {
    fn all(self) -> usize {
        self.for_request + self.for_peer + self.for_us
    }

    fn of(&mut self, waits: WaitsFor) -> &mut usize {
        match waits {
            WaitsFor::Request => &mut self.for_request,
            WaitsFor::Peer => &mut self.for_peer,
            WaitsFor::Us => &mut self.for_us,
        }
    }
}

/// A connection's entry; it leaves the table when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<ConnectionTable>,
    holder: Holder,
    waits: WaitsFor,
    number: u64,
}

/// Resolves when the connection must end for another one.
pub(crate) type Displaced = oneshot::Receiver<()>;

impl ConnectionTable {
    pub(crate) fn new(most: usize, of_one_holder: Share) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), of_one_holder, held: Mutex::default(), room: Notify::new() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when one more can be entered without exceeding the table. Safe to drop.
    pub(crate) async fn has_room(&self) {
        loop {
            let rung = self.room.notified();
            {
                let held = self.held();
                if held.connections.len() < self.most || held.displaceable > 0 {
                    return;
                }
            }
            rung.await;
        }
    }

    /// Enters a connection, and ends another where there are too many.
    ///
    /// Beyond the bounds it goes only when all others wait for us: that ends by our own work.
    pub(crate) fn enter(self: &Arc<Self>, holder: Holder, waits: WaitsFor) -> (Entry, Displaced) {
        let (end, displaced) = oneshot::channel();
        let mut held = self.held();
        let its_own = held.holders.get(&holder).copied().unwrap_or_default();
        let share = self.of_one_holder;
        if its_own.for_request >= share.silent || its_own.all() >= share.all {
            held.displace(holder);
        }
        if held.connections.len() >= self.most
            && let Some(fullest) = held.fullest()
        {
            held.displace(fullest);
        }
        held.last += 1;
        let number = held.last;
        held.put((holder, waits, number), end);
        drop(held);
        (Entry { table: Arc::clone(self), holder, waits, number }, displaced)
    }
}

impl Held {
    fn put(&mut self, key: (Holder, WaitsFor, u64), end: oneshot::Sender<()>) {
        self.connections.insert(key, end);
        let (holder, waits, _) = key;
        *self.holders.entry(holder).or_default().of(waits) += 1;
        self.displaceable += usize::from(waits != WaitsFor::Us);
    }

    fn take(&mut self, key: (Holder, WaitsFor, u64)) -> Option<oneshot::Sender<()>> {
        let end = self.connections.remove(&key)?;
        let (holder, waits, _) = key;
        self.displaceable -= usize::from(waits != WaitsFor::Us);
        if let Some(counts) = self.holders.get_mut(&holder) {
            *counts.of(waits) -= 1;
            if counts.all() == 0 {
                self.holders.remove(&holder);
            }
        }
        Some(end)
    }

    /// Ends the connection of `holder` that kept us waiting longest, if any does.
    fn displace(&mut self, holder: Holder) {
        let first = (holder, WaitsFor::Request, 0);
        let waiting = self.connections.range(first..(holder, WaitsFor::Us, 0)).next().map(|(key, _)| *key);
        if let Some(end) = waiting.and_then(|key| self.take(key)) {
            // Nobody hears it when the connection ends at this moment, which is as good.
            let _ = end.send(());
        }
    }

    /// Who keeps us waiting with the most connections: those without a request count first.
    fn fullest(&self) -> Option<Holder> {
        let waiting = self.holders.iter().filter(|(_, counts)| counts.for_request + counts.for_peer > 0);
        waiting.max_by_key(|(_, counts)| (counts.for_request, counts.for_peer)).map(|(holder, _)| *holder)
    }
}

impl Entry {
    /// Says what the connection waits for from now on.
    pub(crate) fn waits(&mut self, waits: WaitsFor) {
        if self.waits == waits {
            return;
        }
        let mut held = self.table.held();
        if let Some(end) = held.take((self.holder, self.waits, self.number)) {
            held.last += 1;
            self.number = held.last;
            self.waits = waits;
            held.put((self.holder, waits, self.number), end);
        }
        drop(held);
        self.table.room.notify_one();
    }

    pub(crate) fn is_our_turn(&self) -> bool {
        self.waits == WaitsFor::Us
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.held().take((self.holder, self.waits, self.number));
        self.table.room.notify_one();
    }
}

#[cfg(test)]
mod tests;
