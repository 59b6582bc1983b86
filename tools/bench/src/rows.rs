//! The rows of the table, one family a file, and what they share: a window of load on one server.

pub(crate) mod agent;
pub(crate) mod handshakes;
mod head_watch;
pub(crate) mod in_core;
pub(crate) mod issuance;
pub(crate) mod publishing;
pub(crate) mod questions;
pub(crate) mod records;
mod renewing;
mod revoked_feed;
pub(crate) mod revoking;
pub(crate) mod sessions;
mod witnesses;

use crate::calibration::Calibrator;
use crate::fault::{Outcome, While as _};
use crate::generate::{EnrolJob, Generator, Job, Tally, Target, Way};
use crate::peers::PeerFiles;
use crate::process::Process;
use crate::product::{Gateway, Product};
use crate::profile::{Profiler, Recording};
use crate::table::Table;
use std::path::PathBuf;
use std::time::Duration;

/// Work that a server puts off (a signed head, a report) is done by then, and counts.
const SETTLE: Duration = Duration::from_millis(700);

/// A server rests when it takes less than a fifth of a core for so long.
const REST: Duration = Duration::from_millis(150);
const RESTS_MAX: usize = 40;

/// Why a peer has no figure where two programs of ours are compared.
pub(crate) const NO_PEERS: &str = "two programs of ours are compared";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Rounds that count; one more warms up.
    pub(crate) rounds: usize,
    /// Seconds of one window.
    pub(crate) seconds: f64,
    /// Identities that handshakes rotate through.
    pub(crate) stock: usize,
    /// Live sessions.
    pub(crate) sessions: usize,
    /// Devices that are revoked one after the other.
    pub(crate) revokes: usize,
    /// Devices that renew in one window.
    pub(crate) renewals: usize,
    /// Sizes of the revoked set.
    pub(crate) revoked: &'static [u32],
    /// Whether other programs are measured beside ours.
    pub(crate) peers: bool,
}

impl Extent {
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        seconds: 3.0,
        stock: 10_000,
        sessions: 2000,
        revokes: 60,
        renewals: 3000,
        revoked: &[100_000, 1_000_000],
        peers: true,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        seconds: 1.2,
        stock: 1000,
        sessions: 400,
        revokes: 50,
        renewals: 600,
        revoked: &[100_000],
        peers: true,
    };
    /// One pass of one of two programs of ours that are compared.
    pub(crate) const PASS: Self = Self {
        rounds: 1,
        seconds: 2.0,
        stock: 4500,
        sessions: 2000,
        revokes: 50,
        renewals: 3000,
        revoked: &[100_000],
        peers: false,
    };
}

/// Everything that a family of rows works with.
pub(crate) struct Bench {
    pub(crate) extent: Extent,
    pub(crate) product: Product,
    /// With the built-in sink; it runs all the time.
    pub(crate) gateway: Gateway,
    pub(crate) files: PeerFiles,
    /// Identities that were enrolled to be used.
    pub(crate) stock: PathBuf,
    pub(crate) calibrator: Calibrator,
    pub(crate) table: Table,
    /// Seconds from start to serving with the stock alone, and the devices it had.
    pub(crate) first_start: (f64, u64),
    /// Prefixes of device names that are taken.
    pub(crate) prefixes: usize,
    /// Devices in the inventory.
    pub(crate) devices: u64,
    /// Looks at our servers in warm-up windows.
    pub(crate) profiler: Option<Profiler>,
}

/// What one window on one server gave.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Server CPU per completed operation.
    pub(crate) us: f64,
    pub(crate) tally: Tally,
}

impl Bench {
    /// Starts the product, a gateway, and enrols the stock.
    pub(crate) fn start(program: &std::path::Path, venv: PathBuf, extent: Extent) -> Outcome<Self> {
        let product = Product::start(program)?;
        let gateway = product.gateway("gateway-01", &[])?;
        let files = product.gateway_files("gateway-01");
        let files = PeerFiles {
            folder: product.folder().to_owned(),
            chain: files.join("chain.pem"),
            key: files.join("key.pem"),
            anchors: product.anchors(),
            venv,
        };
        let stock = product.path("stock");
        let (calibrator, table) = (Calibrator::new(), Table::default());
        let mut bench = Self {
            extent,
            product,
            gateway,
            files,
            stock,
            calibrator,
            table,
            first_start: (f64::NAN, 0),
            prefixes: 0,
            devices: 0,
            profiler: None,
        };
        let job = bench.enrol(None, extent.stock, 120.0)?;
        let tally = Generator::start(&Job::Enrol(job), bench.product.folder())?.run().while_("the stock")?;
        if tally.completed < extent.stock as u64 {
            return Err(format!("only {} of the stock were enrolled", tally.completed).into());
        }
        bench.devices = tally.completed;
        bench.first_start = (bench.restart()?, bench.devices);
        Ok(bench)
    }

