//! Octets of answers that are held in memory until their clients have taken them: bounded for all clients together, one
//! answer for each device, and given up when a client does not take it at a minimum rate.

use super::slow_peer::{Hurried, PeerRate};
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::HashSet;
use std::io::Error;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use touchmark_identity::Name;

/// Octets held at once: four of the longest updates, or many short ones.
const HELD_OCTETS_MAX: usize = 256 * 1024 * 1024;
/// Time for a place among them.
const WAIT: Duration = Duration::from_secs(10);
/// Octets handed on at once: what is handed on is no longer counted here.
const PIECE_OCTETS: usize = 64 * 1024;

/// The bound.
pub(crate) struct HeldOctets {
    room: Arc<Semaphore>,
    /// Devices that hold a part, or wait for one: as many as there are connections.
    devices: Arc<Mutex<HashSet<Name>>>,
}

impl Default for HeldOctets {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(HELD_OCTETS_MAX)), devices: Arc::default() }
    }
}

/// Why an answer is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The device has one already.
    OfThisDevice,
    /// There is none in time.
    AtAll,
}

impl HeldOctets {
    /// Waits for room.
    pub(crate) async fn reserve(&self, device: &Name, octets: usize) -> Result<Room, NoRoom> {
        let is_first = lock(&self.devices).insert(device.clone());
        if !is_first {
            return Err(NoRoom::OfThisDevice);
        }
        let share = Share { devices: Arc::clone(&self.devices), device: device.clone() };
        let octets = u32::try_from(octets).map_err(|_| NoRoom::AtAll)?;
        let place = timeout(WAIT, Arc::clone(&self.room).acquire_many_owned(octets)).await;
        let place = place.map_err(|_| NoRoom::AtAll)?.map_err(|_| NoRoom::AtAll)?;
        Ok(Room { place, _share: share })
    }
}

/// A device's share; given back when dropped.
struct Share {
    devices: Arc<Mutex<HashSet<Name>>>,
    device: Name,
}

impl Drop for Share {
    fn drop(&mut self) {
        lock(&self.devices).remove(&self.device);
    }
}

/// A part of the bound; given back when dropped.
pub(crate) struct Room {
    place: OwnedSemaphorePermit,
    _share: Share,
}

impl Room {
    /// Gives back what is not needed.
    pub(crate) fn shrink_to(&mut self, octets: usize) {
        let spare = self.place.num_permits().saturating_sub(octets);
        drop(self.place.split(spare));
    }
}

/// A body that keeps its room until it was sent or given up, and hurries its client.
pub(crate) struct Held {
    body: Bytes,
    room: Room,
    _hurried: Hurried,
}

impl Held {
    pub(crate) fn new(body: Bytes, room: Room, rate: &PeerRate) -> Self {
        Self { body, room, _hurried: rate.hurry() }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.body.is_empty() {
            return Poll::Ready(None);
        }
        let octets = self.body.len().min(PIECE_OCTETS);
        let piece = self.body.split_to(octets);
        let left = self.body.len();
        self.room.shrink_to(left);
        // A piece of its own: the last one must not keep the whole answer in memory.
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.len() as u64)
    }
}

fn lock(devices: &Mutex<HashSet<Name>>) -> std::sync::MutexGuard<'_, HashSet<Name>> {
    devices.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn room_is_bounded_for_all_and_comes_back() {
        let held = HeldOctets::default();
        let mut first = held.reserve(&name("a"), HELD_OCTETS_MAX).await.unwrap();
        let free = || held.room.available_permits();
        assert_eq!(free(), 0);
        first.shrink_to(PIECE_OCTETS + 10);
        assert_eq!(free(), HELD_OCTETS_MAX - PIECE_OCTETS - 10);
        let mut body = Held::new(Bytes::from(vec![7; PIECE_OCTETS + 10]), first, &PeerRate::default());
        assert_eq!(body.size_hint().exact(), Some(PIECE_OCTETS as u64 + 10));
        assert_eq!(free(), HELD_OCTETS_MAX - PIECE_OCTETS - 10, "while the body is there");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), PIECE_OCTETS);
        assert_eq!(free(), HELD_OCTETS_MAX - 10, "piece by piece");
        assert!(!body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 10);
        assert!(body.is_end_stream() && body.frame().await.is_none());
        drop(body);
        assert_eq!(free(), HELD_OCTETS_MAX);
    }

    #[tokio::test]
    async fn a_device_holds_one_answer_and_leaves_room_for_others() {
        let held = HeldOctets::default();
        let first = held.reserve(&name("a"), 64 * 1024 * 1024).await.unwrap();
        for n in 0..4 {
            let refused = held.reserve(&name("a"), 1).await.err();
            assert_eq!(refused, Some(NoRoom::OfThisDevice), "{n}");
        }
        assert!(held.reserve(&name("b"), 64 * 1024 * 1024).await.is_ok());
        drop(first);
        assert!(held.reserve(&name("a"), 1).await.is_ok(), "one after the other");
        // Whoever gives up waiting leaves its share.
        let all = held.reserve(&name("b"), HELD_OCTETS_MAX).await.unwrap();
        let a = name("a");
        tokio::select! {
            biased;
            _ = held.reserve(&a, 1) => panic!("there is no room"),
            () = core::future::ready(()) => {}
        }
        drop(all);
        assert!(held.reserve(&name("a"), 1).await.is_ok());
        assert!(lock(&held.devices).is_empty());
    }
}
