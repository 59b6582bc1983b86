//! The transparency log as pure functions: hashes, tiles, proofs, signed checkpoints, receipts.
//!
//! In: leaf bytes, node hashes through a closure, texts from strangers. Out: hashes, proofs, verdicts.
//! No file, socket, clock or private key lives here, and no word about certificates.
//! Standards: RFC 6962 §2.1 (tree, proofs), RFC 9162 §2.1 (verification), C2SP tlog-tiles,
//! signed-note, tlog-checkpoint and tlog-proof.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bundle;
mod checkpoint;
mod frontier;
mod hash;
mod note;
mod proof;
mod receipt;
mod tile;

pub use bundle::{BUNDLE_OCTETS_MAX, BadBundle, ENTRY_OCTETS_MAX, bundle_entries, push_entry};
pub use checkpoint::{Checkpoint, open_note};
pub use frontier::{Frontier, Node};
pub use hash::{BadHashText, Hash, empty_root, leaf_hash, node_hash, subtree_root};
pub use note::{BadNote, NOTE_OCTETS_MAX, ORIGIN_OCTETS_MAX, VerifierKey, signed_text};
pub use proof::{ConsistencyProof, InclusionProof, PROOF_HASHES_MAX, ProofFault, root_at};
pub use receipt::{BadReceipt, RECEIPT_OCTETS_MAX, Receipt};
pub use tile::{BadTilePath, NodePlace, TILE_WIDTH, TileKind, TilePath, tile_width};