    /// The next job of enrolments by token, of `most` devices with names of their own. They go to the stock, or
    /// to another file.
    pub(crate) fn enrol(&mut self, out: Option<PathBuf>, most: usize, seconds: f64) -> Outcome<EnrolJob> {
        self.prefixes += 1;
        let prefix = format!("bench{}n", self.prefixes);
        let password = self.product.token(&prefix, most)?;
        Ok(EnrolJob {
            target: self.est()?,
            way: Way::Token { prefix, password },
            identities: None,
            connections: 64,
            at_once: 64,
            fresh: false,
            seconds,
            most,
            out: Some(out.unwrap_or_else(|| self.stock.clone())),
        })
    }

    /// The authority's EST port.
    pub(crate) fn est(&self) -> Outcome<Target> {
        Ok(Target::new(self.product.est()?, self.product.anchors()))
    }

    /// The server of a row at an address, with the certificate of our gateway.
    pub(crate) fn target(&self, address: &str) -> Target {
        Target::new(address, self.product.anchors())
    }

    /// Puts load on a server, and counts its CPU until it has settled.
    pub(crate) fn window(&self, job: &Job, cpu_us: &dyn Fn() -> f64) -> Outcome<Window> {
        self.looked_at(job, cpu_us, || Ok(None))
    }

    /// The same on a server of ours, which is profiled in the warm-up round if that is asked for.
    pub(crate) fn our_window(
        &self,
        name: &str,
        round: usize,
        job: &Job,
        server: &Process,
    ) -> Outcome<Window> {
        let profiler = self.profiler.as_ref().filter(|_| round == 0);
        let begin = || profiler.map(|profiler| profiler.begin(name, server.pid())).transpose();
        self.looked_at(job, &|| server.cpu_us(), begin)
    }

    fn looked_at<'a>(
        &self,
        job: &Job,
        cpu_us: &dyn Fn() -> f64,
        begin: impl FnOnce() -> Outcome<Option<Recording<'a>>>,
    ) -> Outcome<Window> {
        let generator = Generator::start(job, self.product.folder())?;
        rest(cpu_us);
        let recording = begin()?;
        let before = cpu_us();
        let tally = generator.run()?;
        std::thread::sleep(SETTLE);
        let us = (cpu_us() - before) / tally.completed as f64;
        recording.map(Recording::end).transpose()?;
        Ok(Window { us, tally })
    }
}

/// Waits until a server has done what connecting made it do, or for some seconds.
fn rest(cpu_us: &dyn Fn() -> f64) {
    for _ in 0..RESTS_MAX {
        let before = cpu_us();
        std::thread::sleep(REST);
        if cpu_us() - before <= REST.as_micros() as f64 / 5.0 {
            return;
        }
    }
}

/// One of a pair of figures of the same round, over the other.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// One server in an interleaved comparison: its samples, or why it is out.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) us: Vec<f64>,
    pub(crate) rates: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
    pub(crate) octets: Vec<f64>,
    pub(crate) completed: u64,
    pub(crate) fault: Option<crate::fault::Fault>,
}

impl Lane {
    /// Takes a window of round `round`; the first only warms up. After a fault nothing is taken any more.
    pub(crate) fn take(&mut self, round: usize, window: Outcome<Window>) {
        match window {
            Ok(window) => {
                self.completed += window.tally.completed;
                if round > 0 {
                    self.us.push(window.us);
                    self.rates.push(window.tally.rate());
                    self.p99_ms.push(window.tally.p99_ms);
                    self.octets.push(window.tally.octets);
                }
            }
            Err(fault) => self.fault = Some(fault),
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.fault.is_none()
    }

    /// Tells CPU per operation with throughput, or why there is none.
    pub(crate) fn tell(&self, table: &mut Table, what: &str, note: &str) {
        match &self.fault {
            Some(fault) => table.skip(what, fault),
            None => {
                let middle = |samples: &[f64]| crate::figure::Figure::of(samples).median;
                let (rate, p99) = (middle(&self.rates), middle(&self.p99_ms));
                let gap = if note.is_empty() { "" } else { "; " };
                table.tell(what, "us", &self.us, format!("{rate:.0}/s, p99 {p99:.1} ms{gap}{note}"));
            }
        }
    }
}
