//! One environment's task: performs the lifecycle's effects with files, sockets and commands, and decides nothing.

use super::clock;
use super::token::{self, Look};
use crate::config::{EnvironmentConfig, StartConfig};
use crate::hooks::HookFacts;
use crate::lifecycle::{
    BACKOFF_MAX, BACKOFF_MIN, Call, Effect, FirstProof, HookEvent, Input, Lifecycle, LocalFault, Needs,
    Report, Rules, Standing, Start, Wish, Write,
};
use crate::log;
use crate::socket::{Post, words};
use crate::store::{CredentialStore, DiskDirectory, FileName, Pair, StoreFault};
use crate::transport::{Caller, ClientIdentity, Credentials};
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use touchmark_identity::{Name, Secret, Timestamp};

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

/// Lifecycle, key store and the way to the authority.
#[derive(Debug)]
pub struct EnvironmentTask {
    config: Arc<EnvironmentConfig>,
    lifecycle: Lifecycle,
    store: CredentialStore<DiskDirectory>,
    caller: Caller,
    /// The pair in force, as it was read from the store.
    current: Option<Arc<Pair>>,
    input: Input,
    /// The token file when it was last read.
    token_seen: Option<Look>,
    /// What the log was last told.
    told: String,
}

impl EnvironmentTask {
    /// Takes up what is on disk below `state`. `allowed` is for one exchange with the authority.
    ///
    /// # Errors
    /// [`StoreFault`]: the files cannot be believed; nothing was changed.
    pub fn open(
        config: Arc<EnvironmentConfig>,
        state: &Path,
        seed: [u8; 16],
        allowed: Duration,
    ) -> Result<Self, StoreFault> {
        let directory = DiskDirectory::open(state, &config.name)?;
        let mut store = CredentialStore::new(directory, config.identity.clone());
        let stored = store.load()?;
        let current = store.current()?.map(Arc::new);
        let rules = Rules {
            identity: config.identity.clone(),
            environment: config.name.clone(),
            start: match &config.start {
                StartConfig::Token(_) => Start::Token,
                StartConfig::Initial { .. } => Start::Initial,
                StartConfig::None => Start::None,
            },
            pinned: config.anchors.clone(),
            built_at: Timestamp::from_unix_s(BUILT_AT_S),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        };
        let caller = Caller { server: config.server.clone(), environment: config.name.clone(), allowed };
        let lifecycle = Lifecycle::resume(rules, stored, seed, clock());
        let (input, told) = (Input::Ready, String::new());
        Ok(Self { config, lifecycle, store, caller, current, input, token_seen: None, told })
    }

    /// Performs the one effect that is due, and shows how things stand. `Some` is a moment to wait for.
    pub fn turn(&mut self, post: &Post) -> Option<Timestamp> {
        let input = std::mem::replace(&mut self.input, Input::Ready);
        let effect = self.lifecycle.step(clock(), input);
        self.show(post);
        self.input = match effect {
            Effect::Wait { until } => {
                self.tell();
                return Some(until);
            }
            Effect::Write(write) => self.write(&write),
            Effect::Call(call) => self.call(call),
            Effect::RunHooks(event) => {
                self.run_hooks(event, post);
                Input::Done
            }
        };
        None
    }

    /// Takes a wish; the next turn acts on it.
    pub fn wish(&mut self, wish: Wish) {
        self.lifecycle.wish(wish);
    }

    /// Whether a new token would help now.
    pub fn awaits_token(&self) -> bool {
        let report = self.report();
        let stranded = report.certificate.is_none()
            || report.needs == Needs::NewProof
            || matches!(report.standing, Standing::Lost { .. });
        matches!(self.config.start, StartConfig::Token(_)) && stranded
    }

    /// How things stand.
    pub fn report(&self) -> Report {
        self.lifecycle.report(clock())
    }

    /// Looks whether somebody brought another token.
    pub fn glance(&mut self) {
        if let StartConfig::Token(path) = &self.config.start {
            let look = token::look(path);
            if look.is_some() && look != self.token_seen {
                // Until it is read, it is not news again.
                self.token_seen = look;
                self.lifecycle.wish(Wish::NewToken);
            }
        }
    }

    fn write(&mut self, write: &Write) -> Input {
        let done = self.store.perform(write);
        if matches!(write, Write::Swap { .. }) {
            match self.store.current() {
                Ok(pair) => self.current = pair.map(Arc::new),
                Err(fault) => return Input::Failed(fault.into()),
            }
        }
        done
    }

