//! A key, its certificate and the trust anchors, as three files: `key.pem` (0600), `chain.pem`, `anchors.pem`.
//!
//! In: the folder. Out: TLS clients, and by [`CredentialDir::hold`] the right to change it, one process at a time.
//! A new credential is put beside the old one and takes its place by renaming; [`held`] says in which order, and
//! what a crash leaves.

mod held;
#[cfg(test)]
mod tests;

pub(crate) use held::{Held, Pending, Renewal};

use crate::failure::{Exit, Failure};
use crate::home;
use core::time::Duration;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;
use touchmark_dial::ClientTls;
use touchmark_durable::{Mode, create_dir_durable};
use touchmark_identity::SpkiHash;
use touchmark_x509::Certificate;
use touchmark_x509::signer::{Signer as _, SoftwareKey};

/// Another process that renews holds the folder for one exchange with the authority.
const HOLD_AWAITED: Duration = Duration::from_secs(60);
const HOLD_PAUSE: Duration = Duration::from_millis(50);
/// Key and chain are renamed one after the other, with a sync between: milliseconds, on a slow disk some more.
const SWAP_READS: u32 = 5;
const SWAP_PAUSE: Duration = Duration::from_millis(40);

/// The folder of one credential.
#[derive(Clone, Debug)]
pub struct CredentialDir(PathBuf);

impl CredentialDir {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    pub fn chain(&self) -> PathBuf {
        self.0.join("chain.pem")
    }

    pub fn anchors(&self) -> PathBuf {
        self.0.join("anchors.pem")
    }

    /// Whether there is a whole credential, after tidying up what a crash left.
    pub fn is_there(&self) -> Result<bool, Failure> {
        // Whoever holds the folder now tidies up itself.
        if let Some(held) = self.try_hold()? {
            held.recover()?;
        }
        Ok(self.key().exists() && self.chain().exists())
    }

    /// The certificate in force.
    pub fn certificate(&self) -> Result<Certificate, Failure> {
        leaf(&self.chain())
    }

    /// A TLS client with this credential, trusting its anchors.
    pub fn tls(&self) -> Result<ClientTls, Failure> {
        let mut reads = 1;
        loop {
            let read = ClientTls::from_pem_files(&self.anchors(), Some((&self.chain(), &self.key())));
            match read {
                // Perhaps read in the moment of a swap by another process.
                Err(_) if reads < SWAP_READS && self.key().exists() && self.chain().exists() => {
                    reads += 1;
                    std::thread::sleep(SWAP_PAUSE);
                }
                read => return Ok(read?),
            }
        }
    }

    /// The right to change the folder, which is made if it is missing. Waits for another process that has it.
    pub(crate) async fn hold(&self) -> Result<Held<'_>, Failure> {
        create_dir_durable(&self.0, Mode::Private0600)?;
        let until = Instant::now() + HOLD_AWAITED;
        loop {
            if let Some(held) = self.try_hold()? {
                return Ok(held);
            }
            if Instant::now() >= until {
                return Err(Failure::new(
                    Exit::Conflict,
                    "busy",
                    "another process is changing this credential",
                )
                .what(self.0.display().to_string())
                .why(format!("it has held the folder for {} s", HOLD_AWAITED.as_secs()))
                .fix("let it end, or end it, and ask again: nothing is lost by asking twice"));
            }
            tokio::time::sleep(HOLD_PAUSE).await;
        }
    }

    /// The lock is the folder's own, so it leaves no file behind and ends with its process.
    fn try_hold(&self) -> Result<Option<Held<'_>>, Failure> {
        let no_lock = |error: std::io::Error| {
            Failure::internal("a folder cannot be locked")
                .what(self.0.display().to_string())
                .why(error.to_string())
        };
        let folder = match File::open(&self.0) {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(no_lock(error)),
        };
        match folder.try_lock() {
            Ok(()) => Ok(Some(Held::new(self, folder))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(no_lock(error)),
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn leaf(path: &Path) -> Result<Certificate, Failure> {
    let pem = home::read(path)?;
    let read = Certificate::from_pem_many(&pem);
    read.ok()
        .and_then(|chain| chain.into_iter().next())
        .ok_or_else(|| Failure::usage("a file holds no certificate").what(path.display().to_string()))
}

fn spki(key: &Path) -> Option<SpkiHash> {
    let pem = home::read(key).ok()?;
    SoftwareKey::from_pkcs8_pem(&pem).ok().map(|key| key.public_key().spki_hash())
}
