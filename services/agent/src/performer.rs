//! Performs the lifecycle's writes and calls with files and sockets, and decides nothing.
//!
//! In: an effect. Out: the lifecycle's next input. The daemon and the command line's client are this, each with its own loop.

use crate::lifecycle::{Call, FirstProof, Input, Lifecycle, LocalFault, Rules, Stored, Write};
use crate::store::{CredentialStore, DiskDirectory, Pair, StoreFault};
use crate::transport::{Caller, ClientIdentity, Credentials};
use core::time::Duration;
use std::sync::Arc;
use touchmark_identity::{Secret, Timestamp};

/// When this program was made: no earlier clock is believed. Builds that are to be the same name it.
const BUILT_AT_S: u64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(digits) => match u64::from_str_radix(digits, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SOURCE_DATE_EPOCH is a number of seconds"),
    },
    // 2026-11-01, before the first release.
    None => 1_793_491_200,
};

/// Shortest time for one exchange, however short the certificates' lives.
const EXCHANGE_TIME_MIN: Duration = Duration::from_secs(10);

/// [`Rules::built_at`] of this program.
pub fn built_at() -> Timestamp {
    Timestamp::from_unix_s(BUILT_AT_S)
}

/// What a first certificate is asked with.
#[derive(Debug)]
pub enum Proof {
    /// User name and password of HTTP Basic.
    Token(String, Secret<String>),
    /// The maker's certificate, in the TLS connection.
    Initial(ClientIdentity),
}

/// Key store and the way to the authority.
#[derive(Debug)]
pub struct Performer {
    store: CredentialStore<DiskDirectory>,
    caller: Caller,
    /// The pair in force, as it was read from the store.
    current: Option<Arc<Pair>>,
}

impl Performer {
    /// Takes up what is on disk.
    ///
    /// # Errors
    /// [`StoreFault`]: the files cannot be believed; nothing was changed.
    pub fn open(
        directory: DiskDirectory,
        rules: &Rules,
        caller: Caller,
    ) -> Result<(Self, Stored), StoreFault> {
        let mut store = CredentialStore::new(directory, rules.identity.clone());
        let stored = store.load()?;
        let current = store.current()?.map(Arc::new);
        Ok((Self { store, caller, current }, stored))
    }

    /// The pair in force.
    pub fn current(&self) -> Option<&Arc<Pair>> {
        self.current.as_ref()
    }

    /// Where the files are.
    pub fn directory(&self) -> &DiskDirectory {
        self.store.directory()
    }

    /// Changes the key store.
    pub fn write(&mut self, write: &Write) -> Input {
        let done = self.store.perform(write);
        if matches!(write, Write::Swap { .. }) {
            match self.store.current() {
                Ok(pair) => self.current = pair.map(Arc::new),
                Err(fault) => return Input::Failed(fault.into()),
            }
        }
        done
    }

    /// Asks the authority. `proof` is asked for only where a first certificate is.
    pub fn call(
        &self,
        call: Call,
        lifecycle: &Lifecycle,
        clock: Timestamp,
        proof: impl FnOnce(FirstProof) -> Result<Proof, LocalFault>,
    ) -> Input {
        self.ask(call, lifecycle, clock, proof).unwrap_or_else(Input::Failed)
    }

    fn ask(
        &self,
        call: Call,
        lifecycle: &Lifecycle,
        clock: Timestamp,
        proof: impl FnOnce(FirstProof) -> Result<Proof, LocalFault>,
    ) -> Result<Input, LocalFault> {
        let mut token = None;
        let identity = match call {
            Call::Renew | Call::Hint => Some(self.own()?.ok_or_else(|| gone("the pair in force"))?),
            Call::Anchors => self.own()?,
            Call::Confirm => {
                let pair = self.store.successor()?.ok_or_else(|| gone("the new pair"))?;
                Some(identity(&pair)?)
            }
            Call::Enrol { proof: wanted } => match proof(wanted)? {
                Proof::Token(username, password) => {
                    token = Some((username, password));
                    None
                }
                Proof::Initial(identity) => Some(identity),
            },
        };
        let request_der = match call {
            Call::Enrol { .. } | Call::Renew => self.store.request()?.ok_or_else(|| gone("the request"))?,
            Call::Anchors | Call::Confirm | Call::Hint => Vec::new(),
        };
        let credentials = Credentials {
            anchors: &lifecycle.anchors(),
            moment: lifecycle.server_moment(clock),
            identity,
            token: token.as_ref().map(|(username, password)| (username.as_str(), password)),
            request_der: &request_der,
            by: lifecycle.renewed_by(),
        };
        let caller = Caller { allowed: self.caller.allowed.min(self.patience()), ..self.caller.clone() };
        Ok(caller.call(call, &credentials))
    }

    /// A short life leaves no time for a long wait.
    fn patience(&self) -> Duration {
        let life = self.current.as_ref().map(|pair| pair.chain.leaf().validity().lifetime());
        life.map_or(Duration::MAX, |life| (life / 10).max(EXCHANGE_TIME_MIN))
    }

    fn own(&self) -> Result<Option<ClientIdentity>, LocalFault> {
        self.current.as_deref().map(identity).transpose()
    }
}

fn identity(pair: &Pair) -> Result<ClientIdentity, LocalFault> {
    let chain: Vec<_> = pair.chain.certificates().cloned().collect();
    ClientIdentity::new(&chain, &pair.key).map_err(|fault| LocalFault::Key { says: fault.to_string() })
}

fn gone(what: &str) -> LocalFault {
    LocalFault::Disk { says: format!("{what} is no longer on disk: somebody removed it") }
}
