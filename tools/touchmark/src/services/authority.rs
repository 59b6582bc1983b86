//! The authority as this program runs it: options in, a running service out; and its offline audit.

use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::output::{Output, Tone};
use core::num::NonZeroU32;
use core::time::Duration;
use std::net::IpAddr;
use std::path::PathBuf;
use touchmark_authority::audit::{AuditFault, verify as audit};
use touchmark_authority::{Authority, AuthorityConfig, RebuildFault, StartFault, VaultFault};
use touchmark_identity::EnvironmentName;
use touchmark_listen::Clock;

/// What `server up` was told.
#[derive(Debug)]
pub(crate) struct AuthorityOptions {
    pub(crate) listen: IpAddr,
    pub(crate) hosts: Vec<String>,
    pub(crate) est_port: u16,
    pub(crate) api_port: u16,
    pub(crate) public_port: u16,
    pub(crate) passphrase_file: Option<PathBuf>,
    pub(crate) environment: EnvironmentName,
    pub(crate) device_lifetime: Duration,
    pub(crate) enrolments_per_second: Option<NonZeroU32>,
    pub(crate) accept_clock: bool,
}

pub(crate) async fn start(home: &Home, options: AuthorityOptions) -> Result<Authority, Failure> {
    let config = AuthorityConfig {
        data: home.path().to_owned(),
        listen: options.listen,
        hosts: options.hosts,
        est_port: options.est_port,
        api_port: options.api_port,
        public_port: options.public_port,
        passphrase_file: options.passphrase_file,
        default_environment: options.environment,
        device_lifetime: options.device_lifetime,
        enrolments_per_second: options.enrolments_per_second,
        accept_clock: options.accept_clock,
    };
    touchmark_authority::start(config, Clock::system()).await.map_err(|fault| no_start(home, &fault))
}

fn no_start(home: &Home, fault: &StartFault) -> Failure {
    let (exit, code, fix) = match fault {
        fault if fault.is_disk_full() => (
            Exit::Internal,
            "disk-full",
            "make space on the file system of the data directory, then start it again",
        ),
        StartFault::Passphrase { .. } => {
            (Exit::NotFound, "passphrase", "give --passphrase-file a readable file")
        }
        StartFault::Clock(_) => (
            Exit::Expired,
            "clock",
            "set the clock of this machine; if it is right now: touchmark server up --accept-clock",
        ),
        StartFault::InUse(_) => (
            Exit::Conflict,
            "in-use",
            "stop the authority that runs on it, or give another directory with --data",
        ),
        StartFault::Vault(VaultFault::Missing(_)) => {
            (Exit::NotFound, "key-missing", "put the key file back from its backup; a new key would not fit")
        }
        StartFault::Vault(_) => (
            Exit::Denied,
            "vault",
            "give the passphrase that the keys were made with (a new one: at least 12 characters)",
        ),
        StartFault::Ports(_) => (
            Exit::Conflict,
            "port",
            "stop what holds the port, or choose others: --est-port, --api-port, --public-port",
        ),
        StartFault::NoHost => (
            Exit::Usage,
            "no-host",
            "--host NAME   (the name or address by which devices reach this machine)",
        ),
        StartFault::Data(_) => (Exit::Internal, "data", "check space, permissions and --data"),
        _ => (Exit::Internal, "start", "touchmark audit verify   (what is damaged?)"),
    };
    Failure::new(exit, code, "the authority does not start")
        .what(format!("data directory {}", home.path().display()))
        .why(with_causes(fault))
        .fix(fix)
}

/// `audit verify`: reads only files, beside a running authority or without one.
pub(crate) fn verify(home: &Home, witness: Option<&str>, output: &Output) -> Result<Exit, Failure> {
    let outcome = audit(home.path(), witness).map_err(|fault| {
        let (exit, code, title, fix) = match fault {
            AuditFault::NoJournal(_) => {
                (Exit::NotFound, "no-journal", "there is nothing to audit", "correct --data")
            }
            AuditFault::Witness(_) => (
                Exit::CheckFailed,
                "witness",
                "the witness is not a head of this log",
                "touchmark audit head > FILE   (makes one), or ask whose log that head was",
            ),
            _ => (
                Exit::CheckFailed,
                "audit",
                "the logs are not in order",
                "keep a copy of the directory as it is, then compare it with a backup and an outside head",
            ),
        };
        Failure::new(exit, code, title)
            .what(format!("data directory {}", home.path().display()))
            .why(with_causes(&fault))
            .fix(fix)
    })?;
    output.one(&outcome, &outcome.root, |outcome| {
        format!("{outcome}\n{}", output.paint(Tone::Good, "✓ everything is in order"))
    })?;
    Ok(Exit::Ok)
}

/// `audit rebuild-log`: no server may run on the directory.
pub(crate) fn rebuild_log(home: &Home, output: &Output) -> Result<Exit, Failure> {
    let head = touchmark_authority::rebuild_log(home.path()).map_err(|fault| {
        let (exit, code, fix) = match &fault {
            RebuildFault::Data(StartFault::InUse(_)) => {
                (Exit::Conflict, "in-use", "stop the server that runs on it, then run this again")
            }
            RebuildFault::Audit(AuditFault::NoJournal(_)) => (Exit::NotFound, "no-journal", "correct --data"),
            _ => (
                Exit::CheckFailed,
                "rebuild",
                "the database is not the one that this log was made from: restore both from one backup",
            ),
        };
        Failure::new(exit, code, "the log was not rebuilt; nothing was written")
            .what(format!("data directory {}", home.path().display()))
            .why(with_causes(&fault))
            .fix(fix)
    })?;
    #[derive(serde::Serialize)]
    struct Rebuilt {
        size: u64,
        root: String,
    }
    let rebuilt = Rebuilt { size: head.size, root: head.root.to_string() };
    output.one(&rebuilt, &rebuilt.root, |one| format!("rebuilt {} entries, root {}", one.size, one.root))?;
    Ok(Exit::Ok)
}

/// An error with what lies below it, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text += &format!(": {words}");
        }
        next = cause.source();
    }
    text
}
