//! Public keys (SubjectPublicKeyInfo), with the limits that come before any arithmetic.
//!
//! In: DER from certificates, requests and our own signers. Out: [`PublicKey`], which cannot hold a key outside
//! the limits, and verification. RFC 5480 (EC), RFC 8410 (Ed25519), RFC 8017 (RSA, verified only, never made here).

#[cfg(test)]
mod tests;

use crate::der::{self, NotDer, Reader};
use crate::low_s;
use crate::oid_names::named;
pub use crate::signature_algorithm::{BadSignatureAlgorithm, SignatureAlgorithm};
use crate::strict::Element;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{self as lc, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use std::sync::Arc;
use touchmark_identity::SpkiHash;

/// Longest SubjectPublicKeyInfo that is looked into: RSA-8192 needs 1.1 KiB; the rest names the fault of larger keys.
pub const SPKI_OCTETS_MAX: usize = 8192;
/// Smallest RSA modulus: 112-bit security (SP 800-57).
pub const RSA_BITS_MIN: u32 = 2048;
/// Largest RSA modulus: verification beyond it is a way to burn our time.
pub const RSA_BITS_MAX: u32 = 8192;
/// RSA exponents are odd, at least 3 and below 2^33: the provider's own bound against slow verification.
const RSA_EXPONENT_BITS_MAX: u32 = 33;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const SECP521R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// What a key is, with its size where that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on secp256r1.
    P256,
    /// ECDSA on secp384r1.
    P384,
    /// ECDSA on secp521r1, verified only, never made here.
    P521,
    /// EdDSA on edwards25519.
    Ed25519,
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Length of the modulus.
        bits: u32,
    },
}

/// What an AlgorithmIdentifier says of a key: everything but RSA's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

impl core::fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
        }
    }
}

impl KeyType {
    /// Reads the content of an AlgorithmIdentifier.
    pub(crate) fn read(content: &[u8]) -> Result<Self, BadKey> {
        let mut algorithm = Reader::new(content);
        let key_type = match algorithm.content(der::OID)? {
            // Explicit parameters (a SEQUENCE) let a stranger choose the curve: refused with unknown names.
            EC_PUBLIC_KEY => match algorithm.optional(der::OID)? {
                Some(SECP256R1) => Self::P256,
                Some(SECP384R1) => Self::P384,
                Some(SECP521R1) => Self::P521,
                other => {
                    let found = other.map_or_else(|| "explicit parameters".to_owned(), oid_named);
                    return Err(BadKey::Curve { found });
                }
            },
            ED25519 => Self::Ed25519,
            RSA_ENCRYPTION => match algorithm.content(der::NULL)? {
                [] => Self::Rsa,
                _ => return Err(BadKey::Malformed),
            },
            other => return Err(BadKey::Algorithm { found: oid_named(other) }),
        };
        algorithm.finish()?;
        Ok(key_type)
    }
}

/// The content octets of an OBJECT IDENTIFIER for people.
pub(crate) fn oid_named(content: &[u8]) -> String {
    let element = Element { tag: der::OID, content, raw: content };
    element.oid_text().map_or_else(|_| "a malformed object identifier".to_owned(), |oid| named(&oid))
}

/// Why a SubjectPublicKeyInfo is refused; the party that made the key must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not the DER of a SubjectPublicKeyInfo.
    #[error("not a SubjectPublicKeyInfo in DER")]
    Malformed,
    /// More than [`SPKI_OCTETS_MAX`].
    #[error("a public key has at most {SPKI_OCTETS_MAX} octets, this one has {octets}")]
    TooLong {
        /// Length as given.
        octets: usize,
    },
    /// Neither EC, Ed25519 nor RSA.
    #[error("it is a key of the algorithm {found}; taken are EC, Ed25519 and RSA (rsaEncryption)")]
    Algorithm {
        /// Its algorithm.
        found: String,
    },
    /// An EC key on another curve than P-256, P-384 and P-521, or with explicit parameters.
    #[error("its curve is {found}; taken are P-256, P-384 and P-521, by their names")]
    Curve {
        /// Its curve.
        found: String,
    },
    /// A compressed or hybrid point, or one of the wrong length.
    #[error("an EC point must be uncompressed")]
    PointForm,
    /// A point that does not lie on its curve.
    #[error("the EC point does not lie on its curve")]
    PointNotOnCurve,
    /// An Ed25519 point of small order: signatures that nobody made verify under it.
    #[error("the Ed25519 key has small order, so that anybody can sign for it")]
    SmallOrder,
    /// An RSA modulus outside [`RSA_BITS_MIN`]..=[`RSA_BITS_MAX`].
    #[error("an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, this one has {bits}")]
    RsaSize {
        /// Length of the modulus.
        bits: u32,
    },
    /// An even modulus, which no pair of primes makes.
    #[error("an RSA modulus is odd")]
    RsaModulus,
    /// An RSA exponent that is even, below 3, or longer than 33 bits.
    #[error("an RSA exponent is odd, at least 3 and below 2^33")]
    RsaExponent,
}

