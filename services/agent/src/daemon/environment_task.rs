//! One environment's task: performs the lifecycle's effects with files, sockets and commands, and decides nothing.

use super::clock;
use super::token::{self, Look};
use crate::config::{EnvironmentConfig, StartConfig};
use crate::hooks::HookFacts;
use crate::lifecycle::{
    BACKOFF_MAX, BACKOFF_MIN, Call, Effect, FirstProof, HookEvent, Input, Lifecycle, LocalFault, Needs,
    Report, Rules, Standing, Start, Wish,
};
use crate::log;
use crate::performer::{Performer, Proof, built_at};
use crate::socket::{Post, words};
use crate::store::{DiskDirectory, FileName, StoreFault};
use crate::transport::{Caller, ClientIdentity};
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use touchmark_identity::Timestamp;

/// Lifecycle, and what performs its effects.
#[derive(Debug)]
pub struct EnvironmentTask {
    config: Arc<EnvironmentConfig>,
    lifecycle: Lifecycle,
    performer: Performer,
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
        let rules = Rules {
            identity: config.identity.clone(),
            environment: config.name.clone(),
            start: match &config.start {
                StartConfig::Token(_) => Start::Token,
                StartConfig::Initial { .. } => Start::Initial,
                StartConfig::None => Start::None,
            },
            pinned: config.anchors.clone(),
            built_at: built_at(),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        };
        let caller = Caller { server: config.server.clone(), environment: config.name.clone(), allowed };
        let (performer, stored) = Performer::open(directory, &rules, caller)?;
        let lifecycle = Lifecycle::resume(rules, stored, seed, clock());
        let (input, told) = (Input::Ready, String::new());
        Ok(Self { config, lifecycle, performer, input, token_seen: None, told })
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
            Effect::Write(write) => self.performer.write(&write),
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

    fn call(&mut self, call: Call) -> Input {
        let Self { config, lifecycle, performer, token_seen, .. } = self;
        performer.call(call, lifecycle, clock(), |wanted| match (wanted, &config.start) {
            (FirstProof::Token, StartConfig::Token(path)) => {
                *token_seen = token::look(path);
                let read =
                    token::read(path, &config.identity).map_err(|says| LocalFault::NoProof { says })?;
                Ok(Proof::Token(config.identity.to_string(), read))
            }
            (FirstProof::Initial, StartConfig::Initial { chain, key }) => ClientIdentity::new(chain, key)
                .map(Proof::Initial)
                .map_err(|fault| LocalFault::NoProof { says: fault.to_string() }),
            (FirstProof::Token | FirstProof::Initial, _) => Err(LocalFault::NoProof {
                says: "neither a token nor an initial certificate is configured".to_owned(),
            }),
        })
    }

    fn run_hooks(&self, event: HookEvent, post: &Post) {
        let directory = self.performer.directory();
        let facts = HookFacts {
            event,
            environment: self.config.name.clone(),
            identity: self.config.identity.clone(),
            files: [FileName::Key, FileName::Chain, FileName::Anchors].map(|name| directory.path(name)),
            not_after: self.performer.current().map(|pair| pair.chain.leaf().validity().not_after()),
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
        published.pair = self.performer.current().cloned();
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
