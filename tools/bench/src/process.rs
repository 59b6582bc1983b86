//! Processes that a benchmark starts: begun, waited for, measured with all their children, and ended by their own id.
//!
//! Processor time is utime + stime of the process and everything below it, children that have ended included.

use crate::fault::{Fault, Outcome, While as _};
use crate::interrupt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to serve, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// USER_HZ is 100 on every Linux architecture that we build for.
const TICK_US: f64 = 10_000.0;
/// This program, also when its file was built anew meanwhile.
pub(crate) const OURSELVES: &str = "/proc/self/exe";
/// Of what a program complained, so much is repeated.
const LAST_WORDS: usize = 600;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    complaints: PathBuf,
}

impl Process {
    /// Starts it; what it says to stderr goes into a file in `folder`. Stdin and stdout as the command has them.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> Outcome<Self> {
        let complaints = folder.join(format!("{name}.stderr"));
        let log = File::options().create(true).append(true).open(&complaints)?;
        // Its own group: an interrupt at the terminal is for us, who then end it.
        let child = command.stderr(log).process_group(0).spawn().while_(name)?;
        interrupt::started(child.id());
        Ok(Self { name: name.to_owned(), child, complaints })
    }

    /// Starts a server without a voice, and waits until it takes connections.
    pub(crate) fn serve(name: &str, command: &mut Command, folder: &Path, port: u16) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Self::start(name, command, folder)?;
        process.until("to take connections", || TcpStream::connect(("127.0.0.1", port)).ok())?;
        Ok(process)
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its pipes.
    pub(crate) fn pipes(&mut self) -> Outcome<(ChildStdin, BufReader<ChildStdout>)> {
        let stdin = self.child.stdin.take().while_("its stdin is taken")?;
        let stdout = self.child.stdout.take().while_("its stdout is taken")?;
        Ok((stdin, BufReader::new(stdout)))
    }

    /// The first line of its stdout; the rest is read and dropped, so that it can always write.
    pub(crate) fn first_line(&mut self) -> Outcome<String> {
        let stdout = self.child.stdout.take().while_("its stdout is taken")?;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let read = reader.read_line(&mut line);
            let _ = tell.send(read.map(|_| line));
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        match told.recv_timeout(PATIENCE) {
            Ok(Ok(line)) if !line.trim().is_empty() => Ok(line),
            _ => Err(self.fault("said nothing")),
        }
    }

    /// Looks again and again until `look` finds something, or the process is gone.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.fault(&format!("ended ({status}) before it came {what}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(self.fault(&format!("did not come {what}")));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// A fault of this process, with its last words.
    pub(crate) fn fault(&self, what: &str) -> Fault {
        let text = std::fs::read(&self.complaints).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
        format!("{} {what}: {}", self.name, String::from_utf8_lossy(tail).trim()).into()
    }

    /// Processor time so far of it and all its children, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        family(self.pid()).into_iter().filter_map(ticks).sum::<u64>() as f64 * TICK_US
    }

    /// Its share of memory (PSS) with that of its children, in KiB.
    pub(crate) fn pss_kib(&self) -> u64 {
        let of = |pid: u32| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        family(self.pid()).into_iter().filter_map(of).sum()
    }

    /// Asks it to end (SIGTERM) and waits; one that does not is killed.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) {
        let _ = self.child.wait();
    }

    fn end(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            signal(self.pid(), rustix::process::Signal::TERM);
            let begun = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE / 6 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        interrupt::ended(self.pid());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // Gone already: all the same.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// A port of loopback that nobody has.
pub(crate) fn free_port() -> Outcome<u16> {
    // Free a moment ago; whoever takes it in between makes the start fail loudly.
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The process and everything below it.
fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// utime, stime, and those of children that were waited for.
fn ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// What follows the name in /proc/PID/stat; the name may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// Writes a line to a pipe.
pub(crate) fn say(pipe: &mut ChildStdin, line: &str) -> Outcome<()> {
    writeln!(pipe, "{line}").while_("the child does not listen")?;
    pipe.flush().while_("the child does not listen")
}

/// A program on the path, or in the folders that a plain user's path leaves out.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into(), "/sbin".into()]);
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_children_counts_and_ended_ones_too() {
        let folder = tempfile::tempdir().unwrap();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let mut command = Command::new("sh");
        command.args(["-c", &format!("sh -c '{busy}'; echo done; read wait")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("sh", &mut command, folder.path()).unwrap();
        assert_eq!(process.first_line().unwrap(), "done\n");
        assert!(process.cpu_us() > 0.0);
    }

    #[test]
    fn a_program_that_ends_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let fault = Process::serve("sh", &mut command, folder.path(), 1).unwrap_err().to_string();
        assert!(fault.contains("no such luck"), "{fault}");
    }
}
