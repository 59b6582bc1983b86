//! Changing a credential, in steps of which each may be the last before a power cut.
//!
//! The new key is `key.pem.new` (0600 from its first moment). What lies beside it says what it waits for:
//! `request.der.new` an enrolment's certificate, `renewal.der.new` a renewal's, `chain.pem.new` its first proof (an
//! agent on the same folder reads it so, too), `chain.pem.issued` nothing: [`Held::recover`] puts that in force.
//! A swap is two renames, key first; the first one decides. The pair in force is never removed, only replaced.

use super::{CredentialDir, leaf, spki};
use crate::failure::{Exit, Failure};
use crate::home;
use std::fs::File;
use std::path::Path;
use touchmark_dial::ClientTls;
use touchmark_durable::{Mode, rename_durable, sync, write_atomic};
use touchmark_identity::Name;
use touchmark_x509::Certificate;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::key::KeyAlgorithm;
use touchmark_x509::request::certification_request;
use touchmark_x509::signer::{Signer as _, SoftwareKey};

const KEY: &str = "key.pem.new";
const ENROLMENT: &str = "request.der.new";
const RENEWAL: &str = "renewal.der.new";
const UNCONFIRMED: &str = "chain.pem.new";
const ISSUED: &str = "chain.pem.issued";

/// A folder that nobody else changes meanwhile.
pub(crate) struct Held<'a> {
    directory: &'a CredentialDir,
    _lock: File,
}

/// A key that waits for its certificate, and the request for it.
pub(crate) struct Pending {
    pub(crate) key: SoftwareKey,
    pub(crate) request_der: Vec<u8>,
    /// An earlier attempt was cut off; the authority may have answered it.
    pub(crate) resumed: bool,
}

/// How far a renewal is.
pub(crate) enum Renewal {
    /// The request has to be sent, perhaps once more.
    Requested(Pending),
    /// The new pair is here, and has not proven itself.
    Unconfirmed(Certificate),
}

impl<'a> Held<'a> {
    pub(super) fn new(directory: &'a CredentialDir, lock: File) -> Self {
        Self { directory, _lock: lock }
    }

    /// Makes a key and a request for a token, or takes up those of an enrolment that was cut off.
    pub(crate) fn begin_enrolment(&self, name: &Name) -> Result<Pending, Failure> {
        self.recover()?;
        self.taken_up(ENROLMENT).map_or_else(|| self.made(ENROLMENT, name), Ok)
    }

    /// Makes a key and a request for a successor, or says how far an attempt came that was cut off.
    pub(crate) fn begin_renewal(&self, name: &Name) -> Result<Renewal, Failure> {
        self.recover()?;
        if let Ok(certificate) = leaf(&self.beside(UNCONFIRMED))
            && spki(&self.beside(KEY)) == Some(certificate.spki_hash())
        {
            return Ok(Renewal::Unconfirmed(certificate));
        }
        let pending = self.taken_up(RENEWAL).map_or_else(|| self.made(RENEWAL, name), Ok)?;
        Ok(Renewal::Requested(pending))
    }

    fn taken_up(&self, request: &str) -> Option<Pending> {
        let request_der = std::fs::read(self.beside(request)).ok()?;
        let key = SoftwareKey::from_pkcs8_pem(&home::read(&self.beside(KEY)).ok()?).ok()?;
        let asked = UnprovenCsr::from_der(&request_der).ok()?.prove_possession().ok()?;
        let fits = asked.public_key().spki_hash() == key.public_key().spki_hash();
        fits.then_some(Pending { key, request_der, resumed: true })
    }

    fn made(&self, request: &str, name: &Name) -> Result<Pending, Failure> {
        self.give_up()?;
        let key = SoftwareKey::generate(KeyAlgorithm::P256).map_err(no_key)?;
        let request_der = certification_request(name.as_str(), None, &key).map_err(no_key)?;
        put(&self.beside(KEY), key.to_pkcs8_pem().expose().as_bytes(), Mode::Private0600)?;
        // A crash here leaves a key that nobody was shown.
        put(&self.beside(request), &request_der, Mode::Private0600)?;
        Ok(Pending { key, request_der, resumed: false })
    }

