//! A certificate of ours with what stands between it and the root, and what one must be to become ours.
//!
//! In: certificates of an answer, believed in nothing. Out: a [`Chain`], or [`Unfit`], which says whether the
//! certificate itself is wrong (then the same request would bring it again) or only the path above it.

use touchmark_enrol::est;
use touchmark_identity::{Name, SpiffeId, SpkiHash, Timestamp};
use touchmark_x509::Certificate;
use touchmark_x509::path::{self, PathFault, Purpose};

/// A leaf and the authorities above it, without the root, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    leaf: Certificate,
    above: Vec<Certificate>,
}

impl Chain {
    /// Takes certificates in order, leaf first; `None` if there is none. Only for what the key store kept, which
    /// was [accepted](Chain::accept) once.
    pub fn from_stored(certificates: Vec<Certificate>) -> Option<Self> {
        let mut certificates = certificates.into_iter();
        let leaf = certificates.next()?;
        Some(Self { leaf, above: certificates.collect() })
    }

    /// Finds the certificate for `wanted.key` in an answer and holds it against everything that is known.
    ///
    /// The path is checked at the moment nearest to `wanted.now` at which the leaf is valid: the key was made for
    /// this very request, so the certificate is no older than it, and the clock may be wrong (ADR 0011).
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn accept(certificates: &[Certificate], wanted: &Wanted<'_>) -> Result<Self, Unfit> {
        let found = est::choose(certificates, &[], &wanted.key).map_err(|_| Unfit::NotOurKey)?;
        let leaf = found.leaf;
        let identity = leaf.spiffe_id().map_err(|_| Unfit::NoIdentity)?;
        let ours = match wanted.identity {
            Some(known) => identity == *known,
            None => identity.name == *wanted.name,
        };
        if !ours {
            return Err(Unfit::OtherIdentity { says: identity.to_string() });
        }
        let validity = leaf.validity();
        if validity.not_after() < wanted.floor {
            return Err(Unfit::Past { not_after: validity.not_after() });
        }
        let moment = wanted.now.max(validity.not_before()).min(validity.not_after());
        let check =
            |above: &[Certificate]| path::validate(&leaf, above, wanted.anchors, moment, Purpose::Client);
        let above = match check(&found.chain) {
            Ok(_) => found.chain,
            // In a roll-over the way may lead over a certificate that joins the old root and the new one.
            Err(fault) => {
                let authorities: Vec<_> = certificates.iter().filter(|one| one.is_ca()).cloned().collect();
                let path = check(&authorities).map_err(|_| fault)?;
                let between = path.chain().iter().skip(1);
                between.take(path.chain().len().saturating_sub(2)).cloned().collect()
            }
        };
        Ok(Self { leaf, above })
    }

    /// Our certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// Leaf first, then its issuer and so on.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        core::iter::once(&self.leaf).chain(&self.above)
    }

    /// The key it belongs to.
    pub fn key(&self) -> SpkiHash {
        self.leaf.spki_hash()
    }

    /// As PEM, leaf first.
    pub fn to_pem(&self) -> String {
        self.certificates().map(Certificate::to_pem).collect()
    }
}

/// What a new certificate is held against.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The key in the request.
    pub key: SpkiHash,
    /// Our name, for the first certificate.
    pub name: &'a Name,
    /// Our identity, once there was a certificate.
    pub identity: Option<&'a SpiffeId>,
    /// Anchors in force.
    pub anchors: &'a [Certificate],
    /// The best guess at the time.
    pub now: Timestamp,
    /// The time is certainly not before this.
    pub floor: Timestamp,
}

/// Why an answer's certificate does not become ours; the server's operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No leaf for the key that was sent.
    #[error("the answer holds no certificate for the key that was sent")]
    NotOurKey,
    /// Not exactly one URI, or no identity in it.
    #[error("the certificate names no identity")]
    NoIdentity,
    /// Somebody else's name.
    #[error("the certificate is for {says}, not for this device")]
    OtherIdentity {
        /// The identity in it.
        says: String,
    },
    /// It ended before any moment that can be now.
    #[error("the certificate ended at {not_after}, which is certainly past")]
    Past {
        /// Its last second.
        not_after: Timestamp,
    },
    /// It leads to no anchor in force.
    #[error("the certificate is not acceptable: {0}")]
    Path(#[from] PathFault),
}

impl Unfit {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOurKey => "answer-other-key",
            Self::NoIdentity => "answer-no-identity",
            Self::OtherIdentity { .. } => "answer-other-identity",
            Self::Past { .. } => "answer-past",
            Self::Path(fault) => fault.code(),
        }
    }

    /// Whether the request must change. A path can be mended at the server, and a token may be good for this
    /// request only; so then the same request is asked again.
    pub fn is_of_the_leaf(&self) -> bool {
        !matches!(self, Self::Path(_) | Self::NotOurKey)
    }
}
