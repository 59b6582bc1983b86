//! The authority's end: folds changes, numbers and links them, signs what goes out.
//!
//! In: changes that are already durable in the journal, and the moment. Out: wire octets, to be served and stored.
//! Nothing is published that the reader would refuse: each delta is read back before the state moves.

use crate::message::{Envelope, Head, Position, read_message};
use crate::{Change, FeedFault, FeedSigner, State};
use core::time::Duration;
use touchmark_identity::{EnvironmentName, Timestamp, TrustDomain};

/// How far a clock is set back at most by those who keep it right.
const STEP_BACK_MAX: Duration = Duration::from_secs(300);

/// The feed of one environment, as its authority writes it.
#[derive(Clone, Debug)]
pub struct FeedWriter {
    environment: EnvironmentName,
    trust_domain: TrustDomain,
    head: Head,
    issued_at: Timestamp,
    state: State,
}

impl FeedWriter {
    /// Opens an epoch with nothing in it.
    pub fn new(environment: EnvironmentName, trust_domain: TrustDomain, epoch: u64) -> Self {
        Self::resume(environment, trust_domain, Head::rebuilt(epoch, 0), State::default())
    }

    /// Continues after a restart. `state` is folded from the journal; `head` is the one that was stored, or
    /// [`Head::rebuilt`] when only epoch and sequence number are known.
    pub fn resume(environment: EnvironmentName, trust_domain: TrustDomain, head: Head, state: State) -> Self {
        Self { environment, trust_domain, head, issued_at: Timestamp::from_unix_ms(0), state }
    }

    /// Signs a delta with these changes, in this order; the position rises by one.
    ///
    /// # Errors
    /// [`FeedFault::TooLarge`] and [`FeedFault::Malformed`] when a reader would refuse the changes; nothing moved.
    pub fn publish(
        &mut self,
        changes: Vec<Change>,
        now: Timestamp,
        signer: &FeedSigner,
    ) -> Result<Vec<u8>, FeedFault> {
        let Position { epoch, seq } = self.head.position;
        let seq = seq.checked_add(1).ok_or(FeedFault::TooLarge("sequence number"))?;
        let mut envelope = self.envelope(now);
        envelope.position = Position { epoch, seq };
        let message = envelope.delta(&changes);
        read_message(&message)?;
        let (wire, hash) = signer.seal(&message)?;
        for change in changes {
            self.state.fold(change);
        }
        self.head = Head { position: envelope.position, hash };
        self.issued_at = envelope.issued_at;
        Ok(wire)
    }

    /// Signs the whole state, at the current position.
    ///
    /// # Errors
    /// [`FeedFault::TooLarge`] when the state no longer fits one message: prune it.
    pub fn snapshot(&mut self, now: Timestamp, signer: &FeedSigner) -> Result<Vec<u8>, FeedFault> {
        let envelope = self.envelope(now);
        self.issued_at = envelope.issued_at;
        signer.seal(&envelope.snapshot(&self.state)).map(|(wire, _)| wire)
    }

    /// Signs that nothing changed since the current position.
    ///
    /// # Errors
    /// [`FeedFault::BadKey`] when the library refuses to sign.
    pub fn heartbeat(&mut self, now: Timestamp, signer: &FeedSigner) -> Result<Vec<u8>, FeedFault> {
        let envelope = self.envelope(now);
        self.issued_at = envelope.issued_at;
        signer.seal(&envelope.heartbeat()).map(|(wire, _)| wire)
    }

    /// Epoch and sequence number of the last delta.
    pub fn position(&self) -> Position {
        self.head.position
    }

    /// What to store so that [`FeedWriter::resume`] continues the same chain.
    pub fn head(&self) -> Head {
        self.head
    }

    /// What the feed says now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Drops entries about certificates that ended before `now`; gives how many.
    pub fn prune(&mut self, now: Timestamp) -> usize {
        self.state.prune(now)
    }

    /// Issue times do not go back for a step of a clock. A clock that was far ahead and is right again is followed, or
    /// the feed would stay in the future until that moment has come.
    fn envelope(&self, now: Timestamp) -> Envelope {
        Envelope {
            environment: self.environment.clone(),
            trust_domain: self.trust_domain.clone(),
            position: self.head.position,
            previous: self.head.hash,
            issued_at: if self.issued_at.since(now) > STEP_BACK_MAX { now } else { now.max(self.issued_at) },
        }
    }
}
