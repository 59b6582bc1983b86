//! Inclusion and consistency proofs: made from stored nodes, checked from hashes alone.
//!
//! In: a closure that knows the hash of any node whose subtree is full; sizes and indices.
//! Out: proofs, or which node is missing. Verification trusts nothing in the proof, not even its length.
//! Standards: RFC 6962 §2.1.1-2.1.2 (making), RFC 9162 §2.1.3.2 and §2.1.4.2 (checking).

use crate::hash::{Hash, empty_root, node_hash};

/// The longest proof that a tree of u64 size can need, with one to spare for consistency.
pub const PROOF_HASHES_MAX: usize = 65;

/// Hashes from the leaf's sibling up to the root's child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof(pub Vec<Hash>);

/// Hashes that tie the root of a smaller tree to the root of a larger one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof(pub Vec<Hash>);

/// Why a proof cannot be made or does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The caller asked for a leaf or a size that the tree does not have.
    #[error("{wanted} lies outside a tree of {size} leaves")]
    OutOfRange {
        /// The index or the smaller size.
        wanted: u64,
        /// Size of the tree.
        size: u64,
    },
    /// Our own storage lacks a node.
    #[error("no hash stored for node {index} of tree level {level}")]
    NodeMissing {
        /// Tree level.
        level: u8,
        /// Index in that level.
        index: u64,
    },
    /// The proof is longer or shorter than the sizes call for.
    #[error("the proof has the wrong length: {hashes} hashes")]
    Length {
        /// Its length.
        hashes: usize,
    },
    /// The proof does not lead to the root.
    #[error("the proof does not lead to the root")]
    RootMismatch,
}

impl InclusionProof {
    /// Proves that leaf `index` is in the tree of the first `size` leaves.
    ///
    /// `node(level, index)` is asked only for nodes whose subtree is full at `size`.
    pub fn make(index: u64, size: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Result<Self, ProofFault> {
        if index >= size {
            return Err(ProofFault::OutOfRange { wanted: index, size });
        }
        let (mut low, mut high) = (0, size);
        let mut hashes = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                hashes.push(range_root(middle, high, &node)?);
                high = middle;
            } else {
                hashes.push(range_root(low, middle, &node)?);
                low = middle;
            }
        }
        hashes.reverse();
        Ok(Self(hashes))
    }

    /// Checks that `leaf` is the leaf hash at `index` of the tree with this size and root.
    pub fn verify(&self, index: u64, size: u64, leaf: &Hash, root: &Hash) -> Result<(), ProofFault> {
        if index >= size {
            return Err(ProofFault::OutOfRange { wanted: index, size });
        }
        let wrong_length = ProofFault::Length { hashes: self.0.len() };
        let (mut place, mut last) = (index, size - 1);
        let mut hash = *leaf;
        for sibling in &self.0 {
            if last == 0 {
                return Err(wrong_length);
            }
            if place & 1 == 1 || place == last {
                hash = node_hash(sibling, &hash);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, sibling);
            }
            place >>= 1;
            last >>= 1;
        }
        match last {
            0 if hash == *root => Ok(()),
            0 => Err(ProofFault::RootMismatch),
            _ => Err(wrong_length),
        }
    }
}

impl ConsistencyProof {
    /// Proves that the tree of the first `old` leaves is a prefix of the tree of the first `new`.
    pub fn make(old: u64, new: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Result<Self, ProofFault> {
        if old > new {
            return Err(ProofFault::OutOfRange { wanted: old, size: new });
        }
        let mut hashes = Vec::new();
        if old == 0 {
            return Ok(Self(hashes));
        }
        let (mut low, mut high) = (0, new);
        // The verifier knows the old root; only when the walk has turned right is the rest of it unknown to him.
        let mut old_root_is_known = true;
        while old != high {
            let middle = low + split(high - low);
            if old <= middle {
                hashes.push(range_root(middle, high, &node)?);
                high = middle;
            } else {
                hashes.push(range_root(low, middle, &node)?);
                low = middle;
                old_root_is_known = false;
            }
        }
        if !old_root_is_known {
            hashes.push(range_root(low, high, &node)?);
        }
        hashes.reverse();
        Ok(Self(hashes))
    }

    /// Checks that the tree (`old`, `old_root`) is a prefix of the tree (`new`, `new_root`).
    pub fn verify(&self, old: u64, old_root: &Hash, new: u64, new_root: &Hash) -> Result<(), ProofFault> {
        let wrong_length = ProofFault::Length { hashes: self.0.len() };
        if old > new {
            return Err(ProofFault::OutOfRange { wanted: old, size: new });
        }
        if old == 0 || old == new {
            let equal = if old == new { old_root == new_root } else { *old_root == empty_root() };
            return match (self.0.is_empty(), equal) {
                (false, _) => Err(wrong_length),
                (true, false) => Err(ProofFault::RootMismatch),
                (true, true) => Ok(()),
            };
        }
        let mut hashes = self.0.iter();
        let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
        let Some(first) = first else { return Err(wrong_length) };
        let (mut place, mut last) = (old - 1, new - 1);
        while place & 1 == 1 {
            place >>= 1;
            last >>= 1;
        }
        let (mut old_hash, mut new_hash) = (*first, *first);
        for hash in hashes {
            if last == 0 {
                return Err(wrong_length);
            }
            if place & 1 == 1 || place == last {
                old_hash = node_hash(hash, &old_hash);
                new_hash = node_hash(hash, &new_hash);
                while place & 1 == 0 && place != 0 {
                    place >>= 1;
                    last >>= 1;
                }
            } else {
                new_hash = node_hash(&new_hash, hash);
            }
            place >>= 1;
            last >>= 1;
        }
        match last {
            0 if old_hash == *old_root && new_hash == *new_root => Ok(()),
            0 => Err(ProofFault::RootMismatch),
            _ => Err(wrong_length),
        }
    }
}

/// Root of the tree of the first `size` leaves, from stored nodes.
pub fn root_at(size: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Result<Hash, ProofFault> {
    if size == 0 { Ok(empty_root()) } else { range_root(0, size, &node) }
}

/// Root over the leaves `low..high`, where `low` is a multiple of the largest power of two that fits.
fn range_root(low: u64, high: u64, node: &impl Fn(u8, u64) -> Option<Hash>) -> Result<Hash, ProofFault> {
    let width = high - low;
    if width.is_power_of_two() {
        let level = width.trailing_zeros() as u8;
        let index = low >> level;
        return node(level, index).ok_or(ProofFault::NodeMissing { level, index });
    }
    let middle = low + split(width);
    Ok(node_hash(&range_root(low, middle, node)?, &range_root(middle, high, node)?))
}

/// The largest power of two smaller than `width`, for a width of at least 2.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

#[cfg(test)]
mod tests;
