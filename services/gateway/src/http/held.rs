//! Octets of answers that are held in memory until their clients have taken them: bounded for all clients together.

use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use std::io::Error;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Octets held at once: four of the longest updates, or many short ones.
const HELD_OCTETS_MAX: usize = 256 * 1024 * 1024;
/// Time for a place among them.
const WAIT: Duration = Duration::from_secs(10);

/// The bound.
pub(crate) struct HeldOctets(Arc<Semaphore>);

impl Default for HeldOctets {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_OCTETS_MAX)))
    }
}

impl HeldOctets {
    /// Waits for room. `None` when there is none in time.
    pub(crate) async fn reserve(&self, octets: usize) -> Option<Room> {
        let octets = u32::try_from(octets).ok()?;
        let place = timeout(WAIT, Arc::clone(&self.0).acquire_many_owned(octets)).await;
        Some(Room(place.ok()?.ok()?))
    }
}

/// A part of the bound; given back when dropped.
pub(crate) struct Room(OwnedSemaphorePermit);

impl Room {
    /// Gives back what is not needed.
    pub(crate) fn shrink_to(&mut self, octets: usize) {
        let spare = self.0.num_permits().saturating_sub(octets);
        drop(self.0.split(spare));
    }
}

/// A body that keeps its room until it was sent or given up.
pub(crate) struct Held {
    body: Full<Bytes>,
    _room: Room,
}

impl Held {
    pub(crate) fn new(octets: Bytes, room: Room) -> Self {
        Self { body: Full::new(octets), _room: room }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_bounded_for_all_and_comes_back() {
        let held = HeldOctets::default();
        let mut first = held.reserve(HELD_OCTETS_MAX).await.unwrap();
        let free = || held.0.available_permits();
        assert_eq!(free(), 0);
        first.shrink_to(10);
        assert_eq!(free(), HELD_OCTETS_MAX - 10);
        let body = Held::new(Bytes::from_static(b"0123456789"), first);
        assert_eq!(body.size_hint().exact(), Some(10));
        assert_eq!(free(), HELD_OCTETS_MAX - 10, "while the body is there");
        drop(body);
        assert_eq!(free(), HELD_OCTETS_MAX);
    }
}
