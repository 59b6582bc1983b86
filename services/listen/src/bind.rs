//! Binding a port: a kept one must be had again, since its number stands in certificates and in devices.

use std::io;
use std::net::{IpAddr, SocketAddr};
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

    /// The listener, for a caller with an accept loop of its own.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// Listens on `port`; 0 lets the system choose. Must be called on a tokio runtime.
///
/// # Errors
/// [`BindFault`]. A port that is taken is never replaced by another one.
pub fn bind(ip: IpAddr, port: u16) -> Result<Bound, BindFault> {
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
        assert_ne!(port, 0);
        assert!(matches!(bind(ip, port), Err(BindFault::InUse { .. })));
        drop(first);
        assert_eq!(bind(ip, port).unwrap().address().port(), port);
    }
}
