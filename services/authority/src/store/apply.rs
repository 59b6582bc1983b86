//! The changes of the inventory, as statements. What each means is said by `Tables::apply`, which this must equal.

use super::column::Column;
use super::fault::Failure;
use super::precondition::one;
use super::queries;
use super::readers::rows;
use super::record::{Bound, columns, environment};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};
use touchmark_identity::{DeviceId, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateState, Change, RenewalRow};
use touchmark_journal::{IdentityKind, Scope};

macro_rules! insert {
    ($table:ident, $values:literal) => {
        concat!("INSERT INTO ", stringify!($table), " (", columns!($table), ") VALUES (", $values, ")")
    };
    ($table:ident, $values:literal, $conflict:literal) => {
        concat!(insert!($table, $values), " ON CONFLICT ", $conflict)
    };
}

const ADD_AUTHORITY: &str = insert!(authority, "?, ?, ?, ?, ?, ?, ?, ?, ?");
const ADD_ENVIRONMENT: &str = insert!(environment, "?, ?, ?, ?, ?, ?");
const ADD_PROFILE: &str = insert!(profile, "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?");
const PUT_PARTY: &str = insert!(
    party,
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
    "(kind, name) DO UPDATE SET organisation = excluded.organisation, environment = excluded.environment, \
     roles = excluded.roles, reach = excluded.reach, owner = excluded.owner, registered_at_ms = excluded.registered_at_ms"
);
const ADD_TOKEN: &str = insert!(token, "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?");
const COUNT_TOKEN_USE: &str = "UPDATE token SET uses = min(uses + 1, 4294967295) WHERE token = ?";
const REFUND_TOKEN_USE: &str = "UPDATE token SET uses = max(uses - 1, 0) WHERE token = ?";
const VOID_TOKEN: &str = "UPDATE token SET void = 1 WHERE token = ?";
const VOID_TOKENS_OF_DEVICE: &str = "UPDATE token SET void = 1 WHERE environment = ?1 \
    AND subject_kind = 'named' AND subject = (SELECT name FROM device WHERE device = ?2) \
    AND (?3 OR kind = 'operational')";
const VOID_TOKENS_FOR_PARTY: &str = "UPDATE token SET void = 1 WHERE environment = ?1 \
    AND subject_kind = 'named' AND subject = ?3 AND kind = ?2";
const VOID_TOKENS_BY: &str = "UPDATE token SET void = 1 WHERE created_by = ?1 AND void = 0";
const ADD_DEVICE: &str = insert!(device, "?, ?, ?, ?, ?, ?, ?, ?, ?, ?");
/// Numbers of 64 bits are written as signed: the upper half of them is below 0.
const PUT_IDENTITY: &str = insert!(
    identity,
    "?, ?, ?, ?, ?, ?",
    "(environment, kind, handle) DO UPDATE SET organisation = excluded.organisation, device = excluded.device, \
     generation = iif((generation < 0) = (excluded.generation < 0), max(generation, excluded.generation), \
     min(generation, excluded.generation))"
);
const SET_DEVICE_REVOKED: &str = "UPDATE device SET revoked_at_ms = ?2 WHERE device = ?1";
const COUNT_PARTY_CLONE_ALARM: &str = "UPDATE party SET clone_alarms = clone_alarms + 1, clone_alarm_at_ms = ?3 \
    WHERE kind = ?1 AND name = ?2";
const SET_STANDING: &str = "UPDATE device SET standing = ?2, standing_until_ms = ?3 WHERE device = ?1";
const ADD_CERTIFICATE: &str = concat!(
    "INSERT INTO certificate (",
    columns!(certificate),
    ", party) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
);
const SET_ISSUED: &str =
    "UPDATE certificate SET state = ?2, fingerprint = ?3, der = ?4 WHERE certificate = ?1";
const SET_CONFIRMED: &str = "UPDATE certificate SET state = ?2, confirmed_at_ms = ?3 WHERE certificate = ?1";
const SET_SUPERSEDED: &str = "UPDATE certificate SET state = ?2, refused_from_ms = ?3 WHERE certificate = ?1";
const SET_REVOKED: &str =
    "UPDATE certificate SET state = ?2, revoked_at_ms = ?3, revocation_reason = ?4 WHERE certificate = ?1";
