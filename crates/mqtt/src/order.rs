//! Which packets a side may send, and when: the order of one direction of one connection, without any session.
//!
//! In: the parsed packets of that direction, one by one. Out: pass, or the fault that ends the connection.
//! Acknowledgements are not matched with messages here; who relays between two peers lets those two match them.

use crate::{
    Auth, Connack, Connect, Disconnect, Fault, Packet, PacketType, ProtocolVersion, Publish, ReasonCode,
};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    ClientToServer,
    /// From server to client.
    ServerToClient,
}

/// The state of one direction.
#[derive(Clone, Debug)]
pub struct PacketOrder {
    direction: Direction,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing came yet from a client.
    ExpectConnect,
    /// Nothing but AUTH came yet from a server.
    ExpectConnack(Agreed),
    Open(Agreed),
    /// DISCONNECT or a refusing CONNACK came: nothing may follow.
    Closed,
}

/// What CONNECT settled for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    version: ProtocolVersion,
    /// CONNECT named an authentication method: AUTH may come (§4.12).
    authenticates: bool,
    /// CONNECT asked for a session that ends with the connection: DISCONNECT cannot prolong it (§3.14.2.2.2).
    expires_at_once: bool,
}

impl Agreed {
    fn by(connect: &Connect<'_>) -> Self {
        Self {
            version: connect.version,
            authenticates: connect.properties.authentication_method.is_some(),
            expires_at_once: connect.properties.session_expiry_interval.unwrap_or(0) == 0,
        }
    }
}

impl PacketOrder {
    /// For what a client sends; its first packet must be CONNECT.
    pub fn from_client() -> Self {
        Self { direction: Direction::ClientToServer, stage: Stage::ExpectConnect }
    }

    /// For what a server answers to this CONNECT.
    pub fn from_server(connect: &Connect<'_>) -> Self {
        Self { direction: Direction::ServerToClient, stage: Stage::ExpectConnack(Agreed::by(connect)) }
    }

    /// Whether the packet may come now. The version to parse the next one by is the CONNECT's.
    pub fn admit(&mut self, packet: &Packet<'_>) -> Result<(), Fault> {
        let refuse = |why| Err(Fault::OutOfOrder { packet: packet.packet_type(), why });
        if !may_send(self.direction, packet.packet_type()) {
            return refuse(match self.direction {
                Direction::ClientToServer => "is not for a client to send",
                Direction::ServerToClient => "is not for a server to send",
            });
        }
        self.stage = match (self.stage, packet) {
            (Stage::Closed, _) => return refuse("came after the last packet"),
            (Stage::ExpectConnect, Packet::Connect(connect)) => Stage::Open(Agreed::by(connect)),
            (Stage::ExpectConnect, _) => return refuse("cannot be a client's first packet"),
            // [MQTT-3.1.0-2]
            (Stage::Open(_), Packet::Connect(_)) => return refuse("came twice"),
            (Stage::ExpectConnack(agreed), Packet::Connack(connack)) => agreed.connack(connack)?,
            (Stage::Open(_), Packet::Connack(_)) => return refuse("came twice"),
            (Stage::ExpectConnack(agreed), Packet::Auth(auth)) if agreed.authenticates => {
                // Success before CONNACK is said by CONNACK itself (§4.12).
                if auth.reason != ReasonCode::ContinueAuthentication {
                    return refuse("must say continue before CONNACK");
                }
                agreed.auth(self.direction, auth)?;
                self.stage
            }
            (Stage::ExpectConnack(_), _) => return refuse("came before CONNACK"),
            (Stage::Open(agreed), Packet::Auth(auth)) => {
                if !agreed.authenticates {
                    return refuse("came without an authentication method in CONNECT");
                }
                agreed.auth(self.direction, auth)?;
                self.stage
            }
            (Stage::Open(agreed), Packet::Disconnect(disconnect)) => {
                agreed.disconnect(self.direction, disconnect)?;
                Stage::Closed
            }
            (Stage::Open(_), Packet::Publish(publish)) => {
                check_publish(self.direction, publish)?;
                self.stage
            }
            (Stage::Open(_), _) => self.stage,
        };
        Ok(())
    }

    /// Whether the last packet of this direction came.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }
}

impl Agreed {
    fn connack(self, connack: &Connack<'_>) -> Result<Stage, Fault> {
        if connack.properties.authentication_method.is_some() && !self.authenticates {
            return Err(Fault::ProtocolError { what: "authentication method that CONNECT did not name" });
        }
        Ok(if connack.reason == ReasonCode::Success { Stage::Open(self) } else { Stage::Closed })
    }

    fn auth(self, from: Direction, auth: &Auth<'_>) -> Result<(), Fault> {
        if auth.reason.is_legal_in(PacketType::Auth, from) {
            Ok(())
        } else {
            Err(Fault::ProtocolError { what: "reason code of the other side in AUTH" })
        }
    }

    fn disconnect(self, from: Direction, disconnect: &Disconnect<'_>) -> Result<(), Fault> {
        let refuse = |what| Err(Fault::ProtocolError { what });
        if from == Direction::ServerToClient && self.version == ProtocolVersion::V311 {
            return refuse("DISCONNECT from a server in 3.1.1");
        }
        if !disconnect.reason.is_legal_in(PacketType::Disconnect, from) {
            return refuse("reason code of the other side in DISCONNECT");
        }
        match (from, &disconnect.properties) {
            (Direction::ServerToClient, properties) if properties.session_expiry_interval.is_some() => {
                refuse("session expiry in a server's DISCONNECT")
            }
            (Direction::ClientToServer, properties) if properties.server_reference.is_some() => {
                refuse("server reference in a client's DISCONNECT")
            }
            (Direction::ClientToServer, properties)
                if self.expires_at_once && properties.session_expiry_interval.is_some_and(|s| s > 0) =>
            {
                refuse("DISCONNECT prolongs a session that CONNECT let expire at once")
            }
            _ => Ok(()),
        }
    }
}

fn check_publish(from: Direction, publish: &Publish<'_>) -> Result<(), Fault> {
    // [MQTT-3.3.4-6]
    if from == Direction::ClientToServer && !publish.properties.subscription_identifiers.is_empty() {
        return Err(Fault::ProtocolError { what: "subscription identifier in a client's PUBLISH" });
    }
    Ok(())
}

/// The direction of flow of each type (MQTT 5.0 table 2-1).
fn may_send(direction: Direction, packet: PacketType) -> bool {
    match packet {
        PacketType::Connect | PacketType::Subscribe | PacketType::Unsubscribe | PacketType::Pingreq => {
            direction == Direction::ClientToServer
        }
        PacketType::Connack | PacketType::Suback | PacketType::Unsuback | PacketType::Pingresp => {
            direction == Direction::ServerToClient
        }
        PacketType::Publish
        | PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubrel
        | PacketType::Pubcomp
        | PacketType::Disconnect
        | PacketType::Auth => true,
    }
}
