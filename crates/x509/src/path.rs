//! From a certificate that a peer showed to an anchor that we hold (RFC 5280 §6.1, the part that a private PKI needs).
//!
//! In: certificates, anchors, a moment, a purpose. Out: [`VerifiedPath`], which only [`validate`] makes.
//! Not here: revocation, policies, names beyond raw bytes. What is not understood is refused, and every search
//! is paid from a budget, since the peer chooses the certificates.

mod budget;
mod issuer;
#[cfg(test)]
mod tests;

pub use budget::{Budget, COST_MAX};

use crate::certificate::{Certificate, DIGITAL_SIGNATURE, ExtendedKeyUsage};
use touchmark_identity::{Fingerprint, SerialNumber, Timestamp};

/// Longest path, leaf and anchor included: ours have 3, a maker's 4 or 5.
pub const DEPTH_MAX: usize = 6;
/// Most certificates that a peer may show beside its own.
pub const PRESENTED_MAX: usize = 8;

/// How much earlier than it was signed a leaf of ours may begin; a tenth of its life where that is less.
const BACKDATED_S: u64 = 30;

/// What the leaf is about to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// TLS client.
    Client,
    /// TLS server.
    Server,
    /// TLS client that asks for a successor: as [`Purpose::Client`], but the leaf may be past its end. Nothing
    /// but a renewal may rest on such a path.
    Renewal,
    /// TLS client with a maker's initial certificate (IDevID, IEEE 802.1AR), which opens enrolment and nothing else.
    ///
    /// Makers' certificates cannot be changed any more, so RFC 5280 is read as it stands where ours must say more:
    /// an absent extKeyUsage allows every purpose (§4.2.1.12), an absent keyUsage allows signing (§6.1.4 n).
    Initial,
}

impl Purpose {
    fn usage(self) -> ExtendedKeyUsage {
        match self {
            Self::Client | Self::Renewal | Self::Initial => ExtendedKeyUsage::ClientAuth,
            Self::Server => ExtendedKeyUsage::ServerAuth,
        }
    }

    /// Whether what a certificate does not say about the use of its key counts as allowed.
    fn trusts_silence(self) -> bool {
        self == Self::Initial
    }
}

/// Why there is no path. The holder of the leaf must act, but for [`PathFault::UnknownIssuer`] it may be us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// More than [`PRESENTED_MAX`].
    #[error("at most {PRESENTED_MAX} certificates may come with a leaf, here are {count}")]
    TooManyPresented {
        /// Certificates given.
        count: usize,
    },
    /// A certificate's time is over.
    #[error("certificate {subject} expired at {not_after}")]
    Expired {
        subject: Named,
        /// Its last second.
        not_after: Timestamp,
    },
    /// A certificate's time has not begun.
    #[error("certificate {subject} is valid only from {not_before}")]
    NotYetValid {
        subject: Named,
        /// Its first second.
        not_before: Timestamp,
    },
    /// No certificate at hand has the name and key identifier of the issuer.
    #[error("the issuer of certificate {subject} is unknown")]
    UnknownIssuer {
        /// Whose issuer.
        subject: Named,
    },
    /// The named issuer did not sign.
    #[error("certificate {subject} is not signed by the issuer it names")]
    BadSignature { subject: Named },
    /// The other form of an ECDSA signature that we made: somebody rewrote the certificate (CVE-2026-25793).
    #[error("certificate {subject} carries its signature in a form that its issuer does not write (high s)")]
    SignatureForm { subject: Named },
    /// A CA certificate was shown as somebody's own.
    #[error("certificate {subject} is an authority's and cannot identify a peer")]
    LeafIsAuthority { subject: Named },
    /// An issuer without basicConstraints cA.
    #[error("certificate {subject} is not an authority's, yet it issued another")]
    NotAnAuthority { subject: Named },
    /// A key usage that does not allow what the path needs.
    #[error("certificate {subject} does not allow its key to be used so")]
    KeyUsage { subject: Named },
    /// An extended key usage that is absent in the leaf, or does not name the purpose.
    #[error("certificate {subject} is not meant for {purpose:?}")]
    NotAuthorised {
        subject: Named,
        /// What it was needed for.
        purpose: Purpose,
    },
    /// More authorities below one than it allows.
    #[error("certificate {subject} allows fewer authorities below it")]
    PathLength { subject: Named },
    /// Longer than [`DEPTH_MAX`].
    #[error("a path has at most {DEPTH_MAX} certificates")]
    TooDeep,
    /// A critical extension that nobody here acts on.
    #[error("certificate {subject} has the critical extension {oid}, which is not understood here")]
    UnknownCritical {
        subject: Named,
        /// Dotted object identifier.
        oid: String,
    },
    /// An issuer with nameConstraints: not evaluated here, so not accepted. Or a leaf with them, where they may not
    /// stand (RFC 5280 §4.2.1.10).
    #[error("certificate {subject} has name constraints, which are not evaluated here")]
    NameConstraints { subject: Named },
    /// The search cost more than [`COST_MAX`].
    #[error("the path was not found within the cost of {COST_MAX} signature checks")]
    BudgetExhausted,
}

