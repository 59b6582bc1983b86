//! `touchmark policy`: what devices may do, as a folder of `.cedar` files and `topics.toml`.

use crate::commands::contain;
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::{Management, policy_path};
use crate::output::Output;
use crate::policy_folder::{self, TOPICS};
use crate::span;
use clap::{Args, Subcommand};
use core::time::Duration;
use std::path::{Path, PathBuf};
use touchmark_api::{Policy as InForce, PolicyDocument, PolicyEnforcement};
use touchmark_durable::{Mode, create_dir_durable, write_atomic};
use touchmark_identity::EnvironmentName;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// The policy in force
    Get {
        /// Environment
        #[arg(long, default_value = "lab")]
        env: EnvironmentName,
        /// Write its files into this folder
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Checks a folder against the authority's rules without putting it in force; exit 6 if it is no good
    Check(Folder),
    /// Puts a folder in force; exit 9 if a gateway has not said in time that it is in force there
    Apply {
        #[command(flatten)]
        folder: Folder,
        /// How long to wait for gateways to report
        #[arg(long, value_parser = span::parse, value_name = "SPAN", default_value = "5s")]
        wait: Duration,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// Folder with .cedar files and topics.toml
    dir: PathBuf,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
}

pub(crate) async fn run(command: Policy, home: &Home, output: &Output) -> Result<Exit, Failure> {
    match command {
        Policy::Get { env, dir } => {
            let mut management = Management::open(home)?;
            let held: InForce = management.get(&policy_path(env.as_str()), &()).await?;
            if let Some(dir) = dir {
                write(&held, &dir)?;
                output.note(&format!("{} files in {}", held.files.len() + 1, dir.display()));
            }
            output.one(&held, &held.version, human)?;
        }
        Policy::Check(folder) => {
            let held = send(home, &folder, true, None, output).await?;
            output.one(&held, &held.version, |held| {
                format!("in order: {} rules, version {} (not put in force)", held.rules.len(), held.version)
            })?;
        }
        Policy::Apply { folder, wait } => {
            let held = send(home, &folder, false, Some(wait), output).await?;
            output.one(&held, &held.version, human)?;
            return Ok(held.enforcement.map_or(Exit::Ok, |told| contain::exit(&told.gateways, output)));
        }
    }
    Ok(Exit::Ok)
}

async fn send(
    home: &Home,
    folder: &Folder,
    dry_run: bool,
    wait: Option<Duration>,
    output: &Output,
) -> Result<InForce, Failure> {
    let wait_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    // Read before anything is sent: a folder that cannot be read needs no server.
    let read = policy_folder::read(&folder.dir)?;
    if !read.passed_over.is_empty() {
        output.note(&format!("passed over, as no part of the policy: {}", read.passed_over.join(", ")));
    }
    let document = PolicyDocument { dry_run, wait_ms, ..read.document };
    let answer = Management::open(home)?.set_policy(folder.env.as_str(), &document).await;
    answer.map_err(|failure: Failure| {
        failure.what(format!("policy {} for {}", folder.dir.display(), folder.env))
    })
}

fn write(held: &InForce, dir: &Path) -> Result<(), Failure> {
    create_dir_durable(dir, Mode::Public0644)?;
    for (name, text) in &held.files {
        // The names come from a server: only plain ones become files here.
        let plain = Path::new(name).file_name().is_some_and(|last| last == name.as_str());
        if !plain {
            return Err(
                Failure::new(Exit::Unreachable, "answer", "a policy file has an impossible name").why(name)
            );
        }
        write_atomic(&dir.join(name), text.as_bytes(), Mode::Public0644)?;
    }
    Ok(write_atomic(&dir.join(TOPICS), held.topics.as_bytes(), Mode::Public0644)?)
}

fn human(held: &InForce) -> String {
    let since = held.activated_at.map_or_else(|| "not in force".to_owned(), |at| at.to_string());
    let files: Vec<_> = held.files.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!(
        "environment  {}\nversion      {}\nsince        {since}\nfiles        {}\nrules        {}\n",
        held.environment,
        held.version,
        files.join(", "),
        held.rules.join(", ")
    );
    if let Some(PolicyEnforcement { gateways, sessions_closed }) = &held.enforcement {
        text += &format!("sessions     {sessions_closed} closed\n");
        text += &contain::enforcement(gateways, "");
    }
    text
}
