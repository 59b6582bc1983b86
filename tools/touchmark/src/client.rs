//! The device client of this program: the credential in a folder, enrolled and renewed by the agent's lifecycle.
//!
//! In: a folder, where EST is, a token or the pair that is there. Out: the pair in force, in `key.pem` and `chain.pem`. Cut
//! off at any point it is run again and goes on: the same request is the same certificate, and the old pair stays until
//! the new one is proven. The lifecycle decides; here are the patience of a command and words for people.

mod refusal;
mod renewer;

pub use renewer::{Attempt, Renewer, SERVICE_LOOK, STEADY_LOOK};

use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure};
use crate::token::TokenSecret;
use core::time::Duration;
use refusal::Refused;
use std::fs::File;
use touchmark_agent::lifecycle::{
    Answer, BACKOFF_MAX, BACKOFF_MIN, Call, Effect, Input, Lifecycle, LocalFault, Progress, Rules, Start,
    Wish, Write,
};
use touchmark_agent::performer::{Performer, Proof, built_at};
use touchmark_agent::store::{DiskDirectory, StoreFault};
use touchmark_agent::transport::{BadAddress, Caller};
use touchmark_durable::{Mode, write_changed};
use touchmark_enrol::renewal::RenewalWindow;
use touchmark_identity::{EnvironmentName, Name, Secret, Timestamp};
use touchmark_listen::Clock;
use touchmark_x509::Certificate;

/// Times a server is asked again whose connections break; the request stays the same, so nothing is issued twice.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// Longest that a busy server's own word about when to come back is followed, in all.
const BUSY_MAX: Duration = Duration::from_secs(120);
/// One exchange: far more than a server that lives needs.
const EXCHANGE_MAX: Duration = Duration::from_secs(15);

/// Whose credential, and where EST is.
#[derive(Clone, Debug)]
pub struct Client {
    /// Base URL of EST.
    pub est: String,
    pub environment: EnvironmentName,
    pub name: Name,
}

/// A credential that was replaced by its successor.
#[derive(Debug)]
pub struct Rotated {
    pub old: Certificate,
    pub new: Certificate,
    /// When the authority wants to see the device next.
    pub window: Option<RenewalWindow>,
    /// It goes back to an attempt that was cut off.
    pub resumed: bool,
}

/// For people: what happens.
pub type Tell<'a> = &'a mut (dyn FnMut(String) + Send);

impl Client {
    /// Enrols, also in place of a pair that is there. When this returns, the credential is on disk, and the authority has seen
    /// it at work.
    pub async fn enrol(
        &self,
        token: TokenSecret,
        anchors_pem: &str,
        directory: &CredentialDir,
    ) -> Result<Certificate, Failure> {
        let (client, directory, pem) = (self.clone(), directory.clone(), anchors_pem.to_owned());
        apart(move || {
            let lock = directory.hold()?;
            let pinned = Certificate::from_pem_many(&pem)
                .map_err(|fault| Failure::usage("the anchors cannot be read").why(fault.to_string()))?;
            // Before the pair: a credential without them is of no use.
            write_changed(&directory.anchors(), pem.as_bytes(), Mode::Public0644)?;
            let mut session = Session::open(&client, &directory, lock, Some(token), pinned)?;
            let (_, new) = session.replace(Wish::Replace, &mut |_| {})?;
            Ok(new)
        })
        .await
    }

    /// Renews. When this returns, the new pair is in force on disk, and the authority has seen it at work.
    pub async fn renew(
        &self,
        directory: &CredentialDir,
        mut tell: impl FnMut(String) + Send + 'static,
    ) -> Result<Rotated, Failure> {
        let (client, directory) = (self.clone(), directory.clone());
        apart(move || {
            let lock = directory.hold()?;
            let pinned = directory.anchors_in_force()?;
            let mut session = Session::open(&client, &directory, lock, None, pinned)?;
            let resumed = session.progress() != Progress::Idle;
            let (old, new) = session.replace(Wish::RenewNow, &mut tell)?;
            let old = old.ok_or_else(|| Failure::internal("there was no credential to renew"))?;
            let window = session.window();
            Ok(Rotated { old, new, window, resumed })
        })
        .await
    }
}

/// Every step waits for the disk or the authority, and others must not.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|fault| Err(Failure::internal("a task ended").why(fault.to_string())))
}

