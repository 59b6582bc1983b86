//! The agent's one configuration file, in TOML: read once, every fault told at once with its key.
//!
//! In: a path. Out: [`Config`], in which nothing is left to be checked but what others may change meanwhile
//! (token files are read when a token is needed). Unknown keys are refused: a misspelt one would be silence.
//! Secrets stand in files that the configuration names, never in it.

mod section;

use crate::hooks::{COMMAND_WORDS_MAX, Hook, event_from_word};
use crate::socket::{Foreign, Users, passwd};
use crate::store::others_may_write;
use crate::transport::ServerAddress;
use core::fmt;
use core::time::Duration;
use section::Section;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_x509::{Certificate, SoftwareKey};

/// Most environments: each has a thread of its own, and a device belongs to a handful.
pub const ENVIRONMENTS_MAX: usize = 16;
/// Most anchors for one environment: a root, its successor, an offline spare, and one more.
pub const ANCHORS_MAX: usize = 4;
/// Most hooks of one environment.
const HOOKS_MAX: usize = 8;
/// Most users that are allowed at one environment's key.
const USERS_MAX: usize = 16;
/// Longest file read here: a full configuration has 10 KiB, four anchors less.
const FILE_OCTETS_MAX: u64 = 256 * 1024;
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);
const HOOK_TIMEOUT_S: core::ops::RangeInclusive<u64> = 1..=600;
/// Longest path of the socket: Linux takes 107 (unix(7)), and it is made in a folder beside it.
const SOCKET_OCTETS_MAX: usize = 95;

/// What the agent shall do.
#[derive(Debug)]
pub struct Config {
    /// Holds one folder for each environment.
    pub state: PathBuf,
    /// Where applications ask; `None`: nowhere.
    pub socket: Option<PathBuf>,
    /// At least one, at most [`ENVIRONMENTS_MAX`], no name twice.
    pub environments: Vec<EnvironmentConfig>,
}

/// One identity to keep fresh.
#[derive(Debug)]
pub struct EnvironmentConfig {
    pub name: EnvironmentName,
    /// The name in it.
    pub identity: Name,
    /// The authority's EST address.
    pub server: ServerAddress,
    /// What is pinned: 1 to [`ANCHORS_MAX`] authorities' certificates.
    pub anchors: Vec<Certificate>,
    /// On whose word the first certificate is asked for.
    pub start: StartConfig,
    /// Who may sign with the key and ask for a renewal, beside root and the agent's own user.
    pub users: Users,
    /// What the socket signs beside messages of applications' own.
    pub signs: Vec<Foreign>,
    /// What runs when something has happened.
    pub hooks: Vec<Hook>,
}

/// On whose word the first certificate is asked for.
#[derive(Debug)]
pub enum StartConfig {
    /// A token file, read when it is needed; it may come later.
    Token(PathBuf),
    /// A maker's certificate and its key.
    Initial {
        /// Leaf first.
        chain: Vec<Certificate>,
        /// The leaf's key.
        key: Box<SoftwareKey>,
    },
    /// Nothing: the credential is put there by other means.
    None,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Like `environment[0].server`.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// Why there is no configuration; whoever wrote it must act.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadConfig {
    pub file: PathBuf,
    /// Everything that is wrong with it; never empty.
    pub faults: Vec<Fault>,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be meant like that:", self.file.display())?;
        self.faults.iter().try_for_each(|Fault { key, why }| write!(f, "\n  {key}: {why}"))
    }
}

impl Config {
    /// The socket that a configuration names, whatever else stands in it; for whoever asks a running agent.
    ///
    /// # Errors
    /// [`BadConfig`].
    pub fn socket_of(file: &Path) -> Result<Option<PathBuf>, BadConfig> {
        let bad = |key: &str, why: String| BadConfig {
            file: file.to_owned(),
            faults: vec![Fault { key: key.to_owned(), why }],
        };
        let text = read_text(file, OthersMay::Read).map_err(|why| bad("file", why))?;
        let table = text.parse::<toml::Table>().map_err(|error| bad("file", error.to_string()))?;
        match table.get("socket") {
            None => Ok(None),
            Some(toml::Value::String(path)) if path.starts_with('/') => Ok(Some(path.into())),
            Some(_) => Err(bad("socket", "expected a path that starts with /".to_owned())),
        }
    }

