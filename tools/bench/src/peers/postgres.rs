//! A PostgreSQL of our own for cfssl: a new cluster in a folder, with its defaults, ended and removed afterwards.

use super::{installed, version};
use crate::fault::{Outcome, While as _};
use crate::process::{Process, free_port, program};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// cfssl's tables (its migration 001 for PostgreSQL).
const TABLES: &str = "CREATE TABLE certificates (serial_number bytea NOT NULL, authority_key_identifier bytea NOT NULL, \
    ca_label bytea, status bytea NOT NULL, reason int, expiry timestamptz, revoked_at timestamptz, pem bytea NOT NULL, \
    PRIMARY KEY(serial_number, authority_key_identifier)); \
    CREATE TABLE ocsp_responses (serial_number bytea NOT NULL, authority_key_identifier bytea NOT NULL, \
    body bytea NOT NULL, expiry timestamptz, PRIMARY KEY(serial_number, authority_key_identifier), \
    FOREIGN KEY(serial_number, authority_key_identifier) \
    REFERENCES certificates(serial_number, authority_key_identifier));";

/// A running cluster.
pub(crate) struct Postgres {
    pub(crate) process: Process,
    pub(crate) version: String,
    psql: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster and starts it. As root it runs as the user `postgres`, since it refuses to be root.
    pub(crate) fn start() -> Outcome<Self> {
        let server = server()?;
        let bin = server.parent().while_("a folder of programs")?.to_owned();
        let folder = tempfile::Builder::new().prefix("touchmark-bench-postgres-").tempdir()?;
        crate::interrupt::folder(folder.path());
        let user = account()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        let data = folder.path().join("data");
        let mut initdb = as_user(&bin.join("initdb"), user);
        initdb.args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data);
        quiet(initdb, "initdb")?;
        let port = free_port()?;
        let mut command = as_user(&server, user);
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string()).arg("-k").arg(folder.path());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]);
        let version = version(&server, "--version");
        let process = Process::serve("postgres", &mut command, &std::env::temp_dir(), port)?;
        let mut postgres = Self { process, version, psql: bin.join("psql"), port, user, folder };
        postgres.begin()?;
        Ok(postgres)
    }

    fn begin(&mut self) -> Outcome<()> {
        let (psql, port, user) = (self.psql.clone(), self.port, self.user);
        let ask = || ask(&psql, port, user, "SELECT 1").ok();
        self.process.until("to answer", ask)?;
        self.ask(TABLES).map(drop)
    }

    /// What cfssl is told.
    pub(crate) fn source(&self) -> String {
        format!("postgres://bench@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Rows of certificates.
    pub(crate) fn certificates(&self) -> Outcome<u64> {
        Ok(self.ask("SELECT count(*) FROM certificates")?.trim().parse()?)
    }

    fn ask(&self, text: &str) -> Outcome<String> {
        debug_assert!(self.folder.path().exists());
        ask(&self.psql, self.port, self.user, text)
    }
}

fn ask(psql: &std::path::Path, port: u16, user: Option<(u32, u32)>, text: &str) -> Outcome<String> {
    let mut command = as_user(psql, user);
    command.args([
        "-h",
        "127.0.0.1",
        "-U",
        "bench",
        "-d",
        "postgres",
        "-At",
        "-p",
        &port.to_string(),
        "-c",
        text,
    ]);
    quiet(command, "psql")
}

fn quiet(mut command: Command, name: &str) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).current_dir("/").output().while_(name)?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn as_user(path: &std::path::Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(path);
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Debian keeps the server's programs out of the path.
fn server() -> Outcome<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/postgres"))
        .filter(|path| path.is_file())
        .collect();
    versions.sort();
    match versions.pop().or_else(|| program("postgres")) {
        Some(path) => Ok(path),
        None => installed("postgres", "postgresql"),
    }
}

/// User and group of `postgres`, if we are root.
fn account() -> Outcome<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let text = std::fs::read_to_string("/etc/passwd")?;
    let line = text.lines().find_map(|line| line.strip_prefix("postgres:")).while_("no user `postgres`")?;
    let mut numbers = line.split(':').skip(1).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok(Some((uid, gid))),
        _ => Err("the user `postgres` has no number".into()),
    }
}