    fn call(&mut self, call: Call) -> Input {
        self.ask(call).unwrap_or_else(Input::Failed)
    }

    fn ask(&mut self, call: Call) -> Result<Input, LocalFault> {
        let mut token: Option<Secret<String>> = None;
        let identity = match call {
            Call::Renew | Call::Hint => Some(self.own()?.ok_or_else(|| gone("the pair in force"))?),
            Call::Anchors => self.own()?,
            Call::Confirm => {
                let pair = self.store.successor()?.ok_or_else(|| gone("the new pair"))?;
                Some(identity(&pair)?)
            }
            Call::Enrol { proof: FirstProof::Token } => {
                token = Some(self.token()?);
                None
            }
            Call::Enrol { proof: FirstProof::Initial } => Some(self.initial()?),
        };
        let request_der = match call {
            Call::Enrol { .. } | Call::Renew => self.store.request()?.ok_or_else(|| gone("the request"))?,
            Call::Anchors | Call::Confirm | Call::Hint => Vec::new(),
        };
        let credentials = Credentials {
            anchors: &self.lifecycle.anchors(),
            moment: self.lifecycle.server_moment(clock()),
            identity,
            token: token.as_ref().map(|password| (&self.config.identity, password)),
            request_der: &request_der,
        };
        let caller = Caller { allowed: self.caller.allowed.min(self.backoff()), ..self.caller.clone() };
        Ok(caller.call(call, &credentials))
    }

    /// A short life leaves no time for a long wait.
    fn backoff(&self) -> Duration {
        let life = self.current.as_ref().map(|pair| pair.chain.leaf().validity().lifetime());
        life.map_or(Duration::MAX, |life| (life / 10).max(EXCHANGE_TIME_MIN))
    }

    fn own(&self) -> Result<Option<ClientIdentity>, LocalFault> {
        self.current.as_deref().map(identity).transpose()
    }

    fn token(&mut self) -> Result<Secret<String>, LocalFault> {
        let StartConfig::Token(path) = &self.config.start else {
            return Err(no_proof("no token is configured"));
        };
        self.token_seen = token::look(path);
        let name: &Name = &self.config.identity;
        token::read(path, name).map_err(|says| LocalFault::NoProof { says })
    }

    fn initial(&self) -> Result<ClientIdentity, LocalFault> {
        let StartConfig::Initial { chain, key } = &self.config.start else {
            return Err(no_proof("no initial certificate is configured"));
        };
        ClientIdentity::new(chain, key).map_err(|fault| no_proof(&fault.to_string()))
    }

    fn run_hooks(&self, event: HookEvent, post: &Post) {
        let directory = self.store.directory();
        let facts = HookFacts {
            event,
            environment: self.config.name.clone(),
            identity: self.config.identity.clone(),
            files: [FileName::Key, FileName::Chain, FileName::Anchors].map(|name| directory.path(name)),
            not_after: self.current.as_ref().map(|pair| pair.chain.leaf().validity().not_after()),
        };
        let mut failed = None;
        for hook in self.config.hooks.iter().filter(|hook| hook.on.contains(&event)) {
            if let Err(fault) = hook.run(&facts) {
                log::line(format_args!("{}: hook on {}: {fault}", self.config.name, event.as_str()));
                failed = Some(fault.to_string());
            }
        }
        post.published().hook = failed;
    }

    fn show(&self, post: &Post) {
        let report = self.report();
        let mut published = post.published();
        published.broken = None;
        published.pair.clone_from(&self.current);
        published.anchors = self.lifecycle.anchors();
        published.report = Some(report);
    }

    /// One line in the log for each change that a person may want to know, once it has settled.
    fn tell(&mut self) {
        let report = self.report();
        let news = words::news(&report);
        if news != self.told {
            log::line(format_args!("{}", words::summary(&report)));
            self.told = news;
        }
    }
}

fn identity(pair: &Pair) -> Result<ClientIdentity, LocalFault> {
    let chain: Vec<_> = pair.chain.certificates().cloned().collect();
    ClientIdentity::new(&chain, &pair.key).map_err(|fault| LocalFault::Key { says: fault.to_string() })
}

fn gone(what: &str) -> LocalFault {
    LocalFault::Disk { says: format!("{what} is no longer on disk: somebody removed it") }
}

fn no_proof(says: &str) -> LocalFault {
    LocalFault::NoProof { says: says.to_owned() }
}
