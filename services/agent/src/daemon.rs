//! The running agent: one thread for each environment, one for the socket, and what they share.
//!
//! In: a configuration. Out: nothing; it runs until it is stopped, and may be stopped at any moment, since every
//! file is replaced whole. One environment's trouble never waits for another's.

mod environment_task;
mod seed;
mod token;

use crate::config::{Config, EnvironmentConfig};
use crate::lifecycle::Wish;
use crate::log;
use crate::socket::{BadSocket, Board, Post, Published, SOCKET_THREAD, Socket};
use crate::store::StoreFault;
use crate::transport::EXCHANGE_TIME;
use crate::watched::{may_panic_here, watched};
use core::time::Duration;
pub use environment_task::EnvironmentTask;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use touchmark_durable::{Mode, WriteFault, create_dir_durable};
use touchmark_identity::{EnvironmentName, Timestamp};

/// Wishes that may wait for one environment: more would say the same.
const WISHES_MAX: usize = 4;
/// A waiting thread looks up so often: for a clock that was set, for files that were mended.
const GLANCE: Duration = Duration::from_secs(60);
/// The same while somebody is expected to bring a token, and may stand beside the device.
const GLANCE_FOR_TOKEN: Duration = Duration::from_secs(5);
/// Shortest wait: a thread never spins, whatever the clock does.
const WAIT_MIN: Duration = Duration::from_millis(20);

/// Why the agent cannot start; whoever runs the device must act.
#[derive(Debug, thiserror::Error)]
pub enum BadStart {
    /// The state folder cannot be made.
    #[error(transparent)]
    State(#[from] WriteFault),
    /// The file that keeps a second agent away cannot be used.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
    /// A second agent on the same files would break them.
    #[error("another agent already works on {}", path.display())]
    AlreadyRuns {
        /// Which folder.
        path: PathBuf,
    },
    /// No socket.
    #[error(transparent)]
    Socket(#[from] BadSocket),
    /// The system gives no more threads, or no randomness.
    #[error("the operating system refuses {what}: {why}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its words.
        why: String,
    },
}

impl BadStart {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::State(_) => "state-folder",
            Self::Lock { .. } => "state-lock",
            Self::AlreadyRuns { .. } => "already-runs",
            Self::Socket(_) => "socket",
            Self::System { .. } => "system",
        }
    }

    /// What helps.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::State(_) | Self::Lock { .. } => "let the agent's user own `state` of the configuration",
            Self::AlreadyRuns { .. } => "systemctl status touchmark-agent, or give this one another `state`",
            Self::Socket(_) => {
                "correct `socket` in the configuration, or let the agent's user write its folder"
            }
            Self::System { .. } => "look at the machine's limits and log",
        }
    }
}

/// This machine's clock.
pub fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Runs the agent. Returns only what kept it from starting.
pub fn run(config: Config) -> BadStart {
    // Keys are in this process's memory: no core file. Where it is forbidden to say so, the unit has said it.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    // A terminal that goes away, or a wish to read files again, ends nothing: files that may change are looked at as it is.
    // The flag is for nobody; where it cannot be set, the signal does what it always did.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default());
    // A thread that dies would leave its environment without a task: better none, and a restart.
    std::panic::set_hook(Box::new(|panic| {
        log::end_process(format_args!("touchmark-agent is at fault and ends: {panic}"));
    }));
    match start(config) {
        Ok(never) => match never {},
        Err(bad) => bad,
    }
}

fn start(config: Config) -> Result<core::convert::Infallible, BadStart> {
    let Config { state, socket, environments } = config;
    create_dir_durable(&state, Mode::Private0600)?;
    let _lock = lock(&state)?;
    let seed = seed::of_this_device(&state)?;
    let socket = socket.as_deref().map(Socket::bind).transpose()?;
    let mut posts = Vec::new();
    let mut work = Vec::new();
    for environment in environments {
        let (wishes, wished) = sync_channel(WISHES_MAX);
        posts.push(Post {
            environment: environment.name.clone(),
            identity: environment.identity.clone(),
            users: environment.users.clone(),
            signs: environment.signs.clone(),
            wishes,
            published: Mutex::new(Published::default()),
        });
        work.push((environment, wished));
    }
    let board = Arc::new(Board::new(posts, rustix::process::geteuid().as_raw()));
    for (place, (environment, wished)) in work.into_iter().enumerate() {
        let (board, state) = (Arc::clone(&board), state.clone());
        let name = format!("environment-{}", environment.name);
        let started = watched(&name, move |name| {
            if let Some(post) = board.posts().get(place) {
                keep(environment, &state, seed, post, &wished, name);
            }
        });
        started.map_err(no_thread)?;
    }
    if let Some(socket) = socket {
        watched(SOCKET_THREAD, move |_| socket.serve(&board)).map_err(no_thread)?;
    }
    loop {
        std::thread::park();
    }
}

fn no_thread(error: io::Error) -> BadStart {
    BadStart::System { what: "a thread", why: error.to_string() }
}

fn lock(state: &Path) -> Result<File, BadStart> {
    let path = state.join("lock");
    let system = |source| BadStart::Lock { path: path.clone(), source };
    // Where the disk turned read-only, what is there can still be served.
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::options().create(true).truncate(false).write(true).open(&path)
        }
        opened => opened,
    };
    let file = file.map_err(system)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BadStart::AlreadyRuns { path: state.to_owned() }),
        Err(TryLockError::Error(error)) => Err(system(error)),
    }
}

/// Keeps one environment fresh, for ever. Files that cannot be believed are looked at again: a person may mend them.
fn keep(
    config: EnvironmentConfig,
    state: &Path,
    seed: [u8; 16],
    post: &Post,
    wished: &Receiver<Wish>,
    thread: &str,
) {
    let config = Arc::new(config);
    let mut environment_task = loop {
        match EnvironmentTask::open(Arc::clone(&config), state, seed, EXCHANGE_TIME) {
            Ok(environment_task) => break environment_task,
            Err(fault) => {
                may_panic_here(thread);
                broken(&config.name, post, &fault);
                let _ = wished.recv_timeout(GLANCE);
            }
        }
    };
    loop {
        may_panic_here(thread);
        let Some(until) = environment_task.turn(post) else { continue };
        let glance = if environment_task.awaits_token() { GLANCE_FOR_TOKEN } else { GLANCE };
        let wait = until.since(clock()).clamp(WAIT_MIN, glance);
        match wished.recv_timeout(wait) {
            Ok(wish) => environment_task.wish(wish),
            // The board holds the other end, and this thread the board.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => environment_task.glance(),
        }
    }
}

fn broken(environment: &EnvironmentName, post: &Post, fault: &StoreFault) {
    let says = fault.to_string();
    let mut published = post.published();
    if published.broken.as_ref() != Some(&says) {
        log::line(format_args!("{environment}: {says}"));
        published.broken = Some(says);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that runs can be read and not written, by root too: like all files where a disk turned read-only.
    #[test]
    fn a_lock_that_cannot_be_written_still_keeps_a_second_agent_away() {
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        assert!(File::options().write(true).open(&program).is_err());
        std::os::unix::fs::symlink(program, folder.path().join("lock")).unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(BadStart::AlreadyRuns { .. })));
        drop(first);
        lock(folder.path()).unwrap();
    }
}
