//! The load generator: this program again, as a process of its own, so that its work is not counted as the server's.
//!
//! In: one job as JSON on the first line of stdin (a token's password is not for argv), then orders, one a line.
//! Out: `"ready"` when everything is prepared and connected, then one line of JSON for each order.
//! Bounded: each job has a count and a time, and a watchdog ends the process whatever happens.

mod enrol;
mod fetch;
mod handshake;
mod hold;
mod http;
mod publish;
mod tally;
mod tls;
mod wire;

pub(crate) use enrol::{EnrolJob, Way};
pub(crate) use fetch::FetchJob;
pub(crate) use handshake::{After, HandshakeJob};
pub(crate) use hold::{Ended, Held, HoldJob};
pub(crate) use publish::PublishJob;
pub(crate) use tally::Tally;
pub(crate) use tls::{Groups, Target};

use crate::fault::{Outcome, While as _};
use crate::process::{OURSELVES, Process, say};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// No job takes longer; a generator that hangs would otherwise hold up the whole run.
const LONGEST: Duration = Duration::from_secs(180);

/// What a generator is started for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    Enrol(EnrolJob),
    Handshake(HandshakeJob),
    Hold(HoldJob),
    Publish(PublishJob),
    Fetch(FetchJob),
}

/// The driver's end of a running generator.
#[derive(Debug)]
pub(crate) struct Generator {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    process: Process,
}

impl Generator {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(job: &Job, folder: &Path) -> Outcome<Self> {
        let mut command = Command::new(OURSELVES);
        command.arg("generate").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("generator", &mut command, folder)?;
        let (stdin, stdout) = process.pipes()?;
        let mut generator = Self { stdin, stdout, process };
        generator.order(&serde_json::to_string(job)?)?;
        let ready: String = generator.answer()?;
        if ready == "ready" { Ok(generator) } else { Err(format!("the generator says {ready}").into()) }
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, order: &str) -> Outcome<()> {
        say(&mut self.stdin, order)
    }

    /// Its next line.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() {
            return Err(self.process.fault("ended without an answer"));
        }
        serde_json::from_str(&line).while_(line.trim())
    }

    /// Begins a job that has one window, and gives what was counted in it.
    pub(crate) fn run(mut self) -> Outcome<Tally> {
        self.order("go")?;
        let tally: Tally = self.answer()?;
        tally.without_errors()
    }
}

/// `touchmark-bench generate`.
pub(crate) fn main() -> Outcome<()> {
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST);
        eprintln!("a generator does not live longer than {} s", LONGEST.as_secs());
        std::process::exit(3);
    });
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line).while_("the job cannot be read")?;
    drop(line);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match job {
        Job::Enrol(job) => runtime.block_on(job.run()),
        Job::Handshake(job) => runtime.block_on(job.run()),
        Job::Hold(job) => runtime.block_on(job.run()),
        Job::Publish(job) => runtime.block_on(job.run()),
        Job::Fetch(job) => runtime.block_on(job.run()),
    }
}

/// Tells the driver that everything is prepared, and waits for its word.
fn ready() -> Outcome<()> {
    tell(&"ready")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == "go" { Ok(()) } else { Err("the driver went away".into()) }
}

/// One line to the driver.
fn tell(what: &impl Serialize) -> Outcome<()> {
    let line = serde_json::to_string(what)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
