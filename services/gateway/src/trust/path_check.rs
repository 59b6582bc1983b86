//! The judgement inside the handshake: is there a path from this leaf to a root of the feed, now, for a client?
//!
//! In: the leaf as sent. Out: a [`PathIdentity`], or a refusal that becomes a TLS alert and a counter.
//! Whether the peer is revoked, a device, or permitted is said after the handshake, in words.

use super::{Ground, Trust};
use aws_lc_rs::digest::{SHA256, digest};
use std::sync::Arc;
use touchmark_identity::{
    AuthorityVersionId, Fingerprint, SerialNumber, SpiffeId, SpkiHash, Timestamp, Validity,
};
use touchmark_listen::{PathCheck, PathRefusal};
use touchmark_policy::DenyReason;
use touchmark_x509::Certificate;
use touchmark_x509::path::{PathFault, Purpose, VerifiedPath, validate};

/// What a verified path says about the one at its end. Made from a [`VerifiedPath`] only.
#[derive(Debug)]
pub(crate) struct PathIdentity {
    fingerprint: Fingerprint,
    issuer: Fingerprint,
    authority_version: AuthorityVersionId,
    serial: SerialNumber,
    spki: SpkiHash,
    id: SpiffeId,
    not_after: Timestamp,
    /// When every certificate of the path is valid.
    valid: (Timestamp, Timestamp),
    scope: Box<[String]>,
}

impl PathIdentity {
    fn from_path(path: &VerifiedPath, ground: &Ground) -> Result<Self, DenyReason> {
        let (leaf, issuer) = (path.leaf(), path.issuer().fingerprint());
        let authority_version = ground.issuing_version(&issuer).ok_or(DenyReason::UnknownIssuer)?;
        let id = leaf.spiffe_id().map_err(|_| DenyReason::BadPath)?;
        if id.trust_domain != ground.trust_domain {
            return Err(DenyReason::WrongEnvironment);
        }
        let span = |pick: fn(Validity) -> Timestamp| path.chain().iter().map(move |c| pick(c.validity()));
        let from = span(Validity::not_before).max().unwrap_or(Timestamp::MAX);
        let until = span(Validity::not_after).min().unwrap_or(Timestamp::from_unix_ms(0));
        Ok(Self {
            fingerprint: leaf.fingerprint(),
            issuer,
            authority_version,
            serial: *leaf.serial(),
            spki: leaf.spki_hash(),
            id,
            not_after: until,
            valid: (from, until),
            scope: leaf.scope().into(),
        })
    }

    /// The certificate.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate that issued it.
    pub(crate) fn issuer(&self) -> Fingerprint {
        self.issuer
    }

    /// The authority that issued it.
    pub(crate) fn authority_version(&self) -> AuthorityVersionId {
        self.authority_version
    }

    /// Its serial number there.
    pub(crate) fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// Its key.
    pub(crate) fn spki(&self) -> SpkiHash {
        self.spki
    }

    /// Who it is.
    pub(crate) fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The end of the path: of the certificate or of one above it, whichever is first.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The scope strings in the certificate.
    pub(crate) fn scope(&self) -> &[String] {
        &self.scope
    }

    fn in_time(&self, now: Timestamp) -> bool {
        let (from, until) = self.valid;
        now >= from && now.unix_s() <= until.unix_s()
    }
}

/// The device ports' path check over the shared trust.
pub(crate) struct DevicePaths(pub(crate) Arc<Trust>);

impl PathCheck for DevicePaths {
    fn check(&self, leaf: &[u8], _sent_along: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        self.0.identity_of(leaf, now).map(drop).map_err(|reason| PathRefusal { code: reason.code() })
    }
}

impl Trust {
    /// The identity at the end of a verified path, from the cache or from a check.
    pub(crate) fn identity_of(&self, leaf: &[u8], now: Timestamp) -> Result<Arc<PathIdentity>, DenyReason> {
        let ground = self.ground.load_full().ok_or(DenyReason::StatusMissing)?;
        let fingerprint = Fingerprint::try_from(digest(&SHA256, leaf).as_ref());
        let fingerprint = fingerprint.map_err(|_| DenyReason::BadPath)?;
        let cached = self.paths.get(ground.generation, &fingerprint);
        if let Some(identity) = cached.filter(|identity| identity.in_time(now)) {
            return Ok(identity);
        }
        let leaf = Certificate::from_der(leaf).map_err(|_| DenyReason::BadPath)?;
        let issuers = ground.issuers_of(&leaf);
        let path =
            validate(&leaf, &issuers, &ground.roots, now, Purpose::Client).map_err(|fault| reason(&fault))?;
        let identity = Arc::new(PathIdentity::from_path(&path, &ground)?);
        self.paths.put(ground.generation, &identity);
        Ok(identity)
    }

    #[cfg(test)]
    pub(crate) fn cached_paths(&self) -> usize {
        self.paths.len()
    }
}

fn reason(fault: &PathFault) -> DenyReason {
    match fault {
        PathFault::Expired { .. } => DenyReason::Expired,
        PathFault::NotYetValid { .. } => DenyReason::NotYetValid,
        PathFault::UnknownIssuer { .. } => DenyReason::UnknownIssuer,
        PathFault::TooManyPresented { .. }
        | PathFault::BadSignature { .. }
        | PathFault::LeafIsAuthority { .. }
        | PathFault::NotAnAuthority { .. }
        | PathFault::KeyUsage { .. }
        | PathFault::NotAuthorised { .. }
        | PathFault::PathLength { .. }
        | PathFault::TooDeep
        | PathFault::UnknownCritical { .. }
        | PathFault::NameConstraints { .. }
        | PathFault::BudgetExhausted => DenyReason::BadPath,
    }
}
