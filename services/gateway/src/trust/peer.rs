//! From a verified path to a trusted peer: status, age of the feed, kind of identity, scope.
//!
//! `PathIdentity -> TrustedPeer -> Permit`: each is made from the one before only. Asked on every opening, cached
//! path or not, and again for live sessions whenever the feed says something about them.

use super::basis::Issuing;
use super::{PathIdentity, Trust, TrustBasis};
use std::sync::Arc;
use touchmark_decisions::FeedPosition;
use touchmark_dial::KnownStatus;
use touchmark_identity::{AuthorityVersionId, Name, PathKind, SerialNumber, SpkiHash, Timestamp};
use touchmark_policy::{DecisionTable, DenyReason, PolicyVersion, Subject};
use touchmark_policy_cedar::CompiledPolicy;
use touchmark_status::{Freshness, Position, Presented, Status, StatusSet};
use touchmark_x509::Certificate;

/// A device against which nothing is known, at one position of the feed.
pub(crate) struct TrustedPeer {
    subject: Subject,
    policy: Arc<CompiledPolicy>,
    position: FeedPosition,
    /// When it has to be asked again at the latest.
    good_until: Timestamp,
}

impl TrustedPeer {
    /// Everything the policy says about this device.
    pub(crate) fn specialise(&self) -> DecisionTable {
        self.policy.specialise(&self.subject)
    }

    /// The policy that decides.
    pub(crate) fn policy_version(&self) -> PolicyVersion {
        self.policy.version()
    }

    /// The feed that this was read from.
    pub(crate) fn position(&self) -> FeedPosition {
        self.position
    }

    /// The end of the certificate, or of its overlap with a successor.
    pub(crate) fn good_until(&self) -> Timestamp {
        self.good_until
    }
}

/// For whom the age of the feed is weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Somebody who wants in.
    New,
    /// Somebody who is in.
    Live,
}

impl Trust {
    /// Whether a peer may come in.
    pub(crate) fn admit(&self, identity: &PathIdentity, now: Timestamp) -> Result<TrustedPeer, DenyReason> {
        self.judge(identity, Asker::New, now)
    }

    /// Whether a peer may stay.
    pub(crate) fn review(&self, identity: &PathIdentity, now: Timestamp) -> Result<TrustedPeer, DenyReason> {
        self.judge(identity, Asker::Live, now)
    }

    /// Whether something is known against the certificate itself; short, and before anybody is asked for a policy.
    pub(crate) fn is_known_bad(&self, identity: &PathIdentity, now: Timestamp) -> bool {
        let Some(basis) = self.basis.load_full() else { return false };
        if is_of_a_device(identity, &basis).is_err() {
            return true;
        }
        self.read().as_ref().is_some_and(|status| not_known_against(status, identity, now).is_err())
    }

    fn judge(
        &self,
        identity: &PathIdentity,
        asker: Asker,
        now: Timestamp,
    ) -> Result<TrustedPeer, DenyReason> {
        let basis = self.basis.load_full().ok_or(DenyReason::StatusMissing)?;
        is_of_a_device(identity, &basis)?;
        let id = identity.id();
        let (position, supersession, scope) = {
            let status = self.read();
            let status = status.as_ref().ok_or(DenyReason::StatusMissing)?;
            self.fresh_enough(status, asker, now)?;
            not_known_against(status, identity, now)?;
            let state = status.state();
            let supersession = state.supersession(&identity.authority_version(), &identity.serial());
            (status.position(), supersession, state.scope(&id.name).map(<[String]>::to_vec))
        };
        let policy = basis.policy.clone().ok_or(DenyReason::PolicyMissing)?;
        let scope = scope.as_deref().unwrap_or(identity.scope());
        // A scope that cannot be read could hide what a forbid looks for.
        let subject = Subject::from_scope(self.environment.clone(), Name::clone(&id.name), scope)
            .map_err(|_| DenyReason::BadPath)?;
        let ends = Timestamp::from_unix_s(identity.not_after().unix_s().saturating_add(1));
        let good_until = supersession.map_or(ends, |supersession| ends.min(supersession.effective_at));
        let Position { epoch, seq } = position;
        Ok(TrustedPeer { subject, policy, position: FeedPosition { epoch, seq }, good_until })
    }

    fn fresh_enough(&self, status: &StatusSet, asker: Asker, now: Timestamp) -> Result<(), DenyReason> {
        match (self.freshness_of(status, now), asker) {
            (Freshness::Fresh | Freshness::Alarm, _) | (Freshness::DenyNew, Asker::Live) => Ok(()),
            (Freshness::DenyNew, Asker::New) | (Freshness::CutSessions, _) => Err(DenyReason::StatusStale),
        }
    }
}

