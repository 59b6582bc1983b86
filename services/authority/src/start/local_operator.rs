//! The operator of this data directory: made at the first start, renewed at every start and while the authority runs.
//!
//! Whoever reads the directory's private files has the authority's keys too, so nothing is gained by letting this
//! certificate end; when it ended, nobody could make the next. A revocation holds: a revoked operator is not made again.

use crate::start::bootstrap::{BootstrapFault, OwnIdentities};
use std::io::ErrorKind;
use std::path::PathBuf;
use touchmark_durable::{Mode, create_dir_durable, write_atomic};
use touchmark_identity::Name;
use touchmark_journal::IdentityKind;
use touchmark_x509::{Certificate, Signer as _, SoftwareKey};

/// Its files, and how they are made.
pub(crate) struct LocalOperator {
    directory: PathBuf,
    own: OwnIdentities,
}

/// What the files say.
enum Held {
    /// There is no certificate with its key: a new directory, or a start that was cut off between the two files.
    Nothing,
    Pair(Box<Certificate>),
}

impl LocalOperator {
    /// The one whose files are, or will be, in `directory`.
    pub(crate) fn of(own: OwnIdentities, directory: PathBuf) -> Self {
        Self { directory, own }
    }

    /// Makes certificate and key where there are none, and new ones in the last third of a life or after it; says
    /// whether it did.
    ///
    /// # Errors
    /// [`BootstrapFault`]; the old files stay.
    pub(crate) async fn renew_if_due(&self) -> Result<bool, BootstrapFault> {
        if let Held::Pair(certificate) = self.held() {
            let due = super::is_due(certificate.validity(), self.own.clock.now());
            if !due || self.own.is_revoked(&certificate)? {
                return Ok(false);
            }
        }
        create_dir_durable(&self.directory, Mode::Private0600)?;
        let name: Name = "operator".parse().expect("the word is a name");
        let own = self.own.enrol(IdentityKind::Operator, &name, Vec::new(), vec!["admin".to_owned()]).await?;
        let [issuing, _] = &own.enrolled.chain;
        let pem = format!("{}{}", own.enrolled.certificate.to_pem(), issuing.to_pem());
        write_atomic(&self.key(), own.key.to_pkcs8_pem().expose().as_bytes(), Mode::Private0600)?;
        write_atomic(&self.chain(), pem.as_bytes(), Mode::Private0600)?;
        Ok(true)
    }

    fn chain(&self) -> PathBuf {
        self.directory.join("operator.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("operator.key")
    }

    /// What cannot be read as a pair is no pair: the directory is ours alone, and a new one harms nobody.
    fn held(&self) -> Held {
        let read = |path: PathBuf| match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "a file of the local operator cannot be read");
                }
                None
            }
        };
        let (Some(chain), Some(key)) = (read(self.chain()), read(self.key())) else { return Held::Nothing };
        let leaf = Certificate::from_pem_many(&chain).ok().and_then(|chain| chain.into_iter().next());
        let key = SoftwareKey::from_pkcs8_pem(&key).ok();
        match (leaf, key) {
            (Some(leaf), Some(key)) if leaf.spki_hash() == key.public_key().spki_hash() => {
                Held::Pair(Box::new(leaf))
            }
            _ => Held::Nothing,
        }
    }
}
