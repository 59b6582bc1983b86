//! Putting a gateway together: every part once, in the order in which they need each other, and its end.

mod descriptors;

use self::descriptors::connections_max;
use crate::admission::Admission;
use crate::arrivals::Arrivals;
use crate::config::{GatewayConfig, PreferredPorts};
use crate::credential::Credential;
use crate::decision_log::{DecisionLog, LogIdentity, ship};
use crate::fault::GatewayFault;
use crate::feed::{FeedClient, FeedFile};
use crate::http::{HttpPort, HttpService, PublishTarget, UpdateTarget};
use crate::mqtt::{BrokerAddress, BrokerSessions, Cleaner, FarEnd, MqttPort};
use crate::rates::Rates;
use crate::session::{Reviewer, Sessions};
use crate::sink::{Sink, serve_page};
use crate::trust::{DevicePaths, Trust};
use crate::uplink::{Uplink, follow_files};
use crate::witness::witness;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use touchmark_durable::{Mode, create_dir_durable, first_second, write_changed};
use touchmark_identity::Timestamp;
use touchmark_listen::{
    Bound, Clock, Limits, PortPolicy, ServerIdentity, ServerTls, StopSwitch, WhenFull, bind, serve_plain,
    serve_tls,
};
use touchmark_status::FeedVerifier;
use touchmark_supervise::{Ended, Lost, Supervisor};

/// How long a start waits for its first feed.
const FIRST_FEED: Duration = Duration::from_secs(2);

/// Where a gateway serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayReady {
    /// `host:port` of MQTT over mutual TLS.
    pub mqtt: String,
    /// Base URL of HTTP over mutual TLS.
    pub http: String,
    /// Base URL of the built-in sink; `None` with a broker behind.
    pub sink: Option<String>,
}

/// A running gateway. Dropping it stops it, without an end in order of its log.
#[derive(Debug)]
pub struct Gateway {
    ready: GatewayReady,
    tasks: Supervisor,
}

impl Gateway {
    /// Where it serves.
    pub fn ready(&self) -> &GatewayReady {
        &self.ready
    }

    /// Asks it to end: sessions are told, the log is closed in order. Calling it again changes nothing.
    pub fn stop(&self) {
        self.tasks.stop();
    }

    /// Returns when a part of it has ended for good; the rest ends by itself then.
    pub async fn lost(&self) -> Lost {
        self.tasks.lost().await
    }

    /// Returns when it has ended; says which part ended for good, if one did.
    pub async fn stopped(&self) -> Option<Lost> {
        self.tasks.ended().await
    }

    /// For what runs beside it and ends with it.
    pub fn tasks(&self) -> &Supervisor {
        &self.tasks
    }
}

/// The ports of the last start.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct KeptPorts {
    mqtt: u16,
    http: u16,
    sink: u16,
}

const PORTS_FILE: &str = "ports.json";
/// When a gateway that demands the smaller s was first started on this directory.
const LOW_S_FILE: &str = "low-s-since";
const UPDATES_DIRECTORY: &str = "updates";