fn is_of_a_device(identity: &PathIdentity, basis: &TrustBasis) -> Result<(), DenyReason> {
    if identity.is_initial() {
        return Err(DenyReason::InitialIdentity);
    }
    let id = identity.id();
    if id.trust_domain != basis.trust_domain {
        return Err(DenyReason::WrongEnvironment);
    }
    if id.kind != PathKind::Device {
        return Err(DenyReason::NotADevice);
    }
    // Live sessions are held against the anchors of today, and not against those of their handshake.
    if basis.issuing_version(&identity.issuer()) != Some(identity.authority_version())
        || !basis.is_root(&identity.anchor())
    {
        return Err(DenyReason::UnknownIssuer);
    }
    Ok(())
}

impl KnownStatus for Trust {
    /// The authority may live in another environment: what this feed does not speak of is not known here.
    fn is_revoked(&self, leaf: &Certificate, above: &[Certificate]) -> bool {
        let Some(basis) = self.basis.load_full() else { return false };
        let issuer = |issuing: &&Issuing| {
            issuing.certificate.subject_der() == leaf.issuer_der()
                && above.iter().any(|shown| shown.fingerprint() == issuing.certificate.fingerprint())
        };
        let status = self.read();
        let Some(state) = status.as_ref().map(StatusSet::state) else { return false };
        let revoked = |issuing: &Issuing| state.revocation(&issuing.version, leaf.serial()).is_some();
        state.key_is_denied(&leaf.spki_hash()) || basis.issuing.iter().filter(issuer).any(revoked)
    }
}

/// A certificate and who holds it, as remembered after its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) handle: Name,
    pub(crate) authority_version: AuthorityVersionId,
    pub(crate) serial: SerialNumber,
    pub(crate) spki: SpkiHash,
    /// The scope strings in the certificate.
    pub(crate) scope: Arc<[String]>,
}

impl Holder {
    pub(crate) fn of(identity: &PathIdentity) -> Self {
        Self {
            handle: identity.id().name.clone(),
            authority_version: identity.authority_version(),
            serial: identity.serial(),
            spki: identity.spki(),
            scope: identity.scope().into(),
        }
    }
}

impl Trust {
    /// What is known against holders who are not connected, in their order. Without a feed nothing is known.
    ///
    /// The end of a certificate is not held against its holder: it may renew.
    pub(crate) fn known_against(&self, holders: &[Holder], now: Timestamp) -> Vec<Option<DenyReason>> {
        let Some(basis) = self.basis.load_full() else { return vec![None; holders.len()] };
        let status = self.read();
        let Some(status) = status.as_ref() else { return vec![None; holders.len()] };
        let against = |holder: &Holder| {
            if !basis.issuing.iter().any(|issuing| issuing.version == holder.authority_version) {
                return Some(DenyReason::UnknownIssuer);
            }
            let presented = Presented {
                authority_version: holder.authority_version,
                serial: holder.serial,
                spki: holder.spki,
                handle: &holder.handle,
                not_after: Timestamp::MAX,
                now,
            };
            denied(&status.check(&presented))
        };
        holders.iter().map(against).collect()
    }
}

impl Trust {
    /// Whether the policy in force lets a holder connect who is away; and that policy's version. `None` when there is no
    /// policy to ask, or a scope that cannot be read: that is said when the holder comes.
    pub(crate) fn may_connect(&self, holder: &Holder) -> Option<(bool, PolicyVersion)> {
        let policy = self.basis.load().as_ref()?.policy.clone()?;
        let scope = self.read().as_ref()?.state().scope(&holder.handle).map(<[String]>::to_vec);
        let scope = scope.as_deref().unwrap_or(&holder.scope);
        let subject = Subject::from_scope(self.environment.clone(), holder.handle.clone(), scope).ok()?;
        let permitted = policy.specialise(&subject).connect().permitted().is_ok();
        Some((permitted, policy.version()))
    }
}

fn not_known_against(status: &StatusSet, identity: &PathIdentity, now: Timestamp) -> Result<(), DenyReason> {
    let presented = Presented {
        authority_version: identity.authority_version(),
        serial: identity.serial(),
        spki: identity.spki(),
        handle: &identity.id().name,
        not_after: identity.not_after(),
        now,
    };
    denied(&status.check(&presented)).map_or(Ok(()), Err)
}

fn denied(status: &Status) -> Option<DenyReason> {
    match status {
        Status::Good => None,
        Status::Banned => Some(DenyReason::Banned),
        Status::Revoked { .. } => Some(DenyReason::Revoked),
        Status::KeyDenied => Some(DenyReason::KeyDenied),
        // Both are put aside and can come back; the log has one word for it.
        Status::Quarantined | Status::Suspended => Some(DenyReason::Quarantined),
        Status::Superseded => Some(DenyReason::Superseded),
        Status::Expired => Some(DenyReason::Expired),
    }
}