/// The lifecycle of what lies in a folder, and what performs its effects.
struct Session {
    client: Client,
    lifecycle: Lifecycle,
    performer: Performer,
    token: Option<TokenSecret>,
    input: Input,
    /// Nobody else changes the folder while it is held.
    lock: Option<File>,
}

/// What became of one turn.
enum Turn {
    /// Nothing is due until then.
    Rests,
    Done,
    /// An effect was of no use; the lifecycle comes to know it at the next turn. A command may ask again after the pause.
    Failed {
        failure: Failure,
        again: Option<Again>,
    },
}

/// How an unsuccessful question may be asked again.
enum Again {
    /// The connection broke.
    Broken,
    /// The server said when.
    Busy(Duration),
}

impl Session {
    fn open(
        client: &Client,
        directory: &CredentialDir,
        lock: File,
        token: Option<TokenSecret>,
        pinned: Vec<Certificate>,
    ) -> Result<Self, Failure> {
        let server = client.est.parse().map_err(|fault: BadAddress| {
            Failure::usage("where EST is cannot be read").what(client.est.clone()).why(fault.to_string())
        })?;
        let rules = Rules {
            identity: client.name.clone(),
            environment: client.environment.clone(),
            start: if token.is_some() { Start::Token } else { Start::None },
            pinned,
            built_at: built_at(),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        };
        let bad = |fault: StoreFault| directory.not_usable(&fault);
        let files = DiskDirectory::at(directory.path().to_owned()).map_err(|fault| bad(fault.into()))?;
        let caller = Caller { server, environment: client.environment.clone(), allowed: EXCHANGE_MAX };
        let (performer, stored) = Performer::open(files, &rules, caller).map_err(bad)?;
        let seed = stored.current.as_ref().map_or([0; 16], |chain| seed(chain.leaf()));
        let lifecycle = Lifecycle::resume(rules, stored, seed, now());
        Ok(Self {
            client: client.clone(),
            lifecycle,
            performer,
            token,
            input: Input::Ready,
            lock: Some(lock),
        })
    }

    /// Goes on until another pair is in force, as patiently as a server that restarts or is busy deserves.
    fn replace(&mut self, wish: Wish, tell: Tell<'_>) -> Result<(Option<Certificate>, Certificate), Failure> {
        let old = self.certificate();
        let (mut broken, mut waited) = (0, Duration::ZERO);
        let mut left_over = wish == Wish::Replace && self.progress() != Progress::Idle;
        self.lifecycle.wish(wish.clone());
        loop {
            let (failure, again) = match self.turn(tell) {
                Turn::Done => continue,
                Turn::Rests => break,
                Turn::Failed { failure, again } => (failure, again),
            };
            // It learns what happened; what it wants next is asked for again.
            let _ = self.lifecycle.step(now(), core::mem::replace(&mut self.input, Input::Ready));
            let pause = match again {
                Some(Again::Broken) => {
                    broken += 1;
                    (broken < ATTEMPTS).then_some(PAUSE * broken)
                }
                Some(Again::Busy(pause)) => {
                    waited += pause;
                    tell(format!("not now, and again in {} s: {}", pause.as_secs(), failure.brief()));
                    (waited <= BUSY_MAX).then_some(pause)
                }
                // The key of an attempt from before is refused: this one makes its own.
                None if core::mem::take(&mut left_over) && self.progress() == Progress::Dropping => {
                    Some(Duration::ZERO)
                }
                None => None,
            };
            let Some(pause) = pause else {
                self.settle();
                return Err(failure.what(self.what()));
            };
            std::thread::sleep(pause);
            // A pause of its own it would have, too; a command is in a hurry.
            self.lifecycle.wish(wish.clone());
        }
        match self.certificate() {
            Some(new) if old.as_ref() != Some(&new) => Ok((old, new)),
            _ => Err(self.unfit()),
        }
    }

    /// Performs the one effect that is due.
    fn turn(&mut self, tell: Tell<'_>) -> Turn {
        let input = core::mem::replace(&mut self.input, Input::Ready);
        match self.lifecycle.step(now(), input) {
            Effect::Wait { .. } => Turn::Rests,
            Effect::RunHooks(_) => {
                self.input = Input::Done;
                Turn::Done
            }
            Effect::Write(write) => {
                let began = self.progress();
                self.input = self.performer.write(&write);
                if let Input::Failed(fault) = &self.input {
                    let failure = Failure::internal("the credential cannot be changed").why(fault.says());
                    return Turn::Failed { failure, again: None };
                }
                written(&write, began, tell);
                Turn::Done
            }
            Effect::Call(call) => self.ask(call, tell),
        }
    }

