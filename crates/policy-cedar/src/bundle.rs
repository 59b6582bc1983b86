//! A policy as it travels: named `.cedar` files and one `topics.toml`, with one canonical encoding.
//!
//! Canonical bytes: the ASCII tag, then big-endian u32 lengths before each text, files sorted by name, topics last.
//! SHA-256 over them is the policy version, so the bytes may never change for the same texts.

use crate::{PolicyFault, PolicyFaults};
use aws_lc_rs::digest;
use touchmark_policy::PolicyVersion;

const TAG: &[u8] = b"touchmark policy bundle v1\n";
const TOPICS_FILE: &str = "topics.toml";

/// The texts of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBundle {
    /// File name and text; order does not matter.
    pub files: Vec<(String, String)>,
    /// The text of `topics.toml`.
    pub topics: String,
}

/// Bytes that are no bundle's canonical encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy bundle in canonical form")]
pub struct BadBundle;

impl PolicyBundle {
    /// Most files: each is read by people.
    pub const FILES_MAX: usize = 256;
    /// Longest bundle, all texts and names together: it is pushed to every gateway.
    pub const OCTETS_MAX: usize = 1 << 20;
    /// Longest file name.
    pub const NAME_OCTETS_MAX: usize = 128;

    /// The policy that a new environment starts with.
    pub fn starter() -> Self {
        Self {
            files: vec![("starter.cedar".to_owned(), include_str!("../starter/starter.cedar").to_owned())],
            topics: include_str!("../starter/topics.toml").to_owned(),
        }
    }

    /// The bytes that are hashed, stored and sent. Files that differ only in order give the same bytes.
    pub fn to_canonical_bytes(&self) -> Vec<u8> {
        let mut files: Vec<&(String, String)> = self.files.iter().collect();
        files.sort_unstable();
        let mut bytes = TAG.to_vec();
        bytes.extend(length(files.len()));
        let texts = files.into_iter().flat_map(|(name, text)| [name, text]).chain([&self.topics]);
        for text in texts {
            bytes.extend(length(text.len()));
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// Reads [`PolicyBundle::to_canonical_bytes`] back; anything else, another order included, is refused.
    pub fn from_canonical_bytes(bytes: &[u8]) -> Result<Self, BadBundle> {
        let mut rest = bytes.strip_prefix(TAG).ok_or(BadBundle)?;
        let count = take_length(&mut rest)?;
        if count > Self::FILES_MAX {
            return Err(BadBundle);
        }
        let mut files = Vec::new();
        for _ in 0..count {
            files.push((take_text(&mut rest)?, take_text(&mut rest)?));
        }
        let bundle = Self { files, topics: take_text(&mut rest)? };
        if bundle.to_canonical_bytes() == bytes { Ok(bundle) } else { Err(BadBundle) }
    }

    /// SHA-256 over the canonical bytes.
    pub fn version(&self) -> PolicyVersion {
        sha256(&self.to_canonical_bytes())
    }

    /// Faults of the bundle as a whole, before any text is read.
    pub(crate) fn check(&self) -> Result<(), PolicyFaults> {
        let mut faults = Vec::new();
        if self.files.is_empty() {
            faults.push(PolicyFault::new("", "the bundle has no policy file", "add a `.cedar` file"));
        }
        if self.files.len() > Self::FILES_MAX {
            let what = format!("{} files, at most {} are accepted", self.files.len(), Self::FILES_MAX);
            faults.push(PolicyFault::new("", what, "put related rules into one file"));
        }
        let octets =
            self.files.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>() + self.topics.len();
        if octets > Self::OCTETS_MAX {
            let what = format!("{octets} octets, at most {} are accepted", Self::OCTETS_MAX);
            faults.push(PolicyFault::new("", what, "use groups instead of a rule per device"));
        }
        let mut names: Vec<&str> = self.files.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                faults.push(PolicyFault::new(one, "the file is there twice", "rename one of them"));
            }
        }
        for name in names.into_iter().filter(|name| !is_file_name(name)).take(PolicyFaults::MAX) {
            let shown: String =
                name.chars().filter(|c| !c.is_control()).take(Self::NAME_OCTETS_MAX).collect();
            let fix = "name it with letters, digits, `.`, `_`, `-` and `/`, ending in `.cedar`";
            faults.push(PolicyFault::new(&shown, "not the name of a policy file", fix));
        }
        PolicyFaults::none_in(faults)
    }

