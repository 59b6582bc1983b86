//! The judgement inside the handshake: is there a path from this leaf to a root of the feed, now, for a client?
//!
//! In: the chain as sent. Out: a [`PathIdentity`], or a refusal that becomes a TLS alert and a counter. A chain to a
//! maker's anchor is known, too, so that its holder can be told.
//! Whether the peer is revoked, a device, or permitted is said after the handshake, in words.

use super::{Trust, TrustBasis};
use aws_lc_rs::digest::{SHA256, digest};
use std::sync::Arc;
use touchmark_identity::{
    AuthorityVersionId, Fingerprint, PathKind, SerialNumber, SpiffeId, SpkiHash, Timestamp, Validity,
};
use touchmark_listen::{PathCheck, PathRefusal};
use touchmark_policy::DenyReason;
use touchmark_x509::Certificate;
use touchmark_x509::path::{PRESENTED_MAX, PathFault, Purpose, VerifiedPath, validate};

/// What a verified path says about the one at its end. Made from a [`VerifiedPath`] only.
#[derive(Debug)]
pub(crate) struct PathIdentity {
    fingerprint: Fingerprint,
    issuer: Fingerprint,
    /// The root at the other end of the path.
    anchor: Fingerprint,
    authority_version: AuthorityVersionId,
    serial: SerialNumber,
    spki: SpkiHash,
    id: SpiffeId,
    not_after: Timestamp,
    /// When every certificate of the path is valid.
    valid: (Timestamp, Timestamp),
    scope: Box<[String]>,
    /// It is a maker's device with the certificate that it was made with, and `id` only says which one in the log.
    initial: bool,
}

impl PathIdentity {
    fn from_path(path: &VerifiedPath, basis: &TrustBasis) -> Result<Self, DenyReason> {
        let (leaf, issuer) = (path.leaf(), path.issuer().fingerprint());
        let authority_version = basis.issuing_version(&issuer).ok_or(DenyReason::UnknownIssuer)?;
        let id = leaf.spiffe_id().map_err(|_| DenyReason::BadPath)?;
        if id.trust_domain != basis.trust_domain {
            return Err(DenyReason::WrongEnvironment);
        }
        Ok(Self::at_the_end_of(path, issuer, authority_version, id))
    }

    /// A maker's device: nothing in its certificate is a name of ours, so it gets one that says so.
    fn initial(
        path: &VerifiedPath,
        maker: AuthorityVersionId,
        basis: &TrustBasis,
    ) -> Result<Self, DenyReason> {
        let fingerprint = path.leaf().fingerprint().to_string();
        let name = format!("initial-{}", fingerprint.get(..16).unwrap_or(&fingerprint));
        let id = SpiffeId {
            trust_domain: basis.trust_domain.clone(),
            kind: PathKind::Device,
            name: name.parse().map_err(|_| DenyReason::BadPath)?,
        };
        let identity = Self::at_the_end_of(path, path.issuer().fingerprint(), maker, id);
        Ok(Self { initial: true, scope: Box::default(), ..identity })
    }

    fn at_the_end_of(
        path: &VerifiedPath,
        issuer: Fingerprint,
        authority_version: AuthorityVersionId,
        id: SpiffeId,
    ) -> Self {
        let leaf = path.leaf();
        let span = |pick: fn(Validity) -> Timestamp| path.chain().iter().map(move |c| pick(c.validity()));
        let from = span(Validity::not_before).max().unwrap_or(Timestamp::MAX);
        let until = span(Validity::not_after).min().unwrap_or(Timestamp::from_unix_ms(0));
        Self {
            fingerprint: leaf.fingerprint(),
            issuer,
            anchor: path.anchor().fingerprint(),
            authority_version,
            serial: *leaf.serial(),
            spki: leaf.spki_hash(),
            id,
            not_after: until,
            valid: (from, until),
            scope: leaf.scope().into(),
            initial: false,
        }
    }

    /// Whether it is a maker's device, which may enrol elsewhere and do nothing here.
    pub(crate) fn is_initial(&self) -> bool {
        self.initial
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate that issued it.
    pub(crate) fn issuer(&self) -> Fingerprint {
        self.issuer
    }

    /// The root that its path was found to.
    pub(crate) fn anchor(&self) -> Fingerprint {
        self.anchor
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
    fn check(&self, leaf: &[u8], sent_along: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        self.0.known(leaf, sent_along, now).map(drop).map_err(|reason| PathRefusal { code: reason.code() })
    }
}

impl Trust {
    /// Who finishes a handshake: an identity of ours, or a maker's device, which is then told that it must enrol.
    pub(crate) fn known(
        &self,
        leaf: &[u8],
        sent_along: &[impl AsRef<[u8]>],
        now: Timestamp,
    ) -> Result<Arc<PathIdentity>, DenyReason> {
        let refused = match self.identity_of(leaf, now) {
            Ok(identity) => return Ok(identity),
            Err(reason) => reason,
        };
        self.initial(leaf, sent_along, now).map(Arc::new).ok_or(refused)
    }

    /// Never cached: what is kept is kept for those who may come in.
    fn initial(&self, leaf: &[u8], sent_along: &[impl AsRef<[u8]>], now: Timestamp) -> Option<PathIdentity> {
        let basis = self.basis.load_full().filter(|basis| !basis.makers.is_empty())?;
        let leaf = Certificate::from_der(leaf).ok()?;
        if sent_along.len() > PRESENTED_MAX {
            return None;
        }
        let presented = sent_along.iter().map(|der| Certificate::from_der(der.as_ref()));
        let presented: Vec<_> = presented.collect::<Result<_, _>>().ok()?;
        let anchors: Vec<_> = basis.makers.iter().map(|maker| maker.certificate.clone()).collect();
        let path = validate(&leaf, &presented, &anchors, now, Purpose::Initial).ok()?;
        let maker = basis.makers.iter().find(|maker| maker.certificate == *path.anchor())?;
        PathIdentity::initial(&path, maker.version, &basis).ok()
    }

    /// The identity at the end of a verified path, from the cache or from a check.
    pub(crate) fn identity_of(&self, leaf: &[u8], now: Timestamp) -> Result<Arc<PathIdentity>, DenyReason> {
        let basis = self.basis.load_full().ok_or(DenyReason::StatusMissing)?;
        let fingerprint = Fingerprint::try_from(digest(&SHA256, leaf).as_ref());
        let fingerprint = fingerprint.map_err(|_| DenyReason::BadPath)?;
        let cached = self.paths.get(basis.generation, &fingerprint);
        if let Some(identity) = cached.filter(|identity| identity.in_time(now)) {
            return Ok(identity);
        }
        let leaf = Certificate::from_der(leaf).map_err(|_| DenyReason::BadPath)?;
        let issuers = basis.issuers_of(&leaf);
        let path = validate(&leaf, &issuers, &basis.roots, now, Purpose::Client)
            .and_then(|path| path.in_our_form(self.low_s_since()))
            .map_err(|fault| reason(&fault))?;
        let identity = Arc::new(PathIdentity::from_path(&path, &basis)?);
        self.paths.put(basis.generation, &identity);
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
        | PathFault::SignatureForm { .. }
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
