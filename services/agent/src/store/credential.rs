//! Pairs of key and chain in a [`Directory`]: the one in force, and the successor beside it as `.new`.
//!
//! Each write says what a power cut leaves. The rule that [`CredentialStore::load`] recovers by: a chain belongs to
//! the key that it names. A new chain whose key still is `.new` waits for its confirmation; one whose key already
//! stands in its final place was taking over, and is helped to.

use super::directory::{Directory, DirectoryFault, FileName};
use crate::lifecycle::{Chain, Input, LocalFault, StateRecord, Stored, StoredSuccessor, Write};
use touchmark_identity::{Name, Secret, SpkiHash};
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::key::KeyAlgorithm;
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, Signer, SigningFault, SoftwareKey};

/// Why the store cannot do its work; whoever runs the device must act.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// A file cannot be read or changed.
    #[error(transparent)]
    Directory(#[from] DirectoryFault),
    /// Key and chain in force do not belong together, and no power cut leaves that: somebody replaced one of them.
    #[error(
        "key.pem and chain.pem do not belong together; put the right one back, or remove both to start anew"
    )]
    Mixed,
    /// A write that does not fit what is there.
    #[error("the successor's files are not what they should be: {0}")]
    Successor(&'static str),
    /// No key was made, or it did not sign.
    #[error(transparent)]
    Key(#[from] SigningFault),
}

impl From<StoreFault> for LocalFault {
    fn from(fault: StoreFault) -> Self {
        let says = fault.to_string();
        match fault {
            StoreFault::Key(_) => Self::Key { says },
            StoreFault::Successor(_) => Self::Gone { says },
            StoreFault::Directory(_) | StoreFault::Mixed => Self::Disk { says },
        }
    }
}

/// A key with its chain: what TLS needs.
#[derive(Debug)]
pub struct Pair {
    pub key: SoftwareKey,
    /// The certificate for it, and what stands above.
    pub chain: Chain,
}

/// The key store of one environment.
#[derive(Debug)]
pub struct CredentialStore<D> {
    directory: D,
    name: Name,
}

impl<D: Directory> CredentialStore<D> {
    /// A store in `directory`, for requests under `name`.
    pub fn new(directory: D, name: Name) -> Self {
        Self { directory, name }
    }

    /// What is there, after finishing what a power cut interrupted.
    ///
    /// # Errors
    /// [`StoreFault`]; nothing that could still be a working pair was touched.
    pub fn load(&mut self) -> Result<Stored, StoreFault> {
        let successor = self.recover()?;
        Ok(Stored {
            current: self.current()?.map(|pair| pair.chain),
            successor,
            anchors: self.certificates(FileName::Anchors)?.unwrap_or_default(),
            state: self
                .directory
                .read(FileName::State)?
                .and_then(|bytes| StateRecord::from_json(bytes.expose())),
        })
    }

    /// Performs one write of the lifecycle. Doing it twice is the same as once.
    pub fn perform(&mut self, write: &Write) -> Input {
        let done = match write {
            Write::MakeSuccessor => self.make_successor().map(Input::Made),
            Write::KeepSuccessor(chain) => self.keep_successor(chain).map(|()| Input::Done),
            Write::Swap { key } => self.swap(*key).map(|()| Input::Done),
            Write::DropSuccessor => self.drop_successor().map(|()| Input::Done),
            Write::KeepAnchors(anchors) => self.keep_anchors(anchors).map(|()| Input::Done),
            Write::KeepState(record) => self.keep_state(record).map(|()| Input::Done),
        };
        done.unwrap_or_else(|fault| Input::Failed(fault.into()))
    }

    /// The pair in force; `None` when there is none yet. In the middle of a take-over that did not go on, it is the
    /// new pair: the key decides.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn current(&self) -> Result<Option<Pair>, StoreFault> {
        let Some(key) = self.key(FileName::Key)? else { return Ok(None) };
        let (chain, new_chain) = (self.chain(FileName::Chain)?, self.chain(FileName::NewChain)?);
        let is_there = chain.is_some();
        let chain = [chain, new_chain].into_iter().flatten().find(|chain| chain.key() == spki(&key));
        match chain {
            Some(chain) => Ok(Some(Pair { key, chain })),
            None if is_there => Err(StoreFault::Mixed),
            None => Ok(None),
        }
    }

    /// The successor's pair, once its chain is there: for the confirmation.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn successor(&self) -> Result<Option<Pair>, StoreFault> {
        let (Some(key), Some(chain)) = (self.key(FileName::NewKey)?, self.chain(FileName::NewChain)?) else {
            return Ok(None);
        };
        Ok((spki(&key) == chain.key()).then_some(Pair { key, chain }))
    }

    /// The successor's request, DER.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn request(&self) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.directory.read(FileName::NewRequest)?.map(|bytes| bytes.expose().clone()))
    }

    /// The anchors in force, as PEM.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn anchors_pem(&self) -> Result<Option<String>, StoreFault> {
        let anchors = self.certificates(FileName::Anchors)?;
        Ok(anchors.map(|anchors| anchors.iter().map(Certificate::to_pem).collect()))
    }

    /// Where the files are.
    pub fn directory(&self) -> &D {
        &self.directory
    }

    /// Where the files are; for mishaps in tests.
    pub fn directory_mut(&mut self) -> &mut D {
        &mut self.directory
    }

    /// What is left of the successor, after an interrupted take-over was finished.
    fn recover(&mut self) -> Result<Option<StoredSuccessor>, StoreFault> {
        let new_key = self.key(FileName::NewKey)?.map(|key| spki(&key));
        if let Some(chain) = self.chain(FileName::NewChain)? {
            if new_key == Some(chain.key()) {
                return Ok(Some(StoredSuccessor { key: chain.key(), chain: Some(chain) }));
            }
            if self.key(FileName::Key)?.is_some_and(|key| spki(&key) == chain.key()) {
                self.finish_swap()?;
                return Ok(None);
            }
        }
        // A new chain without its key is of no use to anybody.
        if self.directory.read(FileName::NewChain)?.is_some() {
            self.directory.remove(FileName::NewChain)?;
        }
        let Some(key) = new_key else {
            // So is a request; it is what a take-over tidies away last.
            if self.request()?.is_some() {
                self.directory.remove(FileName::NewRequest)?;
            }
            return Ok(None);
        };
        let requested = self.requested()? == Some(key);
        Ok(requested.then_some(StoredSuccessor { key, chain: None }))
    }

    /// Key, then request. A power cut in between leaves a key that was never shown to anybody: it is replaced.
    fn make_successor(&mut self) -> Result<StoredSuccessor, StoreFault> {
        if let Some(found) = self.recover()? {
            return Ok(found);
        }
        let key = SoftwareKey::generate(KeyAlgorithm::P256)?;
        let request = certification_request(self.name.as_str(), None, &key)?;
        self.directory.replace(FileName::NewKey, key.to_pkcs8_pem().expose().as_bytes())?;
        self.directory.replace(FileName::NewRequest, &request)?;
        Ok(StoredSuccessor { key: spki(&key), chain: None })
    }

    /// One write: a power cut leaves the request, and the same request gets the same certificate.
    fn keep_successor(&mut self, chain: &Chain) -> Result<(), StoreFault> {
        let key = self.key(FileName::NewKey)?.ok_or(StoreFault::Successor("key.pem.new is gone"))?;
        if spki(&key) != chain.key() {
            return Err(StoreFault::Successor("the chain is for another key"));
        }
        Ok(self.directory.replace(FileName::NewChain, chain.to_pem().as_bytes())?)
    }

    /// The key moves first. A power cut before that leaves the old pair and a kept successor; after it, a new chain
    /// beside its key, which `recover` puts in place. The old pair ends with that first rename, never before.
    fn swap(&mut self, key: SpkiHash) -> Result<(), StoreFault> {
        if let Some(successor) = self.recover()? {
            if successor.key != key || successor.chain.is_none() {
                return Err(StoreFault::Successor("another one is on its way"));
            }
            self.directory.rename(FileName::NewKey, FileName::Key)?;
            self.finish_swap()?;
        }
        let current = self.current()?.map(|pair| pair.chain.key());
        if current == Some(key) { Ok(()) } else { Err(StoreFault::Successor("it is gone")) }
    }

    fn finish_swap(&mut self) -> Result<(), StoreFault> {
        self.directory.rename(FileName::NewChain, FileName::Chain)?;
        Ok(self.directory.remove(FileName::NewRequest)?)
    }

    /// The chain goes first: without its key it would be of no use, and the request alone is asked again.
    /// Never in the middle of a take-over: `recover` finishes that.
    fn drop_successor(&mut self) -> Result<(), StoreFault> {
        self.recover()?;
        self.directory.remove(FileName::NewChain)?;
        self.directory.remove(FileName::NewRequest)?;
        Ok(self.directory.remove(FileName::NewKey)?)
    }

    fn keep_anchors(&mut self, anchors: &[Certificate]) -> Result<(), StoreFault> {
        let pem: String = anchors.iter().map(Certificate::to_pem).collect();
        Ok(self.directory.replace(FileName::Anchors, pem.as_bytes())?)
    }

    fn keep_state(&mut self, record: &StateRecord) -> Result<(), StoreFault> {
        Ok(self.directory.replace(FileName::State, record.to_json().as_bytes())?)
    }

    /// A key; `None` if there is none, or what is there is no key.
    fn key(&self, name: FileName) -> Result<Option<SoftwareKey>, StoreFault> {
        let bytes = self.directory.read(name)?;
        let pem = bytes.as_ref().and_then(|bytes| core::str::from_utf8(bytes.expose()).ok());
        Ok(pem.and_then(|pem| SoftwareKey::from_pkcs8_pem(pem).ok()))
    }

    fn chain(&self, name: FileName) -> Result<Option<Chain>, StoreFault> {
        Ok(self.certificates(name)?.and_then(Chain::from_stored))
    }

    fn certificates(&self, name: FileName) -> Result<Option<Vec<Certificate>>, StoreFault> {
        let bytes: Option<Secret<Vec<u8>>> = self.directory.read(name)?;
        let pem = bytes.as_ref().and_then(|bytes| core::str::from_utf8(bytes.expose()).ok());
        Ok(pem.and_then(|pem| Certificate::from_pem_many(pem).ok()))
    }

    /// The key that the request was made with; its signature shows that the file is whole.
    fn requested(&self) -> Result<Option<SpkiHash>, StoreFault> {
        let request = self.request()?;
        let proven = request.and_then(|der| UnprovenCsr::from_der(&der).ok()?.prove_possession().ok());
        Ok(proven.map(|csr| csr.public_key().spki_hash()))
    }
}

fn spki(key: &SoftwareKey) -> SpkiHash {
    key.public_key().spki_hash()
}
