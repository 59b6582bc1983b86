//! What must hold, by name. P numbers are those of the reliability requirements in docs/simulation.md.

use core::fmt;
use touchmark_identity::Timestamp;

/// Something that must hold at every moment of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// P19: once a device had a pair of key and certificate, its store holds one, whatever happens to its power.
    WorkingPair,
    /// P19: a pair takes the place of another only after the authority has seen it in use.
    ProvenBeforeSwap,
    /// P19: what a device holds opens a renewal, unless its operator or its owner kept it away.
    HoldsWhatCounts,
    /// P20: key and certificate belong together.
    NoMixedPair,
    /// An identity has one certificate at most that was issued and not yet proven.
    OneUnconfirmed,
    /// The generations of an identity are 1, 2, 3 and so on.
    GenerationsRiseByOne,
    /// No serial number twice.
    SerialOnce,
    /// P17: the rows are what the journal says.
    RowsEqualReplay,
    /// The records of each device's renewals say what happened.
    RecordsAddUp,
    /// A banned device gets no certificate.
    BannedStaysOut,
    /// Neither holder of a copied identity gets a certificate once it is quarantined.
    QuarantineHolds,
    /// No device is beyond its grace with nobody to blame for it.
    NobodyLockedOut,
    /// The authority's queue and its list of places stay within their limits.
    QueueBounded,
    /// An agent rests: it does not ask or write without end.
    AgentRests,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub at: Timestamp,
    /// Whose, and what was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.invariant, self.at, self.found)
    }
}
