//! A policy folder on disk, read whole or refused: a rule that is silently left out may be the one that forbids.
//!
//! In: a folder. Out: its texts for the authority, or which file is in the way and why. Read are `*.cedar` and
//! `topics.toml` in the folder itself. A few names of what lies beside a policy and is none are passed over and told;
//! whatever else is there, at any depth, is a fault.

use crate::failure::{Exit, Failure};
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use touchmark_api::PolicyDocument;

pub(crate) const TOPICS: &str = "topics.toml";
const RULES: &str = ".cedar";
/// Texts about a policy: these names in any case, alone or with one of the suffixes.
const ABOUT: [&str; 4] = ["readme", "license", "changelog", "notice"];
const ABOUT_SUFFIXES: [&str; 5] = ["", ".md", ".txt", ".rst", ".adoc"];
/// What tools keep beside it.
const OF_TOOLS: [&str; 6] =
    [".git", ".gitignore", ".gitattributes", ".gitkeep", ".editorconfig", ".ds_store"];
/// More files than this are another folder given by mistake.
const FILES_MAX: usize = 64;
/// Entries that are looked at, with those of subfolders: more are another folder given by mistake.
const ENTRIES_MAX: usize = 4096;
const HELP: &str = "touchmark policy get --dir DIR   (writes the one in force)";
/// The authority takes less for the whole.
const FILE_OCTETS_MAX: u64 = 1 << 20;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A folder that was read.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) document: PolicyDocument,
    /// Names of what is no part of it.
    pub(crate) passed_over: Vec<String>,
}

/// Reads a folder; its order is by name, so that the same folder is the same policy everywhere.
///
/// # Errors
/// [`Failure`] names the file.
pub(crate) fn read(dir: &Path) -> Result<Folder, Failure> {
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
    let passed_over = nothing_left_out(&base, others, &taken)?;
    if files.is_empty() {
        return Err(fault(dir, format!("it holds no {RULES} file")));
    }
    let missing =
        || fault(&dir.join(TOPICS), "a policy folder holds the patterns of topics in this file".to_owned());
    let topics = topics.ok_or_else(missing)?;
    let document = PolicyDocument { files, topics, ..PolicyDocument::default() };
    Ok(Folder { document, passed_over })
}

