//! The status set of a gateway: folds verified messages, answers about one peer in constant time.
//!
//! In: wire octets and the moment they came. Out: what changed, so that live sessions can be cut, or a fault
//! that left everything as it was. A set exists only after a verified snapshot: there is no empty set to allow with.

use crate::message::{Body, Head, Position, read_message};
use crate::{Change, FeedFault, FeedVerifier, Standing, State};
use core::time::Duration;
use touchmark_identity::{
    AuthorityVersionId, EnvironmentName, Name, RevocationReason, SerialNumber, SpkiHash, Timestamp,
    TrustDomain,
};

/// How far the authority's clock may be ahead of `now` before its word is refused.
///
/// Wide, since a clock here that was set back must not stop revocations: the caller passes a `now` that is never
/// before what it heard. Bounded, since an authority a year ahead would end every certificate of the fleet.
pub const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a peer presented, after its path was verified. Asked on cached paths, too.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Who issued its certificate.
    pub authority_version: AuthorityVersionId,
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// The certificate's key.
    pub spki: SpkiHash,
    /// The identity in it.
    pub handle: &'a Name,
    /// The certificate's end.
    pub not_after: Timestamp,
    /// When it is asked.
    pub now: Timestamp,
}

/// The answer. Of several faults the one that is hardest to undo is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known against it.
    Good,
    /// The identity never returns.
    Banned,
    /// The certificate is revoked.
    Revoked { at: Timestamp, reason: RevocationReason },
    /// The key is refused, whatever certificate carries it.
    KeyDenied,
    /// The identity is contained.
    Quarantined,
    /// The identity is put aside.
    Suspended,
    /// The certificate has a confirmed successor and the overlap is over.
    Superseded,
    /// The certificate has ended; entries about it may be gone.
    Expired,
}

/// What a message changed. The gateway looks at the sessions it concerns again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A snapshot took the place of everything: look at every session, the anchors and the policy.
    Replaced,
    /// Verify paths anew.
    AnchorsChanged,
    /// Look at the sessions with this certificate.
    Revoked {
        /// Whose serial number it is.
        authority_version: AuthorityVersionId,
        /// Which certificate.
        serial: SerialNumber,
    },
    /// Look at the sessions with this certificate at that moment.
    Superseded {
        /// Whose serial number it is.
        authority_version: AuthorityVersionId,
        /// Which certificate.
        serial: SerialNumber,
        /// From when it is refused.
        effective_at: Timestamp,
    },
    /// Look at the sessions with this key.
    KeyDenied(SpkiHash),
    /// The key is accepted again.
    KeyAllowed(SpkiHash),
    /// Look at the sessions of this identity; `None` means active.
    StandingChanged {
        handle: Name,
        /// How it stands now.
        standing: Option<Standing>,
    },
    /// Decide anew for the sessions of this identity.
    ScopeChanged(Name),
    /// Compile the policy anew.
    PoliciesChanged,
}

impl Effect {
    fn of(change: &Change) -> Self {
        match change {
            Change::Anchors(_) => Self::AnchorsChanged,
            Change::Revoke { authority_version, serial, .. } => {
                Self::Revoked { authority_version: *authority_version, serial: *serial }
            }
            Change::Supersede { authority_version, serial, supersession } => Self::Superseded {
                authority_version: *authority_version,
                serial: *serial,
                effective_at: supersession.effective_at,
            },
            Change::DenyKey(spki) => Self::KeyDenied(*spki),
            Change::AllowKey(spki) => Self::KeyAllowed(*spki),
            Change::SetStanding { handle, standing } => {
                Self::StandingChanged { handle: handle.clone(), standing: Some(*standing) }
            }
            Change::ClearStanding(handle) => Self::StandingChanged { handle: handle.clone(), standing: None },
            Change::SetScope { handle, .. } | Change::ClearScope(handle) => {
                Self::ScopeChanged(handle.clone())
            }
            Change::Policies(_) => Self::PoliciesChanged,
        }
    }
}

/// The status of one environment as last verified, with its position and its age.
#[derive(Clone, Debug)]
pub struct StatusSet {
    verifier: FeedVerifier,
    environment: EnvironmentName,
    trust_domain: TrustDomain,
    head: Head,
    issued_at: Timestamp,
    /// When the last message was issued; before `issued_at` when the authority's clock stepped back.
    last_issued_at: Timestamp,
    state: State,
}

impl StatusSet {
    /// Starts from a snapshot. `floor` is the highest position ever applied here, kept beside the stored feed.
    ///
    /// # Errors
    /// Any [`FeedFault`]; without a set the gateway refuses everyone.
    pub fn from_snapshot(
        wire: &[u8],
        verifier: &FeedVerifier,
        environment: &EnvironmentName,
        floor: Option<Position>,
        now: Timestamp,
    ) -> Result<Self, FeedFault> {
        let (message, _) = verifier.open(wire)?;
        let (envelope, body) = read_message(message)?;
        if envelope.environment != *environment {
            return Err(FeedFault::WrongEnvironment { got: envelope.environment.to_string() });
        }
        let Body::Snapshot(state) = body else { return Err(FeedFault::NotASnapshot) };
        if let Some(have) = floor.filter(|floor| envelope.position < *floor) {
            return Err(FeedFault::Older { have, got: envelope.position });
        }
        refuse_future(envelope.issued_at, now)?;
        Ok(Self {
            verifier: *verifier,
            environment: envelope.environment.clone(),
            trust_domain: envelope.trust_domain.clone(),
            head: envelope.head(),
            issued_at: envelope.issued_at,
            last_issued_at: envelope.issued_at,
            state: *state,
        })
    }

