//! Whether a precondition holds, asked inside the transaction that would rely on it.

use super::column::Column;
use super::fault::Failure;
use super::queries;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use touchmark_inventory::{Holder, Precondition, StoreFault};

pub(super) fn holds(connection: &Connection, precondition: &Precondition) -> Result<bool, Failure> {
    match precondition {
        Precondition::TokenUsable { token, now } => {
            yes(connection, queries::TOKEN_USABLE, [token.write(), now.write()])
        }
        Precondition::DeviceNameFree { environment, name } => {
            yes(connection, queries::DEVICE_NAME_FREE, [environment.write(), name.write()])
        }
        Precondition::DeviceStanding { device, standing } => {
            yes(connection, queries::DEVICE_STANDING, [device.write(), standing.write()])
        }
        Precondition::SerialFree { authority_version, serial } => {
            yes(connection, queries::SERIAL_FREE, [authority_version.write(), serial.write()])
        }
        Precondition::KeyUsable { spki, holder: Holder::Device(device) } => {
            yes(connection, queries::KEY_USABLE_BY_DEVICE, [spki.write(), device.write()])
        }
        Precondition::KeyUsable { spki, holder: Holder::Party { kind, name } } => {
            yes(connection, queries::KEY_USABLE_BY_PARTY, [spki.write(), kind.write(), name.write()])
        }
        Precondition::CertificateInState { certificate, state } => {
            yes(connection, queries::CERTIFICATE_IN_STATE, [certificate.write(), state.write()])
        }
        Precondition::CertificateAlive(certificate) => {
            yes(connection, queries::CERTIFICATE_ALIVE, [certificate.write()])
        }
        Precondition::DeviceNotBanned(device) => {
            yes(connection, queries::DEVICE_NOT_BANNED, [device.write()])
        }
        Precondition::QuarantinedUntil { device, until } => {
            yes(connection, queries::QUARANTINED_UNTIL, [device.write(), until.write()])
        }
        Precondition::DeviceRevokedAt { device, at } => {
            yes(connection, queries::DEVICE_REVOKED_AT, [device.write(), at.write()])
        }
        Precondition::NewestGeneration { holder, generation } => {
            let newest = match holder {
                Holder::Device(device) => {
                    one::<u64, 1>(connection, queries::GENERATION_OF_DEVICE, [device.write()])?
                }
                Holder::Party { kind, name } => {
                    one::<u64, 2>(connection, queries::GENERATION_OF_PARTY, [kind.write(), name.write()])?
                }
            };
            Ok(newest.unwrap_or(0) == *generation)
        }
        Precondition::PartyHome { kind, name, environment } => {
            yes(connection, queries::PARTY_HOME, [kind.write(), name.write(), environment.write()])
        }
        Precondition::HardwareFree { environment, maker, hardware_id, device } => {
            let parameters = [environment.write(), maker.write(), hardware_id.write(), device.write()];
            yes(connection, queries::HARDWARE_FREE, parameters)
        }
        Precondition::HardwareUsable { environment, maker, hardware_id, device } => {
            let parameters = [environment.write(), maker.write(), hardware_id.write(), device.write()];
            yes(connection, queries::HARDWARE_USABLE, parameters)
        }
        Precondition::MakerFree { environment, name } => {
            yes(connection, queries::MAKER_FREE, [environment.write(), name.write()])
        }
        Precondition::EnvironmentFree { name } => yes(connection, queries::ENVIRONMENT_FREE, [name.write()]),
        Precondition::CrlNumberAbove { authority_version, shard, number } => {
            let newest =
                one::<u64, 2>(connection, queries::CRL_NUMBER, [authority_version.write(), shard.write()])?;
            Ok(newest.is_none_or(|newest| newest < *number))
        }
    }
}

fn yes<const N: usize>(
    connection: &Connection,
    sql: &str,
    parameters: [ToSqlOutput<'_>; N],
) -> Result<bool, Failure> {
    Ok(one(connection, sql, parameters)?.unwrap_or(false))
}

/// The first column of the first row, if there is one.
pub(super) fn one<T: Column, const N: usize>(
    connection: &Connection,
    sql: &str,
    parameters: [ToSqlOutput<'_>; N],
) -> Result<Option<T>, Failure> {
    let read = connection
        .prepare_cached(sql)?
        .query_row(params_from_iter(parameters), |row| Ok(T::read(row.get_ref(0)?)))
        .optional()?;
    match read {
        None => Ok(None),
        Some(Some(value)) => Ok(Some(value)),
        Some(None) => {
            Err(StoreFault::Damaged("a column holds no value that this program writes".into()).into())
        }
    }
}
