//! The data directory: where everything of one installation lies, and how one command finds another's server.
//!
//! `--data`, else TOUCHMARK_DATA, else `$XDG_STATE_HOME/touchmark`, else `~/.local/state/touchmark`.

use crate::failure::{Exit, Failure};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use touchmark_api::Ready;
use touchmark_durable::{Mode, write_changed};
use touchmark_identity::{EnvironmentName, Name};

/// Longest file of ours that is read whole.
const FILE_OCTETS_MAX: u64 = 1024 * 1024;

/// A data directory that may or may not exist yet.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// `data` is `--data` or TOUCHMARK_DATA.
    pub fn find(data: Option<PathBuf>) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let chosen = data
            .or_else(|| variable("XDG_STATE_HOME").map(|state| PathBuf::from(state).join("touchmark")))
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state/touchmark")));
        let chosen =
            chosen.ok_or_else(|| Failure::usage("where is the data directory?").fix("--data DIR"))?;
        let whole = std::path::absolute(&chosen)
            .map_err(|error| Failure::usage("the data directory cannot be meant").why(error.to_string()))?;
        Ok(Self(whole))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn endpoints(&self) -> PathBuf {
        self.0.join("endpoints.json")
    }

    /// Chain and key of the operator.
    pub fn operator(&self) -> (PathBuf, PathBuf) {
        (self.0.join("operator/operator.pem"), self.0.join("operator/operator.key"))
    }

    /// Trust anchors of an environment.
    pub fn anchors(&self, environment: &EnvironmentName) -> PathBuf {
        self.0.join("ca").join(format!("{environment}.pem"))
    }

    pub fn device(&self, environment: &EnvironmentName, name: &Name) -> PathBuf {
        self.0.join("devices").join(environment.as_str()).join(name.as_str())
    }

    pub fn gateway(&self, name: &Name) -> PathBuf {
        self.0.join("gateways").join(name.as_str())
    }

    /// Where the running (or last) server is.
    pub fn ready(&self) -> Result<Ready, Failure> {
        let path = self.endpoints();
        let text = read(&path).map_err(|failure| match std::fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Failure::new(
                Exit::NotFound,
                "no-server",
                "no server has run in this data directory",
            )
            .what(format!("data directory {}", self.0.display()))
            .why(failure.brief())
            .fix("give the server's directory with --data, or start one there: touchmark server up --help"),
            // It may well have run: we are not let in.
            Err(_) | Ok(_) => Failure::new(Exit::Denied, "no-access", "the data directory cannot be read")
                .what(format!("data directory {}", self.0.display()))
                .why(failure.brief())
                .fix("run this as the user that the server runs as"),
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::usage("the list of addresses cannot be read")
                .what(path.display().to_string())
                .why(error.to_string())
                .fix("start the server again, with the words of its last start")
        })
    }

    /// Tells other commands where the server is.
    pub fn write_ready(&self, ready: &Ready) -> Result<(), Failure> {
        write_ready(&self.endpoints(), ready)
    }
}

pub fn write_ready(path: &Path, ready: &Ready) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(ready)
        .map_err(|error| Failure::internal("the addresses have no form in JSON").why(error.to_string()))?;
    Ok(write_changed(path, &text, Mode::Private0600)?)
}

/// One of the addresses, or what to start to have it.
pub fn address(held: Option<String>, what: &str) -> Result<String, Failure> {
    held.ok_or_else(|| {
        Failure::new(Exit::Unreachable, "not-running", format!("no {what} is running here"))
            .fix("start it with the words of its last start: touchmark server up, or touchmark gateway up")
    })
}

/// A file's text, bounded.
pub fn read(path: &Path) -> Result<String, Failure> {
    let fault = |why: String| {
        Failure::new(Exit::NotFound, "file", "a file cannot be read")
            .what(path.display().to_string())
            .why(why)
    };
    let length = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
    if length > FILE_OCTETS_MAX {
        return Err(fault(format!("it has {length} octets, more than any file of ours")));
    }
    std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_server_and_one_that_cannot_be_read_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path().to_owned())).unwrap();
        assert_eq!(home.ready().unwrap_err().code(), "no-server");
        // A folder in its place cannot be read as a file by anybody, root included.
        std::fs::create_dir(home.endpoints()).unwrap();
        let refused = home.ready().unwrap_err();
        assert_eq!((refused.code(), refused.exit()), ("no-access", Exit::Denied));
        // Below a file there is no directory.
        std::fs::write(folder.path().join("file"), "").unwrap();
        let below = Home::find(Some(folder.path().join("file/data"))).unwrap();
        assert_eq!(below.ready().unwrap_err().code(), "no-access");
        for code in ["no-server", "no-access"] {
            assert!(!home.ready().unwrap_err().to_string().contains("--dev"), "{code}");
        }
    }
}
