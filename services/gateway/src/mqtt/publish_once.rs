//! One message of a device that came by HTTP, to the broker: a session of its own, QoS 1, until it is acknowledged.

use super::upstream::{BrokerAddress, BrokerFault, connect};
use super::wire::Incoming;
use super::{CONNECT_WAIT, refusal::encoded};
use crate::uplink::Uplink;
use std::sync::atomic::{AtomicU32, Ordering};
use touchmark_mqtt::{
    Connect, Delivery, Disconnect, Packet, PacketId, ProtocolVersion, Publish, ReasonCode, Text, TopicName,
};
use touchmark_policy::Permit;

/// Parts client ids of messages that are on their way at the same time.
static MESSAGES: AtomicU32 = AtomicU32::new(0);

/// Publishes and waits for the broker's acknowledgement.
pub(crate) async fn publish_once(
    permit: Permit,
    address: &BrokerAddress,
    uplink: &Uplink,
    handle: &str,
    topic: &str,
    payload: &[u8],
) -> Result<(), BrokerFault> {
    let version = ProtocolVersion::V311;
    let client_id = format!("{handle}/http-{:08x}", MESSAGES.fetch_add(1, Ordering::Relaxed));
    let broken = |fault| BrokerFault::Protocol { address: address.to_string(), fault };
    let exchange = async {
        let hello = Connect::new(version, Text::new(&client_id).map_err(broken)?);
        let mut link = connect(permit, address, uplink, &hello).await?;
        if let Ok(Packet::Connack(connack)) = link.connack.parse(version)
            && connack.reason != ReasonCode::Success
        {
            let says = format!("{:?}", connack.reason);
            return Err(BrokerFault::Refused { address: address.to_string(), says });
        }
        // One is not zero.
        let packet_id = PacketId(core::num::NonZeroU16::MIN);
        let delivery = Delivery::AtLeastOnce { packet_id, duplicate: false };
        let message = Publish::new(delivery, TopicName::new(topic).map_err(broken)?, payload);
        let unreachable = |source| BrokerFault::Unreachable { address: address.to_string(), source };
        link.outbound.write(&encoded(version, &message.into())).await.map_err(unreachable)?;
        loop {
            match link.inbound.next(None).await {
                Incoming::Frame(frame) => match frame.parse(version).map_err(broken)? {
                    Packet::Puback(_) => break,
                    _ => continue,
                },
                Incoming::Fault(fault) => return Err(broken(fault)),
                Incoming::End | Incoming::Silence => {
                    return Err(BrokerFault::Closed { address: address.to_string() });
                }
            }
        }
        // Acknowledged: what happens to this connection now changes nothing.
        let _ = link.outbound.write(&encoded(version, &Disconnect::default().into())).await;
        let _ = link.outbound.shutdown().await;
        Ok(())
    };
    tokio::time::timeout(CONNECT_WAIT, exchange)
        .await
        .unwrap_or_else(|_| Err(BrokerFault::Closed { address: address.to_string() }))
}
