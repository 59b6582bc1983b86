//! What an operator tells a gateway. Everything else it learns from the feed.

use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use touchmark_identity::{EnvironmentName, Name};
use touchmark_status::StalenessClass;

/// The certificate that the gateway shows to devices, to the authority and to an encrypted upstream.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    /// Certificate chain, PEM, leaf first.
    pub chain: PathBuf,
    /// Private key, PEM, PKCS#8.
    pub key: PathBuf,
}

/// Ports to listen on; 0 takes the one of the last start, or lets the system choose.
#[derive(Clone, Copy, Debug, Default)]
pub struct PreferredPorts {
    /// MQTT over mutual TLS.
    pub mqtt: u16,
    /// HTTP over mutual TLS.
    pub http: u16,
    /// The built-in sink, plain HTTP on loopback.
    pub sink: u16,
}

/// What an acknowledged publish has behind it when the gateway lets its acknowledgement through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ack {
    /// A place in the queue of the decision log: a crash takes at most the records of 50 ms, and leaves a gap that shows.
    #[default]
    Queued,
    /// Its record on disk.
    Durable,
}

/// A word that is no [`Ack`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown; one of: queued, durable")]
pub struct UnknownAck;

impl FromStr for Ack {
    type Err = UnknownAck;
    fn from_str(word: &str) -> Result<Self, UnknownAck> {
        match word {
            "queued" => Ok(Self::Queued),
            "durable" => Ok(Self::Durable),
            _ => Err(UnknownAck),
        }
    }
}

/// One gateway of one environment.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Its service name: in decision ids, and in the name of its log.
    pub name: Name,
    /// The environment that it serves; a feed of another one is refused.
    pub environment: EnvironmentName,
    /// Directory of this gateway alone.
    pub data: PathBuf,
    /// Base URL of the authority's management API, `https://host:port`.
    pub authority_api: String,
    /// Trust anchors for the authority and for an encrypted upstream, PEM.
    pub anchors: PathBuf,
    /// Its own certificate and key; read again when the files change.
    pub credential: CredentialFiles,
    /// File with the feed's public key: 32 octets Ed25519 in hexadecimal.
    pub feed_key: PathBuf,
    /// Address to listen on.
    pub listen: IpAddr,
    /// Ports to listen on.
    pub ports: PreferredPorts,
    /// MQTT broker behind, `host:port`; plain text to loopback addresses only. Without one there is the sink.
    pub upstream_mqtt: Option<String>,
    /// HTTP service behind, a base URL; plain text to loopback addresses only.
    pub upstream_http: Option<String>,
    /// How long to go on with an old feed.
    pub staleness: StalenessClass,
    /// What a publish waits for before it is passed on and acknowledged.
    pub ack: Ack,
    /// Messages a second that one certificate may publish; a device twice as many.
    pub publish_rate: u32,
}

impl GatewayConfig {
    /// With loopback, ports of the system's choice, the built-in sink and the standard staleness class.
    pub fn new(
        name: Name,
        environment: EnvironmentName,
        data: PathBuf,
        authority_api: String,
        anchors: PathBuf,
        credential: CredentialFiles,
        feed_key: PathBuf,
    ) -> Self {
        Self {
            name,
            environment,
            data,
            authority_api,
            anchors,
            credential,
            feed_key,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: PreferredPorts::default(),
            upstream_mqtt: None,
            upstream_http: None,
            staleness: StalenessClass::default(),
            ack: Ack::default(),
            publish_rate: crate::rates::PUBLISH_RATE,
        }
    }
}
