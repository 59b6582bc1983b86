//! A policy folder on disk, read whole or refused: a rule that is silently left out may be the one that forbids.
//!
//! In: a folder. Out: its texts for the authority, or which file is in the way and why. Read are `*.cedar` and
//! `topics.toml` in the folder itself; whatever else looks like one of them, anywhere below, is a fault.

use crate::failure::{Exit, Failure};
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use touchmark_api::PolicyDocument;

pub(crate) const TOPICS: &str = "topics.toml";
const RULES: &str = ".cedar";
/// More files than this are another folder given by mistake.
const FILES_MAX: usize = 64;
/// Entries that are looked at, with those of subfolders: more are another folder given by mistake.
const ENTRIES_MAX: usize = 4096;
/// The authority takes less for the whole.
const FILE_OCTETS_MAX: u64 = 1 << 20;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads a folder; its order is by name, so that the same folder is the same policy everywhere.
///
/// # Errors
/// [`Failure`] names the file.
pub(crate) fn read(dir: &Path) -> Result<PolicyDocument, Failure> {
    let (mut names, mut others) = (Vec::new(), Vec::new());
    for entry in entries(dir)? {
        match entry.file_name().to_str() {
            Some(name) if name.ends_with(RULES) && name != RULES || name == TOPICS => {
                names.push(name.to_owned());
            }
            _ => others.push(entry.path()),
        }
    }
    names.sort();
    let topics = names.iter().position(|name| name == TOPICS).map(|at| names.remove(at));
    let mut taken = BTreeSet::new();
    let mut take = |name: &str| {
        let path = dir.join(name);
        taken.insert(path.canonicalize().map_err(|error| fault(&path, error.to_string()))?);
        text(&path)
    };
    if names.len() > FILES_MAX {
        return Err(fault(
            dir,
            format!("it holds {} {RULES} files, {FILES_MAX} at most are taken", names.len()),
        ));
    }
    let files =
        names.iter().map(|name| Ok((name.clone(), take(name)?))).collect::<Result<Vec<_>, Failure>>()?;
    let topics = topics.map(|name| take(&name)).transpose()?;
    let base = dir.canonicalize().map_err(|error| fault(dir, error.to_string()))?;
    nothing_left_out(&base, others, &taken)?;
    if files.is_empty() {
        return Err(fault(dir, format!("it holds no {RULES} file")));
    }
    let missing =
        || fault(&dir.join(TOPICS), "a policy folder holds the patterns of topics in this file".to_owned());
    Ok(PolicyDocument { files, topics: topics.ok_or_else(missing)?, dry_run: false })
}

