//! What an operator decides about an authority, and where its files lie.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use touchmark_identity::EnvironmentName;

/// Everything that `start` needs.
#[derive(Clone, Debug)]
pub struct AuthorityConfig {
    /// The data directory; made private (0700).
    pub data: PathBuf,
    /// Address of all ports.
    pub listen: IpAddr,
    /// DNS names and addresses by which others reach it; the first one stands in URLs.
    pub hosts: Vec<String>,
    /// Port of EST; 0 keeps the one of the last start, or chooses.
    pub est_port: u16,
    /// Port of the API.
    pub api_port: u16,
    /// Port of CRLs and log tiles; it stands in certificates.
    pub public_port: u16,
    /// File with the passphrase of the key vault. Without one a random passphrase is kept beside the keys,
    /// which protects copies of single files only.
    pub passphrase_file: Option<PathBuf>,
    /// The environment made at the first start.
    pub default_environment: EnvironmentName,
    /// Life of its device certificates.
    pub device_lifetime: Duration,
    /// Start although the clock is behind the newest journal entry, or before the program was made.
    pub accept_clock: bool,
    /// Certificates a second at most, of all environments together; sized by the cores when nothing is said.
    pub enrolments_per_second: Option<NonZeroU32>,
}

impl AuthorityConfig {
    /// The host in URLs, among them the CRL addresses in certificates: the first name given, else the address that it
    /// listens on. `None` if that is every address.
    pub(crate) fn host(&self) -> Option<String> {
        let address = (!self.listen.is_unspecified()).then(|| self.listen.to_string());
        self.hosts.first().cloned().or(address)
    }

    /// Everything that the server certificate names.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        for name in self.hosts.iter().cloned().chain(self.host()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.data)
    }

    pub(crate) fn log(&self) -> PathBuf {
        log(&self.data)
    }

    pub(crate) fn decisions(&self) -> PathBuf {
        decisions(&self.data)
    }

    pub(crate) fn operator(&self) -> PathBuf {
        self.data.join("operator")
    }

    pub(crate) fn anchors(&self) -> PathBuf {
        self.data.join("ca")
    }
}

/// The database below a data directory.
pub(crate) fn database(data: &std::path::Path) -> PathBuf {
    data.join("authority.db")
}

/// The journal's tiles below a data directory.
pub(crate) fn log(data: &std::path::Path) -> PathBuf {
    data.join("log")
}

/// The gateways' decision logs below a data directory.
pub(crate) fn decisions(data: &std::path::Path) -> PathBuf {
    data.join("decisions")
}

/// The verifier key of the journal's log, public, beside its tiles' directory.
pub(crate) fn log_vkey(data: &std::path::Path) -> PathBuf {
    data.join("log.vkey")
}
