//! Why a certificate was revoked (RFC 5280 §5.3.1), with the words an operator types.

use core::fmt;
use core::str::FromStr;

/// A word or number that names no usable reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown revocation reason; one of: unspecified, key-compromise, ca-compromise, affiliation-changed, \
     superseded, cessation-of-operation, privilege-withdrawn"
)]
pub struct UnknownReason;

/// CRLReason. `certificateHold` and `removeFromCRL` are absent: a hold is a quarantine, which never enters a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RevocationReason {
    /// No reason was given; encoded in a CRL by absence.
    Unspecified,
    /// The device's private key is, or may be, in other hands.
    KeyCompromise,
    /// The issuing authority's key is, or may be, in other hands.
    CaCompromise,
    /// The device changed owner or role.
    AffiliationChanged,
    /// A newer certificate took over.
    Superseded,
    /// The device is retired.
    CessationOfOperation,
    /// The device lost a right that the certificate carries.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    const ALL: [(Self, u8, &'static str); 7] = [
        (Self::Unspecified, 0, "unspecified"),
        (Self::KeyCompromise, 1, "key-compromise"),
        (Self::CaCompromise, 2, "ca-compromise"),
        (Self::AffiliationChanged, 3, "affiliation-changed"),
        (Self::Superseded, 4, "superseded"),
        (Self::CessationOfOperation, 5, "cessation-of-operation"),
        (Self::PrivilegeWithdrawn, 9, "privilege-withdrawn"),
    ];

    /// All reasons an operator may give, in the RFC's order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(reason, ..)| reason)
    }

    /// The RFC's number.
    pub fn number(self) -> u8 {
        Self::ALL.into_iter().find(|(reason, ..)| *reason == self).map_or(0, |(_, number, _)| number)
    }

    /// The word on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(reason, ..)| *reason == self).map_or("unspecified", |(_, _, word)| word)
    }
}

impl TryFrom<u8> for RevocationReason {
    type Error = UnknownReason;
    fn try_from(number: u8) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|(_, n, _)| *n == number).map(|(reason, ..)| reason).ok_or(UnknownReason)
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;
    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|(.., w)| *w == word).map(|(reason, ..)| reason).ok_or(UnknownReason)
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_by_word_and_number_and_holds_are_absent() {
        for reason in RevocationReason::all() {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(RevocationReason::try_from(reason.number()), Ok(reason));
        }
        for absent in [6, 7, 8, 10] {
            assert!(RevocationReason::try_from(absent).is_err(), "{absent}");
        }
    }
}
