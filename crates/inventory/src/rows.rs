//! The rows. Every one carries its organisation and environment; nothing is deleted, only closed.

use crate::Seen;
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name,
    ProfileVersionId, RevocationReason, SerialNumber, SpiffeId, SpkiHash, Timestamp, TokenId, TrustDomain,
    Validity,
};
use touchmark_journal::Reach;
use touchmark_journal::{
    AuthorityKind, CloneResponse, IdentityKind, RenewalManner, Scope, Standing, TokenSubject,
};

/// A key and certificate of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Key of the row.
    pub authority_version: AuthorityVersionId,
    /// Whose; the environment is absent for a root.
    pub scope: Scope,
    /// Root or issuing.
    pub kind: AuthorityKind,
    /// For people.
    pub name: Name,
    /// Certificate, DER.
    pub certificate: Vec<u8>,
    /// Who signed it.
    pub parent: Option<AuthorityVersionId>,
    /// Shards of its CRL.
    pub crl_shards: u32,
    /// When it came into being.
    pub created_at: Timestamp,
}

/// A trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRow {
    pub scope: Scope,
    /// Its name: key of the row.
    pub name: EnvironmentName,
    /// Host of its identities.
    pub trust_domain: TrustDomain,
    /// Whether EST without a label means it.
    pub default: bool,
    /// When it came into being.
    pub created_at: Timestamp,
}

/// An immutable version of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRow {
    /// Key of the row.
    pub profile_version: ProfileVersionId,
    pub scope: Scope,
    /// Its name; the newest version of a name is in force.
    pub name: Name,
    /// What it issues.
    pub kind: IdentityKind,
    /// Seconds of life.
    pub lifetime_s: u64,
    /// Seconds of overlap after a successor is confirmed.
    pub overlap_s: u64,
    /// Seconds past not-after during which a device may still renew.
    pub grace_s: u64,
    /// What a suspected clone leads to.
    pub on_clone: CloneResponse,
    /// Whether what is superseded is revoked once its overlap is over.
    pub revoke_superseded: bool,
    pub activated_at: Timestamp,
}

/// An operator or service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyRow {
    pub scope: Scope,
    /// Operator or service.
    pub kind: IdentityKind,
    /// Its name: key of the row with the kind.
    pub name: Name,
    /// Roles for the operator policy.
    pub roles: Vec<String>,
    /// Where an operator's roles hold.
    pub reach: Reach,
    /// Who answers for it.
    pub owner: Option<Name>,
    /// Since when it is known.
    pub registered_at: Timestamp,
    /// Times that a clone was suspected.
    pub clone_alarms: u64,
    /// The last time.
    pub clone_alarm_at: Option<Timestamp>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Key of the row.
    pub device: DeviceId,
    pub scope: Scope,
    /// Its name, unique in its environment; `None` once erased.
    pub name: Option<Name>,
    /// Its model.
    pub model: Option<Name>,
    /// Who answers for it.
    pub owner: Option<Name>,
    /// Whether it may act.
    pub standing: Standing,
    /// When a quarantine ends by itself.
    pub standing_until: Option<Timestamp>,
    /// Since when it is known.
    pub registered_at: Timestamp,
    /// When it was last revoked: tokens for new devices that were made before do not let it back in.
    pub revoked_at: Option<Timestamp>,
}

/// A device, operator or service as one environment knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRow {
    pub scope: Scope,
    pub kind: IdentityKind,
    /// The opaque name in the URI of its certificates: key of the row with environment and kind.
    pub handle: Name,
    /// The device behind it; `None` for an operator or service.
    pub device: Option<DeviceId>,
    /// The highest of its certificates and intents; 0 before the first.
    pub generation: u64,
}

/// Where a certificate is in its life. Expiry is a comparison with now, never a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateState {
    /// Recorded, not yet signed.
    Intended,
    /// Signed and recorded; the device may or may not have it.
    Issued,
    /// The device proved its key.
    Confirmed,
    /// A newer confirmed certificate took over; refused once the overlap is over.
    Superseded,
    /// Dead.
    Revoked,
    /// Its intent was given up; the serial is spent and listed as revoked.
    Burned,
}

impl CertificateState {
    const WORDS: [(Self, &'static str); 6] = [
        (Self::Intended, "intended"),
        (Self::Issued, "issued"),
        (Self::Confirmed, "confirmed"),
        (Self::Superseded, "superseded"),
        (Self::Revoked, "revoked"),
        (Self::Burned, "burned"),
    ];

    /// The word in rows and JSON.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.into_iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    /// Reads [`CertificateState::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(_, w)| *w == word).map(|(state, _)| state)
    }

