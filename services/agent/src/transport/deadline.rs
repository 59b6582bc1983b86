//! A TCP connection that ends at a moment, however slowly the other end drips.

use super::address::ServerAddress;
use super::fault::CallFault;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// Addresses of one name that are tried: a host has one or two of each family.
const ADDRESSES_MAX: usize = 8;
/// Most questions to the resolver at once: one for each environment.
const RESOLVING_MAX: usize = 16;
static RESOLVING: AtomicUsize = AtomicUsize::new(0);

/// The end of one exchange, on the clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    until: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(super) fn after(allowed: Duration) -> Self {
        Self { until: Instant::now() + allowed, allowed }
    }

    /// Time left; none is a timeout.
    fn left(self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    pub(super) fn fault(self) -> CallFault {
        CallFault::Timeout { after: self.allowed }
    }
}

/// Every read and write ends at the deadline.
#[derive(Debug)]
pub(super) struct DeadlineStream {
    stream: TcpStream,
    deadline: Deadline,
}

impl DeadlineStream {
    /// Finds the server and connects, trying its addresses in turn.
    pub(super) fn connect(server: &ServerAddress, deadline: Deadline) -> Result<Self, CallFault> {
        let addresses = resolve(server, deadline)?;
        let mut why = "the name has no address".to_owned();
        let count = addresses.len();
        for (tried, address) in addresses.into_iter().enumerate() {
            let left = deadline.left().map_err(|_| deadline.fault())?;
            // An address that swallows packets must leave time for the others.
            let share = left / u32::try_from(count - tried).unwrap_or(1);
            match TcpStream::connect_timeout(&address, share.max(Duration::from_millis(1))) {
                Ok(stream) => {
                    // A request is written in one piece: waiting for more would only cost time.
                    let _ = stream.set_nodelay(true);
                    return Ok(Self { stream, deadline });
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(CallFault::Connect { server: server.authority(), why })
    }
}

/// The system's resolver knows no deadline, so it is asked in a thread that is left behind when it is too slow. It
/// ends by itself, within the resolver's own time; until then no more than a few are begun.
#[expect(clippy::disallowed_methods, reason = "counted, and waited for no longer than its question lives")]
fn resolve(server: &ServerAddress, deadline: Deadline) -> Result<Vec<SocketAddr>, CallFault> {
    if let Ok(address) = server.host().parse() {
        return Ok(vec![SocketAddr::new(address, server.port())]);
    }
    let dns = |why: String| CallFault::Dns { host: server.host().to_owned(), why };
    let place =
        Place::take().ok_or_else(|| dns("the resolver still works on earlier questions".to_owned()))?;
    let target = (server.host().to_owned(), server.port());
    let (tell, told) = mpsc::sync_channel(1);
    let asked = std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let _place = place;
        let found = target.to_socket_addrs();
        let _ = tell.send(found.map(|all| all.take(ADDRESSES_MAX).collect::<Vec<_>>()));
    });
    asked.map_err(|error| dns(error.to_string()))?;
    let left = deadline.left().map_err(|_| deadline.fault())?;
    match told.recv_timeout(left) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(dns(error.to_string())),
        Err(_) => Err(deadline.fault()),
    }
}

/// One of the resolver's threads, counted.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = RESOLVING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < RESOLVING_MAX).then_some(count + 1)
        });
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        RESOLVING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Linux says "would block" when a socket's time is over.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        self.stream.read(buffer).map_err(timed_out)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