    fn ask(&mut self, call: Call, tell: Tell<'_>) -> Turn {
        let Self { lifecycle, performer, token, .. } = self;
        let input = performer.call(call, lifecycle, now(), |_| {
            let none = || LocalFault::NoProof { says: "there is no token".to_owned() };
            let TokenSecret { username, password } = token.as_ref().ok_or_else(none)?;
            Ok(Proof::Token(username.to_string(), Secret::new(password.expose().clone())))
        });
        let refused = match &input {
            Input::Answered { answer, .. } => Refused::read(answer, call, &self.client),
            Input::Failed(fault) => {
                let failure = Failure::internal("the authority cannot be asked").why(fault.says());
                Some(Refused { failure, again: None })
            }
            Input::Ready | Input::Done | Input::Made(_) => None,
        };
        if matches!(&input, Input::Answered { answer: Answer::Confirmed, .. }) {
            tell("confirmed: the authority has seen the new key at work".to_owned());
        }
        self.input = input;
        match refused {
            // Whether the window is known is all the same, and so are anchors that are known already.
            Some(_) if call == Call::Hint => Turn::Done,
            Some(Refused { failure, again }) => Turn::Failed { failure, again },
            None => Turn::Done,
        }
    }

    /// Keeps what the lifecycle wants remembered of a failure, and forgets a key that was refused for good: the next run makes
    /// another.
    fn settle(&mut self) {
        // Each write is one that the lifecycle goes without, too; twice as many as there can be.
        for _ in 0..8 {
            let input = core::mem::replace(&mut self.input, Input::Ready);
            match self.lifecycle.step(now(), input) {
                Effect::Write(write) => self.input = self.performer.write(&write),
                Effect::RunHooks(_) => self.input = Input::Done,
                Effect::Wait { .. } | Effect::Call(_) => break,
            }
        }
        if self.progress() == Progress::Dropping {
            let _ = self.performer.write(&Write::DropSuccessor);
        }
    }

    /// What came was not what was asked for.
    fn unfit(&self) -> Failure {
        let failure = self.lifecycle.report(now()).failure;
        Failure::new(Exit::Unreachable, "est-answer", "the answer holds no certificate for us")
            .what(self.what())
            .why(failure.map(|failure| failure.says).unwrap_or_default())
    }

    fn what(&self) -> String {
        let Client { est, environment, name } = &self.client;
        format!("{name} in {environment} at {est}")
    }

    fn progress(&self) -> Progress {
        self.lifecycle.report(now()).progress
    }

    fn holding(self, lock: File) -> Self {
        Self { lock: Some(lock), ..self }
    }

    fn certificate(&self) -> Option<Certificate> {
        self.lifecycle.current().map(|chain| chain.leaf().clone())
    }

    /// When the authority wants to see this credential next; without an answer the device decides alone.
    fn window(&mut self) -> Option<RenewalWindow> {
        let known = self.lifecycle.report(now()).window;
        known.or_else(|| {
            let none = |_| Err(LocalFault::NoProof { says: String::new() });
            match self.performer.call(Call::Hint, &self.lifecycle, now(), none) {
                Input::Answered { answer: Answer::Hint(hint), .. } => Some(hint.window),
                _ => None,
            }
        })
    }
}

fn written(write: &Write, began: Progress, tell: Tell<'_>) {
    match write {
        Write::MakeSuccessor if began == Progress::Idle => {
            tell("made: a new key beside the old one (key.pem.new, 0600)".to_owned());
        }
        Write::KeepSuccessor(chain) => tell(format!(
            "issued: certificate {} until {}, kept beside the old one",
            chain.leaf().fingerprint(),
            chain.leaf().validity().not_after()
        )),
        Write::Swap { .. } => tell("in force: key and chain have taken the place of the old ones".to_owned()),
        Write::MakeSuccessor | Write::DropSuccessor | Write::KeepAnchors(_) | Write::KeepState(_) => {}
    }
}

fn now() -> Timestamp {
    Clock::system().now()
}

/// The certificate's place among all that renew: as random as its fingerprint, and the same at every look.
fn seed(certificate: &Certificate) -> [u8; 16] {
    let mut seed = [0; 16];
    seed.copy_from_slice(&certificate.fingerprint().as_bytes()[..16]);
    seed
}
