//! Asking one address after the other, each of which must be answered with 200: inventory, explanations.

use super::http::{exchange, request};
use super::tally::{Count, Tally};
use super::tls::{PATIENCE, Target};
use super::{ready, tell};
use crate::fault::Outcome;
use crate::stock;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Paths in a file, one a line, asked once each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FetchJob {
    pub(crate) target: Target,
    /// The first identity in this file is shown.
    pub(crate) identity: PathBuf,
    pub(crate) paths: PathBuf,
    pub(crate) connections: usize,
    /// What must stand in each answer: after the path, on the same line, after a space.
    pub(crate) expect: bool,
}

impl FetchJob {
    pub(super) async fn run(self) -> Outcome<()> {
        let identity = stock::read(&self.identity, 0, 1)?;
        let client = self.target.clients()?.client(identity.first())?;
        let text = std::fs::read_to_string(&self.paths)?;
        let lines: Arc<Vec<String>> = Arc::new(text.lines().map(str::to_owned).collect());
        ready()?;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for n in 0..self.connections {
            let (client, lines, step, expect) =
                (client.clone(), lines.clone(), self.connections, self.expect);
            tasks.spawn(async move {
                let mut count = Count::default();
                let run = async {
                    let mut stream = client.connect().await?;
                    let mut buffer = Vec::new();
                    for line in lines.iter().skip(n).step_by(step) {
                        let (path, wanted) = line.split_once(' ').unwrap_or((line, ""));
                        let since = Instant::now();
                        let octets = request("GET", path, &[], &[]);
                        let asked =
                            tokio::time::timeout(PATIENCE, exchange(&mut stream, &octets, &mut buffer));
                        let answer = asked.await.unwrap_or_else(|_| Err("no answer in time".into()))?;
                        let found = !expect || String::from_utf8_lossy(&answer.body).contains(wanted);
                        if answer.status == 200 && found {
                            count.done(since.elapsed());
                        } else {
                            count.errors.push(format!("{path}: status {}, found {found}", answer.status));
                        }
                    }
                    Outcome::Ok(())
                };
                if let Err(fault) = run.await {
                    count.errors.push(fault.to_string());
                }
                count
            });
        }
        let mut count = Count::default();
        while let Some(ended) = tasks.join_next().await {
            count.add(ended?);
        }
        tell(&Tally::of(count, begun.elapsed()))
    }
}
