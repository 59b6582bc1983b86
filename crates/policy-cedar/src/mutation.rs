//! Seeded faults of the specialiser, so that a test can show that the differential check would see them.

/// The fault to commit. In a shipped build there is only one value, and nothing branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Correct.
    None,
    /// Forbid rules are left out.
    #[cfg(test)]
    ForbidIgnored,
    /// `when` and `unless` are taken as true.
    #[cfg(test)]
    ConditionIgnored,
    /// Only the first of a device's groups brings its rules.
    #[cfg(test)]
    FirstGroupOnly,
    /// Only the first pattern behind a name is used.
    #[cfg(test)]
    FirstPatternOnly,
    /// A forbid acts on a subscription only when it holds all of it.
    #[cfg(test)]
    ContainmentForOverlap,
    /// A table outlives its policy version.
    #[cfg(test)]
    StaleVersion,
}
