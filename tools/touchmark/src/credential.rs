//! A key, its certificate and the trust anchors, as three files: `key.pem` (0600), `chain.pem`, `anchors.pem`.
//!
//! A new credential is put beside the old one as `.new` and takes its place by renaming, key first. What a
//! crash leaves is finished, or thrown away, at the next use: [`CredentialDir::recover`].
//! The request is kept with the new key, so that asking again with the same token is the same request.

use crate::failure::{Exit, Failure};
use crate::home;
use std::path::{Path, PathBuf};
use touchmark_dial::ClientTls;
use touchmark_durable::{Mode, create_dir_durable, rename_durable, sync, write_atomic};
use touchmark_identity::{Name, SpkiHash};
use touchmark_x509::Certificate;
use touchmark_x509::key::KeyAlgorithm;
use touchmark_x509::request::certification_request;
use touchmark_x509::signer::{Signer, SoftwareKey};

/// The folder of one credential.
#[derive(Clone, Debug)]
pub(crate) struct CredentialDir(PathBuf);

/// A key that waits for its certificate, and the request for it.
pub(crate) struct Pending {
    pub(crate) key: SoftwareKey,
    pub(crate) request_der: Vec<u8>,
}

impl CredentialDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.0.join("chain.pem")
    }

    pub(crate) fn anchors(&self) -> PathBuf {
        self.0.join("anchors.pem")
    }

    /// Whether there is a whole credential, after tidying up what a crash left.
    pub(crate) fn is_there(&self) -> Result<bool, Failure> {
        self.recover()?;
        Ok(self.key().exists() && self.chain().exists())
    }

    /// A TLS client with this credential, trusting its anchors.
    pub(crate) fn tls(&self) -> Result<ClientTls, Failure> {
        Ok(ClientTls::from_pem_files(&self.anchors(), Some((&self.chain(), &self.key())))?)
    }

    /// Makes a key and a request, or takes up those of an attempt that was cut off.
    pub(crate) fn begin(&self, name: &Name) -> Result<Pending, Failure> {
        create_dir_durable(&self.0, Mode::Private0600)?;
        self.recover()?;
        let (key_path, request_path) = (self.pending("key.pem"), self.pending("request.der"));
        if let (Ok(pem), Ok(request_der)) = (home::read(&key_path), std::fs::read(&request_path))
            && let Ok(key) = SoftwareKey::from_pkcs8_pem(&pem)
        {
            return Ok(Pending { key, request_der });
        }
        let key = SoftwareKey::generate(KeyAlgorithm::P256).map_err(no_key)?;
        let request_der = certification_request(name.as_str(), None, &key).map_err(no_key)?;
        write_atomic(&key_path, key.to_pkcs8_pem().expose().as_bytes(), Mode::Private0600)?;
        write_atomic(&request_path, &request_der, Mode::Private0600)?;
        Ok(Pending { key, request_der })
    }

    /// Forgets a key whose request was refused.
    pub(crate) fn give_up(&self) -> Result<(), Failure> {
        remove(&self.pending("request.der"))?;
        remove(&self.pending("key.pem"))
    }

    /// Puts the new certificate in force.
    pub(crate) fn finish(&self, chain: &[Certificate], anchors_pem: &str) -> Result<(), Failure> {
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        write_atomic(&self.anchors(), anchors_pem.as_bytes(), Mode::Public0644)?;
        // From here on a crash is finished by `recover`.
        write_atomic(&self.pending("chain.pem"), pem.as_bytes(), Mode::Public0644)?;
        self.recover()
    }

    /// Finishes what a crash cut off: a new chain goes with the new key, or with the key that already moved.
    fn recover(&self) -> Result<(), Failure> {
        let chain = self.pending("chain.pem");
        if !chain.exists() {
            return Ok(());
        }
        let wanted = leaf(&chain).map(|certificate| certificate.spki_hash()).ok();
        if wanted.is_some() && wanted == spki(&self.pending("key.pem")) {
            rename_durable(&self.pending("key.pem"), &self.key())?;
        }
        if wanted.is_some() && wanted == spki(&self.key()) {
            rename_durable(&chain, &self.chain())?;
            return remove(&self.pending("request.der"));
        }
        remove(&chain)
    }

    fn pending(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.new"))
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

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(path.parent().map_or(Ok(()), sync::directory)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::internal("a file cannot be removed")
            .what(path.display().to_string())
            .why(error.to_string())),
    }
}

fn no_key(fault: touchmark_x509::signer::SigningFault) -> Failure {
    Failure::new(Exit::Internal, "key", "no key was made").why(fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_cut_off_attempt_is_taken_up_with_the_same_request() {
        let folder = tempfile::tempdir().unwrap();
        let directory = CredentialDir::new(folder.path().join("pump-01"));
        let name: Name = "pump-01".parse().unwrap();
        let first = directory.begin(&name).unwrap();
        let again = directory.begin(&name).unwrap();
        assert_eq!(first.request_der, again.request_der);
        assert_eq!(first.key.public_key().spki_hash(), again.key.public_key().spki_hash());
        let mode = std::fs::metadata(folder.path().join("pump-01/key.pem.new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the key is readable by its owner alone, from its first moment");
        assert!(!directory.is_there().unwrap());
        directory.give_up().unwrap();
        assert_ne!(directory.begin(&name).unwrap().request_der, first.request_der);
    }

    #[test]
    fn a_chain_without_its_key_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let directory = CredentialDir::new(folder.path().to_owned());
        std::fs::write(folder.path().join("chain.pem.new"), "no certificate").unwrap();
        assert!(!directory.is_there().unwrap());
        assert!(!folder.path().join("chain.pem.new").exists());
    }
}
