//! The device policy of an environment as it travels: source files, the topic patterns beside them, one version.

use crate::FeedFault;
use crate::canonical::{Reader, Writer};

/// Files in one bundle: an operator edits them by hand.
const FILES_MAX: usize = 256;
/// Octets of a file's name: what file systems take.
const FILE_NAME_OCTETS_MAX: usize = 255;
/// Octets of one file, and of the topic patterns.
const FILE_OCTETS_MAX: usize = 1 << 20;
/// Octets of all files: a gateway compiles the whole bundle in memory.
const BUNDLE_OCTETS_MAX: usize = 8 << 20;

/// Sources of one policy version; only the newest is kept by anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBundle {
    /// Names this content: a hash over the sources, computed by whoever compiles them.
    pub version: [u8; 32],
    /// File name and text, in the order in which they were activated.
    pub files: Vec<(String, String)>,
    /// The named topic patterns (`topics.toml`).
    pub topics: String,
}

impl PolicyBundle {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.array(3).bytes(&self.version).array(self.files.len());
        for (name, text) in &self.files {
            out.array(2).text(name).text(text);
        }
        out.text(&self.topics);
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, FeedFault> {
        from.array_of(3)?;
        let version = from.fixed()?;
        let count = from.array()?;
        if count > FILES_MAX {
            return Err(FeedFault::TooLarge("policy files"));
        }
        let mut files = Vec::with_capacity(count);
        let mut octets = 0_usize;
        for _ in 0..count {
            from.array_of(2)?;
            let name = from.text_within(FILE_NAME_OCTETS_MAX)?;
            let text = from.text_within(FILE_OCTETS_MAX)?;
            octets = octets.saturating_add(text.len());
            if octets > BUNDLE_OCTETS_MAX {
                return Err(FeedFault::TooLarge("octets of all policy files"));
            }
            files.push((name.to_owned(), text.to_owned()));
        }
        let topics = from.text_within(FILE_OCTETS_MAX)?.to_owned();
        Ok(Self { version, files, topics })
    }
}
