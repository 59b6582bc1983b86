//! The product under measurement: the release build of `touchmark`, as processes on a directory of their own.

use crate::answers::{MadeToken, Serving};
use crate::fault::{Outcome, While as _};
use crate::process::Process;
use crate::stock::{self, Identity};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use touchmark_api::TokenOrder;
use touchmark_dial::{BaseUrl, BlockingHttp, ClientTls, HttpClient};
use touchmark_x509::Certificate;

/// The environment that the authority makes at its first start.
pub(crate) const ENVIRONMENT: &str = "lab";

/// An authority, its directory, and where it serves.
pub(crate) struct Product {
    // Dropped in this order: the process ends before its directory goes.
    authority: Option<Process>,
    ready: Serving,
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// A gateway of it, and where that serves.
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) mqtt: String,
    /// Its own files.
    pub(crate) state: PathBuf,
}

impl Product {
    /// Starts an authority on an empty directory.
    pub(crate) fn start(program: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("touchmark-bench-").tempdir()?;
        crate::interrupt::folder(folder.path());
        let mut product =
            Self { authority: None, ready: Serving::default(), program: program.to_owned(), folder };
        std::fs::write(product.path("passphrase"), "correct horse battery staple")?;
        product.start_authority()?;
        product.write_anchors()?;
        Ok(product)
    }

    /// Starts the authority; gives the time until it serves.
    pub(crate) fn start_authority(&mut self) -> Outcome<Duration> {
        let since = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(["server", "up", "--json", "--data"]).arg(self.data());
        command.arg("--passphrase-file").arg(self.path("passphrase"));
        let (process, ready) = serving("authority", command, self.folder())?;
        self.authority = Some(process);
        self.ready = ready;
        Ok(since.elapsed())
    }

    /// Ends the authority in order.
    pub(crate) fn stop_authority(&mut self) {
        if let Some(process) = self.authority.take() {
            process.stop();
        }
    }

    /// The authority's process.
    pub(crate) fn authority(&self) -> Outcome<&Process> {
        self.authority.as_ref().while_("the authority does not run")
    }

    /// Starts a gateway of a name of its own, with more words on its command line.
    pub(crate) fn gateway(&self, name: &str, words: &[&str]) -> Outcome<Gateway> {
        let mut command = Command::new(&self.program);
        command.args(["gateway", "up", "--json", "--name", name, "--data"]).arg(self.data());
        command.arg("--authority").arg(self.api()?).args(words);
        let (process, ready) = serving(name, command, self.folder())?;
        let mqtt = ready.mqtt.while_("the gateway has no MQTT port")?;
        Ok(Gateway { process, mqtt, state: self.gateway_files(name).join("state") })
    }

    /// Folder of a gateway: `chain.pem`, `key.pem`, `feed.key`, `state`.
    pub(crate) fn gateway_files(&self, name: &str) -> PathBuf {
        self.data().join("gateways").join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// PEM of the environment's anchors.
    pub(crate) fn anchors(&self) -> PathBuf {
        PathBuf::from(self.ready.ca.as_deref().unwrap_or_default())
    }

    /// `host:port` of EST.
    pub(crate) fn est(&self) -> Outcome<String> {
        host(self.ready.est.as_deref())
    }

    /// Base URL of the management API.
    pub(crate) fn api(&self) -> Outcome<&str> {
        self.ready.api.as_deref().while_("the authority has no API")
    }

    /// `host:port` of the management API.
    pub(crate) fn api_address(&self) -> Outcome<String> {
        host(self.ready.api.as_deref())
    }

    /// The operator of the first start.
    pub(crate) fn operator(&self) -> Outcome<BlockingHttp> {
        let folder = self.data().join("operator");
        let (chain, key) = (folder.join("operator.pem"), folder.join("operator.key"));
        let tls = ClientTls::from_pem_files(&self.anchors(), Some((&chain, &key)))?.to_authority(None)?;
        let base: BaseUrl = self.api()?.parse()?;
        Ok(BlockingHttp::new(HttpClient::new(base, Some(tls))?)?)
    }

    /// The same as a stock of one, for the generator.
    pub(crate) fn operator_stock(&self) -> Outcome<PathBuf> {
        use rustls_pki_types::pem::PemObject as _;
        let path = self.path("operator.stock");
        if !path.exists() {
            let folder = self.data().join("operator");
            let pem = std::fs::read_to_string(folder.join("operator.pem"))?;
            let chain = Certificate::from_pem_many(&pem)?.iter().map(|one| one.der().to_vec()).collect();
            let key = rustls_pki_types::PrivateKeyDer::from_pem_file(folder.join("operator.key"))?;
            let identity = Identity { name: "operator".to_owned(), key: key.secret_der().to_vec(), chain };
            stock::append(&path, &[identity])?;
        }
        Ok(path)
    }

    /// Password of a token for new devices whose names start with a prefix.
    pub(crate) fn token(&self, prefix: &str, uses: usize) -> Outcome<String> {
        self.make_token(None, Some(prefix), Some(u32::try_from(uses)?))
    }

    /// Password of a token for one device.
    pub(crate) fn device_token(&self, name: &str) -> Outcome<String> {
        self.make_token(Some(name), None, None)
    }

    fn make_token(&self, device: Option<&str>, prefix: Option<&str>, uses: Option<u32>) -> Outcome<String> {
        let order = TokenOrder {
            device: device.map(str::parse).transpose()?,
            prefix: prefix.map(str::parse).transpose()?,
            uses,
            model: Some("x200".parse()?),
            ..TokenOrder::new(ENVIRONMENT.parse()?, 3600)
        };
        let token: MadeToken = self.operator()?.post_json("/v1/tokens", &order)?;
        Ok(token.password)
    }

    /// `touchmark audit verify`: its JSON, if everything is in order.
    pub(crate) fn audit(&self) -> Outcome<serde_json::Value> {
        let mut command = Command::new(&self.program);
        command.args(["audit", "verify", "-o", "json", "--data"]).arg(self.data()).stdin(Stdio::null());
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("audit verify: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn write_anchors(&self) -> Outcome<()> {
        let pem = std::fs::read_to_string(self.anchors())?;
        for certificate in Certificate::from_pem_many(&pem)? {
            let is_root = certificate.subject_der() == certificate.issuer_der();
            let name = if is_root { "root.pem" } else { "issuing.pem" };
            std::fs::write(self.path(name), certificate.to_pem())?;
        }
        Ok(())
    }
}

fn serving(name: &str, mut command: Command, folder: &Path) -> Outcome<(Process, Serving)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Process::start(name, &mut command, folder)?;
    let line = process.first_line()?;
    let ready = serde_json::from_str(&line).while_(name)?;
    Ok((process, ready))
}

fn host(url: Option<&str>) -> Outcome<String> {
    let address = url.and_then(|url| url.rsplit('/').next()).while_("an address is missing")?;
    Ok(address.to_owned())
}
