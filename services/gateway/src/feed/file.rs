//! The feed on disk: a snapshot and what came after it, and beside it the highest position that was ever in force, and a
//! mark while the authority refuses the gateway's certificate.
//!
//! A restart with the authority gone goes on from here. What does not verify is no feed, never an empty one:
//! everyone is refused until the authority sends a snapshot. The position is a floor: a copy of the file from last
//! week is refused. Order of writing: feed, then floor; a crash between leaves a feed that is newer than its floor.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::time::Instant;
use touchmark_durable::{AppendFile, Mode, WriteFault, remove_durable, write_atomic};
use touchmark_identity::{EnvironmentName, Timestamp};
use touchmark_status::{FeedFault, FeedVerifier, Position, StatusSet, feed_file_entry, recover_feed_file};

const FEED_FILE: &str = "feed";
const FLOOR_FILE: &str = "feed.floor";
/// There while nobody may be served by the stored feed. Its presence counts, whatever it holds.
const REFUSED_FILE: &str = "feed.refused";
const REFUSED_MARK: &[u8] = b"touchmark feed refused 1\n";
/// Octets of deltas after which a new snapshot is asked for: bounds the file and the time of a start.
const DELTAS_OCTETS_MAX: u64 = 4 * 1024 * 1024;
/// A heartbeat is kept once in this time, so that the age of the feed survives a restart.
const HEARTBEAT_KEPT_EVERY_S: u64 = 60;
/// After a message could not be stored a snapshot is asked for once in this time, until one is.
const HOLE_ASKED_EVERY: Duration = Duration::from_secs(30);

