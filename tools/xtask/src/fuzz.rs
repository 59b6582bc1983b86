//! Fuzzing: builds the targets of `fuzz/` instrumented, on stable Rust, and runs each for a bounded time.
//!
//! In: `fuzz/src/bin` (a program is a target) and `fuzz/seeds`. Out: executions per target; a fault names the
//! artifact that brings it back. What a target holds against its reader is said there, and in docs/fuzzing.md.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use crate::cargo;
use crate::report::{Failed, Passed, Report, StepResult};
use crate::sources::Workspace;
use crate::tally::Tally;

/// Coverage as libFuzzer reads it (SanitizerCoverage), switched on where stable Rust has no flag of its own.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Longest input in octets: all seeds fit, and longer ones only make a run slower.
const INPUT_OCTETS_MAX: usize = 8192;
/// Most memory of one target: every reader is bounded far below it.
const MEMORY_MIB_MAX: usize = 512;
/// Longest time for one input in seconds: the slowest good one takes some 50 ms.
const INPUT_SECONDS_MAX: usize = 5;
/// Lines of a failed target's output that are shown.
const SHOWN_LINES: usize = 16;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each target.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only run each seed once: the targets build, and what must hold holds for the seeds.
    #[arg(long)]
    smoke: bool,
    /// Leave out the targets of the policy language: Cedar takes longer to build than all the rest.
    #[arg(long)]
    without_cedar: bool,
    /// Only these targets; all of fuzz/src/bin when none is named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> ExitCode {
    let home = workspace.root().join("fuzz");
    let mut report = Report::new("fuzz");
    let mut built = Vec::new();
    report.step("build", || {
        let targets = targets(workspace, arguments)?;
        let folder = build(&home, arguments, &targets)?;
        let says = format!("{} targets", targets.len());
        built = targets.into_iter().map(|name| Target { program: folder.join(&name), name }).collect();
        Ok(Passed::saying(says))
    });
    if !built.is_empty() {
        let name = if arguments.smoke { "seeds" } else { "run" };
        report.step(name, || run_each(&home, arguments, &built));
    }
    report.close_with_tests()
}

struct Target {
    name: String,
    program: PathBuf,
}

/// The programs of `fuzz/src/bin` that were asked for.
fn targets(workspace: &Workspace, arguments: &Arguments) -> Result<Vec<String>, Failed> {
    let folder = Path::new("fuzz/src/bin");
    let mut found: Vec<String> = workspace
        .rust_files()?
        .iter()
        .filter(|file| file.parent() == Some(folder))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    let unknown: Vec<_> = arguments.targets.iter().filter(|name| !found.contains(name)).collect();
    if let Some(name) = unknown.first() {
        return Err(Failed::because(format!("no target `{name}`; there are {}", found.join(", "))));
    }
    if arguments.without_cedar {
        let with_features = with_features(&workspace.read(Path::new("fuzz/Cargo.toml"))?)?;
        found.retain(|name| !with_features.contains(name));
    }
    if !arguments.targets.is_empty() {
        found.retain(|name| arguments.targets.contains(name));
    }
    if found.is_empty() { Err(Failed::because("no target is left to run")) } else { Ok(found) }
}

/// Programs that the manifest builds only with a feature.
fn with_features(manifest: &str) -> Result<Vec<String>, Failed> {
    let table: toml::Table =
        manifest.parse().map_err(|error| Failed::because(format!("fuzz/Cargo.toml: {error}")))?;
    let programs = table.get("bin").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let featured = programs.iter().filter(|program| program.get("required-features").is_some());
    Ok(featured.filter_map(|program| Some(program.get("name")?.as_str()?.to_owned())).collect())
}

/// Builds the targets; hands back the folder that they lie in.
fn build(home: &Path, arguments: &Arguments, targets: &[String]) -> Result<PathBuf, Failed> {
    // With the target named, build scripts and macros are built without instrumentation.
    let host = host(home)?;
    let folder = home.join("target");
    let mut command = cargo::command(home);
    command.args(["build", "--target", &host, "--target-dir"]).arg(&folder);
    command.env("RUSTFLAGS", INSTRUMENTED).env_remove("CARGO_ENCODED_RUSTFLAGS");
    if arguments.without_cedar {
        command.arg("--no-default-features");
    }
    for name in targets {
        command.args(["--bin", name]);
    }
    cargo::show(command)?;
    Ok(folder.join(host).join("debug"))
}

fn host(home: &Path) -> Result<String, Failed> {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(home).arg("-vV");
    let says = String::from_utf8_lossy(&cargo::read(command)?).into_owned();
    let line = says.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failed::because("rustc does not say what it compiles for"))
}

fn run_each(home: &Path, arguments: &Arguments, targets: &[Target]) -> StepResult {
    let mut faults = Vec::new();
    let mut tests = Tally::default();
    let mut executions = 0;
    for target in targets {
        match run_one(home, arguments, target) {
            Ok(statistics) => {
                println!("{:>16} {statistics}", target.name);
                executions += statistics.executions;
                tests.passed += 1;
            }
            Err(fault) => {
                println!("{:>16} FAILED", target.name);
                faults.push(fault.to_string());
                tests.failed += 1;
                tests.failed_names.push(target.name.clone());
            }
        }
    }
    let says = format!("{executions} executions of {} targets", targets.len());
    if faults.is_empty() { Ok(Passed { says, tests }) } else { Err(Failed { faults, tests }) }
}

