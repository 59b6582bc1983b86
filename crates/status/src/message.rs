//! The envelope that every message has, and its three bodies.
//!
//! `[version, environment, trust domain, epoch, seq, previous, issued at (ms), body]`, body = `[kind, content]`.
//! A delta at `seq` names the hash of the delta at `seq - 1`. A snapshot and a heartbeat stand at a `seq` and name
//! the hash of the delta there, so whoever starts from a snapshot can check that the next delta continues it.
//! At `seq` 0 of an epoch there is no delta yet and the hash is zero.

use crate::canonical::{Reader, Writer};
use crate::{Change, FeedFault, State};
use core::fmt;
use touchmark_identity::{EnvironmentName, Timestamp, TrustDomain};

/// The format written and read here.
pub const FORMAT_VERSION: u64 = 1;

/// Octets of one message: a snapshot of four million revoked certificates, and their keys, fits.
pub const MESSAGE_OCTETS_MAX: usize = 256 << 20;

/// Where a feed stands. A restored authority opens a new epoch, so positions only ever rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The authority's life: raised when its store was set back.
    pub epoch: u64,
    /// Deltas published in this epoch.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// A position, and the hash of the delta that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Epoch and sequence number.
    pub position: Position,
    /// SHA-256 of the last delta's message; zero when there is none.
    pub hash: [u8; 32],
}

impl Head {
    /// A head whose last delta is no longer at hand: gateways that hold it will ask for a snapshot once.
    pub fn rebuilt(epoch: u64, seq: u64) -> Self {
        Self { position: Position { epoch, seq }, hash: [0; 32] }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Snapshot(Box<State>),
    Delta(Vec<Change>),
    Heartbeat,
}

/// Everything around a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) environment: EnvironmentName,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) position: Position,
    pub(crate) previous: [u8; 32],
    pub(crate) issued_at: Timestamp,
}

impl Envelope {
    /// The head that a reader holds before (delta) or after (snapshot, heartbeat) this message.
    pub(crate) fn head(&self) -> Head {
        Head { position: self.position, hash: self.previous }
    }

    fn write(&self) -> Writer {
        let mut out = Writer::new();
        out.array(8)
            .uint(FORMAT_VERSION)
            .text(self.environment.as_str())
            .text(self.trust_domain.as_str())
            .uint(self.position.epoch)
            .uint(self.position.seq)
            .bytes(&self.previous)
            .time(self.issued_at)
            .array(2);
        out
    }

    pub(crate) fn snapshot(&self, state: &State) -> Vec<u8> {
        let mut out = self.write();
        state.write(out.uint(1));
        out.finish()
    }

    pub(crate) fn delta(&self, changes: &[Change]) -> Vec<u8> {
        let mut out = self.write();
        out.uint(2).array(changes.len());
        for change in changes {
            change.write(&mut out);
        }
        out.finish()
    }

    pub(crate) fn heartbeat(&self) -> Vec<u8> {
        let mut out = self.write();
        out.uint(3).array(0);
        out.finish()
    }
}

/// Reads a message whose signature stands.
pub(crate) fn read_message(message: &[u8]) -> Result<(Envelope, Body), FeedFault> {
    let mut from = Reader::new(message);
    let items = from.array()?;
    let version = from.uint()?;
    if version != FORMAT_VERSION {
        return Err(FeedFault::UnknownVersion(version));
    }
    if items != 8 {
        return Err(FeedFault::Malformed("another number of items"));
    }
    let envelope = Envelope {
        environment: from.name()?,
        trust_domain: from.name()?,
        position: Position { epoch: from.uint()?, seq: from.uint()? },
        previous: from.fixed()?,
        issued_at: from.time()?,
    };
    from.array_of(2)?;
    let body = match from.uint()? {
        1 => Body::Snapshot(Box::new(State::read(&mut from)?)),
        2 => {
            let count = from.array()?;
            let mut changes = Vec::new();
            for _ in 0..count {
                changes.push(Change::read(&mut from)?);
            }
            Body::Delta(changes)
        }
        3 => {
            from.array_of(0)?;
            Body::Heartbeat
        }
        _ => return Err(FeedFault::Malformed("an unknown kind of message")),
    };
    from.end()?;
    Ok((envelope, body))
}

#[cfg(test)]
mod tests;
