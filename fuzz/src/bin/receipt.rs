//! Receipts and proofs: what the log proves verifies, and a made-up proof proves nothing.
//!
//! The first letter chooses: `a` a receipt from a stranger, `b` a small tree, `c` made-up proofs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchmark_fuzz::{FixedKey, Input, chosen};
use touchmark_tlog::{
    Checkpoint, ConsistencyProof, Frontier, Hash, InclusionProof, PROOF_HASHES_MAX, Receipt, VerifierKey,
    leaf_hash, root_at, subtree_root,
};

const ORIGIN: &str = "lab.touchmark.internal/journal";
static SIGNER: LazyLock<FixedKey> = LazyLock::new(|| FixedKey::of(7));
static KEY: LazyLock<VerifierKey> =
    LazyLock::new(|| VerifierKey::new(ORIGIN, SIGNER.public()).expect("an origin and a key"));
/// A leaf that no input can hold: one octet too long.
const FOREIGN: [u8; 256] = [0; 256];
/// Leaves of the small tree.
const LEAVES_MAX: usize = 48;

fuzz_target!(|data: &[u8]| match chosen(data) {
    (0, octets) => {
        let Ok(text) = core::str::from_utf8(octets) else { return };
        let Ok(receipt) = Receipt::parse(text) else { return };
        assert_eq!(receipt.to_text(), text, "one spelling");
        assert!(receipt.proof.0.len() <= PROOF_HASHES_MAX);
        assert!(receipt.verify(b"a leaf of no log", &KEY).is_err());
    }
    (1, octets) => tree(Input::new(octets)),
    (_, octets) => made_up(Input::new(octets)),
});

fn tree(mut input: Input<'_>) {
    let (index, old) = (usize::from(input.octet()), usize::from(input.octet()));
    let mut leaves = Vec::new();
    while !input.is_empty() && leaves.len() < LEAVES_MAX {
        leaves.push(input.short());
    }
    if leaves.is_empty() {
        return;
    }
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let node = |level: u8, index: u64| {
        let first = usize::try_from(index << level).ok()?;
        subtree_root(hashes.get(first..first + (1 << level))?)
    };
    let root = |size: usize| root_at(size as u64, node).expect("all leaves are there");
    let mut frontier = Frontier::new();
    hashes.iter().for_each(|hash| frontier.append(*hash));
    let size = leaves.len();
    assert_eq!((frontier.root(), frontier.size()), (root(size), size as u64));

    let (index, old) = (index % size, old % (size + 1));
    let proof = InclusionProof::make(index as u64, size as u64, node).expect("the leaf is in the tree");
    let head = Checkpoint { origin: ORIGIN.to_owned(), size: size as u64, root: root(size) };
    let note = head.to_note(|text| SIGNER.sign(text), &KEY);
    let receipt = Receipt { extra: None, index: index as u64, proof: proof.clone(), note };
    assert_eq!(receipt.verify(leaves[index], &KEY).as_ref(), Ok(&head));
    assert_eq!(Receipt::parse(&receipt.to_text()).as_ref(), Ok(&receipt));
    assert!(receipt.verify(&FOREIGN, &KEY).is_err());
    for place in (0..size).filter(|place| hashes[*place] != hashes[index]) {
        let moved = proof.verify(place as u64, size as u64, &hashes[index], &head.root);
        assert!(moved.is_err(), "leaf {index} also proven at {place} of {size}");
    }

    let proof = ConsistencyProof::make(old as u64, size as u64, node).expect("a prefix");
    assert_eq!(proof.verify(old as u64, &root(old), size as u64, &head.root), Ok(()));
    if old > 0 {
        assert!(proof.verify(old as u64, &leaf_hash(&FOREIGN), size as u64, &head.root).is_err());
    }
}

/// Any numbers, any hashes: a root that is none of theirs is never reached.
fn made_up(mut input: Input<'_>) {
    let (one, other) = (input.u64(), input.u64());
    let mut hashes = Vec::new();
    while !input.is_empty() && hashes.len() <= PROOF_HASHES_MAX {
        hashes.push(Hash(input.array()));
    }
    let (leaf, root) = (leaf_hash(b"leaf"), leaf_hash(b"root"));
    assert!(InclusionProof(hashes.clone()).verify(one, other, &leaf, &root).is_err());
    let consistent = ConsistencyProof(hashes).verify(one, &leaf, other, &root);
    assert!(consistent.is_err(), "{one} is said to be a prefix of {other}");
}
