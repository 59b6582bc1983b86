//! The socket itself: made for its group, one line at a time, with room for a few applications.

use super::answers::answer;
use super::board::Board;
use super::protocol::{Ask, LINE_OCTETS_MAX, Refused, RenewAnswer, line};
use crate::log;
use crate::watched::may_panic_here;
use core::time::Duration;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The thread that serves.
pub(crate) const THREAD: &str = "socket";
/// Most connections at once: a device runs a handful of applications, and each connection is a thread.
const CONNECTIONS_MAX: usize = 16;
/// A connection that says nothing for so long gives its place back.
const SILENCE: Duration = Duration::from_secs(30);

/// Why there is no socket; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum BadSocket {
    /// Another agent answers there.
    #[error("another agent serves {}: only one can", path.display())]
    Taken { path: PathBuf },
    /// Something else stands there.
    #[error("{} is in the way: it is no socket, so it is left alone", path.display())]
    InTheWay { path: PathBuf },
    /// The operating system says no.
    #[error("cannot serve {}: {source}", path.display())]
    System {
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
}

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
}

impl Socket {
    /// Makes the socket, 0660 from its first moment under this name.
    ///
    /// # Errors
    /// [`BadSocket`].
    pub fn bind(path: &Path) -> Result<Self, BadSocket> {
        let system = |source| BadSocket::System { path: path.to_owned(), source };
        match path.symlink_metadata() {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(BadSocket::InTheWay { path: path.to_owned() });
            }
            // A dead agent leaves its socket behind; a living one answers.
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(BadSocket::Taken { path: path.to_owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system(error)),
        }
        bind_aside(path).map(|listener| Self { listener }).map_err(system)
    }

    /// Serves for ever.
    #[expect(clippy::disallowed_methods, reason = "a thread for each connection, counted")]
    pub fn serve(self, board: &Arc<Board>) {
        let open = Arc::new(AtomicUsize::new(0));
        for connection in self.listener.incoming() {
            may_panic_here(THREAD);
            // Out of descriptors, for instance: others may close some meanwhile.
            let Ok(stream) = connection else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                open.fetch_sub(1, Ordering::Relaxed);
                refuse(&stream, Refused::new("busy", "too many connections", "close some, or try again"));
                continue;
            }
            let (board, place) = (Arc::clone(board), Place(Arc::clone(&open)));
            let started = std::thread::Builder::new().name("socket".to_owned()).spawn(move || {
                let _place = place;
                // The other end is gone: nobody is left to be told.
                let _ = converse(&stream, &board);
            });
            if let Err(error) = started {
                log::line(format_args!("the socket cannot serve: {error}"));
            }
        }
    }
}

/// In a folder of its own, where nobody else comes, until its permissions are right; then it takes its name. A crash
/// leaves the folder, which the next agent clears.
fn bind_aside(path: &Path) -> io::Result<UnixListener> {
    let folder = path.with_file_name(".agent");
    let aside = folder.join("s");
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.symlink_metadata()?.is_dir() => {
            let _ = fs::remove_file(&aside);
        }
        made => made?,
    }
    let listener = UnixListener::bind(&aside)?;
    fs::set_permissions(&aside, Permissions::from_mode(0o660))?;
    fs::rename(&aside, path)?;
    fs::remove_dir(&folder)?;
    Ok(listener)
}

/// A connection's place, given back at its end however that comes.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn refuse(mut stream: &UnixStream, refused: Refused) {
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = stream.write_all(&line(Err::<RenewAnswer, _>(refused)));
}

fn converse(mut stream: &UnixStream, board: &Board) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let uid = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    let mut reader = BufReader::new(stream);
    loop {
        let mut text = Vec::new();
        let limit = u64::try_from(LINE_OCTETS_MAX).unwrap_or(u64::MAX);
        (&mut reader).take(limit).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(());
        }
        if text.len() == LINE_OCTETS_MAX && !text.ends_with(b"\n") {
            let too_long = format!("a line has at most {LINE_OCTETS_MAX} octets");
            refuse(stream, Refused::new("too-long", too_long, "ask for less at once"));
            return Ok(());
        }
        let said = match serde_json::from_slice::<Ask>(&text) {
            Ok(ask) => answer(ask, uid, board),
            Err(error) => line(Err::<RenewAnswer, _>(Refused::new(
                "bad-request",
                format!("not a question of this socket: {error}"),
                "see docs/agent.md for the questions",
            ))),
        };
        stream.write_all(&said)?;
    }
}
