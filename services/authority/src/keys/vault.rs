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
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that the database knows of is gone. A new one would break every chain, feed and log made with it.
    #[error("key file {0} is missing: restore it from a backup; no other key can take its place")]
    Missing(PathBuf),
    /// A new key would replace another.
    #[error("key file {0} exists already")]
    Exists(PathBuf),
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
    /// Opens a directory that is known to hold keys. A wrong passphrase shows when the first key is opened.
    ///
    /// # Errors
    /// [`VaultFault`] when the passphrase is too short or the vault's file is missing; nothing is written.
    pub(crate) fn open_vault(directory: &Path, passphrase: &Secret<Vec<u8>>) -> Result<Self, VaultFault> {
        check_passphrase(passphrase)?;
        let path = directory.join("vault.json");
        let file = |source| VaultFault::File { path: path.clone(), source };
        if !path.try_exists().map_err(file)? {
            return Err(VaultFault::Missing(path));
        }
        let header: Header = serde_json::from_slice(&std::fs::read(&path).map_err(file)?)
            .map_err(|_| VaultFault::Damaged(path.clone()))?;
        if header.version != 1 || header.kdf != "argon2id" {
            return Err(VaultFault::Damaged(path));
        }
        Self::unlock(directory, passphrase, &header)
    }

    /// Opens a directory for an authority that has no rows yet: made at its first start, or by one that a crash
    /// cut short.
    ///
    /// # Errors
    /// [`VaultFault`] as [`KeyVault::open_vault`], or when a file cannot be written.
    pub(crate) fn open_or_found_vault(
        directory: &Path,
        passphrase: &Secret<Vec<u8>>,
        salt: [u8; 16],
    ) -> Result<Self, VaultFault> {
        match Self::open_vault(directory, passphrase) {
            Err(VaultFault::Missing(path)) => {
                let header = Header {
                    version: 1,
                    kdf: "argon2id".into(),
                    memory_kib: MEMORY_KIB,
                    passes: PASSES,
                    salt: salt.to_vec(),
                };
                let text =
                    serde_json::to_vec_pretty(&header).map_err(|_| VaultFault::Damaged(path.clone()))?;
                touchmark_durable::create_dir_durable(directory, Mode::Private0600)?;
                touchmark_durable::write_atomic(&path, &text, Mode::Private0600)?;
                Self::unlock(directory, passphrase, &header)
            }
            opened => opened,
        }
    }

    fn unlock(directory: &Path, passphrase: &Secret<Vec<u8>>, header: &Header) -> Result<Self, VaultFault> {
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

    /// The key of this name.
    ///
    /// # Errors
    /// [`VaultFault::Missing`] when there is none: it was lost, and is never made anew.
    pub(crate) fn open(&self, name: &str) -> Result<SoftwareKey, VaultFault> {
        Ok(SoftwareKey::from_pkcs8(self.open_secret(name)?.expose())?)
    }

    /// A new key under a new name.
    ///
    /// # Errors
    /// [`VaultFault::Exists`] when the name has a key: it is never replaced.
    pub(crate) fn create(&self, name: &str, algorithm: KeyAlgorithm) -> Result<SoftwareKey, VaultFault> {
        let key = SoftwareKey::generate(algorithm)?;
        self.seal(name, key.to_pkcs8().expose())?;
        Ok(key)
    }

    /// 32 secret octets of this name (an Ed25519 seed).
    ///
    /// # Errors
    /// As [`KeyVault::open`].
    pub(crate) fn open_seed(&self, name: &str) -> Result<Secret<[u8; 32]>, VaultFault> {
        <[u8; 32]>::try_from(self.open_secret(name)?.expose().as_slice())
            .map(Secret::new)
            .map_err(|_| VaultFault::Damaged(self.path(name)))
    }

    /// Keeps 32 secret octets under a new name.
    ///
    /// # Errors
    /// As [`KeyVault::create`].
    pub(crate) fn create_seed(&self, name: &str, fresh: [u8; 32]) -> Result<Secret<[u8; 32]>, VaultFault> {
        self.seal(name, &fresh)?;
        Ok(Secret::new(fresh))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.key"))
    }

    fn open_secret(&self, name: &str) -> Result<Secret<Vec<u8>>, VaultFault> {
        let path = self.path(name);
        let file = |source| VaultFault::File { path: path.clone(), source };
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
                return Err(VaultFault::Missing(path));
            }
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
        Ok(secret)
    }

    fn seal(&self, name: &str, secret: &[u8]) -> Result<(), VaultFault> {
        let path = self.path(name);
        if path.try_exists().map_err(|source| VaultFault::File { path: path.clone(), source })? {
            return Err(VaultFault::Exists(path));
        }
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

fn check_passphrase(passphrase: &Secret<Vec<u8>>) -> Result<(), VaultFault> {
    if passphrase.expose().len() < PASSPHRASE_OCTETS_MIN {
        return Err(VaultFault::Passphrase);
    }
    Ok(())
}

fn associated(name: &str) -> Aad<Vec<u8>> {
    Aad::from([b"touchmark key v1\0", name.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_x509::Signer as _;

    #[test]
    fn a_key_is_neither_made_by_opening_nor_replaced_by_creating() {
        let home = tempfile::tempdir().unwrap();
        let passphrase = Secret::new(b"correct horse battery".to_vec());
        assert!(matches!(KeyVault::open_vault(home.path(), &passphrase), Err(VaultFault::Missing(_))));
        let vault = KeyVault::open_or_found_vault(home.path(), &passphrase, [7; 16]).unwrap();
        assert!(matches!(vault.open("root"), Err(VaultFault::Missing(path)) if path.ends_with("root.key")));
        assert!(matches!(vault.open_seed("feed"), Err(VaultFault::Missing(_))));
        let key = vault.create("root", KeyAlgorithm::P256).unwrap();
        assert!(matches!(vault.create("root", KeyAlgorithm::P256), Err(VaultFault::Exists(_))));
        vault.create_seed("feed", [9; 32]).unwrap();
        assert!(matches!(vault.create_seed("feed", [8; 32]), Err(VaultFault::Exists(_))));

        let again = KeyVault::open_vault(home.path(), &passphrase).unwrap();
        assert_eq!(again.open("root").unwrap().public_key().spki_hash(), key.public_key().spki_hash());
        assert_eq!(again.open_seed("feed").unwrap().expose(), &[9; 32]);
        let other = Secret::new(b"another horse battery".to_vec());
        let wrong = KeyVault::open_vault(home.path(), &other).unwrap();
        assert!(matches!(wrong.open("root"), Err(VaultFault::DoesNotOpen(_))));
    }
}
