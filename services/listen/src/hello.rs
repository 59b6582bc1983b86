//! The whole ClientHello, before anything is computed: bounded in octets and time.
//!
//! Whoever sends one octet, or one octet at a time, costs a socket and a timer here, and no slot.

use crate::AcceptFault;
use crate::table::{Entry, WaitsFor};
use core::time::Duration;
use rustls::server::{Accepted, Acceptor};
use std::io;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A client speaks first, so its first octet comes with the connection; a lost packet comes again after 1 s (RFC 6298
/// §2.1).
const FIRST_OCTET_TIMEOUT: Duration = Duration::from_secs(2);
/// Since the connection began: a ClientHello is one to three packets.
const HELLO_TIMEOUT: Duration = Duration::from_secs(4);
/// A ClientHello with post-quantum key shares has 2 KB; this is enough for it in records of one octet each.
const HELLO_OCTETS_MAX: usize = 32 * 1024;
/// First octet of a TLS handshake record (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// Reads the ClientHello; an alert is sent where TLS has one for the fault. `entry` waits for us afterwards.
pub(crate) async fn read_hello(
    stream: &TcpStream,
    limit: Duration,
    entry: &mut Entry,
) -> Result<Accepted, AcceptFault> {
    let begun = Instant::now();
    within(begun, FIRST_OCTET_TIMEOUT.min(limit), first_octet(stream, entry)).await?;
    let hello = within(begun, HELLO_TIMEOUT.min(limit), client_hello(stream, entry)).await?;
    entry.waits(WaitsFor::Us);
    Ok(hello)
}

async fn within<T>(
    begun: Instant,
    limit: Duration,
    work: impl Future<Output = Result<T, AcceptFault>>,
) -> Result<T, AcceptFault> {
    timeout_at(begun + limit, work).await.unwrap_or(Err(AcceptFault::Timeout { after: limit }))
}

/// Waits for it without a buffer: a silent connection is small.
async fn first_octet(stream: &TcpStream, entry: &mut Entry) -> Result<(), AcceptFault> {
    let (mut at_once, mut later) = ([0; 1], [0; 1]);
    let (seen, first) = tokio::select! {
        biased;
        seen = stream.peek(&mut at_once) => (seen, &at_once),
        // Before we looked it is no fault of the peer's that we know of nothing.
        () = tokio::task::yield_now() => {
            entry.waits(WaitsFor::Request);
            (stream.peek(&mut later).await, &later)
        }
    };
    match seen {
        Ok(0) | Err(_) => Err(AcceptFault::Closed),
        Ok(_) if *first == [HANDSHAKE_RECORD] => Ok(()),
        Ok(_) => Err(AcceptFault::Plaintext),
    }
}

async fn client_hello(stream: &TcpStream, entry: &mut Entry) -> Result<Accepted, AcceptFault> {
    let (mut acceptor, mut socket) = (Acceptor::default(), Socket { stream, left: HELLO_OCTETS_MAX });
    loop {
        match acceptor.read_tls(&mut socket) {
            Ok(0) if socket.left == 0 => return Err(AcceptFault::HelloTooLong),
            Ok(0) => return Err(AcceptFault::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                entry.waits(WaitsFor::Request);
                stream.readable().await.map_err(|_| AcceptFault::Closed)?;
                continue;
            }
            // The library's own bound on what it gathers.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(AcceptFault::HelloTooLong);
            }
            Err(_) => return Err(AcceptFault::Closed),
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                // Its few octets find room in a socket that has sent nothing; if not, there is nobody to tell.
                let _ = alert.write_all(&mut socket);
                return Err(AcceptFault::from_tls(&error));
            }
        }
    }
}

/// A socket that does not wait, and that gives so many octets.
struct Socket<'a> {
    stream: &'a TcpStream,
    left: usize,
}

impl io::Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.left);
        let read = match buffer.get_mut(..most) {
            Some([]) | None => 0,
            Some(buffer) => self.stream.try_read(buffer)?,
        };
        self.left -= read;
        Ok(read)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.try_write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
