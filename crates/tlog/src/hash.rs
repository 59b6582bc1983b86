//! The hashes of the tree. Leaves and nodes are told apart by their first octet, so that no leaf
//! can pass for a node (RFC 6962 §2.1).

use core::fmt;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// SHA-256 of a leaf or of a node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; Hash::OCTETS]);

/// A hash was not the base64 of exactly 32 octets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: expected the base64 of 32 octets")]
pub struct BadHashText;

impl Hash {
    /// Length of a hash.
    pub const OCTETS: usize = 32;

    /// The 32 octets.
    pub fn as_bytes(&self) -> &[u8; Self::OCTETS] {
        &self.0
    }

    /// Standard base64 with padding, as checkpoints and receipts write it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads what [`Hash::to_base64`] writes, and no other spelling of it.
    pub fn from_base64(text: &str) -> Result<Self, BadHashText> {
        let octets = STANDARD.decode(text).map_err(|_| BadHashText)?;
        octets.try_into().map(Self).map_err(|_| BadHashText)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Hash of one leaf: SHA-256(0x00 ‖ leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut context = digest::Context::new(&SHA256);
    context.update(&[0x00]);
    context.update(leaf);
    finished(context.finish())
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [0x01; 1 + 2 * Hash::OCTETS];
    let (_, children) = input.split_at_mut(1);
    let (first, second) = children.split_at_mut(Hash::OCTETS);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    finished(digest::digest(&SHA256, &input))
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    finished(digest::digest(&SHA256, &[]))
}

/// Root over neighbouring nodes of one level, in order. `None` unless their number is a power of two.
pub fn subtree_root(nodes: &[Hash]) -> Option<Hash> {
    if !nodes.len().is_power_of_two() {
        return None;
    }
    let mut row = nodes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied()
}

fn finished(digest: digest::Digest) -> Hash {
    let mut octets = [0; Hash::OCTETS];
    octets.copy_from_slice(digest.as_ref());
    Hash(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_never_passes_for_a_node() {
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let children = [left.0, right.0].concat();
        assert_ne!(leaf_hash(&children), node_hash(&left, &right));
    }

    #[test]
    fn base64_has_one_spelling() {
        let text = leaf_hash(b"").to_base64();
        assert_eq!(Hash::from_base64(&text), Ok(leaf_hash(b"")));
        let cases = [
            ("without padding", text.trim_end_matches('=').to_owned()),
            ("bits set behind the last octet", text.replace("B0=", "B1=")),
            ("31 octets", STANDARD.encode([0; 31])),
            ("33 octets", STANDARD.encode([0; 33])),
            ("line break", format!("{text}\n")),
        ];
        for (name, bad) in cases {
            assert_eq!(Hash::from_base64(&bad), Err(BadHashText), "{name}: {bad}");
        }
    }

    #[test]
    fn subtrees_are_perfect_or_nothing() {
        let leaves: Vec<Hash> = (0..5u8).map(|n| leaf_hash(&[n])).collect();
        let pair = |a: usize, b: usize| node_hash(&leaves[a], &leaves[b]);
        assert_eq!(subtree_root(&[]), None);
        assert_eq!(subtree_root(&leaves[..1]), Some(leaves[0]));
        assert_eq!(subtree_root(&leaves[..3]), None);
        assert_eq!(subtree_root(&leaves[..4]), Some(node_hash(&pair(0, 1), &pair(2, 3))));
    }
}