impl PathFault {
    /// Stable code for logs, answers and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyPresented { .. } => "path-too-many",
            Self::Expired { .. } => "path-expired",
            Self::NotYetValid { .. } => "path-not-yet-valid",
            Self::UnknownIssuer { .. } => "path-unknown-issuer",
            Self::BadSignature { .. } => "path-signature",
            Self::SignatureForm { .. } => "path-signature-form",
            Self::LeafIsAuthority { .. } => "path-leaf-is-authority",
            Self::NotAnAuthority { .. } => "path-not-an-authority",
            Self::KeyUsage { .. } => "path-key-usage",
            Self::NotAuthorised { .. } => "path-not-authorised",
            Self::PathLength { .. } => "path-length",
            Self::TooDeep => "path-too-deep",
            Self::UnknownCritical { .. } => "path-unknown-critical",
            Self::NameConstraints { .. } => "path-name-constraints",
            Self::BudgetExhausted => "path-budget",
        }
    }
}

/// How a fault names a certificate: shown by serial number, looked up by fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Serial number in hexadecimal.
    pub serial: SerialNumber,
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
}

impl Named {
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self { serial: *certificate.serial(), fingerprint: certificate.fingerprint() }
    }
}

impl core::fmt::Display for Named {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.serial)
    }
}

/// A path that was checked: leaf, authorities between, anchor. Says nothing about revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPath {
    leaf: Certificate,
    issuer: Certificate,
    anchor: Certificate,
    chain: Vec<Certificate>,
}

impl VerifiedPath {
    /// The peer's own certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The certificate that issued the leaf.
    pub fn issuer(&self) -> &Certificate {
        &self.issuer
    }

    /// The whole path, leaf first, anchor last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The anchor at which the path ends.
    pub fn anchor(&self) -> &Certificate {
        &self.anchor
    }

    /// That the leaf, one of ours, has its signature in the form that we write: with the smaller s, for what was signed
    /// from `since` on. The other form is a copy under another fingerprint. Earlier versions wrote either.
    ///
    /// # Errors
    /// [`PathFault::SignatureForm`].
    pub fn in_our_form(self, since: Timestamp) -> Result<Self, PathFault> {
        let validity = self.leaf.validity();
        // One that begins with its issuer may have been backdated less: it counts as signed when it begins.
        let backdated = match validity.not_before() == self.issuer.validity().not_before() {
            true => 0,
            false => BACKDATED_S.min(validity.lifetime().as_secs() / 10),
        };
        let signed_s = validity.not_before().unix_s().saturating_add(backdated);
        if signed_s >= since.unix_s() && !self.issuer.public_key().is_low_s(self.leaf.signature()) {
            return Err(PathFault::SignatureForm { subject: Named::of(&self.leaf) });
        }
        Ok(self)
    }
}

