//! One change of status, as the authority publishes it and a gateway applies it.
//!
//! A change is absolute ("is quarantined"), never relative, so applying one twice changes nothing.
//! On the wire: an array whose first item is the kind's number; numbers are never used again for another kind.

use crate::canonical::{Reader, Writer};
use crate::{FeedFault, PolicyBundle};
use touchmark_identity::{AuthorityVersionId, Name, RevocationReason, SerialNumber, SpkiHash, Timestamp};

/// Anchors of one environment: roots and issuing authorities, old and new during a rollover, and 32 makers.
const ANCHORS_MAX: usize = 64;
/// Octets of one authority certificate.
const CERTIFICATE_OCTETS_MAX: usize = 64 << 10;
/// Scope strings of one handle: a certificate carries as many.
const SCOPES_MAX: usize = 64;
/// Octets of one scope string.
const SCOPE_OCTETS_MAX: usize = 256;

/// What an anchor is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnchorRole {
    /// Ends a path.
    Root,
    /// Issues devices' certificates, and is issued by a root.
    Issuing,
    /// A maker's: its initial certificates are known for what they are, and permit nothing.
    Maker,
}

/// One certificate of an authority that the environment trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Keys the revoked certificates of this authority; for a maker, its own identifier.
    pub authority_version: AuthorityVersionId,
    /// Root, issuing, or a maker's.
    pub role: AnchorRole,
    /// The certificate, as issued.
    pub certificate_der: Vec<u8>,
}

/// A revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When it was revoked.
    pub at: Timestamp,
    pub reason: RevocationReason,
    /// The certificate's own end; the entry is kept no longer.
    pub not_after: Timestamp,
}

/// A certificate whose successor is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supersession {
    /// The end of the overlap: refused from this moment on.
    pub effective_at: Timestamp,
    /// The certificate's own end; the entry is kept no longer.
    pub not_after: Timestamp,
}

/// An exception to an identity's being active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Contained, and can be released.
    Quarantined,
    /// Never returns.
    Banned,
    /// Put aside by its owner.
    Suspended,
}

impl Standing {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Quarantined => 1,
            Self::Banned => 2,
            Self::Suspended => 3,
        }
    }

    pub(crate) fn from_number(number: u64) -> Result<Self, FeedFault> {
        [Self::Quarantined, Self::Banned, Self::Suspended]
            .into_iter()
            .find(|standing| standing.number() == number)
            .ok_or(FeedFault::Malformed("an unknown standing"))
    }
}

/// One absolute change of an environment's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These are all the anchors now.
    Anchors(Vec<Anchor>),
    /// A certificate is revoked.
    Revoke {
        /// Whose serial number it is.
        authority_version: AuthorityVersionId,
        /// Which certificate.
        serial: SerialNumber,
        /// When, why, until when.
        revocation: Revocation,
    },
    /// A certificate has a confirmed successor.
    Supersede {
        /// Whose serial number it is.
        authority_version: AuthorityVersionId,
        /// Which certificate.
        serial: SerialNumber,
        /// From when it is refused.
        supersession: Supersession,
    },
    /// A key is refused, whatever certificate carries it.
    DenyKey(SpkiHash),
    /// A key is accepted again (reinstated).
    AllowKey(SpkiHash),
    /// An identity is not active.
    SetStanding { handle: Name, standing: Standing },
    /// An identity is active again.
    ClearStanding(Name),
    /// An identity's scope is this, whatever its certificate says.
    SetScope {
        handle: Name,
        /// The whole scope.
        scope: Vec<String>,
    },
    /// An identity's scope is its certificate's again.
    ClearScope(Name),
    /// This is the device policy now.
    Policies(PolicyBundle),
}

impl Anchor {
    fn write(&self, out: &mut Writer) {
        let role = match self.role {
            AnchorRole::Root => 1,
            AnchorRole::Issuing => 2,
            AnchorRole::Maker => 3,
        };
        out.array(3).bytes(self.authority_version.as_bytes()).uint(role).bytes(&self.certificate_der);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        from.array_of(3)?;
        let authority_version = read_authority_version(from)?;
        let role = match from.uint()? {
            1 => AnchorRole::Root,
            2 => AnchorRole::Issuing,
            3 => AnchorRole::Maker,
            _ => return Err(FeedFault::Malformed("an unknown role of an anchor")),
        };
        let der = from.bytes()?;
        if der.len() > CERTIFICATE_OCTETS_MAX {
            return Err(FeedFault::TooLarge("octets of an anchor"));
        }
        Ok(Self { authority_version, role, certificate_der: der.to_vec() })
    }
}

