//! A small environment for this crate's tests: an authority's keys, certificates, the signed feed, a real gateway
//! around them, and clients. Everything that it hands to the gateway has the authority's real formats.

use crate::admission::Admission;
use crate::arrivals::Arrivals;
use crate::config::{Ack, CredentialFiles, GatewayConfig};
use crate::credential::Credential;
use crate::decision_log::{DecisionLog, LogIdentity};
use crate::mqtt::{BrokerAddress, BrokerSessions, Cleaner, FarEnd, MqttPort};
use crate::rates::{PUBLISH_RATE, Rates};
use crate::session::{Reviewer, Sessions};
use crate::sink::Sink;
use crate::trust::{DevicePaths, Trust};
use crate::uplink::Uplink;
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use touchmark_decisions::{Decision, DecisionReader, Frame, Record, SequenceCheck};
use touchmark_dial::{ClientIdentity, ClientTls, TlsVersions};
use touchmark_identity::{AuthorityVersionId, SerialNumber, Timestamp, Validity};
use touchmark_listen::{Accepted, Clock, Limits, PortPolicy, ServerTls, Stop, StopSwitch, bind, serve_tls};
use touchmark_status::{
    Anchor, AnchorRole, Change, FeedSigner, FeedWriter, Revocation, StalenessClass, StatusSet,
    feed_file_entry,
};
use touchmark_tilelog::TileReader;
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{Certificate, KeyAlgorithm, Signer, SoftwareKey};

/// Far longer than anything takes: tests wait on conditions, this only ends a hang.
pub(crate) const CAP: Duration = Duration::from_secs(30);
const DAY_S: u64 = 86_400;

pub(crate) struct Authority {
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

/// A certificate with its key.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    pub(crate) key: SoftwareKey,
}

impl Holder {
    pub(crate) fn identity(&self) -> ClientIdentity {
        ClientIdentity::from_der(vec![self.certificate.der().to_vec()], self.key.to_pkcs8())
    }
}

pub(crate) struct Lab {
    pub(crate) home: tempfile::TempDir,
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
    pub(crate) signer: FeedSigner,
    pub(crate) writer: Mutex<FeedWriter>,
    /// Milliseconds that the lab's clock is ahead of the machine's.
    ahead_ms: Arc<AtomicU64>,
    next_serial: AtomicU64,
}

pub(crate) fn version(octet: u8) -> AuthorityVersionId {
    AuthorityVersionId::try_from(&[octet; 16][..]).unwrap()
}

fn validity(seconds: u64) -> Validity {
    let now = Clock::system().now().unix_s();
    Validity::new(now - 60, now + seconds).unwrap()
}

fn serial(number: u64) -> SerialNumber {
    SerialNumber::try_from([&[1; 9][..], &number.to_be_bytes()].concat().as_slice()).unwrap()
}

