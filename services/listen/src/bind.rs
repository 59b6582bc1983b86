//! Binding a port: a kept one must be had again, since its number stands in certificates and in devices.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait in the kernel while we are at our limits; more are refused there.
const BACKLOG: u32 = 1024;

/// A port is not to be had; an operator must free it or choose another.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// Another process holds it.
    #[error("{address} is in use by another process")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Any other reason: a privileged port, an address that is not ours.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// What was asked for.
        address: SocketAddr,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// A listening port.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Ports that are chosen: below those that Linux gives to outgoing connections (32768 to 60999, ip(7)). A kept port
/// among those could be taken by any program's connection while the service is down.
const CHOSEN: RangeInclusive<u16> = 10_000..=32_767;
/// Ports tried before the system chooses: on a machine where so many of them are taken, it is as good a judge.
const TRIES: u16 = 64;

/// Listens on `port`; 0 chooses a free one. Must be called on a tokio runtime.
///
/// # Errors
/// [`BindFault`]. A port that is taken is never replaced by another one.
pub fn bind(ip: IpAddr, port: u16) -> Result<Bound, BindFault> {
    if port != 0 {
        return bind_exactly(ip, port);
    }
    let count = CHOSEN.end() - CHOSEN.start() + 1;
    // Two services that start in one moment must not try the same ports in the same order; nothing else rests on it.
    let [low, high, ..] = RandomState::new().hash_one(ip).to_le_bytes();
    let first = u16::from_le_bytes([low, high]) % count;
    let candidates = (0..TRIES).map(|step| CHOSEN.start() + (first + step) % count);
    let free = candidates
        .map(|port| bind_exactly(ip, port))
        .find(|bound| !matches!(bound, Err(BindFault::InUse { .. })));
    free.unwrap_or_else(|| bind_exactly(ip, 0))
}

fn bind_exactly(ip: IpAddr, port: u16) -> Result<Bound, BindFault> {
    let address = SocketAddr::new(ip, port);
    let listen = || {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for connections of the last run that linger in TIME-WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    listen().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindFault::InUse { address },
        _ => BindFault::Refused { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_port_is_chosen_once_and_had_again_but_never_taken_over() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = bind(ip, 0).unwrap();
        let port = first.address().port();
        assert!(CHOSEN.contains(&port), "{port} could be taken by an outgoing connection");
        assert!(matches!(bind(ip, port), Err(BindFault::InUse { .. })));
        drop(first);
        assert_eq!(bind(ip, port).unwrap().address().port(), port);
    }
}