/// Starts a gateway. It serves when this returns; without a feed it refuses everyone, with the reason.
///
/// # Errors
/// [`GatewayFault`]: an operator must act.
pub async fn start(config: GatewayConfig, clock: Clock) -> Result<Gateway, GatewayFault> {
    create_dir_durable(&config.data, Mode::Private0600)?;
    let credential = Credential::read(&config.credential)?;
    let server = credential.server()?;

    let verifier = feed_key(&config.feed_key)?;
    let trust = Arc::new(Trust::new(config.environment.clone(), verifier, config.staleness));
    // The authority is upgraded first, so what is signed from the first start of such a gateway on is in our form.
    trust.low_s_from(Timestamp::from_unix_s(first_second(
        &config.data.join(LOW_S_FILE),
        clock.now().unix_s(),
    )?));
    let uplink = Arc::new(Uplink::new(&config, &credential, &trust)?);
    let mut file = FeedFile::new(&config.data);
    load_feed(&mut file, &trust);
    let clock = trust.clock(clock);

    // All that an operator may have got wrong comes before the log: a start that is refused has nothing open.
    let upstreams = Upstreams::of(&config, &uplink)?;
    let identity = LogIdentity {
        gateway: config.name.clone(),
        environment: config.environment.clone(),
        data: config.data.clone(),
        ack: config.ack,
    };
    let tasks = Supervisor::new();
    let stop = tasks.listener();
    let log = Arc::new(DecisionLog::start(&identity, trust.feed_position(), &clock, &tasks)?);
    let sessions = Arc::new(Sessions::default());
    let admission = Arc::new(Admission {
        trust: Arc::clone(&trust),
        sessions: Arc::clone(&sessions),
        log: Arc::clone(&log),
        arrivals: Arc::new(Arrivals::new(clock.now())),
        rates: Arc::new(Rates::new(config.publish_rate)),
        clock: clock.clone(),
    });
    let target = FarEnds::open(&config, upstreams, &uplink, &clock)?;
    let ports = Ports::bind(&config, target.sink.is_some())?;
    let ready = ports.ready();

    let reviewer = Arc::new(Reviewer {
        trust: Arc::clone(&trust),
        sessions: Arc::clone(&sessions),
        log: Arc::clone(&log),
        clock: clock.clone(),
        broker: target.kept.clone(),
    });
    if let (Some(address), Some(kept)) = (&target.broker, &target.kept) {
        let cleaner = Arc::new(Cleaner {
            kept: Arc::clone(kept),
            sessions,
            trust: Arc::clone(&trust),
            log: Arc::clone(&log),
            clock: clock.clone(),
            address: address.clone(),
            uplink: Arc::clone(&uplink),
        });
        let cleaning = stop.clone();
        tasks.restarted("broker-sessions", stop.clone(), move |_| Arc::clone(&cleaner).run(cleaning.clone()));
    }
    let (watched, watching) = (Arc::clone(&reviewer), stop.clone());
    tasks.restarted("session-review", stop.clone(), move |_| {
        Arc::clone(&watched).watch_time(watching.clone())
    });
    let feed = Arc::new(FeedClient {
        trust: Arc::clone(&trust),
        file: Arc::new(Mutex::new(file)),
        reviewer,
        uplink: Arc::clone(&uplink),
        clock: clock.clone(),
    });
    let following = stop.clone();
    // What was on its way to the disk or to sessions is lost with it: a snapshot says it all again.
    tasks.restarted("feed", stop.clone(), move |first| Arc::clone(&feed).follow(!first, following.clone()));
    let (data, asked, seeing) = (config.data.clone(), Arc::clone(&uplink), stop.clone());
    tasks.restarted("witness", stop.clone(), move |_| {
        witness(data.clone(), Arc::clone(&asked), seeing.clone())
    });
    let (own, shown, asked, looking) = (config.clone(), server.clone(), Arc::clone(&uplink), stop.clone());
    tasks.restarted("credential-files", stop.clone(), move |_| {
        follow_files(own.clone(), shown.clone(), Arc::clone(&asked), looking.clone())
    });
    // Goes on while sessions end, so that the authority hears of their ends.
    let (ship_switch, ship_stop) = StopSwitch::new();
    let (shipped, asked, shipping) = (Arc::clone(&log), Arc::clone(&uplink), ship_stop.clone());
    tasks.restarted("decision-log-upload", ship_stop, move |_| {
        ship(Arc::clone(&shipped), Arc::clone(&asked), shipping.clone())
    });

    let first_feed = first_feed(Arc::clone(&trust));
    let listeners = Listeners { admission, trust, server, clock, target };
    let listening = listeners.serve(&config, ports, &tasks)?;
    tasks.vital("end-in-order", stop, async move {
        for port in listening {
            port.wait().await;
        }
        log.close().await;
        ship_switch.stop();
    });
    first_feed.await;
    Ok(Gateway { ready, tasks })
}

/// Returns once there is a feed, or after [`FIRST_FEED`]: whoever is told that the gateway is ready should not be
/// refused for a feed that is still on its way. Without an authority it serves all the same, and says why not.
async fn first_feed(trust: Arc<Trust>) {
    let come = async {
        let mut look = tokio::time::interval(FIRST_FEED / 100);
        while trust.position().is_none() {
            look.tick().await;
        }
    };
    if tokio::time::timeout(FIRST_FEED, come).await.is_err() {
        tracing::warn!("no status feed yet: everyone is refused until the authority answers");
    }
}