fn signed(tbs: TbsCertificate, key: &SoftwareKey) -> Certificate {
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

fn authority(name: &str, above: Option<&Authority>) -> Authority {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let tbs = ca_tbs(&CaContents {
        common_name: name,
        serial: serial(if above.is_some() { 2 } else { 1 }),
        validity: validity(300 * DAY_S),
        public_key: key.public_key(),
        path_len: above.map(|_| 0),
        issuer: above.map(|above| &above.certificate),
        crl_url: above.map(|_| "http://127.0.0.1:1/root.crl"),
        signature_algorithm: key.algorithm(),
    });
    let certificate = signed(tbs, above.map_or(&key, |above| &above.key));
    Authority { key, certificate }
}

impl Lab {
    /// An environment `lab` with the starter policy.
    pub(crate) fn new() -> Self {
        let root = authority("lab root", None);
        let issuing = authority("lab issuing", Some(&root));
        let writer = FeedWriter::new("lab".parse().unwrap(), "lab.touchmark.internal".parse().unwrap(), 1);
        let lab = Self {
            home: tempfile::tempdir().unwrap(),
            root,
            issuing,
            signer: FeedSigner::from_seed(&[7; 32]).unwrap(),
            writer: Mutex::new(writer),
            ahead_ms: Arc::default(),
            next_serial: AtomicU64::new(100),
        };
        lab.publish(vec![lab.anchors(None), policy(&touchmark_policy_cedar::PolicyBundle::starter())]);
        lab
    }

    /// Root, issuing authority, and perhaps a maker.
    pub(crate) fn anchors(&self, maker: Option<&Authority>) -> Change {
        let ours = [(9, AnchorRole::Root, &self.root), (1, AnchorRole::Issuing, &self.issuing)];
        let all = ours.into_iter().chain(maker.map(|maker| (5, AnchorRole::Maker, maker)));
        let anchors = all.map(|(octet, role, authority)| Anchor {
            authority_version: version(octet),
            role,
            certificate_der: authority.certificate.der().to_vec(),
        });
        Change::Anchors(anchors.collect())
    }

    /// A maker's authority, perhaps below another.
    pub(crate) fn maker(name: &str, above: Option<&Authority>) -> Authority {
        authority(name, above)
    }

    /// A maker's certificate for a device, that even says it were one of ours.
    pub(crate) fn initial(&self, name: &str, maker: &Authority) -> Holder {
        let uri = format!("spiffe://lab.touchmark.internal/d/{name}");
        self.leaf(&uri, &["model:x200"], 300 * DAY_S, &[ExtendedKeyUsage::ClientAuth], maker)
    }

    pub(crate) fn clock(&self) -> Clock {
        let (ahead, system) = (Arc::clone(&self.ahead_ms), Clock::system());
        Clock::new(move || system.now().plus(Duration::from_millis(ahead.load(Ordering::Relaxed))))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// Moves the lab's clock.
    pub(crate) fn pass(&self, time: Duration) {
        self.ahead_ms.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Moves it back: it was ahead.
    pub(crate) fn go_back(&self, time: Duration) {
        self.ahead_ms.fetch_sub(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Signs a delta; gives its octets.
    pub(crate) fn publish(&self, changes: Vec<Change>) -> Vec<u8> {
        self.writer.lock().unwrap().publish(changes, self.now(), &self.signer).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Vec<u8> {
        self.writer.lock().unwrap().snapshot(self.now(), &self.signer).unwrap()
    }

    pub(crate) fn heartbeat(&self) -> Vec<u8> {
        self.writer.lock().unwrap().heartbeat(self.now(), &self.signer).unwrap()
    }

    pub(crate) fn device(&self, name: &str) -> Holder {
        self.holder(&format!("spiffe://lab.touchmark.internal/d/{name}"), &["model:x200"], 30 * DAY_S)
    }

    /// A leaf of the issuing authority.
    pub(crate) fn holder(&self, uri: &str, scope: &[&str], seconds: u64) -> Holder {
        let usages = [ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth];
        self.leaf(uri, scope, seconds, &usages, &self.issuing)
    }

    pub(crate) fn leaf(
        &self,
        uri: &str,
        scope: &[&str],
        seconds: u64,
        usages: &[ExtendedKeyUsage],
        issuer: &Authority,
    ) -> Holder {
        let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let template = LeafTemplate::new(&LeafProfile {
            issuer: &issuer.certificate,
            signature_algorithm: issuer.key.algorithm(),
            extended_key_usages: usages,
            crl_url: "http://127.0.0.1:1/lab.crl",
        });
        let uri: touchmark_identity::SpiffeId = uri.parse().unwrap();
        let tbs = template.unwrap().fill(&LeafContents {
            serial: serial(self.next_serial.fetch_add(1, Ordering::Relaxed)),
            validity: validity(seconds),
            public_key: key.public_key(),
            common_name: &uri.name,
            uri: &uri,
            dns: &["localhost".to_owned()],
            ip: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            scope: &scope.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>(),
        });
        Holder { certificate: signed(tbs, &issuer.key), key }
    }

    /// The change that revokes a certificate of the issuing authority.
    pub(crate) fn revoke(&self, holder: &Holder) -> Change {
        Change::Revoke {
            authority_version: version(1),
            serial: *holder.certificate.serial(),
            revocation: Revocation {
                at: self.now(),
                reason: touchmark_identity::RevocationReason::KeyCompromise,
                not_after: holder.certificate.validity().not_after(),
            },
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("gateway")
    }

    /// A file for programs that others wrote.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Files of a gateway whose authority is away.
    pub(crate) fn config(&self) -> GatewayConfig {
        let holder = self.holder("spiffe://lab.touchmark.internal/s/gateway-1", &[], 30 * DAY_S);
        let chain = [holder.certificate.to_pem(), self.issuing.certificate.to_pem()].concat();
        GatewayConfig::new(
            "gateway-1".parse().unwrap(),
            "lab".parse().unwrap(),
            self.data(),
            "https://127.0.0.1:1".to_owned(),
            self.file("anchors.pem", &self.root.certificate.to_pem()),
            CredentialFiles {
                chain: self.file("gateway.pem", &chain),
                key: self.file("gateway.key", holder.key.to_pkcs8_pem().expose()),
            },
            self.file("feed.key", &hex::encode(self.signer.verifier().as_bytes())),
        )
    }

    /// Puts the feed where a gateway finds it at its start.
    pub(crate) fn store_feed(&self) {
        std::fs::create_dir_all(self.data()).unwrap();
        std::fs::write(self.data().join("feed"), feed_file_entry(&self.snapshot()).unwrap()).unwrap();
    }

    /// The trust after the feed so far.
    pub(crate) fn trust(&self, staleness: StalenessClass) -> Arc<Trust> {
        let environment = "lab".parse().unwrap();
        let set = StatusSet::from_snapshot(
            &self.snapshot(),
            &self.signer.verifier(),
            &environment,
            None,
            self.now(),
        );
        let trust = Trust::new(environment, self.signer.verifier(), staleness);
        trust.begin(set.unwrap());
        Arc::new(trust)
    }

    pub(crate) fn log_identity(&self) -> LogIdentity {
        LogIdentity {
            gateway: "gateway-1".parse().unwrap(),
            environment: "lab".parse().unwrap(),
            data: self.data(),
            ack: Ack::Queued,
        }
    }

    /// The parts of a gateway, so that a test can fold messages of the feed itself.
    pub(crate) fn run(&self, broker: Option<&Broker>) -> Running {
        self.run_with(broker, StalenessClass::Standard, Ack::Queued)
    }

    /// The same with a rate of messages.
    pub(crate) fn run_at(&self, publish_rate: u32) -> Running {
        self.run_all(None, StalenessClass::Standard, Ack::Queued, publish_rate)
    }

    /// The same with what an operator may choose.
    pub(crate) fn run_with(&self, broker: Option<&Broker>, class: StalenessClass, ack: Ack) -> Running {
        self.run_all(broker, class, ack, PUBLISH_RATE)
    }

    fn run_all(
        &self,
        broker: Option<&Broker>,
        class: StalenessClass,
        ack: Ack,
        publish_rate: u32,
    ) -> Running {
        let config = self.config();
        let (trust, clock) = (self.trust(class), self.clock());
        let identity = LogIdentity { ack, ..self.log_identity() };
        let log = Arc::new(DecisionLog::open(&identity, trust.feed_position(), &clock).unwrap());
        let sessions = Arc::new(Sessions::default());
        let kept = broker.map(|_| Arc::new(BrokerSessions::open(&self.data(), clock.now())));
        let reviewer = Arc::new(Reviewer {
            trust: Arc::clone(&trust),
            sessions: Arc::clone(&sessions),
            log: Arc::clone(&log),
            clock: clock.clone(),
            broker: kept.clone(),
        });
        let admission = Arc::new(Admission {
            trust: Arc::clone(&trust),
            sessions: Arc::clone(&sessions),
            log: Arc::clone(&log),
            arrivals: Arc::new(Arrivals::new(clock.now())),
            rates: Arc::new(Rates::new(publish_rate)),
            clock: clock.clone(),
        });
        let credential = Credential::read(&config.credential).unwrap();
        let uplink = Arc::new(Uplink::new(&config, &credential, &trust).unwrap());
        let sink = Arc::new(Sink::open(&self.data()).unwrap());
        let (switch, stop) = StopSwitch::new();
        let mut tasks = Vec::new();
        let target = match (broker, &kept) {
            (Some(broker), Some(kept)) => {
                let cleaner = Cleaner {
                    kept: Arc::clone(kept),
                    sessions: Arc::clone(&sessions),
                    trust: Arc::clone(&trust),
                    log: Arc::clone(&log),
                    clock: clock.clone(),
                    address: broker.as_upstream(),
                    uplink: Arc::clone(&uplink),
                };
                tasks.push(tokio::spawn(Arc::new(cleaner).run(stop.clone())));
                FarEnd::Broker { address: broker.as_upstream(), uplink, kept: Arc::clone(kept) }
            }
            _ => FarEnd::Sink(Arc::clone(&sink)),
        };
        let paths = Arc::new(DevicePaths(Arc::clone(&trust)));
        let server = credential.server().unwrap();
        let tls = ServerTls::new(PortPolicy::Device, &server, paths, clock).unwrap();
        let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
        let address = bound.address();
        tasks.push(tokio::spawn(Arc::clone(&reviewer).watch_time(stop.clone())));
        let kept_door = Arc::clone(&admission);
        let port = Arc::new(MqttPort { admission: Arc::clone(&admission), target });
        let serving = serve_tls(
            bound,
            tls,
            Limits::default(),
            stop,
            move |accepted, stop| Box::pin(Arc::clone(&port).serve(accepted, stop)),
            move |_, fault| admission.count_fault(fault),
        );
        tasks.push(tokio::spawn(async move {
            serving.await;
        }));
        Running { address, trust, sessions, reviewer, log, sink, admission: kept_door, kept, switch, tasks }
    }

    /// One more port of a gateway, served as the test says.
    pub(crate) fn serve<F>(&self, running: &Running, serve: F) -> SocketAddr
    where
        F: Fn(Accepted, Stop) -> core::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    {
        let credential = Credential::read(&self.config().credential).unwrap();
        let paths = Arc::new(DevicePaths(Arc::clone(&running.trust)));
        let server = credential.server().unwrap();
        let tls = ServerTls::new(PortPolicy::Device, &server, paths, self.clock()).unwrap();
        let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
        let address = bound.address();
        let (switch, stop) = StopSwitch::new();
        tokio::spawn(async move {
            let _kept = switch;
            serve_tls(bound, tls, Limits::default(), stop, serve, |_, _| {}).await;
        });
        address
    }

    /// A client's TLS with a holder's certificate.
    pub(crate) fn client_tls(&self, holder: Option<&Holder>) -> ClientTls {
        let anchors = [self.root.certificate.der().to_vec()];
        ClientTls::new(&anchors, holder.map(Holder::identity), TlsVersions::Tls13).unwrap()
    }

    /// Every decision in the signed log, after checking that nothing is missing.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        let mut reader = DecisionReader::new();
        self.frames().iter().flat_map(|frame| reader.read(frame)).collect()
    }

    /// Whether a text stands in the files of the log now, written ahead or in tiles.
    pub(crate) fn is_on_disk(&self, text: &str) -> bool {
        let mut files = vec![self.data().join("decision-log.wal"), self.data().join("decision-log")];
        while let Some(path) = files.pop() {
            if let Ok(folder) = std::fs::read_dir(&path) {
                files.extend(folder.map(|entry| entry.unwrap().path()));
            } else if let Ok(octets) = std::fs::read(&path)
                && octets.windows(text.len()).any(|window| window == text.as_bytes())
            {
                return true;
            }
        }
        false
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.frames().into_iter().flat_map(|frame| frame.records).collect()
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        let directory = self.data().join("decision-log");
        let note = std::fs::read_to_string(directory.join("checkpoint")).unwrap();
        let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
        let leaves = TileReader::new(&directory, size).read_entries(0..size).unwrap();
        let mut check = SequenceCheck::new("gateway-1".parse().unwrap());
        leaves
            .iter()
            .map(|leaf| {
                let frame = Frame::decode(leaf).unwrap();
                check.check(&frame).unwrap();
                frame
            })
            .collect()
    }

    /// Waits until the signed log holds what is asked for.
    pub(crate) async fn logged(&self, wanted: impl Fn(&Decision) -> bool) -> Decision {
        until(|| self.decisions().into_iter().find(&wanted)).await
    }
}

/// Waits on a condition.
pub(crate) async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(met) = condition() {
                return met;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(CAP, waiting).await.expect("the condition is met in time")
}

pub(crate) fn policy(bundle: &touchmark_policy_cedar::PolicyBundle) -> Change {
    Change::Policies(touchmark_status::PolicyBundle {
        version: bundle.version().0,
        files: bundle.files.clone(),
        topics: bundle.topics.clone(),
    })
}

/// A gateway's MQTT port and what stands behind it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Arc<Trust>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) reviewer: Arc<Reviewer>,
    pub(crate) log: Arc<DecisionLog>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) kept: Option<Arc<BrokerSessions>>,
    pub(crate) switch: StopSwitch,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    /// What the feed client does with a message, without the network; gives how many sessions it ended.
    pub(crate) async fn fold(&self, lab: &Lab, wire: &[u8]) -> usize {
        let effects = self.trust.fold(wire, None, lab.now()).unwrap();
        let mut ended = self.reviewer.cut(&effects);
        if Reviewer::concern_all(&effects) {
            ended.extend(self.reviewer.renew());
        }
        let count = ended.len();
        self.reviewer.wait_until_left(ended).await;
        count
    }

    /// What devices left at the broker.
    pub(crate) fn kept(&self) -> &BrokerSessions {
        self.kept.as_ref().expect("a gateway with a broker behind")
    }

    /// Ends this gateway, and waits until nothing of it works any more.
    pub(crate) async fn end(self) {
        self.switch.stop();
        for task in self.tasks {
            tokio::time::timeout(CAP, task).await.unwrap().unwrap();
        }
        self.log.close().await;
    }

    pub(crate) async fn live(&self, count: usize) {
        until(|| (self.sessions.all().len() == count).then_some(())).await;
    }
}

/// A real mosquitto on a port of its own.
pub(crate) struct Broker {
    child: Child,
    config: PathBuf,
    port: u16,
    protected: bool,
}

impl Broker {
    pub(crate) async fn start(lab: &Lab) -> Self {
        Self::start_with(lab, "", false).await
    }

    /// One that takes clients with a certificate of the lab only.
    pub(crate) async fn start_protected(lab: &Lab) -> Self {
        let holder = lab.holder("spiffe://lab.touchmark.internal/s/broker", &[], DAY_S);
        let chain = [holder.certificate.to_pem(), lab.issuing.certificate.to_pem()].concat();
        let tls = format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            lab.file("anchors.pem", &lab.root.certificate.to_pem()).display(),
            lab.file("broker.pem", &chain).display(),
            lab.file("broker.key", holder.key.to_pkcs8_pem().expose()).display(),
        );
        Self::start_with(lab, &tls, true).await
    }

    /// One that keeps its sessions over a restart.
    pub(crate) async fn start_durable(lab: &Lab) -> Self {
        let place = lab.home.path().join("broker");
        std::fs::create_dir_all(&place).unwrap();
        let more = format!("user root\npersistence true\npersistence_location {}/\n", place.display());
        Self::start_with(lab, &more, false).await
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self) {
        self.child = mosquitto(&self.config);
        until(|| std::net::TcpStream::connect(self.address()).ok()).await;
    }

    async fn start_with(lab: &Lab, more: &str, protected: bool) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = lab.file(
            "mosquitto.conf",
            &format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{more}"),
        );
        let child = mosquitto(&config);
        let broker = Self { child, config, port, protected };
        until(|| std::net::TcpStream::connect(broker.address()).ok()).await;
        broker
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn as_upstream(&self) -> BrokerAddress {
        match self.protected {
            true => BrokerAddress::elsewhere(&self.address()),
            false => BrokerAddress::parse(&self.address()).unwrap(),
        }
    }
}

fn mosquitto(config: &std::path::Path) -> Child {
    Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("these tests need the program `mosquitto`")
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
