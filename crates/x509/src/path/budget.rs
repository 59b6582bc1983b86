//! What a search may cost. The peer chooses the certificates, so it also chooses how many signatures look possible.

use super::PathFault;
use crate::key::KeyAlgorithm;

/// The unit is one P-256 verification, about 60 us. The longest path there is (five signatures) costs 35 with P-384, 40 with P-521;
/// all of it, spent in vain, is about 3 ms (RUSTSEC-2023-0052, pathological path building).
pub const COST_MAX: u32 = 40;

/// What is left for signature checks. One budget serves one peer, however many anchors and purposes it is tried for.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    signatures: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: COST_MAX, signatures: 0 }
    }
}

impl Budget {
    /// Signatures checked so far.
    pub fn signatures(&self) -> u32 {
        self.signatures
    }

    /// Asked before each check.
    pub(super) fn pay(&mut self, key: KeyAlgorithm) -> Result<(), PathFault> {
        self.left = self.left.checked_sub(cost(key)).ok_or(PathFault::BudgetExhausted)?;
        self.signatures += 1;
        Ok(())
    }
}

/// What a verification costs beside one of P-256, rounded up; for RSA with the longest exponent that a key may have.
fn cost(key: KeyAlgorithm) -> u32 {
    match key {
        KeyAlgorithm::P256 | KeyAlgorithm::Ed25519 => 1,
        KeyAlgorithm::P384 => 7,
        KeyAlgorithm::P521 => 8,
        KeyAlgorithm::Rsa { bits: ..=2048 } => 1,
        KeyAlgorithm::Rsa { bits: ..=4096 } => 2,
        KeyAlgorithm::Rsa { .. } => 7,
    }
}
