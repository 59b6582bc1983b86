//! What a gateway writes down. One session record, then compact acts that point to it.
//!
//! Connects, acts and counters of refusals are decisions and take a sequence number each, acts that were written down
//! together one for each of them; the other records say what happened around them and take none.

use crate::{Resource, Tls};
use core::num::NonZeroU32;
use touchmark_identity::{EnvironmentName, Fingerprint, Name, SerialNumber, Timestamp};
use touchmark_policy::{Action, DenyReason, PolicyVersion, RuleId};

/// One TLS connection of a peer, inside one log epoch; never used again in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The act went ahead.
    Allow,
    /// It did not.
    Deny(DenyReason),
}

impl Verdict {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
        }
    }

    /// Why not.
    pub fn reason(self) -> Option<DenyReason> {
        match self {
            Self::Allow => None,
            Self::Deny(reason) => Some(reason),
        }
    }
}

/// How the peer showed that it is who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// It proved possession of its certificate's key in this TLS connection.
    Mtls,
    /// The gateway speaks for it, by a weaker credential.
    Bridged,
    /// It did not.
    None,
}

impl Proof {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Mtls, Self::Bridged];

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Bridged => "bridged",
            Self::None => "none",
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Mtls => 1,
            Self::Bridged => 2,
        }
    }
}

/// The kind of address a peer came from. The address itself is personal and is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The status feed as of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedPosition {
    /// The authority's epoch.
    pub epoch: u64,
    /// Deltas applied in it.
    pub seq: u64,
}

/// The certificate behind a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PresentedCertificate {
    /// The peer's own certificate.
    pub fingerprint: Fingerprint,
    /// The certificate that issued it.
    pub issuer: Fingerprint,
    /// Its serial number.
    pub serial: SerialNumber,
}

/// The gateway started: the first record of each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOpened {
    pub at: Timestamp,
    /// Whether the epoch before was closed in order; if not, its last publishes may be missing.
    pub previous_epoch_clean: bool,
    /// The feed at that moment; `None` when there was none.
    pub status: Option<FeedPosition>,
}

/// A peer connected, or was refused by name: the decision on `connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOpened {
    /// What acts point to.
    pub session: SessionId,
    pub at: Timestamp,
    /// Whether it may connect.
    pub verdict: Verdict,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// The client id, or the path, as the peer gave it.
    pub resource: Resource,
    /// Its certificate; absent only without mutual TLS.
    pub certificate: Option<PresentedCertificate>,
    /// Who it is.
    pub handle: Name,
    pub environment: EnvironmentName,
    /// The policy that decided; `None` when there was none.
    pub policy: Option<PolicyVersion>,
    /// The feed that decided; `None` when there was none.
    pub status: Option<FeedPosition>,
    /// What was negotiated; `None` without TLS.
    pub tls: Option<Tls>,
    /// How it showed who it is.
    pub proof: Proof,
    /// IPv4 or IPv6.
    pub peer_address_family: AddressFamily,
}

/// One act in a session, or several alike that were written down together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub session: SessionId,
    /// When; of several, the first.
    pub at: Timestamp,
    /// What it did.
    pub action: Action,
    /// To what; of several to different ones, their common levels and `#`.
    pub resource: Resource,
    /// Whether it may.
    pub verdict: Verdict,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// The policy that decided, where that is not the one in force for its session at this place of the log: the act
    /// was decided while another one took over.
    pub policy: Option<PolicyVersion>,
    /// How many acts; each takes a sequence number.
    pub count: NonZeroU32,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The peer said goodbye.
    Peer,
    /// The connection broke.
    Lost,
    /// The peer was silent for too long.
    Idle,
    /// The gateway stopped.
    Shutdown,
    /// The gateway cut it.
    Cut(DenyReason),
}

impl CloseCause {
    /// The word in JSON; a cut says why in its reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Lost => "lost",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
            Self::Cut(reason) => reason.code(),
        }
    }
}

/// A session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionClosed {
    pub session: SessionId,
    pub at: Timestamp,
    pub why: CloseCause,
}

/// Peers without proven possession, refused in one second for one reason: a counter, so strangers cannot fill the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The second, in unix time.
    pub at_second: u64,
    pub reason: DenyReason,
    pub count: u32,
}

impl Refused {
    /// The beginning of the second.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_unix_s(self.at_second)
    }
}

/// Decisions from here on are by this policy, in open sessions too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyChanged {
    pub at: Timestamp,
    /// The policy now.
    pub policy: PolicyVersion,
}

/// One record of the decision log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The gateway started.
    EpochOpened(EpochOpened),
    /// A peer connected, or was refused by name.
    SessionOpened(SessionOpened),
    /// An act in a session.
    Act(Act),
    /// A session ended.
    SessionClosed(SessionClosed),
    /// Strangers were refused.
    Refused(Refused),
    /// Another policy decides.
    PolicyChanged(PolicyChanged),
}

impl Record {
    /// Whether it is a decision, which takes a sequence number.
    pub fn is_decision(&self) -> bool {
        match self {
            Self::SessionOpened(_) | Self::Act(_) | Self::Refused(_) => true,
            Self::EpochOpened(_) | Self::SessionClosed(_) | Self::PolicyChanged(_) => false,
        }
    }

    /// How many sequence numbers it takes.
    pub fn numbers(&self) -> u64 {
        match self {
            Self::Act(act) => u64::from(act.count.get()),
            _ => u64::from(self.is_decision()),
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::EpochOpened(opened) => opened.at,
            Self::SessionOpened(opened) => opened.at,
            Self::Act(act) => act.at,
            Self::SessionClosed(closed) => closed.at,
            Self::Refused(refused) => refused.at(),
            Self::PolicyChanged(changed) => changed.at,
        }
    }
}