impl From<NotDer> for BadKey {
    fn from(NotDer: NotDer) -> Self {
        Self::Malformed
    }
}

/// A signature was not made by the key over the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The algorithm is for another type of key.
    #[error("the signature algorithm does not fit the key")]
    KeyMismatch,
    /// The arithmetic says no.
    #[error("the signature does not verify")]
    DoesNotVerify,
}

/// y coordinates of the points whose order divides 8, little-endian without the sign bit (RFC 7748 §6.1 warns of
/// them; RFC 8032 leaves the check to the user). The library accepts such keys, and forged signatures under them.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    hex32(b"0100000000000000000000000000000000000000000000000000000000000000"),
    hex32(b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex32(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    hex32(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
];

const fn hex32(digits: &[u8; 64]) -> [u8; 32] {
    const fn nibble(digit: u8) -> u8 {
        if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
    }
    let mut octets = [0; 32];
    let mut at = 0;
    while at < 32 {
        octets[at] = (nibble(digits[2 * at]) << 4) | nibble(digits[2 * at + 1]);
        at += 1;
    }
    octets
}

fn check_order(point: &[u8]) -> Result<(), BadKey> {
    let mut y: [u8; lc::ED25519_PUBLIC_KEY_LEN] = point.try_into().map_err(|_| BadKey::Malformed)?;
    if let Some(sign) = y.last_mut() {
        *sign &= 0x7f;
    }
    if SMALL_ORDER_Y.contains(&y) { Err(BadKey::SmallOrder) } else { Ok(()) }
}

/// A public key inside the limits of this module. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    /// Where the content of the subjectPublicKey BIT STRING begins; it runs to the end.
    bits_at: usize,
    algorithm: KeyAlgorithm,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo. Sizes, curve and exponent are held against the limits before any arithmetic.
    ///
    /// # Errors
    /// [`BadKey`] names the first limit that is broken.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, BadKey> {
        if spki.len() > SPKI_OCTETS_MAX {
            return Err(BadKey::TooLong { octets: spki.len() });
        }
        let mut outer = Reader::new(spki);
        let mut info = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        let key_type = KeyType::read(info.content(der::SEQUENCE)?)?;
        let bits = info.bit_string()?;
        info.finish()?;
        let algorithm = match key_type {
            KeyType::P256 => {
                check_point(bits, 65, &lc::ECDSA_P256_SHA256_ASN1)?;
                KeyAlgorithm::P256
            }
            KeyType::P384 => {
                check_point(bits, 97, &lc::ECDSA_P384_SHA384_ASN1)?;
                KeyAlgorithm::P384
            }
            KeyType::P521 => {
                check_point(bits, 133, &lc::ECDSA_P521_SHA512_ASN1)?;
                KeyAlgorithm::P521
            }
            KeyType::Ed25519 => {
                check_order(bits)?;
                KeyAlgorithm::Ed25519
            }
            KeyType::Rsa => KeyAlgorithm::Rsa { bits: checked_modulus_bits(bits)? },
        };
        Ok(Self { spki: spki.into(), bits_at: spki.len() - bits.len(), algorithm })
    }

    /// The SubjectPublicKeyInfo as read.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// What the key is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// SHA-256 of [`PublicKey::spki_der`].
    pub fn spki_hash(&self) -> SpkiHash {
        SpkiHash(sha256(&self.spki))
    }

    /// Key identifier: the leftmost 160 bits of SHA-256 over the subjectPublicKey's content (RFC 7093 §2, method 1).
    pub fn key_id(&self) -> [u8; 20] {
        let hash = sha256(self.subject_public_key());
        let mut id = [0; 20];
        id.copy_from_slice(&hash[..20]);
        id
    }

    /// Whether `id` is one of the key identifiers that others make of this key: SHA-1 over the subjectPublicKey, whole or
    /// its last 60 bits (RFC 5280 §4.2.1.2), the leftmost 160 bits or all of SHA-256, SHA-384 or SHA-512 over it or over
    /// the SubjectPublicKeyInfo (RFC 7093 §2).
    pub fn is_key_id(&self, id: &[u8]) -> bool {
        let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, self.subject_public_key());
        let mut short = [0; 8];
        short.copy_from_slice(&sha1.as_ref()[12..]);
        short[0] = 0x40 | (short[0] & 0x0f);
        if id == sha1.as_ref() || id == short {
            return true;
        }
        [&SHA256, &SHA384, &SHA512, &SHA1_FOR_LEGACY_USE_ONLY].into_iter().any(|algorithm| {
            [self.subject_public_key(), self.spki_der()].into_iter().any(|hashed| {
                let hash = digest(algorithm, hashed);
                id == hash.as_ref() || id == &hash.as_ref()[..20]
            })
        })
    }

    /// Whether an ECDSA signature under this key is the smaller of its two forms, (r, s) with s at most half the order.
    /// True of every other signature: they have one form.
    pub fn is_low_s(&self, signature: &[u8]) -> bool {
        low_s::half_order(self.algorithm).is_none_or(|half| low_s::is_low(signature, half))
    }

    /// Whether this key signed `message`.
    ///
    /// # Errors
    /// [`BadSignature`]; an EC key takes every hash of the SHA-2 family, as clients combine them (RFC 5758 §3.2).
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        use SignatureAlgorithm as S;
        let verification: &'static dyn VerificationAlgorithm = match (self.algorithm, algorithm) {
            (KeyAlgorithm::P256, S::EcdsaSha256) => &lc::ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::P256, S::EcdsaSha384) => &lc::ECDSA_P256_SHA384_ASN1,
            (KeyAlgorithm::P256, S::EcdsaSha512) => &lc::ECDSA_P256_SHA512_ASN1,
            (KeyAlgorithm::P384, S::EcdsaSha256) => &lc::ECDSA_P384_SHA256_ASN1,
            (KeyAlgorithm::P384, S::EcdsaSha384) => &lc::ECDSA_P384_SHA384_ASN1,
            (KeyAlgorithm::P384, S::EcdsaSha512) => &lc::ECDSA_P384_SHA512_ASN1,
            (KeyAlgorithm::P521, S::EcdsaSha256) => &lc::ECDSA_P521_SHA256_ASN1,
            (KeyAlgorithm::P521, S::EcdsaSha384) => &lc::ECDSA_P521_SHA384_ASN1,
            (KeyAlgorithm::P521, S::EcdsaSha512) => &lc::ECDSA_P521_SHA512_ASN1,
            (KeyAlgorithm::Ed25519, S::Ed25519) => &lc::ED25519,
            (KeyAlgorithm::Rsa { .. }, S::RsaPkcs1Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa { .. }, S::RsaPkcs1Sha384) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (KeyAlgorithm::Rsa { .. }, S::RsaPkcs1Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (KeyAlgorithm::Rsa { .. }, S::RsaPssSha256) => &lc::RSA_PSS_2048_8192_SHA256,
            (KeyAlgorithm::Rsa { .. }, S::RsaPssSha384) => &lc::RSA_PSS_2048_8192_SHA384,
            (KeyAlgorithm::Rsa { .. }, S::RsaPssSha512) => &lc::RSA_PSS_2048_8192_SHA512,
            _ => return Err(BadSignature::KeyMismatch),
        };
        UnparsedPublicKey::new(verification, self.subject_public_key())
            .verify(message, signature)
            .map_err(|_| BadSignature::DoesNotVerify)
    }

    /// Content of the subjectPublicKey BIT STRING.
    pub fn subject_public_key(&self) -> &[u8] {
        self.spki.get(self.bits_at..).unwrap_or_default()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.spki_hash())
    }
}