    /// Reads a configuration, with the anchors and initial credentials that it names.
    ///
    /// # Errors
    /// [`BadConfig`] with every fault.
    pub fn read(file: &Path) -> Result<Self, BadConfig> {
        let bad = |faults| BadConfig { file: file.to_owned(), faults };
        let whole = |why| bad(vec![Fault { key: "file".to_owned(), why }]);
        let text = read_text(file, OthersMay::Read).map_err(whole)?;
        let table = text.parse::<toml::Table>().map_err(|error| whole(error.to_string()))?;
        let mut faults = Vec::new();
        let config = Self::of(Section::root(table, &mut faults));
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            Some(_) | None => Err(bad(faults)),
        }
    }

    fn of(mut top: Section<'_>) -> Option<Self> {
        let state = top.path("state");
        if let Some(why) = state.as_deref().and_then(others_may_write) {
            top.fault("state", why);
        }
        let socket = top.optional_path("socket");
        if socket.as_ref().is_some_and(|path| path.as_os_str().len() > SOCKET_OCTETS_MAX) {
            top.fault("socket", format!("a socket's path has at most {SOCKET_OCTETS_MAX} characters"));
        }
        let mut environments: Vec<EnvironmentConfig> = Vec::new();
        let mut whole = true;
        let listed =
            top.tables("environment", ENVIRONMENTS_MAX, |section| match EnvironmentConfig::of(section) {
                Some(environment) => environments.push(environment),
                None => whole = false,
            });
        for (place, environment) in environments.iter().enumerate() {
            if environments[..place].iter().any(|earlier| earlier.name == environment.name) {
                top.fault("environment", format!("`{}` stands there twice", environment.name));
            }
        }
        if whole && listed && environments.is_empty() {
            top.fault("environment", "there is none: nothing to do".to_owned());
        }
        top.finish();
        (whole && listed).then_some(Self { state: state?, socket, environments })
    }
}

impl EnvironmentConfig {
    fn of(mut section: Section<'_>) -> Option<Self> {
        let name = section.parsed("name");
        let identity = section.parsed("identity");
        let server = section.parsed("server");
        let anchors = section.path("anchors").and_then(|path| anchors(&path, &mut section));
        let start = start(&mut section);
        let users = users(&mut section);
        let signs = signs(&mut section);
        let mut hooks = Vec::new();
        let mut whole = true;
        let listed = section.tables("hook", HOOKS_MAX, |section| match hook(section) {
            Some(hook) => hooks.push(hook),
            None => whole = false,
        });
        section.finish();
        let hooks = (whole && listed).then_some(hooks)?;
        Some(Self {
            name: name?,
            identity: identity?,
            server: server?,
            anchors: anchors?,
            start: start?,
            users: users?,
            signs: signs?,
            hooks,
        })
    }
}

fn anchors(path: &Path, section: &mut Section<'_>) -> Option<Vec<Certificate>> {
    let read = read_text(path, OthersMay::Read)
        .and_then(|pem| Certificate::from_pem_many(&pem).map_err(|fault| fault.to_string()));
    let why = match read {
        Ok(anchors) if anchors.len() > ANCHORS_MAX => {
            format!("at most {ANCHORS_MAX} anchors are pinned, here are {}", anchors.len())
        }
        Ok(anchors) if anchors.iter().any(|anchor| !anchor.is_ca()) => {
            "an anchor is an authority's certificate, and one of these is not".to_owned()
        }
        Ok(anchors) => return Some(anchors),
        Err(why) => why,
    };
    section.fault("anchors", format!("{}: {why}", path.display()));
    None
}