    pub(crate) fn topics_file(&self) -> &'static str {
        TOPICS_FILE
    }
}

/// No name may climb out of the folder that a bundle is unpacked into.
fn is_file_name(name: &str) -> bool {
    name.len() <= PolicyBundle::NAME_OCTETS_MAX
        && name.ends_with(".cedar")
        && name.split('/').all(|part| {
            part.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                && part.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        })
}

pub(crate) fn sha256(bytes: &[u8]) -> PolicyVersion {
    let mut version = [0; 32];
    version.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    PolicyVersion(version)
}

/// Saturates: a text of 4 GiB cannot be compiled, and its encoding cannot be read back.
fn length(octets: usize) -> [u8; 4] {
    u32::try_from(octets).unwrap_or(u32::MAX).to_be_bytes()
}

fn take_length(rest: &mut &[u8]) -> Result<usize, BadBundle> {
    let (octets, after) = rest.split_first_chunk::<4>().ok_or(BadBundle)?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*octets)).map_err(|_| BadBundle)
}

fn take_text(rest: &mut &[u8]) -> Result<String, BadBundle> {
    let octets = take_length(rest)?;
    let (text, after) = rest.split_at_checked(octets).ok_or(BadBundle)?;
    *rest = after;
    core::str::from_utf8(text).map(str::to_owned).map_err(|_| BadBundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_stay_as_they_were_first_hashed() {
        let bundle = PolicyBundle {
            files: vec![("b.cedar".into(), "two".into()), ("a.cedar".into(), "one".into())],
            topics: "t".into(),
        };
        let hex = format!("{}\n{}\n", hex::encode(bundle.to_canonical_bytes()), bundle.version());
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bundle.hex");
        if std::env::var_os("TOUCHMARK_BLESS").is_some() {
            std::fs::write(path, &hex).unwrap();
        }
        assert_eq!(hex, std::fs::read_to_string(path).unwrap());
        let mut turned = bundle.clone();
        turned.files.reverse();
        assert_eq!(turned.version(), bundle.version());
        assert_eq!(PolicyBundle::from_canonical_bytes(&bundle.to_canonical_bytes()), Ok(turned));
    }

    #[test]
    fn bytes_in_any_other_form_are_refused() {
        let good = PolicyBundle::starter().to_canonical_bytes();
        let mut longer = good.clone();
        longer.push(0);
        let mut many = TAG.to_vec();
        many.extend(u32::MAX.to_be_bytes());
        let mut turned = TAG.to_vec();
        for part in
            [&2_u32.to_be_bytes()[..], b"\0\0\0\x01b", b"\0\0\0\0", b"\0\0\0\x01a", b"\0\0\0\0", b"\0\0\0\0"]
        {
            turned.extend(part);
        }
        let rows: [(&str, &[u8]); 6] = [
            ("empty", b""),
            ("cut short", &good[..good.len() - 1]),
            ("trailing octet", &longer),
            ("a file count out of all reason", &many),
            ("another tag", b"touchmark policy bundle v2\n\0\0\0\0\0\0\0\0"),
            ("files out of order", &turned),
        ];
        for (name, bytes) in rows {
            assert_eq!(PolicyBundle::from_canonical_bytes(bytes), Err(BadBundle), "{name}");
        }
        assert_eq!(PolicyBundle::from_canonical_bytes(&good), Ok(PolicyBundle::starter()));
    }

    #[test]
    fn a_bundle_is_bounded_before_it_is_read() {
        let file = |name: &str| (name.to_owned(), String::new());
        type Files = Vec<(String, String)>;
        let rows: Vec<(&str, Files, String)> = vec![
            ("no file", vec![], String::new()),
            ("too many", (0..257).map(|n| file(&format!("f{n}.cedar"))).collect(), String::new()),
            ("too long", vec![file("a.cedar")], "#".repeat(PolicyBundle::OCTETS_MAX)),
            ("twice", vec![file("a.cedar"), file("a.cedar")], String::new()),
            ("climbing", vec![file("../a.cedar")], String::new()),
            ("absolute", vec![file("/a.cedar")], String::new()),
            ("another kind", vec![file("a.txt")], String::new()),
            ("hidden", vec![file(".cedar")], String::new()),
        ];
        for (name, files, topics) in rows {
            assert!(PolicyBundle { files, topics }.check().is_err(), "{name}");
        }
        assert_eq!(PolicyBundle::starter().check(), Ok(()));
    }
}
