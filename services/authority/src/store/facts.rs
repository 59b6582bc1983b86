//! Fact reads: what one decision about a certificate needs, by the caller's one transaction.

use super::column::Column;
use super::port::One;
use super::queries;
use super::readers::{row, rows};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value};
use touchmark_identity::{EnvironmentName, Name, SpkiHash};
use touchmark_inventory::{
    CertificateRow, DeviceRow, Facts, Found, HardwareRow, Holder, HolderFacts, ISSUES_READ, Query,
    StoreFault, TokenRow,
};
use touchmark_journal::IdentityKind;

pub(super) fn facts(connection: &Connection, query: &Query) -> Result<Option<Facts>, StoreFault> {
    Ok(Some(match query {
        Query::Certificate { fingerprint, alone, key } => {
            let found: Option<CertificateRow> =
                row(connection, queries::CERTIFICATE_BY_FINGERPRINT, [fingerprint.write()])?;
            let Some(row) = found else { return Ok(None) };
            let of = match Holder::of(&row).filter(|_| !alone) {
                Some(holder) => of_holder(connection, &holder, key.as_ref())?,
                None => HolderFacts::default(),
            };
            Facts { found: Found::Certificate(Box::new(row)), of }
        }
        Query::Token { secret_sha256, for_whom } => {
            let found = row(connection, queries::TOKEN_BY_SECRET, [secret_sha256.write()])?;
            let Some(token) = found else { return Ok(None) };
            of_token(connection, token, for_whom.as_ref())?
        }
        Query::Hardware { environment, maker, hardware_id, key } => {
            let parameters = [environment.write(), maker.write(), ToSqlOutput::from(hardware_id.as_str())];
            let found: Option<HardwareRow> = row(connection, queries::HARDWARE, parameters)?;
            let Some(hardware) = found else { return Ok(None) };
            let of = of_holder(connection, &Holder::Device(hardware.device), Some(key))?;
            Facts { found: Found::Hardware(hardware), of }
        }
    }))
}

fn of_token(
    connection: &Connection,
    token: TokenRow,
    for_whom: Option<&(EnvironmentName, Name, SpkiHash)>,
) -> Result<Facts, StoreFault> {
    let (kind, id) = (token.kind, token.token);
    let (mut party, mut only_burned, mut of) = (None, false, HolderFacts::default());
    match for_whom {
        Some((environment, name, key)) if kind == IdentityKind::Operational => {
            let device: Option<DeviceRow> =
                row(connection, queries::DEVICE_BY_NAME, [environment.write(), name.write()])?;
            if let Some(device) = device.map(|row| row.device) {
                of = of_holder(connection, &Holder::Device(device), Some(key))?;
                only_burned = !of.issues.is_empty()
                    && !yes(row(connection, queries::MORE_THAN_BURNED, [device.write(), id.write()])?);
            }
        }
        Some((_, name, key)) => {
            party = row(connection, queries::PARTY, [kind.write(), name.write()])?;
            of = of_holder(connection, &Holder::Party { kind, name: name.clone() }, Some(key))?;
        }
        None => {}
    }
    Ok(Facts { found: Found::Token { token: Box::new(token), party, only_burned }, of })
}

pub(super) fn current(connection: &Connection, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
    match holder {
        Holder::Device(device) => rows(connection, queries::CURRENT_OF_DEVICE, [device.write()]),
        Holder::Party { kind, name } => {
            rows(connection, queries::CURRENT_OF_PARTY, [kind.write(), name.write()])
        }
    }
}

fn of_holder(
    connection: &Connection,
    holder: &Holder,
    key: Option<&SpkiHash>,
) -> Result<HolderFacts, StoreFault> {
    let device = match holder {
        Holder::Device(device) => row(connection, queries::DEVICE, [device.write()])?,
        Holder::Party { .. } => None,
    };
    let mut facts = HolderFacts { device, current: current(connection, holder)?, ..HolderFacts::default() };
    let Some(key) = key else { return Ok(facts) };
    let limit = ToSqlOutput::Owned(Value::Integer(ISSUES_READ as i64));
    (facts.issues, facts.key_proven) = match holder {
        Holder::Device(device) => (
            rows(connection, queries::ISSUES_OF_DEVICE, [device.write(), limit])?,
            yes(row(connection, queries::KEY_PROVEN_BY_DEVICE, [key.write(), device.write()])?),
        ),
        Holder::Party { kind, name } => (
            rows(connection, queries::ISSUES_OF_PARTY, [kind.write(), name.write(), limit])?,
            yes(row(connection, queries::KEY_PROVEN_BY_PARTY, [key.write(), kind.write(), name.write()])?),
        ),
    };
    Ok(facts)
}

fn yes(answer: Option<One<bool>>) -> bool {
    answer.is_some_and(|answer| answer.0)
}
