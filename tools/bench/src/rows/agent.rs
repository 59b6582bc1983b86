//! The device agent: its size, its memory, and what a renewal takes on the wire. Rows appear when the program is built.
//!
//! It runs as on a device, with the authority behind a forwarder that counts octets.

use super::Bench;
use crate::fault::{Outcome, While as _};
use crate::process::Process;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a build for devices lies: `cargo xtask agent`.
const BUILD: &str = "-unknown-linux-musl/device/touchmark-agent";
const DEVICE: &str = "bench-agent";
const RENEWALS: usize = 3;
/// After a renewal the old pair goes and the log is written.
const SETTLE: Duration = Duration::from_millis(500);

/// All rows of the family.
pub(crate) fn run(bench: &mut Bench, target: &Path) {
    bench.table.section("agent");
    let program = target.join(format!("{}{BUILD}", std::env::consts::ARCH));
    let Ok(about) = std::fs::metadata(&program) else {
        return bench.table.skip("agent", &"it is not built here: cargo xtask agent".into());
    };
    bench.table.judge("agent-size", &[about.len() as f64 / 1e6], "static, stripped");
    if let Err(fault) = measure(bench, &program) {
        bench.table.fail("agent-memory", &fault);
    }
}

fn measure(bench: &mut Bench, program: &Path) -> Outcome<()> {
    let folder = tempfile::Builder::new().prefix("touchmark-bench-agent-").tempdir()?;
    crate::interrupt::folder(folder.path());
    let wire = Arc::new(AtomicU64::new(0));
    let port = forward(bench.product.est()?, wire.clone())?;
    let config = configure(bench, folder.path(), port)?;
    let mut command = Command::new(program);
    command.args(["run", "--config"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    let mut agent = Process::start("agent", &mut command, bench.product.folder())?;
    let socket = folder.path().join("sock");
    let ask = |words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).arg("--socket").arg(&socket).stdin(Stdio::null());
        command.output()
    };
    agent.until("to be fresh", || ask(&["status"]).ok().filter(|output| output.status.success()))?;
    let mut octets = Vec::new();
    for _ in 0..RENEWALS {
        let before = wire.load(Ordering::Relaxed);
        let output = ask(&["renew"])?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("touchmark-agent renew: {words}").into());
        }
        std::thread::sleep(SETTLE);
        octets.push((wire.load(Ordering::Relaxed) - before) as f64);
    }
    let (now, most) = (memory_mb(agent.pid(), "VmRSS:")?, memory_mb(agent.pid(), "VmHWM:")?);
    let note = format!("one environment, after enrolment and {RENEWALS} renewals; at most {most:.1} MB");
    bench.table.judge("agent-memory", &[now], note);
    let note = "key, request, certificate, confirmation: all connections, TLS included";
    bench.table.tell("one renewal by the agent, on the wire", "B", &octets, note);
    Ok(())
}

fn configure(bench: &Bench, folder: &Path, port: u16) -> Outcome<PathBuf> {
    let (token, config) = (folder.join("token"), folder.join("agent.toml"));
    private(&token, &format!("{DEVICE}\n{}\n", bench.product.device_token(DEVICE)?))?;
    let text = format!(
        "state = \"{folder}/state\"\nsocket = \"{folder}/sock\"\n[[environment]]\nname = \"{environment}\"\n\
         identity = \"{DEVICE}\"\nserver = \"https://127.0.0.1:{port}\"\nanchors = \"{anchors}\"\n\
         token_file = \"{token}\"\n",
        folder = folder.display(),
        environment = crate::product::ENVIRONMENT,
        anchors = bench.product.path("root.pem").display(),
        token = token.display(),
    );
    private(&config, &text)?;
    Ok(config)
}

fn private(path: &Path, text: &str) -> Outcome<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Megabytes that /proc/PID/status names.
fn memory_mb(pid: u32, name: &str) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).while_("the system says no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}

/// Passes connections on to `address` and counts what passes, both ways. Its threads end with this program.
fn forward(address: String, count: Arc<AtomicU64>) -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(&address) else { continue };
            let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { continue };
            let (up, down) = (count.clone(), count.clone());
            std::thread::spawn(move || copy(near, far, &up));
            std::thread::spawn(move || copy(far_too, near_too, &down));
        }
    });
    Ok(port)
}

fn copy(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut octets = [0; 16 * 1024];
    while let Ok(number @ 1..) = from.read(&mut octets) {
        count.fetch_add(number as u64, Ordering::Relaxed);
        if to.write_all(octets.get(..number).unwrap_or_default()).is_err() {
            break;
        }
    }
    // The other direction may have something left to say.
    let _ = to.shutdown(Shutdown::Write);
}
