//! Folders in which an earlier version was cut off: its files get the names that the agent's key store knows.
//!
//! It kept the request of a renewal apart, and put an enrolled certificate in force by two renames of its own. The pair
//! that has to prove itself had the same names.

use super::leaf;
use crate::failure::Failure;
use crate::home;
use std::io::ErrorKind;
use std::path::Path;
use touchmark_durable::{rename_durable, sync};
use touchmark_identity::SpkiHash;
use touchmark_x509::signer::{Signer as _, SoftwareKey};

/// Cut off anywhere, it goes on the next time.
pub(super) fn take_up(folder: &Path) -> Result<(), Failure> {
    let at = |name: &str| folder.join(name);
    let renewal = at("renewal.der.new");
    if renewal.exists() {
        rename_durable(&renewal, &at("request.der.new"))?;
    }
    let issued = at("chain.pem.issued");
    if !issued.exists() {
        return Ok(());
    }
    let wanted = leaf(&issued).map(|certificate| certificate.spki_hash()).ok();
    if wanted.is_some() && wanted == spki(&at("key.pem.new")) {
        rename_durable(&at("key.pem.new"), &at("key.pem"))?;
    }
    if wanted.is_none() || wanted != spki(&at("key.pem")) {
        return remove(&issued);
    }
    // Before the chain moves: what is left afterwards must not look like an attempt that goes on.
    remove(&at("request.der.new"))?;
    Ok(rename_durable(&issued, &at("chain.pem"))?)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(path.parent().map_or(Ok(()), sync::directory)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::internal("a file cannot be removed")
            .what(path.display().to_string())
            .why(error.to_string())),
    }
}

fn spki(key: &Path) -> Option<SpkiHash> {
    let pem = home::read(key).ok()?;
    SoftwareKey::from_pkcs8_pem(&pem).ok().map(|key| key.public_key().spki_hash())
}