    /// Applies the next message: wholly, or not at all.
    ///
    /// # Errors
    /// [`FeedFault::Gap`] and [`FeedFault::BrokenChain`] ask for a snapshot; every other fault is final for these
    /// octets. After any fault the set is as it was, and ages.
    pub fn apply(&mut self, wire: &[u8], now: Timestamp) -> Result<Vec<Effect>, FeedFault> {
        let (message, hash) = self.verifier.open(wire)?;
        let (envelope, body) = read_message(message)?;
        if envelope.environment != self.environment || envelope.trust_domain != self.trust_domain {
            return Err(FeedFault::WrongEnvironment {
                got: format!("{} ({})", envelope.environment, envelope.trust_domain),
            });
        }
        refuse_future(envelope.issued_at, now)?;
        let (have, got) = (self.head.position, envelope.position);
        if got < have {
            return Err(FeedFault::Older { have, got });
        }
        let effects = match body {
            Body::Snapshot(state) => {
                // At one position a later snapshot may repair an earlier one, never the reverse.
                if got == have && envelope.issued_at < self.issued_at {
                    return Err(FeedFault::Older { have, got });
                }
                self.state = *state;
                self.head = envelope.head();
                vec![Effect::Replaced]
            }
            Body::Delta(changes) => {
                if got == have {
                    return Err(FeedFault::Older { have, got });
                }
                if got.epoch != have.epoch || Some(got.seq) != have.seq.checked_add(1) {
                    return Err(FeedFault::Gap { have, got });
                }
                if envelope.previous != self.head.hash {
                    return Err(FeedFault::BrokenChain { at: got });
                }
                let effects = changes.iter().map(Effect::of).collect();
                for change in changes {
                    self.state.fold(change);
                }
                self.head = Head { position: got, hash };
                effects
            }
            Body::Heartbeat => {
                if got != have {
                    return Err(FeedFault::Gap { have, got });
                }
                if envelope.previous != self.head.hash {
                    return Err(FeedFault::BrokenChain { at: got });
                }
                Vec::new()
            }
        };
        // The authority's clock may step back a little; what it already said about a later moment stands.
        self.issued_at = self.issued_at.max(envelope.issued_at);
        self.last_issued_at = envelope.issued_at;
        Ok(effects)
    }

    /// What is known against a peer.
    pub fn check(&self, presented: &Presented<'_>) -> Status {
        let standing = self.state.standing(presented.handle);
        let Presented { authority_version, serial, spki, not_after, now, .. } = presented;
        if standing == Some(Standing::Banned) {
            Status::Banned
        } else if let Some(revocation) = self.state.revocation(authority_version, serial) {
            Status::Revoked { at: revocation.at, reason: revocation.reason }
        } else if self.state.key_is_denied(spki) {
            Status::KeyDenied
        } else if standing == Some(Standing::Quarantined) {
            Status::Quarantined
        } else if standing == Some(Standing::Suspended) {
            Status::Suspended
        } else if self.state.supersession(authority_version, serial).is_some_and(|s| *now >= s.effective_at) {
            Status::Superseded
        } else if now.unix_s() > not_after.unix_s() {
            Status::Expired
        } else {
            Status::Good
        }
    }

    /// Time since the authority last spoke; weigh it with [`crate::StalenessClass::verdict`].
    ///
    /// Zero for a `now` before that moment, which says nothing: pass a `now` that is at least [`Self::issued_at`]
    /// and the time measured since it came, or a clock that was set back hides the age.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.issued_at)
    }

    /// When the authority last spoke.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// When the last message was issued, by the authority's clock as it was then.
    pub fn last_issued_at(&self) -> Timestamp {
        self.last_issued_at
    }

    /// Goes back to the moment of the last message: the caller knows that the later one was a clock's mistake. Without
    /// it the set would not age until that moment comes.
    pub fn take_back_time(&mut self) {
        self.issued_at = self.last_issued_at;
    }

    /// Where the feed stands: ask for what comes after this, and keep it as the floor.
    pub fn position(&self) -> Position {
        self.head.position
    }

    /// Position and hash: what a decision may cite, and what a witness compares.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The environment's name.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// The environment's trust domain, as first verified.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Anchors, policy, scopes: everything the feed says.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Drops entries about certificates that have ended; gives how many.
    ///
    /// Ended by both clocks, the authority's last word and ours: a wrong clock alone forgets nothing.
    pub fn prune(&mut self, now: Timestamp) -> usize {
        self.state.prune(now.min(self.issued_at))
    }
}

fn refuse_future(issued_at: Timestamp, now: Timestamp) -> Result<(), FeedFault> {
    if issued_at > now.plus(CLOCK_AHEAD_MAX) {
        return Err(FeedFault::FromTheFuture { issued_at, now });
    }
    Ok(())
}
