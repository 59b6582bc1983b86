//! A stream whose peer must take what it is sent: one that takes too little ends the connection.
//!
//! Waiting for the peer uses up its patience, and each octet that it takes gives some back. So it may pause, and may be
//! slow for a while, and cannot hold anything for long by taking an octet now and then.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Time that a peer may let us wait, beyond what its rate gives back.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets a second that the slowest radio takes.
const RATE_MIN: u32 = 1024;
/// The same while an answer is held in memory for the peer, where others need the room.
const RATE_MIN_HELD: u32 = 32 * 1024;

/// How fast the peer of one connection has to be now.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerRate(Arc<AtomicUsize>);

impl PeerRate {
    /// Faster, for as long as the answer lives.
    pub(crate) fn hurry(&self) -> Hurried {
        self.0.fetch_add(1, Ordering::Relaxed);
        Hurried(self.clone())
    }

    fn rate_min(&self) -> u32 {
        if self.0.load(Ordering::Relaxed) > 0 { RATE_MIN_HELD } else { RATE_MIN }
    }
}

/// An answer is held in memory.
#[derive(Debug)]
pub(crate) struct Hurried(PeerRate);

impl Drop for Hurried {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream.
pub(crate) struct SlowPeerStream<S> {
    stream: S,
    rate: PeerRate,
    patience_max: Duration,
    /// What is left of it.
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> SlowPeerStream<S> {
    pub(crate) fn new(stream: S, rate: PeerRate) -> Self {
        Self { stream, rate, patience_max: PATIENCE, patience: PATIENCE, waiting: None }
    }

    fn timed<T>(
        &mut self,
        polled: Poll<Result<T>>,
        taken: impl Fn(&T) -> usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        if let Poll::Ready(outcome) = polled {
            if let Some((since, _)) = self.waiting.take() {
                self.patience = self.patience.saturating_sub(since.elapsed());
            }
            let octets = outcome.as_ref().map_or(0, taken);
            let back = Duration::from_secs(octets as u64) / self.rate.rate_min();
            self.patience = self.patience.saturating_add(back).min(self.patience_max);
            return Poll::Ready(outcome);
        }
        let patience = self.patience;
        let (_, sleep) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(patience))));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(Error::from(ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowPeerStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlowPeerStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.timed(polled, |taken| *taken, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, octets);
        self.timed(polled, |taken| *taken, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(polled, |()| 0, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(polled, |()| 0, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn slow_peer(
        stream: tokio::io::DuplexStream,
        patience: Duration,
    ) -> SlowPeerStream<tokio::io::DuplexStream> {
        SlowPeerStream {
            patience_max: patience,
            patience,
            ..SlowPeerStream::new(stream, PeerRate::default())
        }
    }

    #[tokio::test]
    async fn a_write_ends_that_nobody_takes_and_one_goes_on_that_somebody_does() {
        let (near, mut target) = tokio::io::duplex(1024);
        let mut near = slow_peer(near, Duration::from_secs(9));
        let slow = tokio::spawn(async move {
            let mut taken = [0; 1024];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                target.read_exact(&mut taken).await.unwrap();
            }
            target
        });
        near.write_all(&[0; 4096]).await.unwrap();
        let _far = slow.await.unwrap();
        near.patience = Duration::from_millis(100);
        let stalled = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(stalled.kind(), ErrorKind::TimedOut);
    }

    /// An octet now and then is no reason to wait for ever; the more so for what is held in memory.
    #[tokio::test]
    async fn a_peer_that_takes_an_octet_now_and_then_ends() {
        for held in [false, true] {
            let (near, mut target) = tokio::io::duplex(1);
            let mut near = slow_peer(near, Duration::from_millis(300));
            let _hurried = held.then(|| near.rate.hurry());
            let trickle = tokio::spawn(async move {
                let mut taken = 0_usize;
                while target.read_u8().await.is_ok() {
                    taken += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                taken
            });
            let begin = Instant::now();
            let ended = near.write_all(&[0; 1_000_000]).await.unwrap_err();
            assert_eq!(ended.kind(), ErrorKind::TimedOut, "{held}");
            assert!(begin.elapsed() >= Duration::from_millis(280), "{held}");
            drop(near);
            let taken = trickle.await.unwrap();
            assert!(taken < 1_000, "{held}: {taken} octets");
        }
        let rate = PeerRate::default();
        let hurried = (rate.hurry(), rate.hurry());
        assert_eq!(rate.rate_min(), RATE_MIN_HELD);
        drop(hurried);
        assert_eq!(rate.rate_min(), RATE_MIN);
    }
}
