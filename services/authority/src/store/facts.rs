//! Fact reads: what one decision about a certificate needs, by the caller's one transaction.

use super::column::Column;
use super::port::One;
use super::queries;
use super::readers::{row, rows};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value};
use touchmark_identity::{EnvironmentName, Fingerprint, MakerId, Name, SpkiHash};
use touchmark_inventory::{
    CertificateFacts, CertificateRow, DeviceRow, ExpectedFacts, HardwareRow, Holder, HolderFacts,
    ISSUES_READ, StoreFault, TokenFacts, TokenRow,
};
use touchmark_journal::IdentityKind;

pub(super) fn of_certificate(
    connection: &Connection,
    fingerprint: &Fingerprint,
    key: Option<&SpkiHash>,
) -> Result<Option<CertificateFacts>, StoreFault> {
    let found: Option<CertificateRow> =
        row(connection, queries::CERTIFICATE_BY_FINGERPRINT, [fingerprint.write()])?;
    let Some(row) = found else { return Ok(None) };
    let of = match Holder::of(&row) {
        Some(holder) => of_holder(connection, &holder, key)?,
        None => HolderFacts::default(),
    };
    Ok(Some(CertificateFacts { row, of }))
}

pub(super) fn of_token(
    connection: &Connection,
    secret_sha256: &[u8; 32],
    environment: &EnvironmentName,
    name: &Name,
    key: &SpkiHash,
) -> Result<Option<TokenFacts>, StoreFault> {
    let found: Option<TokenRow> = row(connection, queries::TOKEN_BY_SECRET, [secret_sha256.write()])?;
    let Some(token) = found else { return Ok(None) };
    let kind = token.kind;
    if kind != IdentityKind::Operational {
        let party = row(connection, queries::PARTY, [kind.write(), name.write()])?;
        let holder = Holder::Party { kind, name: name.clone() };
        let of = of_holder(connection, &holder, Some(key))?;
        return Ok(Some(TokenFacts { token, party, only_burned: false, of }));
    }
    let device: Option<DeviceRow> =
        row(connection, queries::DEVICE_BY_NAME, [environment.write(), name.write()])?;
    let Some(device) = device.map(|row| row.device) else {
        return Ok(Some(TokenFacts { token, party: None, only_burned: false, of: HolderFacts::default() }));
    };
    let of = of_holder(connection, &Holder::Device(device), Some(key))?;
    let only_burned = !of.issues.is_empty()
        && !yes(row(connection, queries::MORE_THAN_BURNED, [device.write(), token.token.write()])?);
    Ok(Some(TokenFacts { token, party: None, only_burned, of }))
}

pub(super) fn of_hardware(
    connection: &Connection,
    environment: &EnvironmentName,
    maker: MakerId,
    hardware_id: &str,
    key: &SpkiHash,
) -> Result<Option<ExpectedFacts>, StoreFault> {
    let parameters = [environment.write(), maker.write(), ToSqlOutput::from(hardware_id)];
    let found: Option<HardwareRow> = row(connection, queries::HARDWARE, parameters)?;
    let Some(hardware) = found else { return Ok(None) };
    let of = of_holder(connection, &Holder::Device(hardware.device), Some(key))?;
    Ok(Some(ExpectedFacts { hardware, of }))
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
