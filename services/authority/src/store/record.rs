//! Rows of the inventory as rows of tables: the columns of each, in the order in which they are read and bound.

use super::column::{Column, Columns};
use rusqlite::types::{ToSqlOutput, Value};
use touchmark_identity::{EnvironmentName, Name, Timestamp, Validity};
use touchmark_inventory::{
    AuthorityRow, CertificateRow, CrlRow, DeniedKeyRow, DeviceRow, EnforcementRow, EnvironmentRow,
    GatewayAbsenceRow, HardwareRow, IdentityRow, IssueRow, MakerRow, PartyRow, PolicyRow, ProfileRow,
    RenewalRow, SightingRow, StoreFault, TokenRow,
};
use touchmark_journal::{Scope, TokenSubject};

/// The columns of a table.
macro_rules! columns {
    (authority) => {
        "authority_version, organisation, environment, kind, name, certificate, parent, crl_shards, created_at_ms"
    };
    (environment) => {
        "organisation, environment, name, trust_domain, is_default, created_at_ms"
    };
    (profile) => {
        "profile_version, organisation, environment, name, kind, lifetime_s, overlap_s, grace_s, on_clone, \
         revoke_superseded, activated_at_ms"
    };
    (party) => {
        "organisation, environment, kind, name, roles, reach, owner, registered_at_ms, clone_alarms, \
         clone_alarm_at_ms"
    };
    (policy) => {
        "organisation, environment, version, files, topics, activated_at_ms"
    };
    (token) => {
        "token, organisation, environment, kind, subject_kind, subject, secret_sha256, model, hosts, uses_max, \
         uses, expires_at_ms, created_by, created_at_ms, void, roles, reach"
    };
    (device) => {
        "device, organisation, environment, name, model, owner, standing, standing_until_ms, registered_at_ms, \
         revoked_at_ms"
    };
    (identity) => {
        "organisation, environment, kind, handle, device, generation"
    };
    (certificate) => {
        "certificate, organisation, environment, device, kind, identity, authority_version, serial, spki, \
         profile_version, not_before_s, not_after_s, state, csr_sha256, der, fingerprint, token, replaces, \
         generation, crl_shard, intended_at_ms, confirmed_at_ms, refused_from_ms, revoked_at_ms, revocation_reason"
    };
    (denied_key) => {
        "organisation, environment, spki, denied_at_ms"
    };
    (crl) => {
        "organisation, environment, authority_version, shard, number, sha256, published_at_ms"
    };
    (enforcement) => {
        "organisation, environment, gateway, epoch, seq, applied_at_ms, sessions_closed"
    };
    (renewal) => {
        "organisation, environment, device, renewals, refused, refused_since, last_at_ms, last_refusal, last_lead_s, \
         least_lead_s, last_manner, clone_alarms, clone_alarm_at_ms"
    };
    (maker) => {
        "maker, organisation, environment, name, certificate, registered_at_ms, withdrawn_at_ms"
    };
    (hardware) => {
        "organisation, environment, maker, hardware_id, device, registered_at_ms, void"
    };
    (gateway_absence) => {
        "organisation, environment, gateway, since_ms, until_ms, declared_by"
    };
    (sighting) => {
        "organisation, environment, fingerprint, relying_party, action, resource, first_ms, last_ms, allowed, denied, \
         folded"
    };
}
pub(super) use columns;

/// A row that has a table.
pub(super) trait Record: Sized {
    /// Reads the columns of `columns!`.
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault>;
}

/// A row that can be bound to the parameters of an insert, in the order of `columns!`.
pub(super) trait Bound {
    /// The parameters.
    fn bound(&self) -> Vec<ToSqlOutput<'_>>;
}

/// The whole organisation is the empty environment: a NULL would not be equal to itself in a key.
pub(super) fn environment(scope: &Scope) -> ToSqlOutput<'_> {
    scope.environment.as_ref().map_or(ToSqlOutput::Owned(Value::Text(String::new())), EnvironmentName::write)
}

/// Reads [`environment`] back.
pub(super) fn environment_of(text: &str) -> Result<Option<EnvironmentName>, StoreFault> {
    match text {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| StoreFault::Damaged("name of an environment".into())),
    }
}

fn scope(columns: &mut Columns<'_, '_>) -> Result<Scope, StoreFault> {
    let organisation = columns.take()?;
    let environment = environment_of(&columns.take::<String>()?)?;
    Ok(Scope { organisation, environment })
}

/// `bound!(row; a, @scope, b)`: columns by field name.
macro_rules! bound {
    (@one $row:ident scope) => { [$row.scope.organisation.write(), environment(&$row.scope)] };
    (@one $row:ident $field:ident) => { [$row.$field.write()] };
    ($row:ident; $($field:ident),*) => {{
        let mut parameters = Vec::with_capacity(32);
        $(parameters.extend(bound!(@one $row $field));)*
        parameters
    }};
}

/// One list of fields for both directions.
macro_rules! record {
    (@read $columns:ident scope) => { scope($columns)? };
    (@read $columns:ident $field:ident) => { $columns.take()? };
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl Record for $name {
            fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
                // Fields are initialised in the order in which they are written: that of the columns.
                Ok(Self { $($field: record!(@read columns $field)),* })
            }
        }
        impl Bound for $name {
            fn bound(&self) -> Vec<ToSqlOutput<'_>> {
                let row = self;
                bound!(row; $($field),*)
            }
        }
    };
}