fn feed_key(path: &Path) -> Result<FeedVerifier, GatewayFault> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| GatewayFault::Read { path: path.to_owned(), source })?;
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut key).map_err(|_| GatewayFault::Config {
        key: "feed_key",
        why: format!("{} does not hold 64 hexadecimal digits", path.display()),
    })?;
    Ok(FeedVerifier::new(key))
}

/// What is stored is used if it verifies. If not, there is no feed, and the authority is asked for one.
fn load_feed(file: &mut FeedFile, trust: &Trust) {
    if file.is_refused() {
        // Before the feed is in force: nobody is let in by it.
        trust.set_cut_off(true);
        tracing::error!(
            "the authority refused this gateway's certificate before this start: every device is refused until the \
             authority accepts a certificate of this gateway"
        );
    }
    match file.load(trust.verifier(), trust.environment()) {
        Ok(Some(set)) => {
            tracing::info!(position = %set.position(), issued_at = %set.issued_at(), "the stored status feed is in force");
            trust.begin(set);
        }
        Ok(None) => {
            tracing::info!("no status feed is stored yet: everyone is refused until the authority sends one")
        }
        Err(error) => {
            tracing::error!(%error, "the stored status feed is refused: everyone is refused until the authority sends one");
        }
    }
}

/// What lies behind the gateway.
struct FarEnds {
    broker: Option<BrokerAddress>,
    /// What devices left there.
    kept: Option<Arc<BrokerSessions>>,
    service: Option<Arc<HttpService>>,
    sink: Option<Arc<Sink>>,
    uplink: Arc<Uplink>,
}

impl FarEnds {
    /// After the log, which one process at a time has open: the files of the others are its own.
    fn open(
        config: &GatewayConfig,
        upstreams: Upstreams,
        uplink: &Arc<Uplink>,
        clock: &Clock,
    ) -> Result<Self, GatewayFault> {
        let Upstreams { broker, service } = upstreams;
        let sink = match broker {
            Some(_) => None,
            None => Some(Arc::new(Sink::open(&config.data)?)),
        };
        let kept = broker.as_ref().map(|_| Arc::new(BrokerSessions::open(&config.data, clock.now())));
        Ok(Self { broker, kept, service, sink, uplink: Arc::clone(uplink) })
    }
}

/// The programs behind the gateway, as they were named.
struct Upstreams {
    broker: Option<BrokerAddress>,
    service: Option<Arc<HttpService>>,
}

impl Upstreams {
    fn of(config: &GatewayConfig, uplink: &Arc<Uplink>) -> Result<Self, GatewayFault> {
        let bad = |key: &'static str| move |why: String| GatewayFault::Config { key, why };
        let broker = config.upstream_mqtt.as_deref().map(BrokerAddress::parse).transpose();
        let broker = broker.map_err(bad("upstream_mqtt"))?;
        let service = config.upstream_http.as_deref().map(|url| HttpService::new(url, Arc::clone(uplink)));
        let service = service.transpose().map_err(bad("upstream_http"))?.map(Arc::new);
        if let Some(address) = broker.as_ref().filter(|address| !address.is_protected()) {
            tracing::warn!(broker = %address, "exception in force: plain text to the broker on this machine");
        }
        if service.as_ref().is_some_and(|service| !service.is_protected()) {
            tracing::warn!("exception in force: plain text to the HTTP service on this machine");
        }
        Ok(Self { broker, service })
    }
}

/// The bound ports.
struct Ports {
    mqtt: Bound,
    http: Bound,
    sink: Option<Bound>,
}

impl Ports {
    /// Ports of the system's choice are kept: they stand in devices.
    fn bind(config: &GatewayConfig, with_sink: bool) -> Result<Self, GatewayFault> {
        let path = config.data.join(PORTS_FILE);
        let kept: KeptPorts =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let PreferredPorts { mqtt, http, sink } = config.ports;
        let wanted = |preferred: u16, kept: u16| if preferred == 0 { kept } else { preferred };
        let ports = Self {
            mqtt: bind(config.listen, wanted(mqtt, kept.mqtt))?,
            http: bind(config.listen, wanted(http, kept.http))?,
            // Without TLS, so for this machine only.
            sink: match with_sink {
                true => Some(bind(IpAddr::V4(Ipv4Addr::LOCALHOST), wanted(sink, kept.sink))?),
                false => None,
            },
        };
        let now = KeptPorts {
            mqtt: ports.mqtt.address().port(),
            http: ports.http.address().port(),
            sink: ports.sink.as_ref().map_or(kept.sink, |sink| sink.address().port()),
        };
        // Three numbers always have a form in JSON.
        write_changed(&path, &serde_json::to_vec(&now).unwrap_or_default(), Mode::Private0600)?;
        Ok(ports)
    }

