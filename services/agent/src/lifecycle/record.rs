//! What one environment's lifecycle remembers across a restart: `state.json`, version 1.
//!
//! Nothing in it is needed for a working pair: a file that is missing or cannot be read costs a pause, a hint and
//! the floor's last days, never the identity. Times are RFC 3339, so that people can read it too.

use super::Standing;
use serde::{Deserialize, Serialize};
use touchmark_enrol::RenewalWindow;
use touchmark_identity::{Fingerprint, Timestamp};

/// The format that is written.
const VERSION: u32 = 1;
/// Longest record that is looked into: what is written has under 2 KiB.
pub const RECORD_OCTETS_MAX: usize = 16 * 1024;
/// Longest text of a server that is kept.
const SAYS_CHARS_MAX: usize = 256;

/// What is worth remembering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// The time is certainly not before this (ADR 0011).
    pub floor: Timestamp,
    /// The server's window, and the certificate it is for.
    pub hint: Option<(Fingerprint, RenewalWindow)>,
    /// Failures since the last success.
    pub failures: u32,
    /// Not before this, after failures.
    pub retry_at: Option<Timestamp>,
    /// What the server thinks of this device.
    pub standing: Standing,
    /// The last failure since the last success.
    pub failure: Option<Failure>,
    /// The last time a new pair took over.
    pub renewed: Option<Renewed>,
    /// The certificate for which the commands ran.
    pub announced: Option<Fingerprint>,
    /// Anchors that were followed, each with the one that vouched for it.
    pub followed: Vec<Followed>,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When, by the best guess at the time.
    #[serde(with = "moment")]
    pub at: Timestamp,
    /// Stable code.
    pub code: String,
    /// For people; the server's or the system's words.
    pub says: String,
}

/// A new pair took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    #[serde(with = "moment")]
    pub at: Timestamp,
    /// On whose wish.
    pub by: RenewedBy,
    /// Failures on the way.
    pub failures: u32,
}

/// On whose wish a pair was renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RenewedBy {
    /// By itself, in time.
    Itself,
    /// Somebody asked for it.
    Wish,
}

/// An anchor that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The new anchor.
    pub anchor: Fingerprint,
    /// The anchor whose key signed for it.
    pub on_word_of: Fingerprint,
}

impl StateRecord {
    /// Nothing remembered.
    pub fn empty(floor: Timestamp) -> Self {
        Self {
            floor,
            hint: None,
            failures: 0,
            retry_at: None,
            standing: Standing::Good,
            failure: None,
            renewed: None,
            announced: None,
            followed: Vec::new(),
        }
    }

    /// Reads a record; `None` for anything that this version did not write.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        if text.len() > RECORD_OCTETS_MAX {
            return None;
        }
        let file: File = serde_json::from_slice(text).ok()?;
        (file.version == VERSION).then(|| file.into_record())?
    }

    /// The bytes of `state.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&File::of(self))
            .expect("a struct of texts and numbers, without maps, is JSON");
        text.push('\n');
        text
    }
}

/// A server's words, cut to what people read, in one line.
pub(super) fn says(text: &str) -> String {
    touchmark_identity::printable(text).chars().take(SAYS_CHARS_MAX).collect()
}

/// The file: one struct for this boundary. Unknown fields are skipped, so that an older agent can take over.
#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    #[serde(with = "moment")]
    floor: Timestamp,
    hint: Option<FileHint>,
    failures: u32,
    #[serde(with = "maybe_moment")]
    retry_at: Option<Timestamp>,
    standing: Standing,
    failure: Option<Failure>,
    renewed: Option<Renewed>,
    announced: Option<String>,
    followed: Vec<FileFollowed>,
}

#[derive(Serialize, Deserialize)]
struct FileHint {
    certificate: String,
    #[serde(with = "moment")]
    start: Timestamp,
    #[serde(with = "moment")]
    end: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct FileFollowed {
    anchor: String,
    on_word_of: String,
}

impl File {
    fn of(record: &StateRecord) -> Self {
        let StateRecord { floor, hint, failures, retry_at, standing, failure, renewed, announced, followed } =
            record.clone();
        Self {
            version: VERSION,
            floor,
            hint: hint.map(|(certificate, window)| FileHint {
                certificate: certificate.to_string(),
                start: window.start(),
                end: window.end(),
            }),
            failures,
            retry_at,
            standing,
            failure,
            renewed,
            announced: announced.map(|fingerprint| fingerprint.to_string()),
            followed: followed
                .iter()
                .map(|Followed { anchor, on_word_of }| FileFollowed {
                    anchor: anchor.to_string(),
                    on_word_of: on_word_of.to_string(),
                })
                .collect(),
        }
    }

    fn into_record(self) -> Option<StateRecord> {
        let hint = match self.hint {
            None => None,
            Some(FileHint { certificate, start, end }) => {
                Some((certificate.parse().ok()?, RenewalWindow::new(start, end).ok()?))
            }
        };
        let announced = match self.announced {
            None => None,
            Some(fingerprint) => Some(fingerprint.parse().ok()?),
        };
        let followed = self.followed.iter().map(|FileFollowed { anchor, on_word_of }| {
            Some(Followed { anchor: anchor.parse().ok()?, on_word_of: on_word_of.parse().ok()? })
        });
        Some(StateRecord {
            floor: self.floor,
            hint,
            failures: self.failures,
            retry_at: self.retry_at,
            standing: self.standing,
            failure: self.failure,
            renewed: self.renewed,
            announced,
            followed: followed.collect::<Option<_>>()?,
        })
    }
}

/// RFC 3339.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use touchmark_identity::Timestamp;

    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(moment)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        Timestamp::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// RFC 3339, or null.
mod maybe_moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use touchmark_identity::Timestamp;

    pub(super) fn serialize<S: Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => to.collect_str(moment),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| Timestamp::parse(&text)).transpose().map_err(D::Error::custom)
    }
}