fn check_point(
    point: &[u8],
    octets: usize,
    verification: &'static dyn VerificationAlgorithm,
) -> Result<(), BadKey> {
    if point.len() != octets || point.first() != Some(&0x04) {
        return Err(BadKey::PointForm);
    }
    ParsedPublicKey::new(verification, point).map(drop).map_err(|_| BadKey::PointNotOnCurve)
}

fn checked_modulus_bits(key: &[u8]) -> Result<u32, BadKey> {
    let mut outer = Reader::new(key);
    let mut fields = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    let (modulus, exponent) = (fields.magnitude()?, fields.magnitude()?);
    fields.finish()?;
    let bits = bit_length(modulus);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(BadKey::RsaSize { bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|octet| octet & 1 == 1);
    if !odd(modulus) {
        return Err(BadKey::RsaModulus);
    }
    if !odd(exponent) || !(2..=RSA_EXPONENT_BITS_MAX).contains(&bit_length(exponent)) {
        return Err(BadKey::RsaExponent);
    }
    Ok(bits)
}

/// Bits of a magnitude without leading zero octets. SPKI_OCTETS_MAX bounds the length, so the sum fits.
fn bit_length(magnitude: &[u8]) -> u32 {
    let octets = u32::try_from(magnitude.len()).unwrap_or(u32::MAX / 8);
    octets * 8 - magnitude.first().map_or(0, |first| first.leading_zeros())
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, octets).as_ref());
    hash
}
