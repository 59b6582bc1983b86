//! Keys in encrypted files: argon2id over a passphrase makes one key-encryption key; AES-256-GCM seals each key.
//!
//! The passphrase comes from a file that the operator guards (or a credential directory), never from argv or
//! the environment. A sealed key is bound to its name, so that two files cannot be swapped unnoticed.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use touchmark_durable::Mode;
use touchmark_identity::Secret;
use touchmark_x509::{KeyAlgorithm, SigningFault, SoftwareKey};

/// 64 MiB and three passes: about a tenth of a second once per start (RFC 9106 §4, second choice).
const MEMORY_KIB: u32 = 65_536;
const PASSES: u32 = 3;
/// Shortest passphrase that is accepted from an operator.
const PASSPHRASE_OCTETS_MIN: usize = 12;
/// A sealed P-384 key has some 300 octets; more is not one of ours.
const SEALED_OCTETS_MAX: u64 = 16 * 1024;

/// Why a key is not at hand. An operator must act.
#[derive(Debug, thiserror::Error)]
pub enum VaultFault {
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] touchmark_durable::WriteFault),
    /// A file could not be read.
    #[error("key file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not one of our files, or damaged.
    #[error("key file {0} is damaged")]
    Damaged(PathBuf),
    /// The passphrase is wrong, or the file was tampered with.
    #[error("key file {0} does not open: wrong passphrase, or the file was changed")]
    DoesNotOpen(PathBuf),
    /// Too short to protect anything.
    #[error("the key passphrase has at least {PASSPHRASE_OCTETS_MIN} characters")]
    Passphrase,
    /// The provider refused.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// Derivation failed: not enough memory.
    #[error("argon2id: {0}")]
    Derivation(argon2::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    #[serde(with = "hex")]
    salt: Vec<u8>,
}

/// An opened directory of sealed keys.
pub(crate) struct KeyVault {
    directory: PathBuf,
    kek: RandomizedNonceKey,
}

impl KeyVault {
    /// Opens the directory, making it if it is new. A wrong passphrase shows when the first key is opened.
    ///
    /// # Errors
    /// [`VaultFault`] when a file cannot be read, or the passphrase is too short.
    pub(crate) fn open(
        directory: &Path,
        passphrase: &Secret<Vec<u8>>,
        salt: [u8; 16],
    ) -> Result<Self, VaultFault> {
        if passphrase.expose().len() < PASSPHRASE_OCTETS_MIN {
            return Err(VaultFault::Passphrase);
        }
        let path = directory.join("vault.json");
        let file = |source| VaultFault::File { path: path.clone(), source };
        touchmark_durable::create_dir_durable(directory, Mode::Private0600)?;
        let header = if path.exists() {
            serde_json::from_slice(&std::fs::read(&path).map_err(file)?)
                .map_err(|_| VaultFault::Damaged(path.clone()))?
        } else {
            let header = Header {
                version: 1,
                kdf: "argon2id".into(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                salt: salt.to_vec(),
            };
            let text = serde_json::to_vec_pretty(&header).map_err(|_| VaultFault::Damaged(path.clone()))?;
            touchmark_durable::write_atomic(&path, &text, Mode::Private0600)?;
            header
        };
        if header.version != 1 || header.kdf != "argon2id" {
            return Err(VaultFault::Damaged(path));
        }
        let params =
            Params::new(header.memory_kib, header.passes, 1, Some(32)).map_err(VaultFault::Derivation)?;
        let mut kek = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose(), &header.salt, &mut kek)
            .map_err(VaultFault::Derivation)?;
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &kek).map_err(|_| SigningFault::Provider)?;
        zeroize::Zeroize::zeroize(&mut kek);
        Ok(Self { directory: directory.to_owned(), kek: sealing })
    }

    /// The key of this name, made if there is none.
    ///
    /// # Errors
    /// [`VaultFault`]; a damaged or foreign file is never replaced.
    pub(crate) fn open_or_create(
        &self,
        name: &str,
        algorithm: KeyAlgorithm,
    ) -> Result<SoftwareKey, VaultFault> {
        match self.open_secret(name)? {
            Some(pkcs8) => Ok(SoftwareKey::from_pkcs8(pkcs8.expose())?),
            None => {
                let key = SoftwareKey::generate(algorithm)?;
                self.seal(name, key.to_pkcs8().expose())?;
                Ok(key)
            }
        }
    }

    /// 32 secret octets of this name (an Ed25519 seed), taken from `fresh` if there are none.
    ///
    /// # Errors
    /// As [`KeyVault::open_or_create`].
    pub(crate) fn open_or_create_seed(
        &self,
        name: &str,
        fresh: [u8; 32],
    ) -> Result<Secret<[u8; 32]>, VaultFault> {
        match self.open_secret(name)? {
            Some(seed) => <[u8; 32]>::try_from(seed.expose().as_slice())
                .map(Secret::new)
                .map_err(|_| VaultFault::Damaged(self.path(name))),
            None => {
                self.seal(name, &fresh)?;
                Ok(Secret::new(fresh))
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.key"))
    }

    fn open_secret(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>, VaultFault> {
        let path = self.path(name);
        let file = |source| VaultFault::File { path: path.clone(), source };
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file(source)),
        };
        if size > SEALED_OCTETS_MAX {
            return Err(VaultFault::Damaged(path));
        }
        let sealed = std::fs::read(&path).map_err(file)?;
        let (nonce, body) = sealed.split_at_checked(12).ok_or(VaultFault::Damaged(path.clone()))?;
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce)
            .map_err(|_| VaultFault::Damaged(path.clone()))?;
        let mut body = body.to_vec();
        let opened = self
            .kek
            .open_in_place(nonce, associated(name), &mut body)
            .map_err(|_| VaultFault::DoesNotOpen(path))?;
        let secret = Secret::new(opened.to_vec());
        zeroize::Zeroize::zeroize(&mut body);
        Ok(Some(secret))
    }

    fn seal(&self, name: &str, secret: &[u8]) -> Result<(), VaultFault> {
        let path = self.path(name);
        let mut body = secret.to_vec();
        let nonce = self
            .kek
            .seal_in_place_append_tag(associated(name), &mut body)
            .map_err(|_| SigningFault::Provider)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&body);
        Ok(touchmark_durable::write_atomic(&path, &sealed, Mode::Private0600)?)
    }
}

fn associated(name: &str) -> Aad<Vec<u8>> {
    Aad::from([b"touchmark key v1\0", name.as_bytes()].concat())
}
