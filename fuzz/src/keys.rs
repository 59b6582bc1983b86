//! Ed25519 keys that are the same in every run. Signatures of this kind hold no randomness.
//!
//! What stands behind a signature is out of a fuzzer's reach; targets therefore sign the fuzzer's octets themselves.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// A key from a seed of 32 equal octets; the crates' golden files are made with the same.
pub struct FixedKey(Ed25519KeyPair);

impl FixedKey {
    /// The key of this seed.
    pub fn of(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any 32 octets are a seed"))
    }

    /// Its public half.
    pub fn public(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("an Ed25519 key has 32 octets")
    }

    /// Its signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 octets")
    }
}
