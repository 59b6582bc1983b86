//! What an entry does to rows: few, total changes that each back end writes in its own way.

use crate::rows::*;
use touchmark_identity::{
    CertificateId, DeviceId, EnvironmentName, Fingerprint, RevocationReason, Timestamp, TokenId,
};
use touchmark_journal::{Scope, Standing};

/// One change to the rows. Applying it cannot fail but for a broken store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds an authority version.
    AddAuthority(AuthorityRow),
    /// Adds an environment.
    AddEnvironment(EnvironmentRow),
    /// Adds a profile version.
    AddProfile(ProfileRow),
    /// Adds or replaces a party's row.
    PutParty(PartyRow),
    /// Adds a token.
    AddToken(TokenRow),
    /// Counts one use of a token.
    CountTokenUse(TokenId),
    /// Gives one use of a token back.
    RefundTokenUse(TokenId),
    /// Voids every token that can enrol the device, made at or before `before`.
    VoidTokensOfDevice {
        /// Environment of the device.
        environment: EnvironmentName,
        /// The device whose name the tokens bear.
        device: DeviceId,
    },
    /// Adds a device.
    AddDevice(DeviceRow),
    /// Changes a device's standing.
    SetStanding {
        /// Which.
        device: DeviceId,
        /// To what.
        standing: Standing,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Adds a certificate's intent.
    AddCertificate(Box<CertificateRow>),
    /// Records the signed certificate.
    SetIssued {
        /// Which.
        certificate: CertificateId,
        /// Its hash.
        fingerprint: Fingerprint,
        /// Its bytes; `None` once erased.
        der: Option<Vec<u8>>,
    },
    /// Records the first proof of possession.
    SetConfirmed {
        /// Which.
        certificate: CertificateId,
        /// When.
        at: Timestamp,
    },
    /// Records that a successor took over.
    SetSuperseded {
        /// Which.
        certificate: CertificateId,
        /// First moment of refusal.
        refused_from: Timestamp,
    },
    /// Records a revocation.
    SetRevoked {
        /// Which.
        certificate: CertificateId,
        /// When.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Records a burned intent.
    SetBurned {
        /// Which.
        certificate: CertificateId,
        /// When.
        at: Timestamp,
    },
    /// Denies a key; a second denial of it keeps the first.
    DenyKey(DeniedKeyRow),
    /// Replaces the policy in force in a scope.
    PutPolicy(PolicyRow),
    /// Replaces the newest CRL of a shard.
    PutCrl(CrlRow),
    /// Replaces a gateway's last report.
    PutEnforcement(EnforcementRow),
    /// Counts refusals.
    CountRefusals {
        /// Whose.
        scope: Scope,
        /// Reason code.
        code: String,
        /// How many.
        count: u64,
    },
    /// Records a start: the epoch and incarnation in force.
    SetStarted {
        /// Feed epoch.
        epoch: u64,
        /// Serial prefix.
        incarnation: u8,
    },
}