fn start(section: &mut Section<'_>) -> Option<StartConfig> {
    let token = section.optional_path("token_file");
    let chain = section.optional_path("initial_chain");
    let key = section.optional_path("initial_key");
    match (token, chain, key) {
        (None, None, None) => Some(StartConfig::None),
        (Some(file), None, None) => Some(StartConfig::Token(file)),
        (None, Some(chain), Some(key)) => {
            let chain = read_text(&chain, OthersMay::Write)
                .and_then(|pem| Certificate::from_pem_many(&pem).map_err(|fault| fault.to_string()))
                .map_err(|why| section.fault("initial_chain", format!("{}: {why}", chain.display())));
            let key = read_text(&key, OthersMay::Nothing)
                .and_then(|pem| SoftwareKey::from_pkcs8_pem(&pem).map_err(|fault| fault.to_string()))
                .map_err(|why| section.fault("initial_key", format!("{}: {why}", key.display())));
            Some(StartConfig::Initial { chain: chain.ok()?, key: Box::new(key.ok()?) })
        }
        (Some(_), ..) => {
            section.fault("token_file", "give a token or an initial certificate, not both".to_owned());
            None
        }
        (None, ..) => {
            section.fault("initial_chain", "goes with initial_key: give both or neither".to_owned());
            None
        }
    }
}

fn users(section: &mut Section<'_>) -> Option<Users> {
    let words = section.optional_words("users", USERS_MAX)?;
    let mut known = Vec::new();
    for word in &words {
        match passwd::uid_of(word) {
            Ok(uid) => known.push(uid),
            Err(why) => section.fault("users", why),
        }
    }
    (known.len() == words.len()).then(|| Users::allowing(known))
}

fn signs(section: &mut Section<'_>) -> Option<Vec<Foreign>> {
    let words = section.optional_words("signs", 2)?;
    let mut known = Vec::new();
    for word in &words {
        match Foreign::from_word(word) {
            Some(foreign) => known.push(foreign),
            None => section.fault("signs", format!("`{word}` is none of tls, certificate-request")),
        }
    }
    (known.len() == words.len()).then_some(known)
}

fn hook(mut section: Section<'_>) -> Option<Hook> {
    let mut on = Vec::new();
    for word in section.words("on", 3).unwrap_or_default() {
        match event_from_word(&word) {
            Some(event) => on.push(event),
            None => section.fault("on", format!("`{word}` is none of renewed, refused, expiring")),
        }
    }
    let command = section.words("command", COMMAND_WORDS_MAX);
    let program = command.as_ref().and_then(|words| words.first()).map(PathBuf::from);
    if let Some(why) = program.and_then(|program| not_runnable(&program)) {
        section.fault("command", why);
    }
    let timeout = section.seconds("timeout_s", HOOK_TIMEOUT_S).unwrap_or(HOOK_TIMEOUT);
    section.finish();
    Some(Hook { on, command: command?, timeout })
}

fn not_runnable(program: &Path) -> Option<String> {
    if !program.is_absolute() {
        return Some("a program is named by its whole path: nothing is searched".to_owned());
    }
    match program.metadata() {
        Ok(file) if file.is_file() && file.mode() & 0o111 != 0 => None,
        Ok(_) => Some(format!("{} is no program", program.display())),
        Err(error) => Some(format!("{}: {error}", program.display())),
    }
}

/// What others than the owner may do with a file that is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OthersMay {
    /// Our own certificates: their key proves them.
    Write,
    /// It names commands, or whom to trust: everybody who can write it is as powerful as the agent.
    Read,
    /// A key, for the owner and perhaps a group.
    Nothing,
}

impl OthersMay {
    /// Permission bits that the file must not have, and what helps.
    fn forbids(self) -> (u32, &'static str) {
        match self {
            Self::Write => (0, ""),
            Self::Read => (0o022, "others may write it: chmod go-w"),
            Self::Nothing => (0o027, "others may read or write it: chmod g-w,o="),
        }
    }
}

fn read_text(path: &Path, others: OthersMay) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let kind = file.metadata().map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("not a file".to_owned());
    }
    let (forbidden, fix) = others.forbids();
    if kind.mode() & forbidden != 0 {
        return Err(fix.to_owned());
    }
    let mut text = String::new();
    file.take(FILE_OCTETS_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_OCTETS_MAX { Err("too long".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
