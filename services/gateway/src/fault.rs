//! Why a gateway does not start. Once it runs, faults become denials with a reason, never an admission.

use crate::credential::BadCredential;
use crate::decision_log::LogFault;
use std::path::PathBuf;
use touchmark_dial::{BadClientTls, DialFault};
use touchmark_durable::WriteFault;
use touchmark_listen::{BadServerTls, BindFault};

/// An operator must act; the message says on what.
#[derive(Debug, thiserror::Error)]
pub enum GatewayFault {
    /// A configured value cannot be used.
    #[error("configuration `{key}`: {why}")]
    Config {
        /// Which value.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// A file that must be there cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data directory cannot be written.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// Certificate or key.
    #[error(transparent)]
    Credential(#[from] BadCredential),
    /// The address of the authority or of an upstream.
    #[error(transparent)]
    Address(#[from] DialFault),
    /// Trust anchors, or certificate and key towards the authority.
    #[error(transparent)]
    ClientTls(#[from] BadClientTls),
    /// A port's TLS: a fault of ours.
    #[error(transparent)]
    ServerTls(#[from] BadServerTls),
    /// A port is not to be had.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// The decision log cannot be opened; without it nothing may be allowed.
    #[error(transparent)]
    Log(#[from] LogFault),
}
