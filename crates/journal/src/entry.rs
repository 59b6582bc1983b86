//! One entry: envelope and event as bytes, the private part beside them, and the leaf that commits to both.

use crate::cbor::{moment, opt_text, text};
use crate::{Event, Private};
use aws_lc_rs::digest::{SHA256, digest};
use minicbor::{Decode, Encode};
use touchmark_identity::{Actor, ActorKind, EnvironmentName, OrganisationName, Timestamp};

/// Longest leaf: a C2SP entry bundle writes a leaf's length in 16 bits.
pub const LEAF_OCTETS_MAX: usize = 65_535;

/// First octet of every leaf; a reader refuses what it does not know.
const FORMAT: u8 = 1;

/// Longest cause: a route or a protocol message's name, never free text.
const CAUSE_OCTETS_MAX: usize = 64;

/// Sixteen random octets that keep a private part from being guessed from its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// Whose entry it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Scope {
    /// Who is accountable.
    #[cbor(n(0), with = "text")]
    pub organisation: OrganisationName,
    /// The trust domain; absent for what belongs to the whole organisation (a root).
    #[cbor(n(1), with = "opt_text")]
    pub environment: Option<EnvironmentName>,
}

/// Who, when, where and on what occasion.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// Organisation and environment.
    #[n(0)]
    pub scope: Scope,
    /// At whose word.
    #[cbor(n(1), with = "actor")]
    pub actor: Actor,
    /// The request that led to it: `est/simpleenroll`, `api/device/revoke`, `recovery`.
    #[n(2)]
    pub cause: String,
    /// The clock of the process that committed it.
    #[cbor(n(3), with = "moment")]
    pub at: Timestamp,
}

/// An entry before it has a place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Who, when, where.
    pub envelope: Envelope,
    pub event: Event,
    /// The erasable part with its salt.
    pub private: Option<(Salt, Private)>,
}

/// An entry as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the journal, from 0; equals the leaf's index in the log.
    pub seq: u64,
    /// Who, when, where.
    pub envelope: Envelope,
    pub event: Event,
    /// The erasable part, unless there is none or it was erased.
    pub private: Option<Private>,
}

/// Why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// Too long for a leaf.
    #[error("a journal leaf has at most {LEAF_OCTETS_MAX} octets, this one has {octets}")]
    TooLong { octets: usize },
    /// A format this program does not read.
    #[error("journal leaf of an unknown format {format}; written by a newer version?")]
    Format {
        /// As found.
        format: u8,
    },
    /// Not the deterministic CBOR that this program writes.
    #[error("journal leaf is damaged: {what}")]
    Damaged {
        /// What was found.
        what: &'static str,
    },
    /// The private part is not the one that the leaf commits to.
    #[error("the private part of a journal entry does not match its leaf")]
    PrivateMismatch,
}

mod actor {
    use super::*;
    use minicbor::decode::{self, Decoder};
    use minicbor::encode::{self, Encoder};

    pub(super) fn encode<C, W: encode::Write>(
        actor: &Actor,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(2)?.str(actor.kind.as_str())?.str(actor.name.as_str())?.ok()
    }

    pub(super) fn decode<'b, C>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Actor, decode::Error> {
        if d.array()? != Some(2) {
            return Err(decode::Error::message("an actor is a kind and a name"));
        }
        let kind = ActorKind::from_word(d.str()?).ok_or(decode::Error::message("unknown kind of actor"))?;
        Ok(Actor { kind, name: text::decode(d, ctx)? })
    }
}

#[derive(Encode, Decode)]
struct Public {
    #[n(0)]
    envelope: Envelope,
    #[n(1)]
    event: Event,
}

fn commitment(salt: &Salt, private: &[u8]) -> [u8; 32] {
    let mut input = Vec::with_capacity(salt.0.len() + private.len());
    input.extend_from_slice(&salt.0);
    input.extend_from_slice(private);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &input).as_ref());
    hash
}

/// An entry without a private part commits to this.
const NO_PRIVATE: [u8; 32] = [0; 32];

impl Draft {
    /// The leaf: format octet, 32 octets of commitment, public bytes.
    ///
    /// # Errors
    /// [`BadEntry::TooLong`] when the leaf would not fit into a bundle, or the cause is too long.
    pub fn leaf(&self) -> Result<Vec<u8>, BadEntry> {
        if self.envelope.cause.len() > CAUSE_OCTETS_MAX {
            return Err(BadEntry::TooLong { octets: self.envelope.cause.len() });
        }
        let commitment =
            self.private.as_ref().map_or(NO_PRIVATE, |(salt, private)| commitment(salt, &private.to_bytes()));
        let public = Public { envelope: self.envelope.clone(), event: self.event.clone() };
        let mut leaf = vec![FORMAT];
        leaf.extend_from_slice(&commitment);
        minicbor::encode(&public, &mut leaf).map_err(|_| BadEntry::Damaged { what: "cannot be encoded" })?;
        if leaf.len() > LEAF_OCTETS_MAX {
            return Err(BadEntry::TooLong { octets: leaf.len() });
        }
        Ok(leaf)
    }

    /// The entry at its place.
    pub fn at(self, seq: u64) -> Entry {
        Entry { seq, envelope: self.envelope, event: self.event, private: self.private.map(|(_, p)| p) }
    }
}

impl Private {
    /// The bytes whose salted hash stands in the leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_default()
    }
}

impl Entry {
    /// Reads a leaf and, where it still exists, its private part.
    ///
    /// # Errors
    /// [`BadEntry`] for bytes that this program would not have written, or a part that does not belong.
    pub fn read(seq: u64, leaf: &[u8], private: Option<(&Salt, &[u8])>) -> Result<Self, BadEntry> {
        if leaf.len() > LEAF_OCTETS_MAX {
            return Err(BadEntry::TooLong { octets: leaf.len() });
        }
        let Some((&format, rest)) = leaf.split_first() else {
            return Err(BadEntry::Damaged { what: "empty" });
        };
        if format != FORMAT {
            return Err(BadEntry::Format { format });
        }
        let Some((committed, public)) = rest.split_at_checked(32) else {
            return Err(BadEntry::Damaged { what: "shorter than its commitment" });
        };
        let read: Public = minicbor::decode(public)
            .map_err(|_| BadEntry::Damaged { what: "not an event of this format" })?;
        // Re-encoding refuses trailing bytes, long lengths and unknown fields in one comparison.
        if minicbor::to_vec(&read).ok().as_deref() != Some(public) {
            return Err(BadEntry::Damaged { what: "not the deterministic encoding" });
        }
        if read.envelope.cause.len() > CAUSE_OCTETS_MAX {
            return Err(BadEntry::Damaged { what: "a cause longer than any that is written" });
        }
        let private = match private {
            None => None,
            Some((salt, bytes)) => {
                if commitment(salt, bytes) != committed {
                    return Err(BadEntry::PrivateMismatch);
                }
                let read: Private =
                    minicbor::decode(bytes).map_err(|_| BadEntry::Damaged { what: "private part" })?;
                if read.to_bytes() != bytes {
                    return Err(BadEntry::Damaged { what: "private part, not the deterministic encoding" });
                }
                Some(read)
            }
        };
        Ok(Self { seq, envelope: read.envelope, event: read.event, private })
    }
}
