//! The port in front of every private key, and the one implementation that keeps its key in memory.
//!
//! In: messages to be signed. Out: signatures in the form X.509 carries (DER ECDSA-Sig-Value, raw Ed25519).
//! Keys travel as PKCS#8 (RFC 5208, v1: what OpenSSL and rustls both read), always inside [`Secret`].
//! No file is read or written here.

use crate::der::{self, Reader};
use crate::key::{KeyAlgorithm, KeyType, PublicKey, SignatureAlgorithm};
use crate::low_s::lowered;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use touchmark_identity::Secret;
use zeroize::Zeroizing;

/// Longest PKCS#8 that is looked into: a P-384 key needs 185 octets.
pub const PKCS8_OCTETS_MAX: usize = 4096;

/// Why nothing was signed, or no key was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningFault {
    /// The operator gave a file that holds no usable private key.
    #[error("not an unencrypted PKCS#8 private key")]
    NotPkcs8,
    /// The operator gave, or asked for, a key of a kind that does not sign here.
    #[error("a signing key is P-256, P-384 or Ed25519")]
    Unsupported,
    /// The cryptographic provider failed; nothing of the request is at fault.
    #[error("the cryptographic provider failed")]
    Provider,
    /// The device or service that keeps the key (a token, a TPM, a KMS) could not be reached or refused.
    #[error("the key's keeper did not sign")]
    Keeper,
}

/// Where a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In this process's memory: a signature that was not released dies with the process.
    Inside,
    /// Elsewhere: a signature may outlive this process, so what is to be signed is recorded before.
    Outside,
}

/// Something that signs with one key.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// The algorithm of every signature made here.
    fn algorithm(&self) -> SignatureAlgorithm;

    fn place(&self) -> KeyPlace;

    /// Signs `message` (not its hash); the signature is as X.509 carries it, an ECDSA one with the smaller s.
    ///
    /// # Errors
    /// [`SigningFault`]; trying again may help with [`SigningFault::Keeper`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault>;
}

/// A private key in this process's memory.
pub struct SoftwareKey {
    pair: Pair,
    public_key: PublicKey,
    pkcs8: Secret<Vec<u8>>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SoftwareKey {
    /// Makes a P-256, P-384 or Ed25519 key with the provider's randomness.
    ///
    /// # Errors
    /// [`SigningFault::Unsupported`] for RSA, [`SigningFault::Provider`].
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, SigningFault> {
        let pair = match algorithm {
            KeyAlgorithm::P256 => {
                EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_ASN1_SIGNING).map(Pair::Ecdsa)
            }
            KeyAlgorithm::P384 => {
                EcdsaKeyPair::generate(&lc::ECDSA_P384_SHA384_ASN1_SIGNING).map(Pair::Ecdsa)
            }
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
            KeyAlgorithm::P521 | KeyAlgorithm::Rsa { .. } => return Err(SigningFault::Unsupported),
        };
        Self::from_pair(pair.map_err(|_| SigningFault::Provider)?)
    }

    /// Reads an unencrypted PKCS#8 key, version 1 or 2.
    ///
    /// # Errors
    /// [`SigningFault::NotPkcs8`] or [`SigningFault::Unsupported`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningFault> {
        let pair = match pkcs8_key_type(pkcs8)? {
            KeyType::P256 => {
                EcdsaKeyPair::from_pkcs8(&lc::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map(Pair::Ecdsa)
            }
            KeyType::P384 => {
                EcdsaKeyPair::from_pkcs8(&lc::ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8).map(Pair::Ecdsa)
            }
            KeyType::Ed25519 => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::Ed25519),
            KeyType::P521 | KeyType::Rsa => return Err(SigningFault::Unsupported),
        };
        Self::from_pair(pair.map_err(|_| SigningFault::NotPkcs8)?)
    }

    /// Reads the first `PRIVATE KEY` block of a PEM text.
    ///
    /// # Errors
    /// As [`SoftwareKey::from_pkcs8`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, SigningFault> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| SigningFault::NotPkcs8)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// The key as PKCS#8 version 1.
    pub fn to_pkcs8(&self) -> &Secret<Vec<u8>> {
        &self.pkcs8
    }

    /// The key as a PEM text, `PRIVATE KEY` (RFC 7468 §10).
    pub fn to_pkcs8_pem(&self) -> Secret<String> {
        let base64 = Zeroizing::new(STANDARD.encode(self.pkcs8.expose()));
        // Reserved in one piece: a growing String would leave copies of the key behind.
        let mut pem = String::with_capacity(base64.len() + base64.len() / 64 + 64);
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for (at, digit) in base64.char_indices() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(digit);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        Secret::new(pem)
    }

    fn from_pair(pair: Pair) -> Result<Self, SigningFault> {
        let (spki, pkcs8) = match &pair {
            Pair::Ecdsa(pair) => (pair.public_key().as_der(), pair.to_pkcs8v1()),
            Pair::Ed25519(pair) => (pair.public_key().as_der(), pair.to_pkcs8v1()),
        };
        let spki = spki.map_err(|_| SigningFault::Provider)?;
        let pkcs8: Document = pkcs8.map_err(|_| SigningFault::Provider)?;
        let public_key = PublicKey::from_spki_der(spki.as_ref()).map_err(|_| SigningFault::Provider)?;
        Ok(Self { pair, public_key, pkcs8: Secret::new(pkcs8.as_ref().to_vec()) })
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::default_for(self.public_key.algorithm())
    }

    fn place(&self) -> KeyPlace {
        KeyPlace::Inside
    }

    #[expect(clippy::disallowed_methods, reason = "the nonce of a signature is the provider's to draw")]
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault> {
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message),
            Pair::Ed25519(pair) => pair.try_sign(message),
        };
        let signature = signature.map_err(|_| SigningFault::Provider)?;
        Ok(lowered(signature.as_ref(), self.public_key.algorithm()))
    }
}

impl std::fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SoftwareKey({:?})", self.public_key)
    }
}

/// PrivateKeyInfo ::= SEQUENCE { version, privateKeyAlgorithm, ... } (RFC 5208 §5).
fn pkcs8_key_type(pkcs8: &[u8]) -> Result<KeyType, SigningFault> {
    if pkcs8.len() > PKCS8_OCTETS_MAX {
        return Err(SigningFault::NotPkcs8);
    }
    let algorithm = || {
        let mut outer = Reader::new(pkcs8);
        let mut info = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        info.unsigned()?;
        info.content(der::SEQUENCE)
    };
    let content = algorithm().map_err(|_| SigningFault::NotPkcs8)?;
    KeyType::read(content).map_err(|_| SigningFault::Unsupported)
}
