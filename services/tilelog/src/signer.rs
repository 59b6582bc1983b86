//! The key of a log: signs its checkpoints and nothing else.

use core::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use touchmark_tlog::{BadNote, Checkpoint, Hash, VerifierKey};

/// Signs the checkpoints of one log. Made from a seed that the caller keeps in a file with mode 0600.
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

/// No key can be made of an origin and a seed.
#[derive(Debug, thiserror::Error)]
pub enum BadSeed {
    /// The origin cannot be printed in a checkpoint.
    #[error("the log cannot have this name")]
    Origin(#[from] BadNote),
    /// The cryptographic library refuses the seed.
    #[error("no Ed25519 key can be made of this seed")]
    Seed,
}

impl NoteSigner {
    /// The key of the log `origin`, from a seed of 32 random octets (RFC 8032 §5.1.5).
    pub fn from_seed(origin: &str, seed: &[u8; 32]) -> Result<Self, BadSeed> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadSeed::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| BadSeed::Seed)?;
        Ok(Self { pair, key: VerifierKey::new(origin, public)? })
    }

    /// What others check our checkpoints with.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// Signs a head of this log. Only [`crate::TileLog`] may: it knows which heads were signed before.
    pub(crate) fn sign_head(&self, size: u64, root: Hash) -> (Checkpoint, String) {
        let head = Checkpoint { origin: self.key.origin().to_owned(), size, root };
        let sign = |text: &[u8]| {
            let mut octets = [0; 64];
            let signature = self.pair.sign(text);
            octets.iter_mut().zip(signature.as_ref()).for_each(|(to, from)| *to = *from);
            octets
        };
        let note = head.to_note(sign, &self.key);
        (head, note)
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.key)
    }
}
