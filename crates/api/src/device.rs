//! Devices, their certificates, and containment.

use crate::page::list_query;
use crate::words::{either, in_text};
use crate::{CertificateState, EnforcementState, RenewalManner, Standing, SubjectKind, Word};
use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;
use serde::{Deserialize, Serialize};
use touchmark_identity::{
    Actor, CertificateId, DeviceId, EnvironmentName, Fingerprint, Name, RevocationReason, SerialNumber,
    SpiffeId, SpkiHash, Timestamp,
};

list_query! {
    /// `GET /v1/devices`, by name.
    DeviceQuery {
        environment: EnvironmentName,
        standing: Standing,
    }
}

list_query! {
    /// Other lists: `GET /v1/environments`, `/v1/gateways`, `/v1/makers`, by name; `/v1/tokens`, newest first; the
    /// certificates of a device, the highest generation first.
    ListIn {
        /// Only this environment; of a device, the one that is meant if its name exists in several.
        environment: EnvironmentName,
    }
}

/// Where something is looked for, if its name may exist in several environments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InEnvironment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub id: DeviceId,
    pub name: Option<Name>,
    pub environment: Option<EnvironmentName>,
    /// Its model, or `null`.
    pub model: Option<Name>,
    /// Who answers for it, or `null`.
    pub owner: Option<Name>,
    pub standing: Word<Standing>,
    /// When a quarantine ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing_until: Option<Timestamp>,
    /// Since when it is known.
    pub registered_at: Timestamp,
    /// How its renewals went; absent in listings, and before the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewals: Option<Renewals>,
}

/// How a device's renewals went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewals {
    /// Successors that it was granted.
    pub renewals: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Refused attempts since the last successor.
    pub refused_since: u64,
    /// The last attempt of either kind.
    pub last_at: Timestamp,
    /// How it ended: `renewed`, the code of the refusal, or `null` before any attempt.
    pub last_outcome: Option<String>,
    /// Seconds of life that were left at the last successor; negative past the end.
    pub last_lead_s: Option<i64>,
    /// The least of all.
    pub least_lead_s: Option<i64>,
    pub last_manner: Option<Word<RenewalManner>>,
    /// Times that a clone was suspected.
    pub clone_alarms: u64,
    /// The last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_alarm_at: Option<Timestamp>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub id: CertificateId,
    /// SHA-256 of the DER.
    pub fingerprint: Option<Fingerprint>,
    /// Common name of the issuing authority.
    pub issuer: Option<String>,
    /// Serial number, hexadecimal.
    pub serial: SerialNumber,
    /// SHA-256 of the public key.
    pub spki: Option<SpkiHash>,
    pub state: Word<CertificateState>,
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
    /// Profile that it was issued under.
    pub profile: Option<Name>,
    /// Its URI name.
    pub identity: Option<SpiffeId>,
    /// One more than the identity's last.
    pub generation: u64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_reason: Option<Word<RevocationReason>>,
    /// At whose word, where the shown part of the journal tells (only in an explanation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<Word<Actor>>,
    /// The certificate, PEM (only from `GET /v1/certificates/{id}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
}

/// `POST /v1/devices/{name}/{revoke|quarantine|release|ban}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Containment {
    /// Where, if the name exists in several environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
    /// Seconds until a quarantine ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<NonZeroU64>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// Milliseconds to wait for gateways to report (5000 by default, 10000 at most).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

either! {
    /// Whom a containment was about: a device, operator or service by name, or the identity of a certificate.
    Whom { Name(Name), Identity(SpiffeId) }
    /// A certificate by its hash, or, of one that was never issued, by its row.
    CertificateName { Fingerprint(Fingerprint), Id(CertificateId) }
}

/// What a containment did, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainmentOutcome {
    /// The device, or the identity of the certificate.
    pub device: Option<Whom>,
    /// Place in the journal of the (first) event; absent on a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// When it was durable; absent on a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// Whether this was only a preview.
    pub dry_run: bool,
    /// Certificates that are dead by it.
    pub certificates: Vec<CertificateName>,
    /// Where one certificate was revoked: those of the same identity that are still alive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lives_on: Vec<CertificateName>,
    /// Where an operator was revoked: whom its tokens let in. They live on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_in: Option<LetIn>,
    /// Live sessions that gateways ended, as far as they reported in time.
    pub sessions_closed: u64,
    /// Every gateway of the environment, and whether it is in force there.
    pub gateways: Vec<GatewayEnforcement>,
    /// Nothing was left to do: `accepted_at` is the time of the act that did it.
    #[serde(default)]
    pub already: bool,
    /// The rule of the operator policy that permitted it.
    pub rule: String,
}

/// Whom the tokens of an operator let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// Operators and services that hold a live certificate and were given one on such a token; by name, the first 50.
    pub parties: Vec<LetInParty>,
    pub parties_total: u64,
    /// Enrolments of devices on such tokens, of those that were made last (100,000 for an environment).
    pub device_enrolments: u64,
}

/// An operator or a service that somebody's token let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetInParty {
    /// `operator` or `service`; a gateway is a service.
    pub kind: Word<SubjectKind>,
    pub name: Name,
    pub environment: Option<EnvironmentName>,
}

/// Whether a change is in force at a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayEnforcement {
    /// The gateway.
    pub name: Name,
    /// `applied`; `late` when it is online and has not acknowledged; `unknown` when nobody has heard of it; `offline` when
    /// an operator declared it so; `cut-off` when the authority refuses it and it said that it serves nobody.
    pub state: Word<EnforcementState>,
    /// The authority accepts none of its certificates any more.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub refused: bool,
    /// When it was in force, by the gateway's clock.
    pub applied_at: Option<Timestamp>,
    /// Milliseconds from the commit to the acknowledgement, by the authority's clock.
    pub applied_ms: Option<u64>,
    /// When the gateway last asked for the feed, since the authority started, in vain or not.
    pub last_seen: Option<Timestamp>,
}

/// One journal entry of a device's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Leaf index in the journal's log.
    pub seq: u64,
    pub at: Timestamp,
    pub event: String,
    /// At whose word.
    pub actor: Word<Actor>,
    /// On what occasion.
    pub cause: String,
}
