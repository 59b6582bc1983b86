//! Floods of connections that come to nothing, from the same address as the good ones: all here is one address.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use touchmark_dial::{BaseUrl, BlockingHttp, ClientIdentity, ClientTls, HttpClient, Request};
use touchmark_tests::{Device, Enrolment, Key, Lab, Meter, device_token, flood, refusal_is_recorded, storm};

/// Opened on each port.
const CONNECTIONS: usize = 5_000;
const PAUSE: Duration = Duration::from_millis(10);

const REVOKE_MAX: Duration = Duration::from_secs(2);
const HANDSHAKE_P99_MAX: Duration = Duration::from_millis(500);
/// On a machine that is busy with other things a quiet port is slow, too: then the flood may not make it much slower.
const OF_QUIET: u32 = 3;

/// Times of an act, repeated until told to stop, and at least so often that a 99th percentile means something.
fn timed(stop: &AtomicBool, mut act: impl FnMut()) -> Vec<Duration> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) || times.len() < 100 {
        let begun = Instant::now();
        act();
        times.push(begun.elapsed());
        sleep(PAUSE);
    }
    times
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// What is done beside the floods, on connections of its own.
struct Good<'a> {
    lab: &'a Lab,
    gateway: ClientTls,
}

impl Good<'_> {
    fn est(&self) {
        let answer = Device::new(self.lab).request(Request::get("/.well-known/est/cacerts")).unwrap();
        assert_eq!(answer.status, 200);
    }

    fn api(&self) {
        assert_eq!(self.lab.operator().get("/v1/status").unwrap().status, 200);
    }

    /// A session is decided and recorded, then a message.
    fn gateway(&self) {
        let base: BaseUrl = self.lab.http().parse().unwrap();
        let mut http = BlockingHttp::new(HttpClient::new(base, Some(self.gateway.clone())).unwrap()).unwrap();
        let publish = Request::post("/publish/plant/pump-good/temp", "text/plain", "21").unwrap();
        assert_eq!(http.send(publish).unwrap().status, 204);
    }

    /// The 99th percentile at each port.
    fn measured(&self, stop: &AtomicBool) -> [Duration; 3] {
        thread::scope(|scope| {
            let est = scope.spawn(|| timed(stop, || self.est()));
            let api = scope.spawn(|| timed(stop, || self.api()));
            let gateway = scope.spawn(|| timed(stop, || self.gateway()));
            [est, api, gateway].map(|times| p99(times.join().unwrap()))
        })
    }
}

/// 500 connections in a second that come to nothing, on every TLS port at once and from the address of the good
/// ones: revoking and handshakes go on.
#[test]
fn floods_of_unfinished_handshakes_stop_neither_revoking_nor_good_handshakes() {
    let mut lab = Lab::start();
    lab.start_gateway(&[]);
    let mut operator = lab.operator();
    let mut enrol = |name: &str| {
        let token = operator.token(&device_token("lab", name));
        Device::new(&lab).enrol(None, &token)
    };
    let (key, chain) = enrol("pump-good");
    let revoked: Vec<String> = (0..20).map(|n| format!("pump-{n:02}")).collect();
    for name in &revoked {
        enrol(name);
    }
    let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
    let identity = ClientIdentity::from_der(chain, key.pkcs8());
    let anchors = std::fs::read(lab.gateway_anchors()).unwrap();
    let gateway = ClientTls::from_pem(&anchors, Some(identity), Default::default()).unwrap();
    let good = Good { lab: &lab, gateway };

    let quiet = good.measured(&AtomicBool::new(true));
    let meter = Meter::begin(lab.authority());
    let over = AtomicBool::new(false);
    let (flooded, revokes) = thread::scope(|scope| {
        let floods = [lab.est(), lab.api(), lab.http()]
            .map(|port| scope.spawn(|| flood(port, CONNECTIONS, &AtomicBool::new(false))));
        let measured = scope.spawn(|| good.measured(&over));
        let revokes: Vec<Duration> = revoked
            .iter()
            .map(|name| {
                let begun = Instant::now();
                lab.operator().revoke(name);
                let took = begun.elapsed();
                sleep(PAUSE * 20);
                took
            })
            .collect();
        for flood in floods {
            flood.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        (measured.join().unwrap(), revokes)
    });
    let cost = meter.end(1);
    println!("quiet {quiet:?}, flooded {flooded:?}, revokes {revokes:?}, {} KiB", cost.memory_kib);
    for (port, (flooded, quiet)) in ["est", "api", "gateway"].iter().zip(flooded.iter().zip(quiet)) {
        assert!(*flooded <= HANDSHAKE_P99_MAX.max(quiet * OF_QUIET), "{port}: {flooded:?}, quiet {quiet:?}");
    }
    let slowest = revokes.iter().max().unwrap();
    assert!(*slowest <= REVOKE_MAX, "{revokes:?}");
    assert!(cost.memory_kib <= 32 * 1024, "{cost:?}");
    for cause in ["est/handshake", "api/handshake"] {
        refusal_is_recorded(&lab, cause, "handshake-displaced");
    }
}

/// Requests to EST that are refused, and how many of them wait for an answer at once.
const REQUESTS: usize = 3_000;
const WAITING: usize = 250;

/// The API does not wait behind a crowd at EST, whose requests are whole and have to be looked at.
#[test]
fn a_crowd_at_est_does_not_keep_revoking_waiting() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let revoked: Vec<String> = (0..20).map(|n| format!("pump-{n:02}")).collect();
    for name in &revoked {
        let token = operator.token(&device_token("lab", name));
        Device::new(&lab).enrol(None, &token);
    }
    let mut token = operator.token(&device_token("lab", "pump-99"));
    token.password = "not the password".into();
    let shot = Enrolment::new(None, &Key::new().request("pump-99"), &token);
    let over = AtomicBool::new(false);
    let (refused, revokes) = thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let outcomes = storm(&lab, vec![shot; REQUESTS], WAITING);
            over.store(true, Ordering::Relaxed);
            outcomes.iter().filter(|outcome| outcome.status() == 401).count()
        });
        let mut revokes = Vec::new();
        for name in &revoked {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            lab.operator().revoke(name);
            revokes.push(begun.elapsed());
            sleep(PAUSE * 10);
        }
        (crowd.join().unwrap(), revokes)
    });
    println!("{refused} refused, revokes {revokes:?}");
    assert!(refused > REQUESTS / 2, "{refused}");
    assert!(revokes.len() > 3, "{}", revokes.len());
    assert!(*revokes.iter().max().unwrap() <= REVOKE_MAX, "{revokes:?}");
}
