//! Whole packets in and octets out, over any stream: bounded, with back-pressure, and small when idle.
//!
//! In: read and write halves. Out: frames; a fault of the peer; its silence. A writer that stalls ends the session.

use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};
use touchmark_mqtt::{Fault, Frame, FrameReader};

/// Longest packet after CONNECT: firmware does not travel by MQTT here, telemetry is far smaller, and each session
/// may hold one such packet in each direction.
pub(crate) const PACKET_OCTETS_MAX: usize = 256 * 1024;
/// Longest CONNECT: a client id, a will of some kilobytes and a handful of properties. Nothing was decided yet.
pub(crate) const CONNECT_OCTETS_MAX: usize = 16 * 1024;
/// A peer that takes nothing for so long is gone, or holds the session hostage.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Read at once: what a TLS record carries (RFC 8446 §5.1).
const READ_OCTETS_MAX: usize = 16 * 1024;

/// Anything that octets go over.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Either kind of stream, to devices and to brokers.
pub(crate) type Stream = Box<dyn Duplex>;

/// What came.
pub(crate) enum Incoming {
    Frame(Frame),
    /// The stream ended or broke.
    End,
    /// No whole packet within the time allowed.
    Silence,
    Fault(Fault),
}

/// The reading half.
pub(crate) struct Inbound {
    half: ReadHalf<Stream>,
    frames: FrameReader,
}

impl Inbound {
    pub(crate) fn new(half: ReadHalf<Stream>, packet_octets_max: usize) -> Self {
        Self { half, frames: FrameReader::new(packet_octets_max) }
    }

    pub(crate) fn set_packet_octets_max(&mut self, octets: usize) {
        self.frames.set_packet_octets_max(octets);
    }

    /// A packet that is whole already.
    pub(crate) fn buffered(&mut self) -> Option<Incoming> {
        match self.frames.next_frame() {
            Ok(frame) => frame.map(Incoming::Frame),
            Err(fault) => Some(Incoming::Fault(fault)),
        }
    }

    /// The next packet. The time counts until it is whole, so octets that trickle in do not prolong it.
    pub(crate) async fn next(&mut self, limit: Option<Duration>) -> Incoming {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            if let Some(incoming) = self.buffered() {
                return incoming;
            }
            let read = match until {
                Some(until) => match timeout_at(until, self.read()).await {
                    Ok(read) => read,
                    Err(_) => return Incoming::Silence,
                },
                None => self.read().await,
            };
            match read {
                Ok(0) | Err(_) => return Incoming::End,
                Ok(_) => {}
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        core::future::poll_fn(|cx| self.read_now(cx)).await
    }

    /// Reads over the stack: a session that waits for its next packet holds no buffer.
    fn read_now(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut octets = [MaybeUninit::uninit(); READ_OCTETS_MAX];
        let mut piece = ReadBuf::uninit(&mut octets);
        ready!(Pin::new(&mut self.half).poll_read(cx, &mut piece))?;
        if self.frames.unfinished() == 0 {
            self.frames.release();
        }
        self.frames.push(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Octets of its buffer.
    #[cfg(test)]
    pub(crate) fn held(&mut self) -> usize {
        self.frames.buffer_mut().capacity()
    }

    pub(crate) fn into_half(self) -> ReadHalf<Stream> {
        self.half
    }
}

/// The writing half. Both directions of a session may write: each whole packets only.
pub(crate) struct Outbound {
    half: WriteHalf<Stream>,
    /// A write began and did not end: nothing may follow it but the end of the stream.
    torn: bool,
}

impl Outbound {
    pub(crate) fn new(half: WriteHalf<Stream>) -> Self {
        Self { half, torn: false }
    }

    /// Writes whole packets.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.torn {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.torn = true;
        let written = core::future::poll_fn(|cx| Poll::Ready(self.write_now(cx, octets))).await?;
        if let Some(left) = written {
            // Boxed: a peer that is slow to take is rare, and a timer would weigh on every idle session.
            Box::pin(self.write_patiently(left)).await?;
        }
        self.torn = false;
        Ok(())
    }

    /// Writes what the stream takes without waiting; `None` when that was all, and it is on its way.
    fn write_now<'a>(&mut self, cx: &mut Context<'_>, octets: &'a [u8]) -> io::Result<Option<&'a [u8]>> {
        let mut left = octets;
        while !left.is_empty() {
            match Pin::new(&mut self.half).poll_write(cx, left) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => left = left.get(taken..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Some(left)),
            }
        }
        match Pin::new(&mut self.half).poll_flush(cx) {
            Poll::Ready(flushed) => flushed.map(|()| None),
            Poll::Pending => Ok(Some(left)),
        }
    }

    async fn write_patiently(&mut self, left: &[u8]) -> io::Result<()> {
        let write = async {
            self.half.write_all(left).await?;
            self.half.flush().await
        };
        timeout(STALL_MAX, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Ends the stream from this side.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}