/// Finds and checks a path from `leaf` over `presented` (any order) to one of `anchors`.
///
/// Every certificate is held against `now`, the anchor included; the end of a leaf is not for [`Purpose::Renewal`].
///
/// # Errors
/// [`PathFault`]: of the leaf if it is at fault itself, else the first obstacle on the way up that is more telling
/// than an unknown issuer.
pub fn validate(
    leaf: &Certificate,
    presented: &[Certificate],
    anchors: &[Certificate],
    now: Timestamp,
    purpose: Purpose,
) -> Result<VerifiedPath, PathFault> {
    validate_within(&mut Budget::default(), leaf, presented, anchors, now, purpose)
}

/// [`validate`], paid from a budget that the same peer's other searches are paid from, too.
///
/// Many anchors cost no more than one: only those count that can have issued something of what was presented.
///
/// # Errors
/// As [`validate`].
pub fn validate_within(
    budget: &mut Budget,
    leaf: &Certificate,
    presented: &[Certificate],
    anchors: &[Certificate],
    now: Timestamp,
    purpose: Purpose,
) -> Result<VerifiedPath, PathFault> {
    if presented.len() > PRESENTED_MAX {
        return Err(PathFault::TooManyPresented { count: presented.len() });
    }
    leaf_allows(leaf, now, purpose)?;
    let mut search = issuer::Search::new(budget, leaf, presented, anchors, now, purpose);
    let (between, anchor) = search.climb(leaf, &mut Vec::new())?;
    let chain: Vec<_> = [leaf].into_iter().chain(&between).chain([&anchor]).cloned().collect();
    let issuer = between.first().unwrap_or(&anchor).clone();
    Ok(VerifiedPath { leaf: leaf.clone(), issuer, anchor, chain })
}

/// Whether any path could end at `anchor`: what to ask before it is made one.
///
/// # Errors
/// [`PathFault`], as [`validate`] would say it of every leaf; [`PathFault::BadSignature`] also where a certificate
/// says that it is its own issuer, and is not.
pub fn may_anchor(anchor: &Certificate, now: Timestamp, purpose: Purpose) -> Result<(), PathFault> {
    issuer::may_issue(anchor, now, purpose)?;
    let itself = anchor.is_self_issued()
        && anchor.authority_key_id().is_none_or(|id| anchor.subject_key_id() == Some(id));
    if !itself {
        return Ok(());
    }
    let key = anchor.public_key();
    key.verify(anchor.signature_algorithm(), anchor.tbs_der(), anchor.signature())
        .map_err(|_| PathFault::BadSignature { subject: Named::of(anchor) })
}

fn leaf_allows(leaf: &Certificate, now: Timestamp, purpose: Purpose) -> Result<(), PathFault> {
    let subject = || Named::of(leaf);
    match in_time(leaf, now) {
        Err(PathFault::Expired { .. }) if purpose == Purpose::Renewal => {}
        judged => judged?,
    }
    understood(leaf)?;
    if leaf.is_ca() {
        return Err(PathFault::LeafIsAuthority { subject: subject() });
    }
    if leaf.has_name_constraints() {
        return Err(PathFault::NameConstraints { subject: subject() });
    }
    if leaf.key_usage().is_some_and(|usage| usage & DIGITAL_SIGNATURE == 0) {
        return Err(PathFault::KeyUsage { subject: subject() });
    }
    // anyExtendedKeyUsage is too wide for a door, and so is silence but for a maker's: a leaf must name the purpose.
    let named = leaf
        .extended_key_usages()
        .map_or(purpose.trusts_silence(), |usages| usages.contains(&purpose.usage()));
    if named { Ok(()) } else { Err(PathFault::NotAuthorised { subject: subject(), purpose }) }
}

fn in_time(certificate: &Certificate, now: Timestamp) -> Result<(), PathFault> {
    let (validity, subject) = (certificate.validity(), Named::of(certificate));
    if validity.contains(now) {
        Ok(())
    } else if now < validity.not_before() {
        Err(PathFault::NotYetValid { subject, not_before: validity.not_before() })
    } else {
        Err(PathFault::Expired { subject, not_after: validity.not_after() })
    }
}

fn understood(certificate: &Certificate) -> Result<(), PathFault> {
    match certificate.unknown_critical().first() {
        None => Ok(()),
        Some(oid) => Err(PathFault::UnknownCritical { subject: Named::of(certificate), oid: oid.clone() }),
    }
}
