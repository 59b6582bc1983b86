//! One authority on an empty directory, perhaps a gateway, and where everything of them is.

use crate::operator::Operator;
use crate::program::built;
use crate::service::Service;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use touchmark_api::Ready;
use touchmark_x509::Certificate;

/// A data directory with services on it. Everything ends and is removed with this value.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: services end before their directory goes.
    gateway: Option<Service>,
    authority: Option<Service>,
    at_authority: Ready,
    at_gateway: Ready,
    program: PathBuf,
    before: Vec<String>,
    gateway_before: Vec<String>,
    gateway_words: Vec<String>,
    /// Refusals that a test has waited for, by cause and code.
    taken: Mutex<BTreeMap<(String, String), u64>>,
    directory: tempfile::TempDir,
}

impl Lab {
    /// Starts an authority.
    pub fn start() -> Self {
        Self::start_with(Self::program(), &[])
    }

    /// The same, but another build of it, run by way of `before` (a tracer and its arguments).
    pub fn start_with(program: PathBuf, before: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("touchmark-lab-").tempdir().unwrap();
        let mut lab = Self {
            gateway: None,
            authority: None,
            at_authority: Ready::default(),
            at_gateway: Ready::default(),
            program,
            before: before.iter().map(|&word| word.to_owned()).collect(),
            gateway_before: Vec::new(),
            gateway_words: Vec::new(),
            taken: Mutex::default(),
            directory,
        };
        lab.restart();
        lab.split_anchors();
        lab
    }

    /// Takes one more refusal of this cause and code; gives how many there must be.
    pub(crate) fn taken(&self, cause: &str, code: &str) -> u64 {
        let mut taken = self.taken.lock().unwrap();
        let count = taken.entry((cause.to_owned(), code.to_owned())).or_default();
        *count += 1;
        *count
    }

