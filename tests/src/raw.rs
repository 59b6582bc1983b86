//! Connections below HTTP: whatever octets a test likes, and what comes back until the other end closes.

use crate::patience::PATIENCE;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What came back on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Everything, until the end.
    pub octets: Vec<u8>,
    /// Whether the other end closed; otherwise patience ran out.
    pub closed: bool,
    /// From the last octet sent to the end.
    pub after: Duration,
}

impl Heard {
    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.octets).into_owned()
    }
}

/// Sends octets over plain TCP to the port of a base URL, and listens to the end.
pub fn plain(url: &str, octets: &[u8]) -> Heard {
    let address = url.rsplit('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server may well close before it has read everything: that is an answer, too.
    let _ = stream.write_all(octets);
    let begun = Instant::now();
    let mut heard = Vec::new();
    let end = stream.read_to_end(&mut heard);
    let closed = match end {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    Heard { octets: heard, closed, after: begun.elapsed() }
}
