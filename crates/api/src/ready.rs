//! The one object that `server up --json` and `gateway up --json` print when they serve.

use serde::{Deserialize, Serialize};

/// Where everything is. Absent parts are not run by this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Base URL of EST (RFC 7030).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est: Option<String>,
    /// Base URL of the management API (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Base URL of CRLs and log tiles (plain HTTP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// Base URL of the gateway's HTTP listener (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Base URL of the built-in sink (loopback).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// `host:port` of the gateway's MQTT listener (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// File with the environment's trust anchors, PEM.
    pub ca: String,
    /// URL of the issuing authority's CRL, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<String>,
    /// The data directory.
    pub data: String,
    /// Processes.
    pub pids: Pids,
    /// The journal's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogAddress>,
}

/// Process identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// The authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<u32>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<u32>,
}

/// How to follow the journal's log from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAddress {
    /// First line of its checkpoints.
    pub origin: String,
    /// Verifier key (C2SP signed note).
    pub vkey: String,
    /// Base URL of its tiles.
    pub tiles: String,
}