fn run_one(home: &Path, arguments: &Arguments, target: &Target) -> Result<Statistics, Failed> {
    let name = &target.name;
    let cannot = |what: &str, error: std::io::Error| Failed::because(format!("{name}: {what}: {error}"));
    let seeds = home.join("seeds").join(name);
    if fs::read_dir(&seeds).map_err(|error| cannot("no seeds", error))?.next().is_none() {
        return Err(Failed::because(format!("{name}: no seeds: a run from nothing finds nothing")));
    }
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|folder| home.join(folder).join(name));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(|error| cannot("no folder", error))?;
    }
    let mut command = Command::new(&target.program);
    // The first lines of a panic say what did not hold; the stack is seen when the input is run again.
    command.current_dir(home).env("RUST_BACKTRACE", "0").args([
        format!("-artifact_prefix={}/", artifacts.display()),
        format!("-max_len={INPUT_OCTETS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]);
    let words = home.join("dictionaries").join(name);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    if arguments.smoke {
        command.arg("-runs=0");
    } else {
        // The first folder is where new inputs go: the next run goes on from there.
        command.arg(format!("-max_total_time={}", arguments.seconds)).arg(&corpus);
    }
    let output = command.arg(&seeds).output().map_err(|error| cannot("could not start", error))?;
    let says = String::from_utf8_lossy(&output.stderr);
    match Statistics::read(&says) {
        Some(statistics) if output.status.success() => Ok(statistics),
        _ => Err(Failed::because(told(name, &output.status.to_string(), &says))),
    }
}

/// What failed, where it failed, and how to see it again.
fn told(name: &str, status: &str, says: &str) -> String {
    let artifact =
        says.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file));
    let again = match artifact {
        Some(file) => {
            format!("{name}: {status}; the input is {file}: run the target with it as its argument")
        }
        // A stack that overflows ends the process before libFuzzer can write the input.
        None => format!("{name}: {status}; no artifact was written"),
    };
    let noise = ["#", "INFO", "WARNING", "NOTE", "stat::"];
    let telling = |line: &&str| !noise.iter().any(|start| line.starts_with(start));
    let mut lines: Vec<&str> = says.lines().filter(telling).collect();
    lines.drain(..lines.len().saturating_sub(SHOWN_LINES));
    [&[again.as_str()], lines.as_slice()].concat().join("\n     ")
}

/// What libFuzzer says at the end.
#[derive(Debug, PartialEq, Eq)]
struct Statistics {
    executions: u64,
    per_second: u64,
    peak_mib: u64,
}

impl Statistics {
    fn read(says: &str) -> Option<Self> {
        let number = |name: &str| {
            says.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.trim().parse().ok())
        };
        Some(Self {
            executions: number("number_of_executed_units:")?,
            per_second: number("average_exec_per_sec:")?,
            peak_mib: number("peak_rss_mb:")?,
        })
    }
}

impl std::fmt::Display for Statistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, per_second, peak_mib } = self;
        write!(f, "{executions:>9} executions, {per_second:>7}/s, {peak_mib:>4} MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_the_end_of_a_run_and_are_never_made_up() {
        let says = "#2\tINITED\nstat::number_of_executed_units: 128\nstat::average_exec_per_sec:     64\n\
                    stat::new_units_added:          0\nstat::peak_rss_mb:              41\n";
        let expected = Statistics { executions: 128, per_second: 64, peak_mib: 41 };
        assert_eq!(Statistics::read(says), Some(expected));
        assert_eq!(Statistics::read("==1== ERROR: libFuzzer: deadly signal"), None);
    }

    #[test]
    fn a_failure_names_its_artifact() {
        let says = "INFO: seed\n#3 NEW\nthread panicked\nstat::x: 1\nTest unit written to /f/artifacts/csr/crash-1\n";
        let told = told("csr", "exit status: 77", says);
        assert!(told.contains("the input is /f/artifacts/csr/crash-1"), "{told}");
        assert!(told.contains("thread panicked"), "{told}");
        assert!(!told.contains("INFO") && !told.contains("stat::"), "{told}");
    }

    #[test]
    fn every_target_has_seeds_and_says_what_it_holds() {
        let workspace = Workspace::of_this_build();
        let all = Arguments { seconds: 1, smoke: true, without_cedar: false, targets: vec![] };
        let targets = targets(&workspace, &all).unwrap();
        assert!(targets.contains(&"csr".to_owned()));
        for name in targets {
            let seeds = workspace.root().join("fuzz/seeds").join(&name);
            assert!(fs::read_dir(seeds).unwrap().next().is_some(), "{name}");
            let source = workspace.read(Path::new(&format!("fuzz/src/bin/{name}.rs"))).unwrap();
            assert!(source.starts_with("//! "), "{name}");
        }
        let manifest = workspace.read(Path::new("fuzz/Cargo.toml")).unwrap();
        assert_eq!(with_features(&manifest).unwrap(), ["policy_bundle", "policy_text"]);
    }
}