    fn ready(&self) -> GatewayReady {
        GatewayReady {
            mqtt: reachable(self.mqtt.address()).to_string(),
            http: format!("https://{}", reachable(self.http.address())),
            sink: self.sink.as_ref().map(|sink| format!("http://{}", sink.address())),
        }
    }
}

/// An address that listens everywhere is reached on loopback, too.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}

struct Listeners {
    admission: Arc<Admission>,
    trust: Arc<Trust>,
    server: ServerIdentity,
    clock: Clock,
    target: FarEnds,
}

impl Listeners {
    fn serve(
        self,
        config: &GatewayConfig,
        ports: Ports,
        tasks: &Supervisor,
    ) -> Result<Vec<Ended>, GatewayFault> {
        let stop = tasks.listener();
        let Self { admission, trust, server, clock, target } = self;
        let tls = ServerTls::new(PortPolicy::Device, &server, Arc::new(DevicePaths(trust)), clock.clone())?;
        let Ports { mqtt, http, sink } = ports;
        let FarEnds { broker, kept, service, sink: store, uplink } = target;

        let with_upstream = broker.is_some() || service.is_some();
        let mqtt_far = match (&broker, kept, &store) {
            (Some(address), Some(kept), _) => {
                FarEnd::Broker { address: address.clone(), uplink: Arc::clone(&uplink), kept }
            }
            (_, _, Some(store)) => FarEnd::Sink(Arc::clone(store)),
            _ => return Err(no_far_end()),
        };
        let publish = match (&service, broker, &store) {
            (Some(service), ..) => PublishTarget::Service(Arc::clone(service)),
            (None, Some(address), _) => PublishTarget::Broker { address, uplink },
            (None, None, Some(sink)) => PublishTarget::Sink { sink: Arc::clone(sink), clock },
            (None, None, None) => return Err(no_far_end()),
        };
        let updates = match service {
            Some(service) => UpdateTarget::Service(service),
            None => UpdateTarget::Directory(config.data.join(UPDATES_DIRECTORY)),
        };

        let limits = Limits::of(connections_max(with_upstream), WhenFull::Wait);
        let mut listening = Vec::new();
        let mqtt_port = Arc::new(MqttPort { admission: Arc::clone(&admission), target: mqtt_far });
        let http_port = Arc::new(HttpPort { admission: Arc::clone(&admission), publish, updates });
        let faults = Arc::clone(&admission);
        let serving = serve_tls(
            mqtt,
            tls.clone(),
            limits,
            stop.clone(),
            // Boxed, so that the memory of the handshake's task does not hold both.
            move |accepted, stop| Arc::clone(&mqtt_port).serve(accepted, stop),
            move |_, fault| faults.count_fault(fault),
        );
        listening.push(tasks.vital("mqtt-port", stop.clone(), async move {
            serving.await;
        }));
        let serving = serve_tls(
            http,
            tls,
            limits,
            stop.clone(),
            move |accepted, stop| Arc::clone(&http_port).serve(accepted, stop),
            move |_, fault| admission.count_fault(fault),
        );
        listening.push(tasks.vital("http-port", stop.clone(), async move {
            serving.await;
        }));
        if let (Some(bound), Some(store)) = (sink, store) {
            let limits = Limits::of(64, WhenFull::Displace);
            let serving = serve_plain(bound, limits, stop.clone(), move |stream, _, stop| {
                serve_page(Arc::clone(&store), stream, stop)
            });
            listening.push(tasks.vital("sink-port", stop.clone(), async move {
                serving.await;
            }));
        }
        Ok(listening)
    }
}

fn no_far_end() -> GatewayFault {
    GatewayFault::Config { key: "upstream_mqtt", why: "there is neither a broker nor a sink".to_owned() }
}

#[cfg(test)]
mod tests;