    /// Whether it is, or may become, the one its holder works with.
    pub fn is_current(self) -> bool {
        matches!(self, Self::Intended | Self::Issued | Self::Confirmed)
    }

    /// Whether a holder can still prove itself with it, time aside.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Issued | Self::Confirmed | Self::Superseded)
    }
}

/// A certificate and the credential it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Key of the row.
    pub certificate: CertificateId,
    pub scope: Scope,
    /// The device, unless it is an operator's or service's.
    pub device: Option<DeviceId>,
    /// What it is for.
    pub kind: IdentityKind,
    /// Its one URI name; `None` once erased.
    pub identity: Option<SpiffeId>,
    /// Who signs.
    pub authority_version: AuthorityVersionId,
    /// Unique under the authority version.
    pub serial: SerialNumber,
    /// Its key; `None` once erased.
    pub spki: Option<SpkiHash>,
    /// By which rules.
    pub profile_version: ProfileVersionId,
    /// Its span.
    pub validity: Validity,
    /// Where it is in its life.
    pub state: CertificateState,
    /// SHA-256 of the request.
    pub csr_sha256: Option<[u8; 32]>,
    /// Certificate, DER, once issued.
    pub der: Option<Vec<u8>>,
    /// SHA-256 of the DER, once issued.
    pub fingerprint: Option<Fingerprint>,
    /// The token it was issued on.
    pub token: Option<TokenId>,
    /// The certificate it replaces.
    pub replaces: Option<CertificateId>,
    /// One more than the identity's last.
    pub generation: u64,
    /// Shard of the CRL that would list it.
    pub crl_shard: u32,
    /// When the intent was recorded.
    pub intended_at: Timestamp,
    /// When the key was first proven.
    pub confirmed_at: Option<Timestamp>,
    /// When a superseded one is first refused.
    pub refused_from: Option<Timestamp>,
    /// When it was revoked or burned.
    pub revoked_at: Option<Timestamp>,
    pub revocation_reason: Option<RevocationReason>,
}

/// A permission to enrol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Key of the row.
    pub token: TokenId,
    pub scope: Scope,
    /// What it enrols.
    pub kind: IdentityKind,
    /// Whom it enrols; `None` once erased.
    pub subject: Option<TokenSubject>,
    /// SHA-256 of the password.
    pub secret_sha256: Option<[u8; 32]>,
    /// Model that a device gets.
    pub model: Option<Name>,
    /// Host names that a service gets.
    pub hosts: Vec<String>,
    /// Uses allowed.
    pub uses_max: u32,
    /// Uses made.
    pub uses: u32,
    /// Last moment of use.
    pub expires_at: Timestamp,
    /// Who made it, and answers for what it enrols.
    pub created_by: Name,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether a revocation or ban made it void.
    pub void: bool,
    /// Roles that an operator or service gets when it enrols; `None` when it keeps those that it has.
    pub roles: Option<Vec<String>>,
    /// Where an operator's roles hold.
    pub reach: Reach,
}

/// A certificate that a holder was given, as far as the pace of its next one asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssueRow {
    /// One more than the identity's last.
    pub generation: u64,
    /// When the intent was recorded.
    pub intended_at: Timestamp,
    /// The token it was issued on.
    pub token: Option<TokenId>,
}

/// A key that nobody may use again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedKeyRow {
    pub scope: Scope,
    pub spki: SpkiHash,
    pub denied_at: Timestamp,
}

/// The device policy in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    pub scope: Scope,
    /// SHA-256 over the bundle.
    pub version: [u8; 32],
    /// Name and text of each file.
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    pub topics: String,
    pub activated_at: Timestamp,
}

/// The newest CRL of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Whose authority.
    pub scope: Scope,
    /// Which authority version.
    pub authority_version: AuthorityVersionId,
    /// Which shard.
    pub shard: u32,
    pub number: u64,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// When it was signed.
    pub published_at: Timestamp,
}

/// How a device's renewals went: what posture and people ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalRow {
    pub scope: Scope,
    /// The device: key of the row.
    pub device: DeviceId,
    /// Successors that were planned for it.
    pub renewals: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Refused attempts since the last successor.
    pub refused_since: u64,
    /// Last attempt of either kind.
    pub last_at: Timestamp,
    /// Code of the last refusal; `None` when the last attempt succeeded.
    pub last_refusal: Option<String>,
    /// Seconds of life left at the last successor; negative past the end.
    pub last_lead_s: Option<i64>,
    /// The least of all.
    pub least_lead_s: Option<i64>,
    /// Who set the last one going.
    pub last_manner: Option<RenewalManner>,
    /// Times that a clone was suspected.
    pub clone_alarms: u64,
    /// The last time.
    pub clone_alarm_at: Option<Timestamp>,
}