/// Goes through everything else: refuses what may be meant as a part of the policy, and gives the names of the rest. A
/// mounted ConfigMap of Kubernetes has its files in folders like `..data`: what was taken from there is read.
fn nothing_left_out(
    base: &Path,
    mut others: Vec<PathBuf>,
    taken: &BTreeSet<PathBuf>,
) -> Result<Vec<String>, Failure> {
    let (mut seen, mut passed_over) = (0, Vec::new());
    while let Some(path) = others.pop() {
        seen += 1;
        if seen > ENTRIES_MAX {
            return Err(fault(&path, format!("the folder holds more than {ENTRIES_MAX} files")));
        }
        let found = std::fs::symlink_metadata(&path).map_err(|error| fault(&path, error.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let real = path.canonicalize().ok();
        // Behind a link to a folder of this folder is what is looked at there.
        let linked = found.is_symlink() && path.is_dir() && name.starts_with("..");
        let is_read = real.as_ref().is_some_and(|real| match linked {
            true => real.starts_with(base) && real != base,
            false => taken.contains(real),
        });
        if lies_beside(&name, &found) {
            passed_over.push(name);
        } else if found.is_dir() && name.starts_with("..") {
            others.extend(entries(&path)?.iter().map(std::fs::DirEntry::path));
        } else if !is_read {
            return Err(fault(&path, unread(&found)));
        }
    }
    passed_over.sort();
    Ok(passed_over)
}

/// Whether it is known not to be a part of any policy.
fn lies_beside(name: &str, found: &Metadata) -> bool {
    let name = name.to_lowercase();
    let about = |start: &str| name.strip_prefix(start).is_some_and(|rest| ABOUT_SUFFIXES.contains(&rest));
    OF_TOOLS.contains(&name.as_str()) && !found.is_symlink()
        || !found.is_dir() && ABOUT.into_iter().any(about)
}

fn unread(found: &Metadata) -> String {
    let what = if found.is_dir() { "folders are" } else { "it is" };
    format!(
        "{what} not read, and what stands there may be a rule; read are `NAME{RULES}` and `{TOPICS}`, spelt so, in the \
         folder itself: rename it, move it up, or take it away. A README, LICENSE, CHANGELOG or NOTICE and what git keeps may \
         lie there"
    )
}

fn entries(dir: &Path) -> Result<Vec<std::fs::DirEntry>, Failure> {
    let listed = std::fs::read_dir(dir).and_then(|entries| entries.take(ENTRIES_MAX + 1).collect());
    let listed: Vec<_> = listed.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(Exit::NotFound, "folder", "there is no such policy folder")
            .what(dir.display().to_string())
            .why(error.to_string())
            .fix(HELP),
        _ => fault(dir, error.to_string()),
    })?;
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
    Failure::new(Exit::CheckFailed, "folder", "the policy folder cannot be read whole")
        .what(path.display().to_string())
        .why(why)
        .fix(HELP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder with one rule and the topics, after a change.
    fn after(change: impl FnOnce(&Path)) -> Result<Folder, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("policy");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("a.cedar"), "permit").unwrap();
        std::fs::write(dir.join(TOPICS), "[topics]").unwrap();
        change(&dir);
        read(&dir)
    }

    fn put(dir: &Path, name: &str, octets: &[u8]) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, octets).unwrap();
    }

    #[test]
    fn a_folder_is_read_whole_and_what_is_passed_over_is_told() {
        let read = after(|dir| {
            put(dir, "b.cedar", "\u{feff}forbid".as_bytes());
            put(dir, ".hidden.cedar", b"forbid");
            put(dir, "README.md", b"about");
            put(dir, "readme", b"about");
            put(dir, "LICENSE", b"about");
            put(dir, ".git/config", b"x");
            put(dir, ".gitignore", b"x");
            symlink("a.cedar", dir.join("c.cedar")).unwrap();
        })
        .unwrap();
        let files = [
            (".hidden.cedar", "forbid"),
            ("a.cedar", "permit"),
            ("b.cedar", "forbid"),
            ("c.cedar", "permit"),
        ];
        assert_eq!(read.document.files, files.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(read.document.topics, "[topics]");
        assert_eq!(read.passed_over, [".git", ".gitignore", "LICENSE", "README.md", "readme"]);
        let linked = after(|dir| {
            // As Kubernetes mounts a ConfigMap: every file is a link into a folder beside it.
            put(dir, "..2026/b.cedar", b"forbid");
            put(dir, "..2026/README.md", b"about");
            symlink("..2026", dir.join("..data")).unwrap();
            symlink("..data/b.cedar", dir.join("b.cedar")).unwrap();
            symlink("..data/README.md", dir.join("README.md")).unwrap();
        });
        assert_eq!(linked.unwrap().document.files.len(), 2);
    }

    #[test]
    fn what_would_be_left_out_is_named() {
        type Change = fn(&Path);
        let rows: &[(&str, Change, &str)] = &[
            ("a subfolder", |dir| put(dir, "sub/no.cedar", b"forbid"), "policy/sub"),
            ("a deep one", |dir| put(dir, "a/b/c/no.cedar", b"forbid"), "policy/a"),
            ("a hidden one", |dir| put(dir, ".off/no.cedar", b"forbid"), "policy/.off"),
            ("an empty one", |dir| std::fs::create_dir(dir.join("sub")).unwrap(), "policy/sub"),
            ("a subfolder of other files", |dir| put(dir, "docs/notes", b"forbid"), "policy/docs"),
            ("capitals", |dir| put(dir, "no.CEDAR", b"forbid"), "no.CEDAR"),
            ("some capitals", |dir| put(dir, "no.Cedar", b"forbid"), "no.Cedar"),
            ("another suffix", |dir| put(dir, "no.cedar.txt", b"forbid"), "no.cedar.txt"),
            ("a suffix behind", |dir| put(dir, "no.cedar.bak", b"forbid"), "no.cedar.bak"),
            ("a copy", |dir| put(dir, "no.cedar~", b"forbid"), "no.cedar~"),
            ("a space", |dir| put(dir, "no.cedar ", b"forbid"), "no.cedar "),
            ("no name", |dir| put(dir, ".cedar", b"forbid"), ".cedar"),
            ("no dot", |dir| put(dir, "nocedar", b"forbid"), "nocedar"),
            ("a text", |dir| put(dir, "no.txt", b"forbid"), "no.txt"),
            ("nearly a README", |dir| put(dir, "README.cedar.md", b"forbid"), "README.cedar.md"),
            ("a README with more behind", |dir| put(dir, "README-2.md", b"forbid"), "README-2.md"),
            ("a folder called so", |dir| put(dir, "README/no", b"forbid"), "policy/README"),
            ("no UTF-8", |dir| put(dir, "no.cedar.\u{fffd}", b"forbid"), "no.cedar."),
            ("topics in capitals", |dir| put(dir, "Topics.TOML", b""), "Topics.TOML"),
            (
                "a folder called like a file",
                |dir| std::fs::create_dir(dir.join("no.cedar")).unwrap(),
                "it is no file",
            ),
            ("a dead link", |dir| symlink("nowhere", dir.join("no.cedar")).unwrap(), "no.cedar"),
            ("a link elsewhere", |dir| symlink("/etc/hostname", dir.join("more")).unwrap(), "policy/more"),
            ("a link to a folder elsewhere", |dir| symlink("/", dir.join("more")).unwrap(), "policy/more"),
            ("such a link with dots", |dir| symlink("/", dir.join("..more")).unwrap(), "policy/..more"),
            ("a link to the folder itself", |dir| symlink(".", dir.join("..more")).unwrap(), "policy/..more"),
            ("dots in front", |dir| put(dir, "..more/no.cedar", b"forbid"), "..more/no.cedar"),
            ("not UTF-8", |dir| put(dir, "no.cedar", b"ok\xff"), "octet 2 is no UTF-8"),
            ("UTF-16", |dir| put(dir, "no.cedar", b"\xff\xfep\0"), "it is UTF-16"),
            ("no rules", |dir| std::fs::remove_file(dir.join("a.cedar")).unwrap(), "no .cedar file"),
            ("no topics", |dir| std::fs::remove_file(dir.join(TOPICS)).unwrap(), TOPICS),
        ];
        for (name, change, says) in rows {
            let refused = after(change).map(|read| read.document.files).unwrap_err();
            assert_eq!(refused.exit(), Exit::CheckFailed, "{name}");
            assert!(refused.to_string().contains(says), "{name}: {refused}");
        }
        let nowhere = after(|dir| std::fs::remove_dir_all(dir).unwrap()).unwrap_err();
        assert_eq!(nowhere.exit(), Exit::NotFound, "{nowhere}");
    }
}
