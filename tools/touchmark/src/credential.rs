//! A key, its certificate and the trust anchors, as three files: `key.pem` (0600), `chain.pem`, `anchors.pem`.
//!
//! In: the folder. Out: TLS clients, and by `CredentialDir::hold` the right to change it, one process at a time. How it
//! changes, and what a crash leaves, is the agent's key store (`touchmark_agent::store`): an agent on the same folder goes on
//! with it.

mod earlier;
#[cfg(test)]
mod tests;

use crate::failure::{Exit, Failure};
use crate::home;
use core::time::Duration;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;
use touchmark_agent::store::{CredentialStore, DiskDirectory, StoreFault};
use touchmark_dial::ClientTls;
use touchmark_durable::{Mode, create_dir_durable};
use touchmark_identity::Name;
use touchmark_x509::Certificate;

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

    /// Whether there is a whole credential of `name`, after finishing what a crash cut off.
    pub fn is_there(&self, name: &Name) -> Result<bool, Failure> {
        // Whoever holds the folder now finishes it itself.
        let Some(_lock) = self.try_hold()? else { return Ok(self.key().exists() && self.chain().exists()) };
        let current = DiskDirectory::at(self.0.clone()).map_err(StoreFault::from).and_then(|files| {
            let mut store = CredentialStore::new(files, name.clone());
            Ok(store.load()?.current)
        });
        current.map(|current| current.is_some()).map_err(|fault| self.not_usable(&fault))
    }

    /// What is wrong with the files.
    pub(crate) fn not_usable(&self, fault: &StoreFault) -> Failure {
        Failure::new(Exit::Usage, "credential", "the credential cannot be taken up")
            .what(self.0.display().to_string())
            .why(fault.to_string())
    }

    /// The certificate in force.
    pub fn certificate(&self) -> Result<Certificate, Failure> {
        leaf(&self.chain())
    }

    /// The anchors that lie beside it.
    pub(crate) fn anchors_in_force(&self) -> Result<Vec<Certificate>, Failure> {
        let path = self.anchors();
        Certificate::from_pem_many(&home::read(&path)?).map_err(|fault| {
            Failure::usage("the anchors cannot be read")
                .what(path.display().to_string())
                .why(fault.to_string())
        })
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
    pub(crate) fn hold(&self) -> Result<File, Failure> {
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
            std::thread::sleep(HOLD_PAUSE);
        }
    }

    /// The lock is the folder's own, so it leaves no file behind and ends with its process.
    pub(crate) fn try_hold(&self) -> Result<Option<File>, Failure> {
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
            Ok(()) => {
                earlier::take_up(&self.0)?;
                Ok(Some(folder))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(no_lock(error)),
        }
    }
}

fn leaf(path: &Path) -> Result<Certificate, Failure> {
    let pem = home::read(path)?;
    let read = Certificate::from_pem_many(&pem);
    read.ok()
        .and_then(|chain| chain.into_iter().next())
        .ok_or_else(|| Failure::usage("a file holds no certificate").what(path.display().to_string()))
}