impl RenewalRow {
    /// Before anything was counted.
    pub fn new(scope: Scope, device: DeviceId, at: Timestamp) -> Self {
        Self {
            scope,
            device,
            renewals: 0,
            refused: 0,
            refused_since: 0,
            last_at: at,
            last_refusal: None,
            last_lead_s: None,
            least_lead_s: None,
            last_manner: None,
            clone_alarms: 0,
            clone_alarm_at: None,
        }
    }

    /// Takes in a granted successor.
    pub fn granted(&mut self, at: Timestamp, lead_s: i64, manner: RenewalManner) {
        self.last_at = at;
        self.renewals = self.renewals.saturating_add(1);
        self.refused_since = 0;
        self.last_refusal = None;
        self.last_lead_s = Some(lead_s);
        self.least_lead_s = Some(self.least_lead_s.map_or(lead_s, |least| least.min(lead_s)));
        self.last_manner = Some(manner);
    }

    /// Takes in refused attempts.
    pub fn refused(&mut self, at: Timestamp, code: &str, count: u64) {
        self.last_at = at;
        self.refused = self.refused.saturating_add(count);
        self.refused_since = self.refused_since.saturating_add(count);
        self.last_refusal = Some(code.to_owned());
    }

    /// Takes in a suspected clone, which is no attempt of the device itself.
    pub fn clone_suspected(&mut self, at: Timestamp) {
        self.clone_alarms = self.clone_alarms.saturating_add(1);
        self.clone_alarm_at = Some(at);
    }
}

/// A maker whose initial certificates open enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakerRow {
    /// Key of the row.
    pub maker: MakerId,
    pub scope: Scope,
    /// For people.
    pub name: Name,
    /// Trust anchor of its initial certificates, DER.
    pub certificate: Vec<u8>,
    pub registered_at: Timestamp,
    /// Until when, once it is over.
    pub withdrawn_at: Option<Timestamp>,
}

/// A piece of hardware that is expected, and the device that it is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareRow {
    pub scope: Scope,
    /// Who made it: key of the row with the environment and the identifier.
    pub maker: MakerId,
    /// Its identifier, as the maker's certificate states it.
    pub hardware_id: String,
    pub device: DeviceId,
    /// Since when, or since when again.
    pub registered_at: Timestamp,
    /// Whether a revocation or ban made it void; registering it again lets the device come back.
    pub void: bool,
}

/// A gateway that an operator declared not to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAbsenceRow {
    /// Whose: key of the row with the gateway.
    pub scope: Scope,
    pub gateway: Name,
    pub since: Timestamp,
    /// Until when; past when it was declared to run again.
    pub until: Option<Timestamp>,
    /// At whose word.
    pub declared_by: Name,
}

impl GatewayAbsenceRow {
    /// Whether it is still said to be away.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a gateway last said it had in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforcementRow {
    pub scope: Scope,
    /// Which gateway.
    pub gateway: Name,
    /// Feed epoch.
    pub epoch: u64,
    /// Feed sequence number.
    pub seq: u64,
    /// By the gateway's clock.
    pub applied_at: Timestamp,
    /// Sessions it ended for it.
    pub sessions_closed: u64,
}

/// A certificate was used there. Projected from decision logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SightingRow {
    pub scope: Scope,
    pub fingerprint: Fingerprint,
    /// Which gateway or service.
    pub relying_party: Name,
    /// `connect`, `publish`, ...
    pub action: String,
    /// Topic or path.
    pub resource: String,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
    /// Times allowed.
    pub allowed: u64,
    /// Times denied.
    pub denied: u64,
    /// Whether `resource` is what many resources begin with; see [`crate::Sightings`].
    pub folded: bool,
}

impl SightingRow {
    /// How often, and when.
    pub fn seen(&self) -> Seen {
        let Self { first, last, allowed, denied, .. } = *self;
        Seen { first, last, allowed, denied }
    }

    /// Takes in what was seen of the same certificate, place, action and resource at another time.
    pub fn absorb(&mut self, other: &Self) {
        let mut seen = self.seen();
        seen.absorb(&other.seen());
        (self.first, self.last, self.allowed, self.denied) =
            (seen.first, seen.last, seen.allowed, seen.denied);
    }
}
