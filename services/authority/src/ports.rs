//! Ports: chosen at the first start and kept, because CRL addresses stand in certificates.

use crate::config::AuthorityConfig;
use serde::{Deserialize, Serialize};
use touchmark_durable::{Mode, WriteFault, write_atomic};
use touchmark_listen::{BindFault, Bound, bind};

/// Why the ports are not ours.
#[derive(Debug, thiserror::Error)]
pub enum PortsFault {
    /// Taken, or not allowed.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// They could not be remembered.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    est: u16,
    api: u16,
    public: u16,
}

/// The three listeners, bound.
pub(crate) struct Ports {
    pub(crate) est: Bound,
    pub(crate) api: Bound,
    pub(crate) public: Bound,
}

impl Ports {
    pub(crate) fn bind(config: &AuthorityConfig) -> Result<Self, PortsFault> {
        let file = config.data.join("ports.json");
        let kept: Kept = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let wanted = |asked: u16, kept: u16| if asked != 0 { asked } else { kept };
        let ports = Self {
            est: bind(config.listen, wanted(config.est_port, kept.est))?,
            api: bind(config.listen, wanted(config.api_port, kept.api))?,
            public: bind(config.listen, wanted(config.public_port, kept.public))?,
        };
        let now = Kept {
            est: ports.est.address().port(),
            api: ports.api.address().port(),
            public: ports.public.address().port(),
        };
        let text = serde_json::to_vec_pretty(&now).unwrap_or_default();
        write_atomic(&file, &text, Mode::Private0600)?;
        Ok(ports)
    }
}
