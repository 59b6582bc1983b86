//! The gateway's own certificate and key: read from files, and again when they change.
//!
//! One credential, three uses: server on the device ports, client of the authority, client of an encrypted
//! upstream. It is renewed by replacing the files; a pair that does not fit leaves the old one in use.

use crate::config::CredentialFiles;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use touchmark_dial::ClientIdentity;
use touchmark_identity::Secret;
use touchmark_listen::{BadServerIdentity, ServerIdentity};

/// Longest PEM file: hundreds of certificates, and no accident with a device file.
const PEM_OCTETS_MAX: u64 = 1024 * 1024;

/// The operator must put a certificate chain and its key, in PEM, where the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum BadCredential {
    /// A file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is far longer than PEM files are.
    #[error("{} is longer than any PEM file of ours", path.display())]
    TooLong { path: PathBuf },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key do not fit together.
    #[error(transparent)]
    Pair(#[from] BadServerIdentity),
}

/// A chain and its key, as read.
pub(crate) struct Credential {
    chain: Vec<Vec<u8>>,
    pkcs8: Secret<Vec<u8>>,
}

impl Credential {
    pub(crate) fn read(files: &CredentialFiles) -> Result<Self, BadCredential> {
        let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&read_file(&files.chain)?)
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        if chain.is_empty() {
            return Err(BadCredential::Pem { path: files.chain.clone(), what: "certificate" });
        }
        warn_of_readers(&files.key);
        let text = Secret::new(read_file(&files.key)?);
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.expose()).map_err(|_| BadCredential::Pem {
            path: files.key.clone(),
            what: "unencrypted PKCS#8 private key",
        })?;
        Ok(Self { chain, pkcs8: Secret::new(key.secret_pkcs8_der().to_vec()) })
    }

    pub(crate) fn server(&self) -> Result<ServerIdentity, BadCredential> {
        Ok(ServerIdentity::new(self.chain.clone(), &self.pkcs8)?)
    }

    pub(crate) fn show_on(&self, server: &ServerIdentity) -> Result<(), BadCredential> {
        Ok(server.swap(self.chain.clone(), &self.pkcs8)?)
    }

    pub(crate) fn client(&self) -> ClientIdentity {
        ClientIdentity::from_der(self.chain.clone(), &self.pkcs8)
    }
}

/// Says so when others than the gateway's user can read its key, or change it. It is used all the same: where keys
/// come from a mount, its rights are not the gateway's to set.
fn warn_of_readers(key: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(key) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if lets_others_in(mode) {
        tracing::error!(
            key = %key.display(),
            mode = %format_args!("{mode:04o}"),
            "other users can read or change the gateway's private key: chmod 600, and replace the key if they should not have"
        );
    }
}

/// Whether a file of this mode is readable or writable for others than its owner.
fn lets_others_in(mode: u32) -> bool {
    mode & 0o066 != 0
}

/// When the files were last written; a change asks for another read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written([Option<(SystemTime, u64)>; 3]);

impl Written {
    pub(crate) fn of(files: &CredentialFiles, anchors: &Path) -> Self {
        Self([&files.chain, &files.key, anchors].map(|path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

/// Reads a file that an operator configured, within a bound.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, BadCredential> {
    use std::io::Read as _;
    let fault = |source| BadCredential::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fault)?;
    let mut bytes = Vec::new();
    file.take(PEM_OCTETS_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > PEM_OCTETS_MAX {
        return Err(BadCredential::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_owners_alone() {
        for mode in [0o600, 0o400, 0o700, 0o611] {
            assert!(!lets_others_in(mode), "{mode:o}");
        }
        for mode in [0o644, 0o640, 0o604, 0o660, 0o602, 0o777] {
            assert!(lets_others_in(mode), "{mode:o}");
        }
    }
}
