//! The token file: read when a token is needed, watched when it was refused.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use touchmark_identity::{Name, Secret};

/// A token file is two short lines.
const OCTETS_MAX: u64 = 4096;
/// Permission bits of strangers.
const STRANGERS: u32 = 0o007;

/// Reads the password out of a token for `identity`: two lines, user name (or its prefix) and password, as
/// `touchmark token create --out FILE` writes them. Nothing of the file is in the fault.
pub(super) fn read(path: &Path, identity: &Name) -> Result<Secret<String>, String> {
    let fault = |why: &str| format!("token file {}: {why}", path.display());
    // A pipe that somebody put there would be waited for.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| fault(&error.to_string()))?;
    let kind = file.metadata().map_err(|error| fault(&error.to_string()))?;
    if !kind.is_file() {
        return Err(fault("not a plain file"));
    }
    if kind.mode() & STRANGERS != 0 {
        return Err(fault("everybody may read it: chmod o= it, and make a new token"));
    }
    let mut octets = Vec::with_capacity(usize::try_from(OCTETS_MAX).unwrap_or_default());
    let read = file.take(OCTETS_MAX).read_to_end(&mut octets);
    let octets = Secret::new(octets);
    read.map_err(|error| fault(&error.to_string()))?;
    let text = core::str::from_utf8(octets.expose()).map_err(|_| fault("not a text"))?;
    let mut lines = text.lines().map(str::trim);
    let (Some(username), Some(password)) = (lines.next(), lines.next()) else {
        return Err(fault("a token is two lines: user name, password"));
    };
    let printable = password.bytes().all(|octet| octet.is_ascii_graphic());
    if password.is_empty() || !printable {
        return Err(fault("its second line is no password"));
    }
    // A token for a prefix is good for every name that starts so.
    if username.is_empty() || !identity.as_str().starts_with(username) {
        return Err(fault("it is for another name"));
    }
    Ok(Secret::new(password.to_owned()))
}

/// What a file looks like from outside; another look is another file, or other contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// The file's look; `None` where there is none.
pub(super) fn look(path: &Path) -> Option<Look> {
    let of = |kind: Metadata| Look {
        inode: kind.ino(),
        length: kind.len(),
        changed: (kind.ctime(), kind.ctime_nsec()),
    };
    path.metadata().ok().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_for_our_name_and_for_our_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let name: Name = "pump-01".parse().unwrap();
        let rows: &[(&str, &str, u32, Option<&str>)] = &[
            ("for one name", "pump-01\nsecret\n", 0o600, Some("secret")),
            ("without a last line feed", "pump-01\r\nsecret", 0o400, Some("secret")),
            ("for a prefix", "pump-\nsecret\n", 0o640, Some("secret")),
            ("for another name", "pump-02\nsecret\n", 0o600, None),
            ("for a longer name", "pump-011\nsecret\n", 0o600, None),
            ("one line", "pump-01\n", 0o600, None),
            ("no password", "pump-01\n\n", 0o600, None),
            ("no name", "\nsecret\n", 0o600, None),
            ("empty", "", 0o600, None),
            ("a password that would end the header", "pump-01\nse\u{7f}cret\n", 0o600, None),
            ("everybody's", "pump-01\nsecret\n", 0o644, None),
        ];
        for (row, text, mode, expected) in rows {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
            let token = read(&path, &name);
            assert_eq!(token.as_ref().ok().map(|token| token.expose().as_str()), *expected, "{row}");
            assert!(token.err().is_none_or(|why| !why.contains("secret")), "{row}");
            std::fs::remove_file(&path).unwrap();
        }
        assert!(read(&path, &name).is_err());
    }

    #[test]
    fn a_pipe_is_no_token_and_nobody_waits_for_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        assert!(read(&path, &"pump-01".parse().unwrap()).unwrap_err().contains("plain file"));
    }

    #[test]
    fn a_replaced_token_looks_different() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(look(&path), None);
        std::fs::write(&path, "a").unwrap();
        let first = look(&path);
        assert_eq!(look(&path), first);
        std::fs::write(folder.path().join("new"), "b").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(look(&path), first);
    }
}
