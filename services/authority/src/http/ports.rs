//! Ports: chosen at the first start and kept, because CRL addresses stand in certificates.

use crate::config::AuthorityConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use touchmark_durable::{Mode, WriteFault, write_changed};
use touchmark_listen::{BindFault, Bound, bind};

/// Why the ports are not ours.
#[derive(Debug, thiserror::Error)]
pub enum PortsFault {
    /// Taken, or not allowed.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// The remembered ports cannot be read. Others would make CRL addresses in certificates false.
    #[error("the remembered ports in {path} cannot be read: {says}")]
    Kept { path: PathBuf, says: String },
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
    /// Binds what is asked for, else what was kept, else what the system gives. Writes nothing.
    ///
    /// # Errors
    /// [`PortsFault`].
    pub(crate) fn bind(config: &AuthorityConfig) -> Result<Self, PortsFault> {
        let kept = kept(config)?;
        let wanted = |asked: u16, kept: u16| if asked != 0 { asked } else { kept };
        Ok(Self {
            est: bind(config.listen, wanted(config.est_port, kept.est))?,
            api: bind(config.listen, wanted(config.api_port, kept.api))?,
            public: bind(config.listen, wanted(config.public_port, kept.public))?,
        })
    }

    /// Remembers them: before the first certificate that carries one.
    ///
    /// # Errors
    /// [`PortsFault::Write`].
    pub(crate) fn keep(&self, config: &AuthorityConfig) -> Result<(), PortsFault> {
        let now = Kept {
            est: self.est.address().port(),
            api: self.api.address().port(),
            public: self.public.address().port(),
        };
        let text = serde_json::to_vec_pretty(&now).unwrap_or_default();
        Ok(write_changed(&file(config), &text, Mode::Private0600)?)
    }
}

fn file(config: &AuthorityConfig) -> PathBuf {
    config.data.join("ports.json")
}

fn kept(config: &AuthorityConfig) -> Result<Kept, PortsFault> {
    let path = file(config);
    let unreadable = |says: String| PortsFault::Kept { path: path.clone(), says };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|fault| unreadable(fault.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(unreadable(error.to_string())),
    }
}
