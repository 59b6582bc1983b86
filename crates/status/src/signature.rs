//! Ed25519 (RFC 8032) around one message: `[message bytes, signature]`, bound to this format by a prefix.
//!
//! The signature covers the prefix and the SHA-256 of the message: a snapshot of a million entries is hashed once,
//! and the same hash is the link to the next message. The feed key is used for nothing else.

use crate::FeedFault;
use crate::canonical::{Reader, Writer};
use crate::message::MESSAGE_OCTETS_MAX;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use core::fmt;

const PREFIX: &[u8; 32] = b"touchmark/status-feed/v1\0\0\0\0\0\0\0\0";

/// Octets around a message: two heads and the signature.
const WRAPPER_OCTETS_MAX: usize = 1 + 9 + 2 + 64;

/// SHA-256 of a message: the link in the chain.
pub(crate) fn message_hash(message: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, message).as_ref());
    hash
}

fn signed_octets(hash: &[u8; 32]) -> [u8; 64] {
    let mut octets = [0; 64];
    octets[..32].copy_from_slice(PREFIX);
    octets[32..].copy_from_slice(hash);
    octets
}

/// Holds the feed key of one environment, at the authority.
pub struct FeedSigner(Ed25519KeyPair);

impl FeedSigner {
    /// From the 32-octet private key of RFC 8032.
    ///
    /// # Errors
    /// [`FeedFault::BadKey`] when the library refuses the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, FeedFault> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| FeedFault::BadKey)
    }

    /// What gateways are configured with.
    pub fn verifier(&self) -> FeedVerifier {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        FeedVerifier(key)
    }

    /// Wraps a message; gives the wire octets and the message's hash.
    pub(crate) fn seal(&self, message: &[u8]) -> Result<(Vec<u8>, [u8; 32]), FeedFault> {
        if message.len() > MESSAGE_OCTETS_MAX {
            return Err(FeedFault::TooLarge("octets of one message"));
        }
        let hash = message_hash(message);
        let signature = self.0.try_sign(&signed_octets(&hash)).map_err(|_| FeedFault::BadKey)?;
        let mut wire = Writer::new();
        wire.array(2).bytes(message).bytes(signature.as_ref());
        Ok((wire.finish(), hash))
    }
}

impl fmt::Debug for FeedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedSigner(for {:?})", self.verifier())
    }
}

/// The public half of a feed key: the only root of trust of a [`crate::StatusSet`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FeedVerifier([u8; 32]);

impl FeedVerifier {
    /// From the 32-octet public key of RFC 8032.
    pub fn new(public_key: [u8; 32]) -> Self {
        Self(public_key)
    }

    /// The 32-octet public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes the wrapper off; nothing inside is read before its signature stands.
    pub(crate) fn open<'b>(&self, wire: &'b [u8]) -> Result<(&'b [u8], [u8; 32]), FeedFault> {
        if wire.len() > MESSAGE_OCTETS_MAX.saturating_add(WRAPPER_OCTETS_MAX) {
            return Err(FeedFault::TooLarge("octets of one message"));
        }
        let mut reader = Reader::new(wire);
        reader.array_of(2)?;
        let message = reader.bytes()?;
        let signature = reader.fixed::<64>()?;
        reader.end()?;
        let hash = message_hash(message);
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&signed_octets(&hash), &signature)
            .map_err(|_| FeedFault::WrongSignature)?;
        Ok((message, hash))
    }
}

impl fmt::Debug for FeedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedVerifier(")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}