/// Goes through everything else, and refuses what somebody may think is part of the policy.
fn nothing_left_out(base: &Path, mut others: Vec<PathBuf>, taken: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let mut seen = 0;
    while let Some(path) = others.pop() {
        seen += 1;
        if seen > ENTRIES_MAX {
            return Err(fault(&path, format!("the folder holds more than {ENTRIES_MAX} files")));
        }
        let kind =
            std::fs::symlink_metadata(&path).map_err(|error| fault(&path, error.to_string()))?.file_type();
        if kind.is_dir() {
            others.extend(entries(&path)?.iter().map(std::fs::DirEntry::path));
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let looks_like_policy = name.contains(RULES) || name == TOPICS;
        let real = path.canonicalize().ok();
        // A link to a folder hides what stands behind it, unless that is in this folder and looked at there.
        let hides = kind.is_symlink() && std::fs::metadata(&path).is_ok_and(|behind| behind.is_dir());
        let unknown = match &real {
            Some(real) if hides => !real.starts_with(base),
            Some(real) => !taken.contains(real),
            None => true,
        };
        if (looks_like_policy || hides) && unknown {
            return Err(fault(&path, unread(hides)));
        }
    }
    Ok(())
}

fn unread(hides: bool) -> String {
    match hides {
        true => "it is a link to a folder elsewhere, and what is there is not read".to_owned(),
        false => format!(
            "it is not read: read are `NAME{RULES}` and `{TOPICS}`, spelt so, in the folder itself; rename it, move it up, or \
             take it away"
        ),
    }
}

fn entries(dir: &Path) -> Result<Vec<std::fs::DirEntry>, Failure> {
    let listed = std::fs::read_dir(dir).and_then(|entries| entries.take(ENTRIES_MAX + 1).collect());
    let listed: Vec<_> = listed.map_err(|error| fault(dir, error.to_string()))?;
    match listed.len() > ENTRIES_MAX {
        true => Err(fault(dir, format!("the folder holds more than {ENTRIES_MAX} files"))),
        false => Ok(listed),
    }
}

/// One file, in UTF-8, without a byte order mark.
fn text(path: &Path) -> Result<String, Failure> {
    let found: Metadata = std::fs::metadata(path).map_err(|error| fault(path, error.to_string()))?;
    if !found.is_file() {
        return Err(fault(path, "it is no file".to_owned()));
    }
    if found.len() > FILE_OCTETS_MAX {
        return Err(fault(
            path,
            format!("it has {} octets, a policy has less than {FILE_OCTETS_MAX}", found.len()),
        ));
    }
    let octets = std::fs::read(path).map_err(|error| fault(path, error.to_string()))?;
    let utf16 = octets.starts_with(&[0xff, 0xfe]) || octets.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(octets).map_err(|bad| {
        let at = bad.utf8_error().valid_up_to();
        let why = if utf16 { "it is UTF-16".to_owned() } else { format!("octet {at} is no UTF-8") };
        fault(path, format!("{why}; save it as UTF-8"))
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(ToOwned::to_owned).unwrap_or(text))
}

fn fault(path: &Path, why: String) -> Failure {
    Failure::new(Exit::NotFound, "folder", "the policy folder cannot be read whole")
        .what(path.display().to_string())
        .why(why)
        .fix("touchmark policy get --dir DIR   (writes the one in force)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder with one rule and the topics, after a change.
    fn after(change: impl FnOnce(&Path)) -> Result<PolicyDocument, String> {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("policy");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("a.cedar"), "permit").unwrap();
        std::fs::write(dir.join(TOPICS), "[topics]").unwrap();
        change(&dir);
        read(&dir).map_err(|failure| failure.to_string())
    }

    fn put(dir: &Path, name: &str, octets: &[u8]) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, octets).unwrap();
    }

    #[test]
    fn a_folder_is_read_whole() {
        let read = after(|dir| {
            put(dir, "b.cedar", "\u{feff}forbid".as_bytes());
            put(dir, "README.md", b"about");
            put(dir, ".git/config", b"x");
            put(dir, "docs/notes.txt", b"x");
        })
        .unwrap();
        let files = [("a.cedar", "permit"), ("b.cedar", "forbid")];
        assert_eq!(read.files, files.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(read.topics, "[topics]");
        let linked = after(|dir| {
            // As Kubernetes mounts a ConfigMap: every file is a link into a folder beside it.
            put(dir, "..2026/b.cedar", b"forbid");
            symlink("..2026", dir.join("..data")).unwrap();
            symlink("..data/b.cedar", dir.join("b.cedar")).unwrap();
        });
        assert_eq!(linked.unwrap().files.len(), 2);
    }

    #[test]
    fn what_would_be_left_out_is_named() {
        type Change = fn(&Path);
        let rows: &[(&str, Change, &str)] = &[
            ("a subfolder", |dir| put(dir, "sub/no.cedar", b"forbid"), "sub/no.cedar"),
            ("a deep one", |dir| put(dir, "a/b/c/no.cedar", b"forbid"), "a/b/c/no.cedar"),
            ("a hidden one", |dir| put(dir, ".off/no.cedar", b"forbid"), ".off/no.cedar"),
            ("capitals", |dir| put(dir, "no.CEDAR", b"forbid"), "no.CEDAR"),
            ("some capitals", |dir| put(dir, "no.Cedar", b"forbid"), "no.Cedar"),
            ("another suffix", |dir| put(dir, "no.cedar.txt", b"forbid"), "no.cedar.txt"),
            ("a copy", |dir| put(dir, "no.cedar~", b"forbid"), "no.cedar~"),
            ("a space", |dir| put(dir, "no.cedar ", b"forbid"), "no.cedar "),
            ("no name", |dir| put(dir, ".cedar", b"forbid"), ".cedar"),
            ("topics in capitals", |dir| put(dir, "Topics.TOML", b""), "Topics.TOML"),
            ("a folder called so", |dir| std::fs::create_dir(dir.join("no.cedar")).unwrap(), "it is no file"),
            ("a dead link", |dir| symlink("nowhere", dir.join("no.cedar")).unwrap(), "no.cedar"),
            (
                "a link to a folder elsewhere",
                |dir| symlink("/", dir.join("more")).unwrap(),
                "link to a folder",
            ),
            ("not UTF-8", |dir| put(dir, "no.cedar", b"ok\xff"), "octet 2 is no UTF-8"),
            ("UTF-16", |dir| put(dir, "no.cedar", b"\xff\xfep\0"), "it is UTF-16"),
            ("no rules", |dir| std::fs::remove_file(dir.join("a.cedar")).unwrap(), "no .cedar file"),
            ("no topics", |dir| std::fs::remove_file(dir.join(TOPICS)).unwrap(), TOPICS),
            ("no folder", |dir| std::fs::remove_dir_all(dir).unwrap(), "No such file"),
        ];
        for (name, change, says) in rows {
            let refused = after(change).map(|read| read.files).unwrap_err();
            assert!(refused.contains(says), "{name}: {refused}");
        }
    }
}
