//! The status feed of one environment: what an entry adds to it, and what all of it is.
//!
//! Both read the rows as they are now, so an entry that is projected again, or late, says what holds. The state that
//! is folded from the changes of each entry refuses whatever the state from the rows refuses; both tests and
//! a gateway that fetches a snapshot rely on it.

use touchmark_identity::{AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Name, Timestamp};
use touchmark_inventory::{CertificateRow, IdentityRow, Store, StoreFault, denies_keys};
use touchmark_journal::{Event, RevokedCertificate, Standing};
use touchmark_status::{Anchor, AnchorRole, Change, PolicyBundle, Revocation, Supersession};

/// What of the feed an event touches.
enum Concern<'a> {
    Nothing,
    Superseded(CertificateId),
    Revoked {
        certificates: &'a [RevokedCertificate],
        denies_keys: bool,
    },
    /// It was never handed out, and stands in CRLs.
    Burned(CertificateId),
    Standing(DeviceId),
    Policy,
    Anchors,
}

/// A new event has to say here what it means.
fn concern(event: &Event) -> Concern<'_> {
    match event {
        Event::CertificateSuperseded(e) => Concern::Superseded(e.certificate),
        Event::CertificatesRevoked(e) => {
            Concern::Revoked { certificates: &e.certificates, denies_keys: denies_keys(e) }
        }
        Event::HolderRevoked(e) => Concern::Revoked { certificates: &e.certificates, denies_keys: true },
        Event::CertificateRevoked(e) => Concern::Revoked { certificates: &e.certificates, denies_keys: true },
        Event::CertificateBurned(e) => Concern::Burned(e.certificate),
        Event::StandingChanged(e) => Concern::Standing(e.device),
        Event::PolicyActivated(_) => Concern::Policy,
        Event::MakerRegistered(_) | Event::MakerWithdrawn(_) => Concern::Anchors,
        Event::AuthorityCreated(_)
        | Event::EnvironmentCreated(_)
        | Event::ProfileActivated(_)
        | Event::PartyRegistered(_)
        | Event::TokenCreated(_)
        | Event::TokenVoided(_)
        | Event::DeviceRegistered(_)
        | Event::CertificateIntended(_)
        | Event::CertificateIssued(_)
        | Event::CertificateConfirmed(_)
        | Event::CrlPublished(_)
        | Event::EnforcementReported(_)
        | Event::Refused(_)
        | Event::Started(_)
        | Event::RenewalRefused(_)
        | Event::CloneSuspected(_)
        | Event::PartyCloneSuspected(_)
        | Event::HardwareRegistered(_)
        | Event::GatewayDeclared(_) => Concern::Nothing,
    }
}

/// Whether an event changes a feed. A command that is to revoke names its certificates only once it is committed.
pub fn concerns_feed(event: &Event) -> bool {
    !matches!(concern(event), Concern::Nothing)
}

/// The changes that an entry of this environment brings. `own` are the environment's own anchors.
///
/// # Errors
/// [`StoreFault`] when rows cannot be read.
pub fn feed_changes(
    event: &Event,
    environment: &EnvironmentName,
    own: &[Anchor],
    rows: &dyn Store,
) -> Result<Vec<Change>, StoreFault> {
    Ok(match concern(event) {
        Concern::Nothing => Vec::new(),
        Concern::Superseded(id) => {
            rows.certificate(id)?.as_ref().and_then(supersession).into_iter().collect()
        }
        Concern::Burned(id) => rows.certificate(id)?.as_ref().and_then(revocation).into_iter().collect(),
        Concern::Revoked { certificates, denies_keys } => {
            let mut changes = Vec::with_capacity(certificates.len() * 2);
            for revoked in certificates {
                changes.extend(rows.certificate(revoked.certificate)?.as_ref().and_then(revocation));
                changes.extend(denies_keys.then_some(Change::DenyKey(revoked.spki)));
            }
            changes
        }
        Concern::Standing(id) => {
            let standing = rows.device(id)?.map(|row| exception(row.standing));
            let change = |handle| match standing.flatten() {
                Some(standing) => Change::SetStanding { handle, standing },
                None => Change::ClearStanding(handle),
            };
            handles(environment, id, rows)?.map(change).collect()
        }
        Concern::Policy => policy(environment, rows)?.into_iter().collect(),
        Concern::Anchors => vec![anchors(environment, own, rows)?],
    })
}

