//! Rows as the store would give them; a test changes the field that it is about.

use std::str::FromStr;
use std::time::Duration;
use touchmark_identity::{
    Actor, AuthorityVersionId, CertificateId, DeviceId, Incarnation, PathKind, ProfileVersionId,
    SerialNumber, SpiffeId, SpkiHash, Timestamp, TokenId, Validity,
};
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, EnvironmentRow, IssueRow, TokenRow};
use touchmark_journal::{IdentityKind, Reach, Scope, Standing, TokenSubject};
use touchmark_ra::{Act, Mandate};

pub(crate) const NOT_AFTER_S: u64 = 1_700_086_400;

pub(crate) fn word<T: FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000)
}

pub(crate) fn scope() -> Scope {
    Scope { organisation: word("example"), environment: Some(word("lab")) }
}

pub(crate) fn mandate<A: Act>(act: A) -> Mandate<A> {
    Mandate::permitted_unchecked(Actor::person(word("ada")), "test", act)
}

pub(crate) fn device_id(number: u8) -> DeviceId {
    DeviceId::draw(now(), [number; 10])
}

pub(crate) fn token_id(number: u8) -> TokenId {
    TokenId::draw(now(), [number; 10])
}

pub(crate) fn certificate_id(number: u32) -> CertificateId {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    CertificateId::draw(now(), random)
}

pub(crate) fn environment() -> EnvironmentRow {
    EnvironmentRow {
        scope: scope(),
        name: word("lab"),
        trust_domain: word("lab.touchmark.internal"),
        default: true,
        created_at: now(),
    }
}

pub(crate) fn token(kind: IdentityKind, subject: TokenSubject) -> TokenRow {
    TokenRow {
        token: token_id(1),
        scope: scope(),
        kind,
        subject: Some(subject),
        secret_sha256: Some([0; 32]),
        model: None,
        hosts: Vec::new(),
        uses_max: 10,
        uses: 0,
        expires_at: now().plus(Duration::from_secs(3600)),
        created_by: word("ada"),
        created_at: now(),
        void: false,
        roles: None,
        reach: Reach::Organisation,
    }
}

pub(crate) fn device(standing: Standing) -> DeviceRow {
    DeviceRow {
        device: device_id(1),
        scope: scope(),
        name: Some(word("pump-01")),
        model: None,
        owner: Some(word("ada")),
        standing,
        standing_until: None,
        registered_at: now(),
        revoked_at: None,
    }
}

/// What was given, the newest first, as the store would give it.
pub(crate) fn issues(rows: &[CertificateRow]) -> Vec<IssueRow> {
    let mut issues: Vec<IssueRow> = rows
        .iter()
        .map(|row| IssueRow { generation: row.generation, intended_at: row.intended_at, token: row.token })
        .collect();
    issues.sort_by_key(|issue| std::cmp::Reverse(issue.generation));
    issues
}

/// A certificate of [`device`].
pub(crate) fn certificate(number: u32, state: CertificateState, generation: u64) -> CertificateRow {
    let mut spki = [0; 32];
    spki[..4].copy_from_slice(&number.to_be_bytes());
    CertificateRow {
        certificate: certificate_id(number),
        scope: scope(),
        device: Some(device_id(1)),
        kind: IdentityKind::Operational,
        identity: Some(SpiffeId {
            trust_domain: word("lab.touchmark.internal"),
            kind: PathKind::Device,
            name: word("pump-01"),
        }),
        authority_version: AuthorityVersionId::draw(now(), [0; 10]),
        serial: SerialNumber::draw(Incarnation::try_from(1).unwrap(), [7; 16]),
        spki: Some(SpkiHash(spki)),
        profile_version: ProfileVersionId::draw(now(), [0; 10]),
        validity: Validity::new(1_699_999_970, NOT_AFTER_S).unwrap(),
        state,
        csr_sha256: Some([0; 32]),
        der: None,
        fingerprint: None,
        token: Some(token_id(1)),
        replaces: None,
        generation,
        crl_shard: 0,
        intended_at: now(),
        confirmed_at: None,
        refused_from: None,
        revoked_at: None,
        revocation_reason: None,
    }
}