const DENY_KEY: &str = insert!(denied_key, "?, ?, ?, ?", "(spki, environment) DO NOTHING");
const PUT_POLICY: &str = insert!(
    policy,
    "?, ?, ?, ?, ?, ?",
    "(environment) DO UPDATE SET organisation = excluded.organisation, version = excluded.version, \
     files = excluded.files, topics = excluded.topics, activated_at_ms = excluded.activated_at_ms"
);
const PUT_CRL: &str = insert!(
    crl,
    "?, ?, ?, ?, ?, ?, ?",
    "(authority_version, shard) DO UPDATE SET organisation = excluded.organisation, \
     environment = excluded.environment, number = excluded.number, sha256 = excluded.sha256, \
     published_at_ms = excluded.published_at_ms"
);
const PUT_ENFORCEMENT: &str = insert!(
    enforcement,
    "?, ?, ?, ?, ?, ?, ?",
    "(environment, gateway) DO UPDATE SET organisation = excluded.organisation, epoch = excluded.epoch, \
     seq = excluded.seq, applied_at_ms = excluded.applied_at_ms, sessions_closed = excluded.sessions_closed"
);
const PUT_REFUSALS: &str = "INSERT INTO refusal (environment, code, count) VALUES (?, ?, ?) \
    ON CONFLICT (environment, code) DO UPDATE SET count = excluded.count";
const PUT_RENEWAL: &str = insert!(
    renewal,
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?",
    "(device) DO UPDATE SET renewals = excluded.renewals, refused = excluded.refused, \
     refused_since = excluded.refused_since, last_at_ms = excluded.last_at_ms, \
     last_refusal = excluded.last_refusal, last_lead_s = excluded.last_lead_s, \
     least_lead_s = excluded.least_lead_s, last_manner = excluded.last_manner, \
     clone_alarms = excluded.clone_alarms, clone_alarm_at_ms = excluded.clone_alarm_at_ms"
);
const ADD_MAKER: &str = insert!(maker, "?, ?, ?, ?, ?, ?, ?");
const END_MAKER: &str = "UPDATE maker SET withdrawn_at_ms = ?2 WHERE maker = ?1 AND withdrawn_at_ms IS NULL";
const PUT_HARDWARE: &str = insert!(
    hardware,
    "?, ?, ?, ?, ?, ?, ?",
    "(environment, maker, hardware_id) DO UPDATE SET organisation = excluded.organisation, \
     device = excluded.device, registered_at_ms = excluded.registered_at_ms, void = excluded.void"
);
const PUT_GATEWAY_ABSENCE: &str = insert!(
    gateway_absence,
    "?, ?, ?, ?, ?, ?",
    "(environment, gateway) DO UPDATE SET organisation = excluded.organisation, since_ms = excluded.since_ms, \
     until_ms = excluded.until_ms, declared_by = excluded.declared_by"
);
const VOID_HARDWARE: &str = "UPDATE hardware SET void = 1 WHERE device = ?1";
const SET_STARTED: &str = "INSERT INTO started (one, epoch, incarnation) VALUES (1, ?, ?) \
    ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, incarnation = excluded.incarnation";

