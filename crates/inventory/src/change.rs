//! What an entry does to rows: few, total changes that each back end writes in its own way.
//!
//! A row that is added takes its keys for ever. A command that would take a key twice is refused whole by
//! every back end, whatever its preconditions say: [`UniqueKey`] is the list.

use crate::rows::*;
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name,
    ProfileVersionId, RevocationReason, SerialNumber, Timestamp, TokenId, TrustDomain,
};
use touchmark_journal::{PartyName, RenewalManner, Scope, Standing};

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
    /// Voids one token.
    VoidToken(TokenId),
    /// Voids every token that names the device. A token made afterwards lets it come back.
    VoidTokensOfDevice {
        /// Environment of the device.
        environment: EnvironmentName,
        /// The device whose name the tokens bear.
        device: DeviceId,
        /// Whether a token for an operator or service of that name is meant, too: so the first journals say.
        any_kind: bool,
    },
    /// Voids every token that names the operator or service, and those that the operator made.
    VoidTokensOfParty { environment: EnvironmentName, party: PartyName },
    /// Adds a device.
    AddDevice(DeviceRow),
    /// Adds an identity, or raises its generation.
    PutIdentity(IdentityRow),
    /// Changes a device's standing.
    SetStanding {
        device: DeviceId,
        /// To what.
        standing: Standing,
        until: Option<Timestamp>,
    },
    /// Records that all that a device had was revoked.
    SetDeviceRevoked { device: DeviceId, at: Timestamp },
    /// Adds a certificate's intent.
    AddCertificate(Box<CertificateRow>),
    /// Records the signed certificate.
    SetIssued {
        certificate: CertificateId,
        /// Its hash.
        fingerprint: Fingerprint,
        /// Its bytes; `None` once erased.
        der: Option<Vec<u8>>,
    },
    /// Records the first proof of possession.
    SetConfirmed { certificate: CertificateId, at: Timestamp },
    /// Records that a successor took over.
    SetSuperseded {
        certificate: CertificateId,
        /// First moment of refusal.
        refused_from: Timestamp,
    },
    /// Records a revocation.
    SetRevoked { certificate: CertificateId, at: Timestamp, reason: RevocationReason },
    /// Records a burned intent.
    SetBurned { certificate: CertificateId, at: Timestamp },
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
        scope: Scope,
        /// Reason code.
        code: String,
        count: u64,
    },
    /// Counts a successor that a device was granted.
    CountRenewal {
        scope: Scope,
        /// Which device.
        device: DeviceId,
        at: Timestamp,
        /// Seconds of life left.
        lead_s: i64,
        /// Who set it going.
        manner: RenewalManner,
    },
    /// Counts refused renewals of a device.
    CountRenewalRefusals {
        scope: Scope,
        /// Which device.
        device: DeviceId,
        at: Timestamp,
        /// Reason code.
        code: String,
        count: u64,
    },
    /// Counts a suspected clone.
    CountCloneAlarm {
        scope: Scope,
        /// Which device.
        device: DeviceId,
        at: Timestamp,
    },
    /// Counts a suspected clone of an operator or service.
    CountPartyCloneAlarm { party: PartyName, at: Timestamp },
    /// Adds a maker.
    AddMaker(MakerRow),
    /// Ends a maker; a second end keeps the first.
    EndMaker { maker: MakerId, at: Timestamp },
    /// Adds or renews the expectation of a piece of hardware.
    PutHardware(HardwareRow),
    /// Adds or replaces what was said of a gateway.
    PutGatewayAbsence(GatewayAbsenceRow),
    /// Voids what is expected to become the device. Registered again afterwards, it lets it come back.
    VoidHardwareOfDevice(DeviceId),
    /// Records a start: the epoch and incarnation in force.
    SetStarted {
        /// Feed epoch.
        epoch: u64,
        /// Serial prefix.
        incarnation: u8,
    },
}

/// What no two rows may share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UniqueKey {
    /// Of an authority version.
    Authority(AuthorityVersionId),
    /// Of an environment.
    Environment(EnvironmentName),
    /// An identity's URI has one meaning only if no two environments share their trust domain.
    TrustDomain(TrustDomain),
    /// Of a profile version.
    Profile(ProfileVersionId),
    /// Of a token.
    Token(TokenId),
    /// Of a maker.
    Maker(MakerId),
    /// Of a device.
    Device(DeviceId),
    /// Of a device, until it is erased.
    DeviceName(EnvironmentName, Name),
    /// Of a certificate's row.
    Certificate(CertificateId),
    /// RFC 5280 §4.1.2.2.
    Serial(AuthorityVersionId, SerialNumber),
}

impl Change {
    /// What a burned intent is listed as in a CRL: it never left the house, so no reason is given.
    pub const BURNED: RevocationReason = RevocationReason::Unspecified;

    /// The keys that the change takes for its row.
    pub fn takes(&self) -> Vec<UniqueKey> {
        match self {
            Self::AddAuthority(row) => vec![UniqueKey::Authority(row.authority_version)],
            Self::AddEnvironment(row) => {
                vec![
                    UniqueKey::Environment(row.name.clone()),
                    UniqueKey::TrustDomain(row.trust_domain.clone()),
                ]
            }
            Self::AddProfile(row) => vec![UniqueKey::Profile(row.profile_version)],
            Self::AddToken(row) => vec![UniqueKey::Token(row.token)],
            Self::AddMaker(row) => vec![UniqueKey::Maker(row.maker)],
            Self::AddDevice(row) => {
                let mut keys = vec![UniqueKey::Device(row.device)];
                if let (Some(environment), Some(name)) = (&row.scope.environment, &row.name) {
                    keys.push(UniqueKey::DeviceName(environment.clone(), name.clone()));
                }
                keys
            }
            Self::AddCertificate(row) => vec![
                UniqueKey::Certificate(row.certificate),
                UniqueKey::Serial(row.authority_version, row.serial),
            ],
            Self::PutParty(_)
            | Self::PutIdentity(_)
            | Self::CountTokenUse(_)
            | Self::RefundTokenUse(_)
            | Self::VoidToken(_)
            | Self::VoidTokensOfDevice { .. }
            | Self::VoidTokensOfParty { .. }
            | Self::SetDeviceRevoked { .. }
            | Self::SetStanding { .. }
            | Self::SetIssued { .. }
            | Self::SetConfirmed { .. }
            | Self::SetSuperseded { .. }
            | Self::SetRevoked { .. }
            | Self::SetBurned { .. }
            | Self::DenyKey(_)
            | Self::PutPolicy(_)
            | Self::PutCrl(_)
            | Self::PutEnforcement(_)
            | Self::CountRefusals { .. }
            | Self::CountRenewal { .. }
            | Self::CountRenewalRefusals { .. }
            | Self::CountCloneAlarm { .. }
            | Self::CountPartyCloneAlarm { .. }
            | Self::EndMaker { .. }
            | Self::PutHardware(_)
            | Self::PutGatewayAbsence(_)
            | Self::VoidHardwareOfDevice(_)
            | Self::SetStarted { .. } => Vec::new(),
        }
    }
}
