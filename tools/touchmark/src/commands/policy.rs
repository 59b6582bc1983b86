//! `touchmark policy`: what devices may do, as a folder of `.cedar` files and `topics.toml`.

use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, segment};
use crate::output::Output;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use touchmark_api::{Policy as InForce, PolicyDocument};
use touchmark_durable::{Mode, create_dir_durable, write_atomic};
use touchmark_identity::EnvironmentName;

/// More files than this are another folder given by mistake.
const FILES_MAX: usize = 64;
const TOPICS: &str = "topics.toml";

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
    /// Puts a folder in force
    Apply(Folder),
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
            let held: InForce = management.get(&path(&env), &()).await?;
            if let Some(dir) = dir {
                write(&held, &dir)?;
                output.note(&format!("{} files in {}", held.files.len() + 1, dir.display()));
            }
            output.one(&held, &held.version, human)?;
        }
        Policy::Check(folder) => {
            let held = send(home, &folder, true).await?;
            output.one(&held, &held.version, |held| {
                format!("in order: {} rules, version {} (not put in force)", held.rules.len(), held.version)
            })?;
        }
        Policy::Apply(folder) => {
            let held = send(home, &folder, false).await?;
            output.one(&held, &held.version, human)?;
        }
    }
    Ok(Exit::Ok)
}

async fn send(home: &Home, folder: &Folder, dry_run: bool) -> Result<InForce, Failure> {
    // Read before anything is sent: a folder that cannot be read needs no server.
    let document = PolicyDocument { dry_run, ..read(&folder.dir)? };
    let answer = Management::open(home)?.put(&path(&folder.env), &document).await;
    answer.map_err(|failure: Failure| {
        failure.what(format!("policy {} for {}", folder.dir.display(), folder.env))
    })
}

fn path(environment: &EnvironmentName) -> String {
    format!("/v1/environments/{}/policy", segment(environment.as_str()))
}

/// Reads a folder; its order is by name, so that the same folder is the same policy everywhere.
pub(crate) fn read(dir: &Path) -> Result<PolicyDocument, Failure> {
    let fault = |why: String| {
        Failure::new(Exit::NotFound, "folder", "the policy folder cannot be read")
            .what(dir.display().to_string())
            .why(why)
            .fix("touchmark policy get --dir DIR   (writes the one in force)")
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| fault(error.to_string()))? {
        let name = entry.map_err(|error| fault(error.to_string()))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(".cedar") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() || names.len() > FILES_MAX {
        return Err(fault(format!("it holds {} .cedar files", names.len())));
    }
    let files = names.into_iter().map(|name| Ok((name.clone(), home::read(&dir.join(&name))?)));
    let files = files.collect::<Result<Vec<_>, Failure>>()?;
    Ok(PolicyDocument { files, topics: home::read(&dir.join(TOPICS))?, dry_run: false })
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
    let since = held.activated_at.as_deref().unwrap_or("not in force");
    let files: Vec<_> = held.files.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "environment  {}\nversion      {}\nsince        {since}\nfiles        {}\nrules        {}",
        held.environment,
        held.version,
        files.join(", "),
        held.rules.join(", ")
    )
}
