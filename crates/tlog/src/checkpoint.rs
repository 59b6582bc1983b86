//! Checkpoints: what the log commits to, as a signed note of three lines.
//!
//! Extension lines are refused: nobody could audit them.
//! Standard: C2SP tlog-checkpoint.

use crate::hash::Hash;
use crate::note::{BadNote, VerifierKey, signed_note, signed_text};

/// A tree head: the log `origin` had `size` leaves with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }

    /// The signed note. `sign` makes the Ed25519 signature over the bytes it is given, with the private
    /// half of `key`. The caller answers for it that `key` is the key of `self.origin`.
    pub fn to_note(&self, sign: impl FnOnce(&[u8]) -> [u8; 64], key: &VerifierKey) -> String {
        signed_note(&self.body(), sign, key)
    }

    fn from_body(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let head =
            Self { origin: origin.to_owned(), size: size.parse().ok()?, root: Hash::from_base64(root).ok()? };
        // Written once more: refuses zeroes and signs before the number, and extension lines.
        (!origin.is_empty() && head.body() == text).then_some(head)
    }
}

/// Reads a checkpoint that `key` signed for its own log. Signatures of others are passed over.
pub fn open_note(note: &str, key: &VerifierKey) -> Result<Checkpoint, BadNote> {
    let head = Checkpoint::from_body(signed_text(note, key)?).ok_or(BadNote::NotACheckpoint)?;
    if head.origin == key.origin() {
        Ok(head)
    } else {
        Err(BadNote::OtherLog { expected: key.origin().to_owned(), found: head.origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn key() -> VerifierKey {
        VerifierKey::new("lab.touchmark.internal/journal", pair().public_key().as_ref().try_into().unwrap())
            .unwrap()
    }

    fn sign(text: &[u8]) -> [u8; 64] {
        pair().sign(text).as_ref().try_into().unwrap()
    }

    fn head() -> Checkpoint {
        Checkpoint { origin: key().origin().to_owned(), size: 300, root: crate::leaf_hash(b"root") }
    }

    #[test]
    fn what_was_signed_opens() {
        assert_eq!(open_note(&head().to_note(sign, &key()), &key()), Ok(head()));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let note = head().to_note(sign, &key()).into_bytes();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bent = note.clone();
                bent[at] ^= 1 << bit;
                // A note that is no text is refused by whoever reads the file.
                let Ok(bent) = String::from_utf8(bent) else { continue };
                assert!(open_note(&bent, &key()).is_err(), "octet {at} bit {bit}: {bent}");
            }
        }
    }

    #[test]
    fn a_signed_text_that_is_no_checkpoint_is_refused() {
        let root = head().root.to_base64();
        let origin = head().origin;
        for (name, text) in [
            ("no root", format!("{origin}\n300\n")),
            ("extension line", format!("{origin}\n300\n{root}\nmore\n")),
            ("zero in front", format!("{origin}\n0300\n{root}\n")),
            ("signed number", format!("{origin}\n+300\n{root}\n")),
            ("past u64", format!("{origin}\n18446744073709551616\n{root}\n")),
            ("short root", format!("{origin}\n300\nAAAA\n")),
            ("no origin", format!("\n300\n{root}\n")),
        ] {
            let note = signed_note(&text, sign, &key());
            assert_eq!(open_note(&note, &key()), Err(BadNote::NotACheckpoint), "{name}");
        }
    }

    #[test]
    fn another_logs_head_is_refused_even_with_our_signature() {
        let other = Checkpoint { origin: "lab.touchmark.internal/other".into(), ..head() };
        let refused = BadNote::OtherLog { expected: head().origin, found: other.origin.clone() };
        assert_eq!(open_note(&other.to_note(sign, &key()), &key()), Err(refused));
    }
}
