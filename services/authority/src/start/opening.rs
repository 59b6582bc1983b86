//! Everything that may refuse a start, before anything is recorded: rows, keys, the log, the ports.
//!
//! What the rows know is only opened: a key that is gone is a fault, never a new key. New keys are made only for an
//! authority whose journal is empty.

use super::StartFault;
use crate::audit::journal_log::JournalLog;
use crate::config::AuthorityConfig;
use crate::entropy::random;
use crate::http::ports::Ports;
use crate::issuance::hierarchy::authority_key;
use crate::keys::{KeyVault, VaultFault};
use crate::store::SqliteStore;
use crate::store::disk_reserve::DiskReserve;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use touchmark_durable::{Mode, create_dir_durable, write_atomic};
use touchmark_identity::{Incarnation, OrganisationName, Secret};
use touchmark_inventory::Store;
use touchmark_status::FeedSigner;
use touchmark_supervise::Supervisor;
use touchmark_tilelog::NoteSigner;

/// All of it, open.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) vault: Arc<KeyVault>,
    pub(super) feed_signer: FeedSigner,
    pub(super) log: Arc<JournalLog>,
    pub(super) reserve: Arc<DiskReserve>,
    pub(super) log_origin: String,
    pub(super) ports: Ports,
    pub(super) incarnation: Incarnation,
    /// Of this start.
    pub(super) epoch: u64,
}

impl Opened {
    /// # Errors
    /// [`StartFault`]; nothing was recorded.
    pub(super) fn open(
        config: &AuthorityConfig,
        organisation: &OrganisationName,
        tasks: &Supervisor,
    ) -> Result<Self, StartFault> {
        let reserve = Arc::new(DiskReserve::open(&config.data));
        let room = reserve.clone();
        let make_room = Box::new(move || room.release());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::start(&config.database(), tasks, make_room)?);
        let known = store.journal_len()? > 0;
        let passphrase = passphrase(config, known)?;
        let vault = if known {
            KeyVault::open_vault(&config.keys(), &passphrase)?
        } else {
            KeyVault::open_or_found_vault(&config.keys(), &passphrase, random())?
        };
        for authority in store.authorities()? {
            authority_key(&authority, &vault)?;
        }
        let feed_signer = FeedSigner::from_seed(seed(&vault, "feed", known)?.expose())?;
        let log_origin = format!("{organisation}.touchmark.internal/journal");
        let log_signer = NoteSigner::from_seed(&log_origin, seed(&vault, "journal-log", known)?.expose())?;
        // Before the first entry of this start: a database older than its log must not grow until it seems younger.
        let log = Arc::new(JournalLog::open(&config.log(), log_signer, store.clone())?);
        let ports = Ports::bind(config)?;
        let (last_epoch, octet) = store.started()?;
        let incarnation = Incarnation::try_from(octet).map_err(|()| StartFault::Incarnation(octet))?;
        let vault = Arc::new(vault);
        Ok(Self {
            store,
            vault,
            feed_signer,
            log,
            reserve,
            log_origin,
            ports,
            incarnation,
            epoch: last_epoch + 1,
        })
    }
}

fn seed(vault: &KeyVault, name: &str, known: bool) -> Result<Secret<[u8; 32]>, VaultFault> {
    match vault.open_seed(name) {
        Err(VaultFault::Missing(_)) if !known => vault.create_seed(name, random()),
        outcome => outcome,
    }
}

/// What to do about a passphrase that others can read or replace. A group may read it: that is how some systems hand
/// out secrets.
fn exposed(mode: u32) -> Option<&'static str> {
    match mode & 0o027 {
        0 => None,
        _ => Some(
            "others may read or change the passphrase of the authority's keys: chmod 600 it; if others have, it is no secret",
        ),
    }
}

fn passphrase(config: &AuthorityConfig, known: bool) -> Result<Secret<Vec<u8>>, StartFault> {
    let path = match &config.passphrase_file {
        Some(path) => path.clone(),
        None => {
            let path = config.keys().join("passphrase");
            if !known && !path.exists() {
                create_dir_durable(&config.keys(), Mode::Private0600)?;
                let fresh = Secret::new(hex::encode(random::<32>()));
                write_atomic(&path, fresh.expose().as_bytes(), Mode::Private0600)?;
            }
            path
        }
    };
    let fault = |source| StartFault::Passphrase { path: path.clone(), source };
    let mode = std::fs::metadata(&path).map_err(fault)?.permissions().mode() & 0o777;
    if let Some(fix) = exposed(mode) {
        tracing::warn!(path = %path.display(), mode = format!("{mode:03o}"), "{fix}");
    }
    let mut bytes = std::fs::read(&path).map_err(fault)?;
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::exposed;

    #[test]
    fn only_a_passphrase_that_is_the_owners_or_a_groups_to_read_passes_without_a_word() {
        for (mode, warned) in [
            (0o600, false),
            (0o400, false),
            (0o640, false),
            (0o644, true),
            (0o660, true),
            (0o602, true),
            (0o604, true),
        ] {
            assert_eq!(exposed(mode).is_some(), warned, "{mode:o}");
        }
    }
}