/// The whole state of an environment whose issuing authority is `issuing`; of certificates that ended before
/// `kept_from` it says nothing.
///
/// # Errors
/// [`StoreFault`] when rows cannot be read.
pub fn feed_state(
    environment: &EnvironmentName,
    issuing: AuthorityVersionId,
    own: &[Anchor],
    rows: &dyn Store,
    kept_from: Timestamp,
) -> Result<Vec<Change>, StoreFault> {
    let mut changes = vec![anchors(environment, own, rows)?];
    let authority = rows.authorities()?.into_iter().find(|row| row.authority_version == issuing);
    for shard in 0..authority.map_or(1, |row| row.crl_shards) {
        changes.extend(rows.revoked(issuing, shard, kept_from)?.iter().filter_map(revocation));
    }
    changes.extend(rows.superseded(environment, kept_from)?.iter().filter_map(supersession));
    changes.extend(rows.denied_keys(environment)?.into_iter().map(|row| Change::DenyKey(row.spki)));
    for device in rows.standing_exceptions(environment)? {
        if let Some(standing) = exception(device.standing) {
            let handles = handles(environment, device.device, rows)?;
            changes.extend(handles.map(|handle| Change::SetStanding { handle, standing }));
        }
    }
    changes.extend(policy(environment, rows)?);
    Ok(changes)
}

/// What a gateway of the environment meets the device as.
fn handles(
    environment: &EnvironmentName,
    device: DeviceId,
    rows: &dyn Store,
) -> Result<impl Iterator<Item = Name>, StoreFault> {
    let environment = environment.clone();
    let here = move |row: &IdentityRow| row.scope.environment.as_ref() == Some(&environment);
    Ok(rows.identities_of_device(device)?.into_iter().filter(here).map(|row| row.handle))
}

/// One anchor.
pub fn anchor(authority_version: AuthorityVersionId, role: AnchorRole, der: &[u8]) -> Anchor {
    Anchor { authority_version, role, certificate_der: der.to_vec() }
}

/// The environment's own, and those of the makers in force.
fn anchors(environment: &EnvironmentName, own: &[Anchor], rows: &dyn Store) -> Result<Change, StoreFault> {
    let mut anchors = own.to_vec();
    for maker in rows.makers(environment)?.iter().filter(|row| row.withdrawn_at.is_none()) {
        let version = AuthorityVersionId::try_from(&maker.maker.as_bytes()[..])
            .map_err(|_| StoreFault::Damaged(format!("maker {} has no identifier", maker.name)))?;
        anchors.push(anchor(version, AnchorRole::Maker, &maker.certificate));
    }
    Ok(Change::Anchors(anchors))
}

fn policy(environment: &EnvironmentName, rows: &dyn Store) -> Result<Option<Change>, StoreFault> {
    let row = rows.policy(environment)?;
    Ok(row.map(|row| {
        Change::Policies(PolicyBundle { version: row.version, files: row.files, topics: row.topics })
    }))
}

/// Active is no exception.
fn exception(standing: Standing) -> Option<touchmark_status::Standing> {
    match standing {
        Standing::Active => None,
        Standing::Quarantined => Some(touchmark_status::Standing::Quarantined),
        Standing::Banned => Some(touchmark_status::Standing::Banned),
    }
}

fn revocation(row: &CertificateRow) -> Option<Change> {
    Some(Change::Revoke {
        authority_version: row.authority_version,
        serial: row.serial,
        revocation: Revocation {
            at: row.revoked_at?,
            reason: row.revocation_reason?,
            not_after: row.validity.not_after(),
        },
    })
}

fn supersession(row: &CertificateRow) -> Option<Change> {
    Some(Change::Supersede {
        authority_version: row.authority_version,
        serial: row.serial,
        supersession: Supersession { effective_at: row.refused_from?, not_after: row.validity.not_after() },
    })
}