/// Applies one change inside the open transaction.
pub(super) fn apply(connection: &Connection, change: &Change) -> Result<(), Failure> {
    let add = |sql: &str, row: &dyn Bound| execute(connection, sql, row.bound());
    match change {
        Change::AddAuthority(row) => add(ADD_AUTHORITY, row),
        Change::AddEnvironment(row) => add(ADD_ENVIRONMENT, row),
        Change::AddProfile(row) => add(ADD_PROFILE, row),
        Change::PutParty(row) => add(PUT_PARTY, row),
        Change::AddToken(row) => add(ADD_TOKEN, row),
        Change::CountTokenUse(token) => execute(connection, COUNT_TOKEN_USE, [token.write()]),
        Change::RefundTokenUse(token) => execute(connection, REFUND_TOKEN_USE, [token.write()]),
        Change::VoidToken(token) => execute(connection, VOID_TOKEN, [token.write()]),
        Change::VoidTokensOfDevice { environment, device, any_kind } => execute(
            connection,
            VOID_TOKENS_OF_DEVICE,
            [environment.write(), device.write(), any_kind.write()],
        ),
        Change::VoidTokensOfParty { environment, party } => {
            let parameters = [environment.write(), party.kind.write(), party.name.write()];
            execute(connection, VOID_TOKENS_FOR_PARTY, parameters)?;
            match party.kind {
                IdentityKind::Operator => execute(connection, VOID_TOKENS_BY, [party.name.write()]),
                IdentityKind::Service | IdentityKind::Operational => Ok(()),
            }
        }
        Change::SetDeviceRevoked { device, at } => {
            execute(connection, SET_DEVICE_REVOKED, [device.write(), at.write()])
        }
        Change::AddDevice(row) => add(ADD_DEVICE, row),
        Change::PutIdentity(row) => add(PUT_IDENTITY, row),
        Change::SetStanding { device, standing, until } => {
            execute(connection, SET_STANDING, [device.write(), standing.write(), until.write()])
        }
        Change::AddCertificate(row) => add(ADD_CERTIFICATE, row.as_ref()),
        Change::SetIssued { certificate, fingerprint, der } => {
            let state = CertificateState::Issued;
            execute(
                connection,
                SET_ISSUED,
                [certificate.write(), state.write(), fingerprint.write(), der.write()],
            )
        }
        Change::SetConfirmed { certificate, at } => {
            let state = CertificateState::Confirmed;
            execute(connection, SET_CONFIRMED, [certificate.write(), state.write(), at.write()])
        }
        Change::SetSuperseded { certificate, refused_from } => {
            let state = CertificateState::Superseded;
            execute(connection, SET_SUPERSEDED, [certificate.write(), state.write(), refused_from.write()])
        }
        Change::SetRevoked { certificate, at, reason } => {
            end(connection, certificate, CertificateState::Revoked, *at, *reason)
        }
        Change::SetBurned { certificate, at } => {
            end(connection, certificate, CertificateState::Burned, *at, Change::BURNED)
        }
        Change::DenyKey(row) => add(DENY_KEY, row),
        Change::PutPolicy(row) => add(PUT_POLICY, row),
        Change::PutCrl(row) => add(PUT_CRL, row),
        Change::PutEnforcement(row) => add(PUT_ENFORCEMENT, row),
        Change::CountRefusals { scope, code, count } => count_refusals(connection, scope, code, *count),
        Change::CountRenewal { scope, device, at, lead_s, manner } => {
            count_renewal(connection, scope, *device, *at, |row| row.granted(*at, *lead_s, *manner))
        }
        Change::CountRenewalRefusals { scope, device, at, code, count } => {
            count_renewal(connection, scope, *device, *at, |row| row.refused(*at, code, *count))
        }
        Change::CountCloneAlarm { scope, device, at } => {
            count_renewal(connection, scope, *device, *at, |row| row.clone_suspected(*at))
        }
        Change::CountPartyCloneAlarm { party, at } => {
            execute(connection, COUNT_PARTY_CLONE_ALARM, [party.kind.write(), party.name.write(), at.write()])
        }
        Change::AddMaker(row) => add(ADD_MAKER, row),
        Change::EndMaker { maker, at } => execute(connection, END_MAKER, [maker.write(), at.write()]),
        Change::PutHardware(row) => add(PUT_HARDWARE, row),
        Change::PutGatewayAbsence(row) => add(PUT_GATEWAY_ABSENCE, row),
        Change::VoidHardwareOfDevice(device) => execute(connection, VOID_HARDWARE, [device.write()]),
        Change::SetStarted { epoch, incarnation } => {
            execute(connection, SET_STARTED, [epoch.write(), incarnation.write()])
        }
    }
}

fn end(
    connection: &Connection,
    certificate: &impl Column,
    state: CertificateState,
    at: Timestamp,
    reason: RevocationReason,
) -> Result<(), Failure> {
    execute(connection, SET_REVOKED, [certificate.write(), state.write(), at.write(), reason.write()])
}

/// Counted by the row itself, as in `Tables::apply`.
fn count_renewal(
    connection: &Connection,
    scope: &Scope,
    device: DeviceId,
    at: Timestamp,
    count: impl FnOnce(&mut RenewalRow),
) -> Result<(), Failure> {
    let mut before: Vec<RenewalRow> = rows(connection, queries::RENEWALS_OF, [device.write()])?;
    let mut row = before.pop().unwrap_or_else(|| RenewalRow::new(scope.clone(), device, at));
    count(&mut row);
    execute(connection, PUT_RENEWAL, row.bound())
}

/// Added here and not in SQL, where a sum past 63 bits would turn into a fraction.
fn count_refusals(connection: &Connection, scope: &Scope, code: &String, count: u64) -> Result<(), Failure> {
    let before: Option<u64> = one(connection, queries::REFUSAL_COUNT, [environment(scope), code.write()])?;
    let sum = before.unwrap_or(0).saturating_add(count);
    execute(connection, PUT_REFUSALS, [environment(scope), code.write(), sum.write()])
}

/// Runs one statement, prepared once per connection.
pub(super) fn execute<'v>(
    connection: &Connection,
    sql: &str,
    parameters: impl IntoIterator<Item = ToSqlOutput<'v>>,
) -> Result<(), Failure> {
    connection.prepare_cached(sql)?.execute(params_from_iter(parameters))?;
    Ok(())
}