    /// Forgets a new key: its request was refused, or what was issued for it is not wanted any more.
    pub(crate) fn give_up(&self) -> Result<(), Failure> {
        [UNCONFIRMED, ENROLMENT, RENEWAL, KEY].iter().try_for_each(|name| remove(&self.beside(name)))
    }

    /// Puts an enrolled certificate in force.
    pub(crate) fn finish_enrolment(&self, chain: &[Certificate], anchors_pem: &str) -> Result<(), Failure> {
        put(&self.directory.anchors(), anchors_pem.as_bytes(), Mode::Public0644)?;
        // From here on a crash is finished by `recover`.
        put(&self.beside(ISSUED), pem(chain).as_bytes(), Mode::Public0644)?;
        self.recover()
    }

    /// Keeps a renewed certificate beside the pair in force, until it has proven itself.
    pub(crate) fn keep_unconfirmed(&self, chain: &[Certificate]) -> Result<(), Failure> {
        put(&self.beside(UNCONFIRMED), pem(chain).as_bytes(), Mode::Public0644)
    }

    /// A TLS client with the pair that has to prove itself.
    pub(crate) fn unconfirmed_tls(&self) -> Result<ClientTls, Failure> {
        let pair = (self.beside(UNCONFIRMED), self.beside(KEY));
        Ok(ClientTls::from_pem_files(&self.directory.anchors(), Some((&pair.0, &pair.1)))?)
    }

    /// The renewed pair has proven itself: it takes the place of the old one.
    pub(crate) fn finish_renewal(&self) -> Result<(), Failure> {
        // From here on a crash is finished by `recover`.
        shift(&self.beside(KEY), &self.directory.key())?;
        self.recover()
    }

    /// Throws away what never got its name: a crash in the middle of a write may have left a key in it.
    fn sweep(&self) -> Result<(), Failure> {
        let Ok(entries) = std::fs::read_dir(self.directory.path()) else { return Ok(()) };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = [KEY, ENROLMENT, RENEWAL, UNCONFIRMED, ISSUED, "anchors.pem"].iter().any(|ours| {
                name.strip_prefix('.')
                    .and_then(|rest| rest.strip_prefix(ours))
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            if ours && name.ends_with(".tmp") {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Finishes what a crash cut off. What still has to prove itself is left as it is.
    pub(super) fn recover(&self) -> Result<(), Failure> {
        self.sweep()?;
        for name in [ISSUED, UNCONFIRMED] {
            let chain = self.beside(name);
            if !chain.exists() {
                continue;
            }
            let wanted = leaf(&chain).map(|certificate| certificate.spki_hash()).ok();
            let waits = wanted.is_some() && wanted == spki(&self.beside(KEY));
            if waits && name == UNCONFIRMED {
                continue;
            }
            if waits {
                shift(&self.beside(KEY), &self.directory.key())?;
            }
            if wanted.is_none() || wanted != spki(&self.directory.key()) {
                remove(&chain)?;
                continue;
            }
            // Before the chain moves: what is left afterwards must not look like an attempt that goes on.
            remove(&self.beside(ENROLMENT))?;
            remove(&self.beside(RENEWAL))?;
            shift(&chain, &self.directory.chain())?;
        }
        Ok(())
    }

    fn beside(&self, name: &str) -> std::path::PathBuf {
        self.directory.beside(name)
    }
}

fn pem(chain: &[Certificate]) -> String {
    chain.iter().map(Certificate::to_pem).collect()
}

fn put(path: &Path, octets: &[u8], mode: Mode) -> Result<(), Failure> {
    #[cfg(test)]
    super::tests::fuse()?;
    Ok(write_atomic(path, octets, mode)?)
}

fn shift(from: &Path, to: &Path) -> Result<(), Failure> {
    #[cfg(test)]
    super::tests::fuse()?;
    Ok(rename_durable(from, to)?)
}

fn remove(path: &Path) -> Result<(), Failure> {
    #[cfg(test)]
    super::tests::fuse()?;
    match std::fs::remove_file(path) {
        Ok(()) => Ok(path.parent().map_or(Ok(()), sync::directory)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::internal("a file cannot be removed")
            .what(path.display().to_string())
            .why(error.to_string())),
    }
}

fn no_key(fault: touchmark_x509::signer::SigningFault) -> Failure {
    Failure::new(Exit::Internal, "key", "no key was made").why(fault.to_string())
}
