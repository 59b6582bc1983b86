//! One message over a session of its own, until it is acknowledged: messages of devices that came by HTTP, and wills
//! whose own connection is gone.

use super::upstream::{BrokerAddress, BrokerFault, greeted};
use super::wire::{Inbound, Incoming, Outbound};
use super::{CONNECT_WAIT, refusal::encoded};
use crate::permitted::{HttpMessage, Permitted};
use crate::uplink::Uplink;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use touchmark_mqtt::{
    Acknowledgement, Connect, Delivery, Disconnect, Fault, Frame, Packet, PacketId, ProtocolVersion,
    ReasonCode, Text,
};

/// How the part of a client id begins that only gateways use: no device may.
pub(crate) const SUFFIX: &str = "http-";
/// Parts client ids of messages that are on their way at the same time.
static MESSAGES: AtomicU32 = AtomicU32::new(0);
/// Parts this process from other gateways and from its own last run.
static PROCESS: OnceLock<u64> = OnceLock::new();

fn client_id(handle: &str) -> Result<String, BrokerFault> {
    let process = match PROCESS.get() {
        Some(process) => *process,
        None => {
            let mut octets = [0; 8];
            aws_lc_rs::rand::fill(&mut octets).map_err(|_| BrokerFault::NoRandomness)?;
            *PROCESS.get_or_init(|| u64::from_be_bytes(octets))
        }
    };
    Ok(format!("{handle}/{SUFFIX}{process:016x}-{:08x}", MESSAGES.fetch_add(1, Ordering::Relaxed)))
}

/// Why a message was not handed over.
pub(crate) enum Undelivered {
    /// The connection ended before the broker had it.
    Gone,
    /// The broker broke the protocol or refused it.
    Fault(String),
}

/// Publishes and waits for the broker's acknowledgement.
pub(crate) async fn publish_once(
    message: Permitted<HttpMessage<'_>>,
    address: &BrokerAddress,
    uplink: &Uplink,
    handle: &str,
) -> Result<(), BrokerFault> {
    let version = ProtocolVersion::V311;
    let broken = |fault| BrokerFault::Protocol { address: address.to_string(), fault };
    // One is not zero.
    let packet_id = PacketId(core::num::NonZeroU16::MIN);
    let delivery = Delivery::AtLeastOnce { packet_id, duplicate: false };
    let message = message.packet(version, delivery).map_err(broken)?;
    publish_alone(message, || None, address, uplink, handle, version).await
}

/// Publishes an encoded message over a connection of its own and waits until the broker has it.
pub(crate) async fn publish_alone(
    message: Permitted<Frame>,
    release: impl Fn() -> Option<Permitted<Frame>>,
    address: &BrokerAddress,
    uplink: &Uplink,
    handle: &str,
    version: ProtocolVersion,
) -> Result<(), BrokerFault> {
    let client_id = client_id(handle)?;
    let broken = |fault: Fault| BrokerFault::Protocol { address: address.to_string(), fault };
    let exchange = async {
        let hello = Connect::new(version, Text::new(&client_id).map_err(broken)?);
        let mut link = greeted(address, uplink, &hello).await?;
        if let Ok(Packet::Connack(connack)) = link.connack.parse(version)
            && connack.reason != ReasonCode::Success
        {
            let says = format!("{:?}", connack.reason);
            return Err(BrokerFault::Refused { address: address.to_string(), says });
        }
        deliver(&mut link.inbound, &mut link.outbound, version, message, release).await.map_err(|why| {
            let address = address.to_string();
            match why {
                Undelivered::Gone => BrokerFault::Closed { address },
                Undelivered::Fault(says) => BrokerFault::Refused { address, says },
            }
        })?;
        // Acknowledged: what happens to this connection now changes nothing.
        let _ = link.outbound.write(&encoded(version, &Disconnect::default().into())).await;
        let _ = link.outbound.shutdown().await;
        Ok(())
    };
    tokio::time::timeout(CONNECT_WAIT, exchange)
        .await
        .unwrap_or_else(|_| Err(BrokerFault::Silent { address: address.to_string() }))
}

/// Writes a message and follows its quality of service to the end. Other packets of the broker are passed over:
/// nobody takes them any more, and what is not acknowledged stays in the broker's session.
///
/// `release`: the PUBREL of a QoS 2 message, judged when the broker asks for it; `None` when it may not be handed out.
pub(crate) async fn deliver(
    inbound: &mut Inbound,
    outbound: &mut Outbound,
    version: ProtocolVersion,
    message: Permitted<Frame>,
    release: impl Fn() -> Option<Permitted<Frame>>,
) -> Result<(), Undelivered> {
    let frame = message.sent();
    let broken = |fault: Fault| Undelivered::Fault(fault.to_string());
    let Packet::Publish(publish) = frame.parse(version).map_err(broken)? else { return Ok(()) };
    outbound.write(frame.octets()).await.map_err(|_| Undelivered::Gone)?;
    let ours = match publish.delivery {
        Delivery::AtMostOnce => return Ok(()),
        Delivery::AtLeastOnce { packet_id, .. } | Delivery::ExactlyOnce { packet_id, .. } => packet_id,
    };
    let refused = |answer: &Acknowledgement<'_>| match answer.reason.octet() {
        0x80.. => Err(Undelivered::Fault(format!("it answered {:?}", answer.reason))),
        _ => Ok(()),
    };
    let mut released = false;
    loop {
        let frame = match inbound.next(None).await {
            Incoming::Frame(frame) => frame,
            Incoming::Fault(fault) => return Err(broken(fault)),
            // After its release a message counts as delivered: sent again it might be there twice.
            Incoming::End | Incoming::Silence if released => return Ok(()),
            Incoming::End | Incoming::Silence => return Err(Undelivered::Gone),
        };
        match frame.parse(version).map_err(broken)? {
            Packet::Puback(answer) if answer.packet_id == ours => return refused(&answer),
            Packet::Pubrec(answer) if answer.packet_id == ours => {
                refused(&answer)?;
                let lost = || Undelivered::Fault("its right ended before its release".to_owned());
                let release = release().ok_or_else(lost)?.sent();
                released = true;
                outbound.write(release.octets()).await.map_err(|_| Undelivered::Gone)?;
            }
            Packet::Pubcomp(answer) if answer.packet_id == ours => return Ok(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
