//! Proofs against a tree that is computed as naively as RFC 6962 §2.1 is written.

use super::*;
use crate::frontier::Frontier;
use crate::hash::leaf_hash;

/// MTH(D[n]) straight from the definition.
fn naive_root(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH(m, D[n]) straight from the definition.
fn naive_path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return vec![];
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut path, sibling) = if index < middle {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - middle, right), naive_root(left))
    };
    path.push(sibling);
    path
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n as u8; n % 7]).collect()
}

fn nodes_of(leaves: &[Vec<u8>]) -> impl Fn(u8, u64) -> Option<Hash> {
    let mut frontier = Frontier::new();
    let mut nodes = std::collections::HashMap::new();
    for leaf in leaves {
        frontier.append_each(leaf_hash(leaf), |node| {
            nodes.insert((node.level, node.index), node.hash);
        });
    }
    move |level, index| nodes.get(&(level, index)).copied()
}

#[test]
fn roots_and_inclusion_proofs_equal_the_naive_tree_for_every_leaf_of_every_size_to_70() {
    let all = leaves(70);
    let node = nodes_of(&all);
    let mut frontier = Frontier::new();
    for size in 0..=all.len() {
        let tree = &all[..size];
        let root = naive_root(tree);
        assert_eq!(frontier.root(), root, "size {size}");
        assert_eq!(root_at(size as u64, &node), Ok(root), "size {size}");
        for index in 0..size {
            let proof = InclusionProof::make(index as u64, size as u64, &node).unwrap();
            assert_eq!(proof.0, naive_path(index, tree), "leaf {index} of {size}");
            let leaf = leaf_hash(&tree[index]);
            assert_eq!(
                proof.verify(index as u64, size as u64, &leaf, &root),
                Ok(()),
                "leaf {index} of {size}"
            );
        }
        if let Some(leaf) = all.get(size) {
            frontier.append(leaf_hash(leaf));
        }
    }
}

#[test]
fn consistency_holds_between_every_two_sizes_to_70_and_not_with_another_root() {
    let all = leaves(70);
    let node = nodes_of(&all);
    let roots: Vec<Hash> = (0..=all.len()).map(|size| naive_root(&all[..size])).collect();
    for new in 0..roots.len() {
        for old in 0..=new {
            let (old_size, new_size) = (old as u64, new as u64);
            let proof = ConsistencyProof::make(old_size, new_size, &node).unwrap();
            assert!(proof.0.len() <= PROOF_HASHES_MAX);
            assert_eq!(proof.verify(old_size, &roots[old], new_size, &roots[new]), Ok(()), "{old} to {new}");
            let other = leaf_hash(b"another history");
            assert!(
                proof.verify(old_size, &other, new_size, &roots[new]).is_err(),
                "{old} to {new}: old root"
            );
            if old > 0 {
                let verdict = proof.verify(old_size, &roots[old], new_size, &other);
                assert!(verdict.is_err(), "{old} to {new}: new root");
            }
        }
    }
}

#[test]
fn a_proof_that_is_bent_in_any_way_is_refused() {
    let all = leaves(53);
    let node = nodes_of(&all);
    let (root, old_root) = (naive_root(&all), naive_root(&all[..37]));
    let leaf = leaf_hash(&all[20]);
    let inclusion = InclusionProof::make(20, 53, &node).unwrap();
    let consistency = ConsistencyProof::make(37, 53, &node).unwrap();
    assert_eq!(inclusion.verify(20, 53, &leaf, &root), Ok(()));
    assert_eq!(consistency.verify(37, &old_root, 53, &root), Ok(()));

    for bent in bent(&inclusion.0) {
        assert!(InclusionProof(bent).verify(20, 53, &leaf, &root).is_err());
    }
    for bent in bent(&consistency.0) {
        assert!(ConsistencyProof(bent).verify(37, &old_root, 53, &root).is_err());
    }
    for index in (0..60).filter(|index| *index != 20) {
        assert!(inclusion.verify(index, 53, &leaf, &root).is_err(), "another index: {index}");
    }
    // A size that gives the leaf the same path to the root cannot be told from the proof: the size
    // is bound by the signed checkpoint, not by the proof.
    for size in [0, 1, 20, 21, 32, 65, 129, u64::MAX] {
        assert!(inclusion.verify(20, size, &leaf, &root).is_err(), "another size: {size}");
    }
    assert!(inclusion.verify(20, 53, &leaf_hash(b"other"), &root).is_err(), "another leaf");
    assert!(consistency.verify(53, &old_root, 37, &root).is_err(), "sizes swapped");
}

/// Every octet of every hash flipped, one hash less, one hash more, two swapped.
fn bent(hashes: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..hashes.len() {
        for octet in 0..Hash::OCTETS {
            let mut bent = hashes.to_vec();
            bent[at].0[octet] ^= 1;
            all.push(bent);
        }
        let mut shorter = hashes.to_vec();
        shorter.remove(at);
        all.push(shorter);
        let mut longer = hashes.to_vec();
        longer.insert(at, hashes[at]);
        all.push(longer);
    }
    let mut swapped = hashes.to_vec();
    swapped.swap(0, 1);
    all.push(swapped);
    all.push(vec![]);
    all
}

#[test]
fn what_the_tree_lacks_is_named() {
    let nothing = |_, _| None;
    assert_eq!(InclusionProof::make(3, 3, nothing), Err(ProofFault::OutOfRange { wanted: 3, size: 3 }));
    assert_eq!(ConsistencyProof::make(4, 3, nothing), Err(ProofFault::OutOfRange { wanted: 4, size: 3 }));
    assert_eq!(InclusionProof::make(0, 3, nothing), Err(ProofFault::NodeMissing { level: 0, index: 2 }));
    assert_eq!(root_at(0, nothing), Ok(empty_root()));
}
