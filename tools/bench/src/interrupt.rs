//! Ctrl-C and SIGTERM: whatever was started is ended by its id and every folder removed, then this program ends.
//!
//! A destructor does not run when a signal ends the process; so what must not be left behind is written down here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static LEFT: Mutex<Left> = Mutex::new(Left { processes: BTreeSet::new(), folders: BTreeSet::new() });

struct Left {
    processes: BTreeSet<u32>,
    folders: BTreeSet<PathBuf>,
}

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process was started.
pub(crate) fn started(pid: u32) {
    left().processes.insert(pid);
}

/// A process was waited for: its id may be another's from now on.
pub(crate) fn ended(pid: u32) {
    left().processes.remove(&pid);
}

/// A folder that is not to stay.
pub(crate) fn folder(path: &Path) {
    left().folders.insert(path.to_owned());
}

/// Waits for a signal in a thread of its own.
pub(crate) fn watch() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        std::io::Result::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let left = left();
        // Killed, since nobody waits for an end in order; children of PostgreSQL and nginx end with their parent.
        left.processes.iter().for_each(|pid| crate::process::signal(*pid, rustix::process::Signal::KILL));
        for folder in &left.folders {
            let _ = std::fs::remove_dir_all(folder);
        }
        eprintln!("interrupted: everything that was started is ended");
        std::process::exit(130);
    });
    Ok(())
}