pub(crate) fn write_anchors(anchors: &[Anchor], out: &mut Writer) {
    out.array(anchors.len());
    for anchor in anchors {
        anchor.write(out);
    }
}

pub(crate) fn read_anchors(from: &mut Reader<'_>) -> Result<Vec<Anchor>, FeedFault> {
    let count = from.array()?;
    if count > ANCHORS_MAX {
        return Err(FeedFault::TooLarge("anchors"));
    }
    (0..count).map(|_| Anchor::read(from)).collect()
}

impl Revocation {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.time(self.at).uint(u64::from(self.reason.number())).time(self.not_after);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        let at = from.time()?;
        let reason = u8::try_from(from.uint()?)
            .ok()
            .and_then(|number| RevocationReason::try_from(number).ok())
            .ok_or(FeedFault::Malformed("an unknown revocation reason"))?;
        Ok(Self { at, reason, not_after: from.time()? })
    }
}

impl Supersession {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.time(self.effective_at).time(self.not_after);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        Ok(Self { effective_at: from.time()?, not_after: from.time()? })
    }
}

pub(crate) fn read_authority_version(from: &mut Reader<'_>) -> Result<AuthorityVersionId, FeedFault> {
    from.bytes()?.try_into().map_err(|_| FeedFault::Malformed("not an authority version"))
}

pub(crate) fn read_serial(from: &mut Reader<'_>) -> Result<SerialNumber, FeedFault> {
    from.bytes()?.try_into().map_err(|_| FeedFault::Malformed("not a serial number"))
}

pub(crate) fn read_scope(from: &mut Reader<'_>) -> Result<Vec<String>, FeedFault> {
    from.texts(SCOPES_MAX, SCOPE_OCTETS_MAX)
}

impl Change {
    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Self::Anchors(anchors) => write_anchors(anchors, out.array(2).uint(1)),
            Self::Revoke { authority_version, serial, revocation } => {
                out.array(6).uint(2).bytes(authority_version.as_bytes()).bytes(serial.der_content());
                revocation.write(out);
            }
            Self::Supersede { authority_version, serial, supersession } => {
                out.array(5).uint(3).bytes(authority_version.as_bytes()).bytes(serial.der_content());
                supersession.write(out);
            }
            Self::DenyKey(spki) => {
                out.array(2).uint(4).bytes(spki.as_bytes());
            }
            Self::AllowKey(spki) => {
                out.array(2).uint(5).bytes(spki.as_bytes());
            }
            Self::SetStanding { handle, standing } => {
                out.array(3).uint(6).text(handle.as_str()).uint(standing.number());
            }
            Self::ClearStanding(handle) => {
                out.array(2).uint(7).text(handle.as_str());
            }
            Self::SetScope { handle, scope } => {
                out.array(3).uint(8).text(handle.as_str()).texts(scope);
            }
            Self::ClearScope(handle) => {
                out.array(2).uint(9).text(handle.as_str());
            }
            Self::Policies(bundle) => bundle.write(out.array(2).uint(10)),
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        let items = from.array()?;
        let kind = from.uint()?;
        Ok(match (kind, items) {
            (1, 2) => Self::Anchors(read_anchors(from)?),
            (2, 6) => Self::Revoke {
                authority_version: read_authority_version(from)?,
                serial: read_serial(from)?,
                revocation: Revocation::read(from)?,
            },
            (3, 5) => Self::Supersede {
                authority_version: read_authority_version(from)?,
                serial: read_serial(from)?,
                supersession: Supersession::read(from)?,
            },
            (4, 2) => Self::DenyKey(SpkiHash(from.fixed()?)),
            (5, 2) => Self::AllowKey(SpkiHash(from.fixed()?)),
            (6, 3) => {
                Self::SetStanding { handle: from.name()?, standing: Standing::from_number(from.uint()?)? }
            }
            (7, 2) => Self::ClearStanding(from.name()?),
            (8, 3) => Self::SetScope { handle: from.name()?, scope: read_scope(from)? },
            (9, 2) => Self::ClearScope(from.name()?),
            (10, 2) => Self::Policies(PolicyBundle::read(from)?),
            _ => return Err(FeedFault::Malformed("an unknown kind of change")),
        })
    }
}