record!(AuthorityRow { authority_version, scope, kind, name, certificate, parent, crl_shards, created_at });
record!(EnvironmentRow { scope, name, trust_domain, default, created_at });
record!(ProfileRow {
    profile_version,
    scope,
    name,
    kind,
    lifetime_s,
    overlap_s,
    grace_s,
    on_clone,
    revoke_superseded,
    activated_at,
});
record!(RenewalRow {
    scope,
    device,
    renewals,
    refused,
    refused_since,
    last_at,
    last_refusal,
    last_lead_s,
    least_lead_s,
    last_manner,
    clone_alarms,
    clone_alarm_at,
});
record!(MakerRow { maker, scope, name, certificate, registered_at, withdrawn_at });
record!(HardwareRow { scope, maker, hardware_id, device, registered_at, void });
record!(GatewayAbsenceRow { scope, gateway, since, until, declared_by });
record!(PartyRow { scope, kind, name, roles, reach, owner, registered_at, clone_alarms, clone_alarm_at });
record!(PolicyRow { scope, version, files, topics, activated_at });
record!(DeviceRow { device, scope, name, model, owner, standing, standing_until, registered_at, revoked_at });
record!(IdentityRow { scope, kind, handle, device, generation });
record!(IssueRow { generation, intended_at, token });
record!(DeniedKeyRow { scope, spki, denied_at });
record!(CrlRow { scope, authority_version, shard, number, sha256, published_at });
record!(EnforcementRow { scope, gateway, epoch, seq, applied_at, sessions_closed });
record!(SightingRow {
    scope,
    fingerprint,
    relying_party,
    action,
    resource,
    first,
    last,
    allowed,
    denied,
    folded,
});

impl Record for Option<TokenSubject> {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        let kind: Option<String> = columns.take()?;
        let text: Option<String> = columns.take()?;
        let damaged = || StoreFault::Damaged("subject of a token".into());
        match (kind.as_deref(), text) {
            (None, None) => Ok(None),
            (Some("named"), Some(text)) => {
                Ok(Some(TokenSubject::Named(text.parse().map_err(|_| damaged())?)))
            }
            (Some("prefix"), Some(text)) => {
                Ok(Some(TokenSubject::Prefix(text.parse().map_err(|_| damaged())?)))
            }
            _ => Err(damaged()),
        }
    }
}

fn subject_columns(subject: &Option<TokenSubject>) -> [ToSqlOutput<'_>; 2] {
    let (kind, text) = match subject {
        None => return [ToSqlOutput::Owned(Value::Null), ToSqlOutput::Owned(Value::Null)],
        Some(TokenSubject::Named(name)) => ("named", name.as_str()),
        Some(TokenSubject::Prefix(prefix)) => ("prefix", prefix.as_str()),
    };
    [ToSqlOutput::from(kind), ToSqlOutput::from(text)]
}

impl Record for TokenRow {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self {
            token: columns.take()?,
            scope: scope(columns)?,
            kind: columns.take()?,
            subject: Option::<TokenSubject>::read(columns)?,
            secret_sha256: columns.take()?,
            model: columns.take()?,
            hosts: columns.take()?,
            uses_max: columns.take()?,
            uses: columns.take()?,
            expires_at: columns.take()?,
            created_by: columns.take()?,
            created_at: columns.take()?,
            void: columns.take()?,
            roles: columns.take()?,
            reach: columns.take()?,
        })
    }
}

impl Bound for TokenRow {
    fn bound(&self) -> Vec<ToSqlOutput<'_>> {
        let row = self;
        let mut parameters = bound!(row; token, scope, kind);
        parameters.extend(subject_columns(&row.subject));
        parameters.extend(bound!(row; secret_sha256, model, hosts, uses_max, uses, expires_at, created_by));
        parameters.extend(bound!(row; created_at, void, roles, reach));
        parameters
    }
}

impl Record for CertificateRow {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self {
            certificate: columns.take()?,
            scope: scope(columns)?,
            device: columns.take()?,
            kind: columns.take()?,
            identity: columns.take()?,
            authority_version: columns.take()?,
            serial: columns.take()?,
            spki: columns.take()?,
            profile_version: columns.take()?,
            validity: Validity::new(columns.take()?, columns.take()?)
                .map_err(|_| StoreFault::Damaged("validity of a certificate".into()))?,
            state: columns.take()?,
            csr_sha256: columns.take()?,
            der: columns.take()?,
            fingerprint: columns.take()?,
            token: columns.take()?,
            replaces: columns.take()?,
            generation: columns.take()?,
            crl_shard: columns.take()?,
            intended_at: columns.take()?,
            confirmed_at: columns.take()?,
            refused_from: columns.take()?,
            revoked_at: columns.take()?,
            revocation_reason: columns.take()?,
        })
    }
}

impl Bound for CertificateRow {
    /// One more than `columns!`: the last is `party`.
    fn bound(&self) -> Vec<ToSqlOutput<'_>> {
        let row = self;
        let seconds = |moment: Timestamp| ToSqlOutput::Owned(Value::Integer(moment.unix_s().cast_signed()));
        let mut parameters =
            bound!(row; certificate, scope, device, kind, identity, authority_version, serial);
        parameters.extend(bound!(row; spki, profile_version));
        parameters.extend([seconds(row.validity.not_before()), seconds(row.validity.not_after())]);
        parameters.extend(bound!(row; state, csr_sha256, der, fingerprint, token, replaces, generation));
        parameters.extend(bound!(row; crl_shard, intended_at, confirmed_at, refused_from, revoked_at));
        parameters.extend(bound!(row; revocation_reason));
        let party = row.identity.as_ref().filter(|_| row.device.is_none()).map(|identity| &identity.name);
        parameters.push(party.map_or(ToSqlOutput::Owned(Value::Null), Name::write));
        parameters
    }
}
