//! One process of the product: started, measured, stopped, killed. Only processes that were started here.

use crate::patience::PATIENCE;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use touchmark_api::Ready;

/// Of the words that a service left on stderr, so many octets are repeated when a test fails.
const LAST_WORDS: usize = 4096;

/// A running process.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Whom signals and measurements are for: the child, or what a tracer runs.
    pid: u32,
    stderr: PathBuf,
}

impl Service {
    /// Starts a service and waits for the one JSON object that it prints when it serves.
    ///
    /// # Panics
    /// If it ends or stays silent, with what it wrote to stderr.
    pub fn start(mut command: Command, stderr: PathBuf) -> (Self, Ready) {
        let log = File::options().create(true).append(true).open(&stderr).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            // A Ctrl-C at the terminal is for the test, which then takes its services along.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let first = serde_json::Deserializer::from_reader(&mut stdout).into_iter::<Ready>().next();
            let _ = tell.send(first);
            // Read on, so that it can always write.
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        });
        let pid = child.id();
        let mut service = Self { child, pid, stderr };
        match told.recv_timeout(PATIENCE) {
            Ok(Some(Ok(ready))) => {
                // Under a tracer the child is the tracer.
                if let Some(pid) = ready.pids.authority.or(ready.pids.gateway) {
                    service.pid = pid;
                }
                (service, ready)
            }
            other => {
                service.kill();
                panic!("a service did not start ({other:?}):\n{}", service.last_words());
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.pid != self.child.id() {
            signal(self.pid, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Something that can kill it from another thread.
    pub fn killer(&self) -> Killer {
        Killer { pid: self.pid }
    }

    /// SIGINT, and waits until it is gone.
    pub fn stop(&mut self) -> ExitStatus {
        signal(self.pid, "INT");
        crate::until("a service to end after SIGINT", || self.child.try_wait().unwrap())
    }

    /// SIGHUP, as of a terminal that goes away.
    pub fn hang_up(&self) {
        signal(self.pid, "HUP");
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> ExitStatus {
        crate::until("a service to end by itself", || self.child.try_wait().unwrap())
    }

    /// SIGABRT, as a crash of its own would be, and waits until it is gone.
    pub fn abort(&mut self) -> ExitStatus {
        signal(self.pid, "ABRT");
        crate::until("a service to end after SIGABRT", || self.child.try_wait().unwrap())
    }

    /// Holds it still; it keeps its sockets and answers nothing.
    pub fn freeze(&self) {
        signal(self.pid, "STOP");
        let stands = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat")));
            // A thread that is gone runs no more.
            stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        crate::until("every thread to stand", || {
            std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap().all(stands).then_some(())
        });
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.pid, "CONT");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time that it used so far, in user and kernel mode.
    pub fn processor_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name in the second field may hold anything; after it come plain numbers.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // USER_HZ is 100 on every Linux architecture that we build for.
        Duration::from_millis(ticks * 10)
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap()
    }

    /// The end of what it wrote to stderr.
    pub fn last_words(&self) -> String {
        last_words(&self.stderr)
    }
}

/// SIGKILL for one service, which must not have been waited for yet.
#[derive(Clone, Copy, Debug)]
pub struct Killer {
    pid: u32,
}

impl Killer {
    /// kill -9.
    pub fn kill(&self) {
        signal(self.pid, "KILL");
    }
}

fn last_words(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]).into_owned()
}

/// The standard library sends no signal but SIGKILL; the shell's `kill` does.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to process {pid}");
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- last words of process {}:\n{}", self.pid, self.last_words());
        }
        if self.pid != self.child.id() && self.is_running() {
            let kill = "kill -s KILL \"$0\" 2>/dev/null";
            let _ = Command::new("sh").args(["-c", kill, &self.pid.to_string()]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
