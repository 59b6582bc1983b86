//! The right edge of the tree: all that is needed to append leaves and to know the root.
//!
//! Holds at most 64 hashes, whatever the size. Nodes that an append completes are shown to the
//! caller, who keeps those that belong into tiles.

use crate::hash::{Hash, empty_root, node_hash};

/// Roots of the perfect subtrees that a tree of this size falls into, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One for each bit that is set in `size`.
    roots: Vec<Hash>,
}

/// A node whose hash can no longer change, because both its halves are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0 for leaves, one more for each doubling.
    pub level: u8,
    /// Position among the nodes of that level, from the left.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree read back from its tiles. `None` unless there is one root for each bit of `size`.
    pub fn from_roots(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over all leaves so far (RFC 6962 §2.1).
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.roots.iter().rev();
        match smallest_first.next() {
            None => empty_root(),
            Some(last) => smallest_first.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// Appends one leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        self.append_each(leaf, |_| ());
    }

    /// Appends one leaf by its hash and shows every node this completes, the leaf itself first.
    pub fn append_each(&mut self, leaf: Hash, mut completed: impl FnMut(Node)) {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        completed(node);
        while node.index & 1 == 1
            && let Some(left) = self.roots.pop()
        {
            node = Node { level: node.level + 1, index: node.index >> 1, hash: node_hash(&left, &node.hash) };
            completed(node);
        }
        self.roots.push(node.hash);
        self.size += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{leaf_hash, subtree_root};

    #[test]
    fn every_completed_node_is_shown_once_and_is_the_root_below_it() {
        let leaves: Vec<Hash> = (0..100u8).map(|n| leaf_hash(&[n])).collect();
        let mut frontier = Frontier::new();
        let mut shown = Vec::new();
        for leaf in &leaves {
            frontier.append_each(*leaf, |node| shown.push(node));
        }
        for node in &shown {
            let width = 1usize << node.level;
            let start = node.index as usize * width;
            assert_eq!(subtree_root(&leaves[start..start + width]), Some(node.hash), "{node:?}");
        }
        assert_eq!(shown.len(), 100 + 50 + 25 + 12 + 6 + 3 + 1);
    }

    #[test]
    fn an_edge_is_taken_back_only_with_one_root_for_each_bit() {
        let mut frontier = Frontier::new();
        (0..11u8).for_each(|n| frontier.append(leaf_hash(&[n])));
        let back = Frontier::from_roots(11, frontier.roots.clone());
        assert_eq!(back, Some(frontier.clone()));
        assert_eq!(Frontier::from_roots(12, frontier.roots), None);
        assert_eq!(Frontier::from_roots(0, vec![]), Some(Frontier::new()));
    }
}
