//! `touchmark-bench`: the product under load beside its peers and the machine's own limits, in one run.
//!
//! Figures are server CPU per completed operation and ratios of one run: wall clock moves with the neighbours, ratios
//! by a twentieth. Everything is on loopback; what is started here is ended here. Exit 6: a row missed its first bar.
// What it prints is all that it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accepted;
mod against;
mod answers;
mod bars;
mod calibration;
mod clock;
mod core_issuance;
mod decide;
mod fault;
mod figure;
mod generate;
mod interrupt;
mod limits;
mod peers;
mod process;
mod product;
mod profile;
mod rows;
mod stock;
mod table;

pub(crate) use rows::in_core::Row;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fault::Outcome;
use rows::{Bench, Extent};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// A row is below its first bar.
const MISSED: u8 = 6;

/// Measures Touchmark beside its peers.
///
/// Starts an authority, gateways, and the peers that are installed; puts load on each from a process of its own; and
/// prints server CPU per operation with ratios of this run. Tables go to target/bench/latest.json and latest.md.
/// Exit 6: a row missed its first bar and docs/performance.md does not accept that with a profile.
#[derive(Parser)]
#[command(name = "touchmark-bench", version)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: Run,
}

#[derive(Args)]
struct Run {
    /// One short round of everything, in a minute or so: shows that it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only these families of rows (repeatable)
    #[arg(long, value_enum, value_name = "FAMILY")]
    only: Vec<Family>,
    /// perf looks at our servers while they warm up: texts in target/bench/profiles say where the time goes
    #[arg(long)]
    profile: bool,
    /// The program to measure [default: the release build of this checkout]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// An older program: both are measured in turn, without peers; exit 6 if CPU, memory or octets rose by a twentieth
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "profile"])]
    against: Option<PathBuf>,
}

/// What this program is when it starts itself again.
#[derive(Subcommand)]
enum Role {
    /// The load generator: a job on stdin, its result on stdout
    #[command(hide = true)]
    Generate,
    /// The byte proxy that the gateway is compared with
    #[command(hide = true)]
    Proxy { port: u16, broker: String, files: Vec<PathBuf> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Family {
    /// EST beside cfssl: connections kept, and fresh
    Issuance,
    /// The gateway's door beside nginx, Envoy, haproxy and mosquitto; and with a large revoked set
    Handshakes,
    /// Memory of idle sessions
    Sessions,
    /// From revoke to closed session
    Revoking,
    /// QoS 1 publishes through the gateway, a byte proxy, haproxy
    Publishing,
    /// The decision log: entries per second, octets each
    Records,
    /// The four questions, and the time to start
    Questions,
    /// Road and decisions in process
    InCore,
    /// The device agent
    Agent,
}

/// A family of rows: puts its lines into the table.
type Rows = fn(&mut Bench);

/// Families that measure the program; the others measure this checkout's crates and the agent.
const OF_PROGRAMS: [(Family, Rows); 7] = [
    (Family::Issuance, rows::issuance::run),
    // Before millions of decisions are there: a start reads those, too.
    (Family::Questions, rows::questions::run),
    (Family::Handshakes, rows::handshakes::run),
    (Family::Sessions, rows::sessions::run),
    (Family::Revoking, rows::revoking::run),
    (Family::Publishing, rows::publishing::run),
    (Family::Records, rows::records::run),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Generate) => generate::main().map(|()| ExitCode::SUCCESS),
        Some(Role::Proxy { port, broker, files }) => {
            peers::proxy_main(port, broker, &files).map(|()| ExitCode::SUCCESS)
        }
        None => measure(&arguments.run),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("touchmark-bench: {fault}");
        ExitCode::FAILURE
    })
}

fn measure(run: &Run) -> Outcome<ExitCode> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize()?;
    let target = target_directory()?;
    let program = run.program.clone().unwrap_or_else(|| target.join("release/touchmark"));
    if !program.is_file() {
        return Err(format!("{} is not built: cargo xtask bench builds it", program.display()).into());
    }
    raise_descriptors();
    interrupt::watch()?;
    let since = Instant::now();
    let wanted = |family: &Family| run.only.is_empty() || run.only.contains(family);
    if let Some(old) = &run.against {
        let families: Vec<_> = OF_PROGRAMS.into_iter().filter(|(family, _)| wanted(family)).collect();
        return against::run(&program, old, &families, &target.join("bench/venv"));
    }
    let extent = if run.quick { Extent::QUICK } else { Extent::FULL };
    let mut bench = Bench::start(&program, target.join("bench/venv"), extent)?;
    if run.profile {
        bench.profiler = Some(profile::Profiler::new(target.join("bench/profiles"))?);
    }
    if wanted(&Family::InCore) {
        rows::in_core::run(&mut bench);
    }
    for (family, rows) in OF_PROGRAMS {
        if wanted(&family) {
            rows(&mut bench);
        }
    }
    if wanted(&Family::Agent) {
        rows::agent::run(&mut bench, &target);
    }
    bench.calibrator.round();
    bench.calibrator.tell(&mut bench.table);
    bench.audit();
    let table = std::mem::take(&mut bench.table);
    drop(bench);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = serde_json::json!({
        "seconds": since.elapsed().as_secs(), "rounds": extent.rounds, "quick": run.quick, "cores": cores,
        "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    });
    table.write(&target.join("bench"), &about)?;
    println!("{}", table.text());
    println!("{} s; tables in {}", since.elapsed().as_secs(), target.join("bench").display());
    let page = std::fs::read_to_string(root.join("docs/performance.md")).unwrap_or_default();
    Ok(verdict(&table, &accepted::accepted(&page)))
}

/// Names every miss; the exit code is that of the worst that is not accepted.
fn verdict(table: &table::Table, accepted: &[String]) -> ExitCode {
    let mut open = 0;
    for line in table.misses() {
        let known = accepted.contains(&line.id) && line.verdict == bars::Verdict::Missed;
        let word = if known { "accepted, its profile is in docs/performance.md" } else { "not accepted" };
        println!("missed: {} ({}): {word}", line.what, line.id);
        open += usize::from(!known);
    }
    if open == 0 { ExitCode::SUCCESS } else { ExitCode::from(MISSED) }
}

/// This program lies in `TARGET/release`.
fn target_directory() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.ancestors().nth(2).ok_or("this program lies nowhere")?.to_owned())
}

/// Thousands of sessions are held, by us and by those we start.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    // Refused: then a row says that there were too few.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}
