//! Receipts: a leaf's inclusion proof together with the signed checkpoint, checked offline.
//!
//! In: a text from the log or from whoever shows it. Out: the checkpoint that covers the leaf.
//! The `extra` line is carried and never trusted: nothing signs it.
//! Standard: C2SP tlog-proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, open_note};
use crate::hash::{Hash, leaf_hash};
use crate::note::{BadNote, NOTE_OCTETS_MAX, VerifierKey};
use crate::proof::{InclusionProof, PROOF_HASHES_MAX, ProofFault};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// The longest receipt that is read: a note of full length, and as much again for proof and extra data.
pub const RECEIPT_OCTETS_MAX: usize = 2 * NOTE_OCTETS_MAX;

/// Proof that a leaf is in a log. Its text form ends in `.tlog-proof` when it is a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Data of the application, unauthenticated.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf.
    pub index: u64,
    /// Its proof in the tree of the checkpoint.
    pub proof: InclusionProof,
    /// The signed checkpoint, verbatim.
    pub note: String,
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// Not the form of a receipt, or too long.
    #[error("not a receipt (C2SP tlog-proof)")]
    NotAReceipt,
    /// The checkpoint is not one of the trusted log.
    #[error("the receipt's checkpoint is refused")]
    Checkpoint(#[from] BadNote),
    /// The leaf is not in the tree of the checkpoint.
    #[error("the receipt does not cover this leaf")]
    Proof(#[from] ProofFault),
}

impl Receipt {
    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(extra) = &self.extra {
            text += &format!("extra {}\n", STANDARD.encode(extra));
        }
        text += &format!("index {}\n", self.index);
        for hash in &self.proof.0 {
            text += &format!("{}\n", hash.to_base64());
        }
        text + "\n" + &self.note
    }

    /// Reads the text form. Nothing is verified yet.
    pub fn parse(text: &str) -> Result<Self, BadReceipt> {
        if text.len() > RECEIPT_OCTETS_MAX {
            return Err(BadReceipt::NotAReceipt);
        }
        Self::read(text).ok_or(BadReceipt::NotAReceipt)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(data) = line.strip_prefix("extra ") {
            extra = Some(STANDARD.decode(data).ok()?);
            line = lines.next()?;
        }
        let digits = line.strip_prefix("index ")?;
        let index: u64 = digits.parse().ok()?;
        if index.to_string() != digits {
            return None;
        }
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == PROOF_HASHES_MAX {
                return None;
            }
            hashes.push(Hash::from_base64(line).ok()?);
        }
        Some(Self { extra, index, proof: InclusionProof(hashes), note: note.to_owned() })
    }

    /// Checks, without asking anyone, that the log of `key` holds `leaf`. Returns the head that covers it.
    pub fn verify(&self, leaf: &[u8], key: &VerifierKey) -> Result<Checkpoint, BadReceipt> {
        let head = open_note(&self.note, key)?;
        self.proof.verify(self.index, head.size, &leaf_hash(leaf), &head.root)?;
        Ok(head)
    }
}
