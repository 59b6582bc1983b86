//! The broker behind: its address, and one connection per session.
//!
//! Plain text goes to loopback addresses only, a named exception; any other broker is reached over TLS with the
//! gateway's own certificate.

use super::opening::{Opening, Start, connack_for_client, connect_for_upstream};
use super::refusal::encoded;
use super::wire::{Inbound, Incoming, Outbound, PACKET_OCTETS_MAX, Stream};
use super::{CONNECT_WAIT, Welcome};
use crate::permitted::Permitted;
use crate::uplink::Uplink;
use core::fmt;
use core::time::Duration;
use std::net::IpAddr;
use tokio::net::TcpStream;
use touchmark_dial::DialFault;
use touchmark_identity::HostPort;
use touchmark_mqtt::{
    Connect, Disconnect, Fault, Frame, Packet, PacketOrder, PacketType, ProtocolVersion, ReasonCode, Text,
    Unencodable,
};

const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the broker to close a connection after DISCONNECT.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// `host:port` of a broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerAddress {
    place: HostPort,
    protected: bool,
}

impl BrokerAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let place =
            HostPort::parse(text, None).map_err(|fault| format!("`{text}` is not HOST:PORT: {fault}"))?;
        let protected = !is_loopback(place.host());
        Ok(Self { place, protected })
    }

    /// As if it were on another machine.
    #[cfg(test)]
    pub(crate) fn elsewhere(text: &str) -> Self {
        Self { protected: true, ..Self::parse(text).unwrap() }
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_protected(&self) -> bool {
        self.protected
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A literal loopback address, or the name that every system resolves to one.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Why there is no session at the broker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerFault {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error("cannot reach the broker {address}: {source}")]
    Unreachable { address: String, source: std::io::Error },
    #[error("the broker {address} does not answer")]
    Silent { address: String },
    #[error("the broker {address} closed the connection")]
    Closed { address: String },
    #[error("the broker {address} breaks the protocol: {fault}")]
    Protocol { address: String, fault: Fault },
    #[error("the broker {address} refused: {says}")]
    Refused { address: String, says: String },
    #[error("the system gave no random octets")]
    NoRandomness,
    #[error("our own packet cannot be written: {0}")]
    Unencodable(#[from] Unencodable),
}

/// A connection that has answered CONNECT.
pub(crate) struct BrokerLink {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    pub(crate) order: PacketOrder,
    pub(crate) connack: Frame,
}

/// Opens a permitted session at the broker; with the answer for the client.
pub(crate) async fn connect(
    opening: Permitted<Opening<'_>>,
    start: Start,
    address: &BrokerAddress,
    uplink: &Uplink,
) -> Result<(BrokerLink, Welcome), BrokerFault> {
    let opening = opening.sent();
    let connect = connect_for_upstream(&opening, start);
    let greeted = tokio::time::timeout(CONNECT_WAIT, greeted(address, uplink, &connect)).await;
    let link = greeted.map_err(|_| BrokerFault::Silent { address: address.to_string() })??;
    let welcome = connack_for_client(&link.connack, &opening).map_err(|fault| {
        let address = address.to_string();
        BrokerFault::Protocol { address, fault }
    })?;
    Ok((link, welcome))
}

/// Ends the session that the broker keeps under a client id, connected or not: whatever belongs to it is gone when this
/// returns.
pub(crate) async fn end_session(
    address: &BrokerAddress,
    uplink: &Uplink,
    client_id: &str,
    version: ProtocolVersion,
) -> Result<(), BrokerFault> {
    let named = || address.to_string();
    let broken = |fault| BrokerFault::Protocol { address: named(), fault };
    let mut hello = Connect::new(version, Text::new(client_id).map_err(broken)?);
    hello.clean_start = true;
    let mut link = greeted(address, uplink, &hello).await?;
    match link.connack.parse(version).map_err(broken)? {
        Packet::Connack(connack) if connack.reason != ReasonCode::Success => {
            return Err(BrokerFault::Refused { address: named(), says: format!("{:?}", connack.reason) });
        }
        _ => {}
    }
    // The new session ends with its connection, in order or not.
    let _ = link.outbound.write(&encoded(version, &Disconnect::default().into())).await;
    let _ = link.outbound.shutdown().await;
    // Until the broker closes it is still there, and a client that comes now would be told that it goes on.
    let closed =
        async { while !matches!(link.inbound.next(None).await, Incoming::End | Incoming::Fault(_)) {} };
    let _ = tokio::time::timeout(CLOSE_WAIT, closed).await;
    Ok(())
}

/// Connects and waits for the answer.
pub(super) async fn greeted(
    address: &BrokerAddress,
    uplink: &Uplink,
    connect: &Connect<'_>,
) -> Result<BrokerLink, BrokerFault> {
    let (read, write) = tokio::io::split(dial(address, uplink).await?);
    let (mut inbound, mut outbound) = (Inbound::new(read, PACKET_OCTETS_MAX), Outbound::new(write));
    let named = || address.to_string();
    outbound
        .write(&encoded(connect.version, &connect.clone().into()))
        .await
        .map_err(|source| BrokerFault::Unreachable { address: named(), source })?;
    let broken = |fault| BrokerFault::Protocol { address: named(), fault };
    let mut order = PacketOrder::from_server(connect);
    let connack = match inbound.next(None).await {
        Incoming::Frame(frame) => frame,
        Incoming::End | Incoming::Silence => return Err(BrokerFault::Closed { address: named() }),
        Incoming::Fault(fault) => return Err(broken(fault)),
    };
    order.admit(&connack.parse(connect.version).map_err(broken)?).map_err(broken)?;
    if connack.packet_type() != PacketType::Connack {
        return Err(broken(Fault::ProtocolError { what: "another packet in place of CONNACK" }));
    }
    Ok(BrokerLink { inbound, outbound, order, connack })
}

async fn dial(address: &BrokerAddress, uplink: &Uplink) -> Result<Stream, BrokerFault> {
    if address.protected {
        return Ok(Box::new(
            uplink.upstream_tls().connect(&address.to_string(), address.place.host(), DIAL_TIMEOUT).await?,
        ));
    }
    let fault = |source| BrokerFault::Unreachable { address: address.to_string(), source };
    let dialled = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(address.to_string())).await;
    let stream = dialled.map_err(|_| fault(std::io::ErrorKind::TimedOut.into()))?.map_err(fault)?;
    // `localhost` is a name: it must not lead elsewhere in plain text.
    if !stream.peer_addr().map_err(fault)?.ip().is_loopback() {
        return Err(fault(std::io::Error::other("plain text goes to loopback addresses only")));
    }
    stream.set_nodelay(true).map_err(fault)?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_brokers_are_spoken_to_in_plain_text() {
        let rows: &[(&str, Option<bool>)] = &[
            ("127.0.0.1:1883", Some(false)),
            ("127.9.9.9:1883", Some(false)),
            ("[::1]:1883", Some(false)),
            ("localhost:1883", Some(false)),
            ("broker.example:8883", Some(true)),
            ("10.0.0.1:1883", Some(true)),
            ("localhost.example:1883", Some(true)),
            ("127.0.0.1", None),
            (":1883", None),
            ("a/b:1883", None),
            ("user@broker:1883", None),
            ("broker:0", None),
            ("broker:65536", None),
        ];
        for (text, expected) in rows {
            let read = BrokerAddress::parse(text).ok().map(|address| address.is_protected());
            assert_eq!(read, *expected, "{text}");
        }
    }
}