/// Why a stored feed is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredFeedFault {
    #[error(transparent)]
    Feed(#[from] FeedFault),
    #[error("{} is damaged", path.display())]
    Floor { path: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

/// Why a feed is not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoringFault {
    #[error(transparent)]
    Write(#[from] WriteFault),
    #[error(transparent)]
    Feed(#[from] FeedFault),
    #[error("an earlier message of the feed could not be stored; waiting for a snapshot")]
    Hole,
}

/// The files.
pub(crate) struct FeedFile {
    feed: PathBuf,
    floor_path: PathBuf,
    refused_path: PathBuf,
    refused: bool,
    floor: Option<Position>,
    open: Option<AppendFile>,
    snapshot_octets: u64,
    /// Where a kept heartbeat begins: the next one, or the next delta, takes its place or follows it.
    heartbeat_at: Option<u64>,
    heartbeat_kept_at: Timestamp,
    /// A message in force could not be stored: nothing may follow it, or the file would be no feed at all.
    hole: bool,
    asked: Option<Instant>,
}

impl FeedFile {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            feed: data.join(FEED_FILE),
            floor_path: data.join(FLOOR_FILE),
            refused: is_there(&data.join(REFUSED_FILE)),
            refused_path: data.join(REFUSED_FILE),
            floor: None,
            open: None,
            snapshot_octets: 0,
            heartbeat_at: None,
            heartbeat_kept_at: Timestamp::from_unix_ms(0),
            hole: false,
            asked: None,
        }
    }

    /// Reads and verifies what is stored. `None` on the first start.
    ///
    /// # Errors
    /// [`StoredFeedFault`]: what is there is not used. The floor holds all the same, if it can be read.
    pub(crate) fn load(
        &mut self,
        verifier: &FeedVerifier,
        environment: &EnvironmentName,
    ) -> Result<Option<StatusSet>, StoredFeedFault> {
        self.floor = self.read_floor()?;
        let octets = match std::fs::read(&self.feed) {
            Ok(octets) => octets,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound && self.floor.is_none() => {
                return Ok(None);
            }
            Err(source) => return Err(StoredFeedFault::Read { path: self.feed.clone(), source }),
        };
        // Its messages were held against the time when they came. A clock that was set back since must not refuse
        // them: the feed is what tells the time then.
        let (set, whole) = recover_feed_file(&octets, verifier, environment, self.floor, Timestamp::MAX)?;
        if whole < octets.len() {
            tracing::warn!(
                file = %self.feed.display(),
                octets = octets.len() - whole,
                "leaving out an incomplete message at the end of the stored feed"
            );
            // What comes next must not stand behind it.
            self.hole = self.opened().and_then(|file| file.truncate(whole as u64)).is_err();
        }
        Ok(Some(set))
    }

    /// Whether the authority refused this gateway's certificate last.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Keeps whether the authority refuses this gateway's certificate, durably. Nothing is written when it is no news.
    pub(crate) fn keep_refused(&mut self, refused: bool) -> Result<(), WriteFault> {
        if self.refused != refused {
            match refused {
                true => write_atomic(&self.refused_path, REFUSED_MARK, Mode::Private0600)?,
                false => remove_durable(&self.refused_path)?,
            }
            self.refused = refused;
        }
        Ok(())
    }

    /// The highest position that was ever in force here.
    pub(crate) fn floor(&self) -> Option<Position> {
        self.floor
    }

    /// Whether a snapshot should take the place of what is stored: the deltas are long, or one is missing.
    pub(crate) fn wants_snapshot(&mut self, now: Instant) -> bool {
        if self.hole {
            let rested =
                self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= HOLE_ASKED_EVERY);
            self.asked = if rested { Some(now) } else { self.asked };
            return rested;
        }
        let length = self.open.as_ref().map_or(0, AppendFile::len);
        length.saturating_sub(self.snapshot_octets) > DELTAS_OCTETS_MAX.max(self.snapshot_octets)
    }

    /// What is in force could not be stored.
    fn fails(&mut self, error: StoringFault) -> StoringFault {
        self.hole = true;
        self.open = None;
        error
    }

    /// Stores a snapshot in place of everything.
    pub(crate) fn replace(&mut self, snapshot: &[u8]) -> Result<(), StoringFault> {
        let entry = feed_file_entry(snapshot)?;
        // Closed first: its descriptor belongs to the file that is replaced.
        self.open = None;
        if let Err(error) = write_atomic(&self.feed, &entry, Mode::Private0600) {
            return Err(self.fails(error.into()));
        }
        self.snapshot_octets = entry.len() as u64;
        self.heartbeat_at = None;
        (self.hole, self.asked) = (false, None);
        Ok(())
    }

    /// Stores deltas behind what is there.
    pub(crate) fn append(&mut self, deltas: &[&[u8]]) -> Result<(), StoringFault> {
        if self.hole {
            return Err(StoringFault::Hole);
        }
        let mut octets = Vec::new();
        for wire in deltas {
            octets.extend(feed_file_entry(wire)?);
        }
        let written = self.opened().and_then(|file| {
            file.append(&octets)?;
            file.sync();
            Ok(())
        });
        self.heartbeat_at = None;
        written.map_err(|error| self.fails(error.into()))
    }

    /// Stores a heartbeat now and then, in place of the one before.
    pub(crate) fn keep_heartbeat(&mut self, wire: &[u8], now: Timestamp) -> Result<(), StoringFault> {
        // A clock that went back starts the time anew.
        let kept_since = now.since(self.heartbeat_kept_at).as_secs();
        if self.hole || (kept_since < HEARTBEAT_KEPT_EVERY_S && now >= self.heartbeat_kept_at) {
            return Ok(());
        }
        let entry = feed_file_entry(wire)?;
        let before = self.heartbeat_at.take();
        let written = self.opened().and_then(|file| {
            if let Some(at) = before {
                // A crash here loses a heartbeat: the feed looks older than it is, which is the safe side.
                file.truncate(at)?;
            }
            let at = file.len();
            file.append(&entry)?;
            file.sync();
            Ok(at)
        });
        match written {
            Ok(at) => {
                self.heartbeat_at = Some(at);
                self.heartbeat_kept_at = now;
                Ok(())
            }
            Err(error) => Err(self.fails(error.into())),
        }
    }

    /// Raises the floor, durably.
    pub(crate) fn raise_floor(&mut self, position: Position) -> Result<(), StoringFault> {
        if self.floor.is_some_and(|floor| floor >= position) {
            return Ok(());
        }
        let text = format!("{} {}\n", position.epoch, position.seq);
        write_atomic(&self.floor_path, text.as_bytes(), Mode::Private0600)?;
        self.floor = Some(position);
        Ok(())
    }

    /// Removes the stored feed: an end that is in force is not in it, and nothing else says so.
    pub(crate) fn discard(&mut self) -> Result<(), WriteFault> {
        (self.open, self.hole) = (None, true);
        remove_durable(&self.feed)
    }

    fn opened(&mut self) -> Result<&mut AppendFile, WriteFault> {
        let file = match self.open.take() {
            Some(file) => file,
            None => AppendFile::open(&self.feed, Mode::Private0600)?,
        };
        if self.snapshot_octets == 0 {
            self.snapshot_octets = file.len();
        }
        Ok(self.open.insert(file))
    }

    fn read_floor(&self) -> Result<Option<Position>, StoredFeedFault> {
        let text = match std::fs::read_to_string(&self.floor_path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoredFeedFault::Read { path: self.floor_path.clone(), source }),
        };
        let damaged = || StoredFeedFault::Floor { path: self.floor_path.clone() };
        let (epoch, seq) = text.trim_end().split_once(' ').ok_or_else(damaged)?;
        let number = |text: &str| text.parse().map_err(|_| damaged());
        Ok(Some(Position { epoch: number(epoch)?, seq: number(seq)? }))
    }
}

/// What cannot be looked up is taken to be there.
fn is_there(path: &Path) -> bool {
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    !std::fs::symlink_metadata(path).as_ref().is_err_and(missing)
}

/// The messages of an answer of the authority, which has the form of a feed file.
pub(crate) fn messages(octets: &[u8]) -> Result<Vec<&[u8]>, FeedFault> {
    let cut = FeedFault::Malformed("the answer is cut short");
    let (mut messages, mut rest) = (Vec::new(), octets);
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(cut.clone())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut.clone())?;
        let (message, after) = after.split_at_checked(length).ok_or(cut.clone())?;
        messages.push(message);
        rest = after;
    }
    Ok(messages)
}
