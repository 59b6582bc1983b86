//! Where a server's time goes: `perf` on it during a warm-up window, which no figure counts.
//!
//! Two texts for each: what a function costs with everything it calls, and what it costs itself.

use crate::fault::{Outcome, While as _};
use crate::process::{Process, program, signal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Below this share a line tells nothing.
const SHARE_MIN: &str = "1";
/// Of the stack so much is kept with each sample: deep futures need it.
const STACK_OCTETS: &str = "dwarf,16384";

/// perf needs it until it samples.
const ATTACHING: Duration = Duration::from_millis(200);

/// Profiles of one run, in one folder.
#[derive(Debug)]
pub(crate) struct Profiler {
    perf: PathBuf,
    folder: PathBuf,
}

impl Profiler {
    /// Writes into `folder`.
    pub(crate) fn new(folder: PathBuf) -> Outcome<Self> {
        let perf = program("perf").while_("perf is not installed (package linux-perf)")?;
        std::fs::create_dir_all(&folder)?;
        Ok(Self { perf, folder })
    }

    /// Begins to look at a server.
    pub(crate) fn begin(&self, name: &str, pid: u32) -> Outcome<Recording<'_>> {
        let data = self.folder.join(format!("{name}.data"));
        let mut command = Command::new(&self.perf);
        command.args(["record", "--quiet", "--freq", "799", "--call-graph", STACK_OCTETS, "--output"]);
        command.arg(&data).args(["--pid", &pid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::start("perf", &mut command, &self.folder)?;
        std::thread::sleep(ATTACHING);
        Ok(Recording { profiler: self, name: name.to_owned(), data, process })
    }

    fn report(&self, data: &Path, how: &[&str], to: &Path) -> Outcome<()> {
        let mut command = Command::new(&self.perf);
        command.args(["report", "--stdio", "--no-inline", "--call-graph", "none", "--sort", "comm,symbol"]);
        command.args(["--percent-limit", SHARE_MIN, "--input"]).arg(data).args(how);
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(std::fs::File::create(to)?);
        let status = command.status().while_("perf report")?;
        if status.success() { Ok(()) } else { Err(format!("perf report: {status}").into()) }
    }
}

/// A look that was begun.
#[derive(Debug)]
pub(crate) struct Recording<'a> {
    profiler: &'a Profiler,
    name: String,
    data: PathBuf,
    process: Process,
}

impl Recording<'_> {
    /// Ends it, and writes the texts.
    pub(crate) fn end(mut self) -> Outcome<()> {
        signal(self.process.pid(), rustix::process::Signal::INT);
        self.process.wait();
        let text = |end: &str| self.profiler.folder.join(format!("{}.{end}", self.name));
        self.profiler.report(&self.data, &["--children"], &text("txt"))?;
        self.profiler.report(&self.data, &["--no-children"], &text("self.txt"))
    }
}