    /// Starts the authority again on the same directory.
    ///
    /// # Panics
    /// If it runs.
    pub fn restart(&mut self) {
        assert!(self.authority.is_none(), "the authority runs");
        let order = Self::authority_command(&self.program, &self.data());
        let mut words = self.before.iter().map(OsStr::new).chain([order.get_program()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(order.get_args());
        let (service, ready) = Service::start(command, self.path("authority.stderr"));
        self.authority = Some(service);
        self.at_authority = ready;
    }

    /// Starts a gateway as a process of its own, with more words on its command line.
    ///
    /// # Panics
    /// If one runs.
    pub fn start_gateway(&mut self, words: &[&str]) {
        self.gateway_words = words.iter().map(|&word| word.to_owned()).collect();
        self.restart_gateway();
    }

    /// Starts the gateway again on the same directory.
    ///
    /// # Panics
    /// If it runs.
    pub fn restart_gateway(&mut self) {
        assert!(self.gateway.is_none(), "the gateway runs");
        let mut words = self.gateway_before.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        command.args(["gateway", "up", "--json", "--authority", self.api(), "--data"]).arg(self.data());
        command.args(&self.gateway_words);
        let (service, ready) = Service::start(command, self.path("gateway.stderr"));
        self.gateway = Some(service);
        self.at_gateway = ready;
    }

    /// From its next start on the authority is run by way of `before`.
    pub fn run_authority_by(&mut self, before: &[&str]) {
        self.before = before.iter().map(|&word| word.to_owned()).collect();
    }

    /// From its next start on the authority's clock is ahead of that of the test by so much (`+31d`).
    ///
    /// # Panics
    /// If faketime is not installed.
    pub fn run_authority_ahead_by(&mut self, ahead: &str) {
        let library = Path::new("/usr/lib").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut library = library.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
        let library = library.find(|file| file.exists()).expect("faketime is installed: cargo xtask setup");
        let (preload, clock) = (format!("LD_PRELOAD={}", library.display()), format!("FAKETIME={ahead}"));
        // Waits are as long as ever.
        self.run_authority_by(&["env", &preload, &clock, "DONT_FAKE_MONOTONIC=1"]);
    }

    /// From its next start on the gateway is run by way of `before`.
    pub fn run_gateway_by(&mut self, before: &[&str]) {
        self.gateway_before = before.iter().map(|&word| word.to_owned()).collect();
    }

    /// Waits until the authority has ended by itself.
    pub fn authority_ends(&mut self) -> ExitStatus {
        self.authority.take().expect("it runs").ends()
    }

    /// Waits until the gateway has ended by itself.
    pub fn gateway_ends(&mut self) -> ExitStatus {
        self.gateway.take().expect("it runs").ends()
    }

    /// The authority on a data directory; beside it lies the passphrase of its keys.
    pub fn authority_command(program: &Path, data: &Path) -> Command {
        let passphrase = data.with_extension("passphrase");
        std::fs::write(&passphrase, "correct horse battery staple").unwrap();
        let mut command = Command::new(program);
        command.args(["server", "up", "--json", "--data"]).arg(data).arg("--passphrase-file").arg(passphrase);
        command
    }

    /// The built program.
    pub fn program() -> PathBuf {
        built("touchmark-touchmark", "touchmark")
    }

    /// The built program with the demonstration and a device that publishes again and again.
    pub fn demo() -> PathBuf {
        built("touchmark-demo", "touchmark-demo")
    }

    /// kill -9.
    pub fn kill_authority(&mut self) {
        self.authority.take().expect("it runs").kill();
    }

    /// kill -9.
    pub fn kill_gateway(&mut self) {
        self.gateway.take().expect("it runs").kill();
    }

    /// Asks the authority to end, and waits.
    pub fn stop_authority(&mut self) {
        let status = self.authority.take().expect("it runs").stop();
        assert!(status.success(), "a service that is asked to end ends well: {status}");
    }

    /// Asks the gateway to end, and waits.
    pub fn stop_gateway(&mut self) {
        let status = self.gateway.take().expect("it runs").stop();
        assert!(status.success(), "a service that is asked to end ends well: {status}");
    }

    /// Lets every service crash, and says how each ended.
    pub fn abort_all(&mut self) -> Vec<(&'static str, ExitStatus)> {
        let services = [("gateway", self.gateway.take()), ("authority", self.authority.take())];
        services.into_iter().filter_map(|(who, service)| Some((who, service?.abort()))).collect()
    }

    /// The authority's process.
    pub fn authority(&self) -> &Service {
        self.authority.as_ref().expect("it runs")
    }

    /// The gateway's process.
    pub fn gateway(&self) -> &Service {
        self.gateway.as_ref().expect("it runs")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A place for a test's own files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the test's own.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Base URL of EST.
    pub fn est(&self) -> &str {
        self.at_authority.est.as_deref().unwrap()
    }

    /// Base URL of the management API.
    pub fn api(&self) -> &str {
        self.at_authority.api.as_deref().unwrap()
    }

    /// Base URL of CRLs and log tiles.
    pub fn public(&self) -> &str {
        self.at_authority.public.as_deref().unwrap()
    }

    /// `host:port` of the gateway's MQTT listener.
    pub fn mqtt(&self) -> &str {
        self.at_gateway.mqtt.as_deref().unwrap()
    }

    /// Base URL of the gateway's HTTP listener.
    pub fn http(&self) -> &str {
        self.at_gateway.http.as_deref().unwrap()
    }

    /// The default environment's trust anchors, PEM.
    pub fn anchors(&self) -> PathBuf {
        PathBuf::from(&self.at_authority.ca)
    }

    /// The trust anchors of the gateway's environment, PEM.
    pub fn gateway_anchors(&self) -> PathBuf {
        PathBuf::from(&self.at_gateway.ca)
    }

    /// The root alone, PEM.
    pub fn root(&self) -> PathBuf {
        self.path("root.pem")
    }

    /// The issuing certificate alone, PEM.
    pub fn issuing(&self) -> PathBuf {
        self.path("issuing.pem")
    }

    /// The operator of the first start.
    pub fn operator(&self) -> Operator {
        let directory = self.data().join("operator");
        Operator::with_files(self, &directory.join("operator.pem"), &directory.join("operator.key"))
    }

    /// A copy of the data directory, to be tampered with. The services stand still meanwhile: a running one renames
    /// and removes files between the look at a folder and the copy of a file in it.
    pub fn copy_data(&self, name: &str) -> PathBuf {
        let to = self.path(name);
        let running = [self.authority.as_ref(), self.gateway.as_ref()];
        running.iter().flatten().for_each(|service| service.freeze());
        copy(&self.data(), &to);
        running.iter().flatten().for_each(|service| service.thaw());
        to
    }

    fn split_anchors(&self) {
        let pem = std::fs::read_to_string(self.anchors()).unwrap();
        for certificate in Certificate::from_pem_many(&pem).unwrap() {
            let is_root = certificate.subject_der() == certificate.issuer_der();
            let path = if is_root { self.root() } else { self.issuing() };
            std::fs::write(path, certificate.to_pem()).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Where cargo puts what it builds: this test program lies in `TARGET/debug/deps`.
pub fn target_directory() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.ancestors().nth(3).unwrap().to_owned()
}
