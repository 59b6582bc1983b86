//! The HTTP port over real TLS: verbs, denials, and what the service behind gets to see.

use crate::config::GatewayConfig;
use crate::lab::{Broker, CAP, Holder, Lab, Running, policy};
use crate::start::{Gateway, start};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchmark_decisions::Verdict;
use touchmark_dial::{BaseUrl, HttpClient, Method};
use touchmark_policy::{Action, DenyReason};

async fn gateway(lab: &Lab, adjust: impl FnOnce(&mut GatewayConfig)) -> Gateway {
    lab.store_feed();
    let mut config = lab.config();
    adjust(&mut config);
    start(config, lab.clock()).await.unwrap()
}

fn client(lab: &Lab, holder: &Holder, gateway: &Gateway) -> HttpClient {
    let base: BaseUrl = gateway.ready().http.parse().unwrap();
    HttpClient::new(base, Some(lab.client_tls(Some(holder)))).unwrap()
}

/// The port alone, over the sink, with a gateway whose parts a test may touch.
fn serve_http(lab: &Lab, running: &Running) -> SocketAddr {
    let port = Arc::new(super::HttpPort {
        admission: Arc::clone(&running.admission),
        publish: super::PublishTarget::Sink { sink: Arc::clone(&running.sink), clock: lab.clock() },
        updates: super::UpdateTarget::Directory(lab.data().join("updates")),
    });
    lab.serve(running, move |accepted, stop| Box::pin(Arc::clone(&port).serve(accepted, stop)))
}

fn has_update(lab: &Lab, octets: impl AsRef<[u8]>) {
    let folder = lab.data().join("updates/x200");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("fw.bin"), octets).unwrap();
}

fn plain(url: &str) -> HttpClient {
    HttpClient::new(url.parse().unwrap(), None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_makers_device_is_told_that_it_must_enrol() {
    let lab = Lab::new();
    let maker = Lab::maker("maker", None);
    lab.publish(vec![lab.anchors(Some(&maker))]);
    let gateway = gateway(&lab, |_| {}).await;
    let mut http = client(&lab, &lab.initial("pump-01", &maker), &gateway);
    for path in ["/publish/plant/pump-01/t", "/updates/x200/fw.bin"] {
        let method = if path.starts_with("/publish") { Method::POST } else { Method::GET };
        let answer = http.request(method, path, &[], "21.5").await.unwrap();
        let problem: touchmark_api::Problem = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (Some(403), "initial-identity"), "{path}");
    }
    let told = lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::InitialIdentity)).await;
    assert!(told.certificate().is_some());
}

/// Sends raw octets over TLS and reads to the end.
async fn raw(lab: &Lab, holder: &Holder, gateway: &Gateway, request: &str) -> String {
    let address = gateway.ready().http.strip_prefix("https://").unwrap();
    let mut stream = lab.client_tls(Some(holder)).connect(address, "127.0.0.1", CAP).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_to_the_sink_and_a_denied_one_is_told_why() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let mut http = client(&lab, &lab.device("pump-01"), &gateway);
    let rows: &[(&str, Method, &str, u16, &str)] = &[
        ("own topic", Method::POST, "/publish/plant/pump-01/t%20x", 204, ""),
        ("another's topic", Method::POST, "/publish/plant/pump-02/t", 403, "no-rule"),
        ("a broker's topic", Method::POST, "/publish/$SYS/x", 403, "reserved-topic"),
        ("a wildcard", Method::POST, "/publish/plant/%2b", 403, "topic-invalid"),
        ("an empty level", Method::POST, "/publish/plant/pump-01//x", 403, "topic-invalid"),
        ("an empty level, encoded", Method::POST, "/publish/plant/pump-01%2f%2fx", 403, "topic-invalid"),
        ("an empty first level", Method::POST, "/publish//plant/pump-01/x", 403, "topic-invalid"),
        ("an empty last level", Method::POST, "/publish/plant/pump-01/", 403, "topic-invalid"),
        ("climbing", Method::POST, "/publish/plant/pump-01/..%2f..%2fx", 403, "topic-invalid"),
        ("wrong method", Method::GET, "/publish/plant/pump-01/t", 405, "method-not-allowed"),
        ("wrong method of an update", Method::PUT, "/updates/x200/put.bin", 405, "method-not-allowed"),
        ("nothing", Method::GET, "/metrics", 404, "path-invalid"),
        ("another model", Method::GET, "/updates/x300/fw.bin", 403, "no-rule"),
        ("out of the folder", Method::GET, "/updates/x200/..%2f..%2fdecision-log.seed", 403, "path-invalid"),
        ("own model, no such file", Method::GET, "/updates/x200/fw.bin", 404, "update-unknown"),
    ];
    for (name, method, path, status, code) in rows {
        let answer = http.request(method.clone(), path, &[], "21.5").await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), *status, "{name}: {text}");
        assert!(text.contains(code), "{name}: {text}");
        if *status == 405 {
            assert!(["GET", "POST"].contains(&answer.header("allow").unwrap_or_default()), "{name}");
        }
        if *status == 403 {
            let problem: touchmark_api::Problem = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (problem.status, problem.code.as_str(), problem.fix.is_none()),
                (Some(403), *code, false),
                "{name}"
            );
        }
    }
    let mut sink = plain(gateway.ready().sink.as_ref().unwrap());
    let last = sink.request(Method::GET, "/last/plant/pump-01/t%20x", &[], "").await.unwrap();
    assert_eq!((last.body.as_ref(), last.header("touchmark-device")), (&b"21.5"[..], Some("pump-01")));
    let all = sink.request(Method::GET, "/messages?after=0", &[], "").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&all.body).lines().count(), 1);
    let denied = lab.logged(|d| d.resource.as_ref().is_some_and(|r| r.as_str() == "plant/pump-02/t")).await;
    assert_eq!((denied.action, denied.verdict), (Action::Publish, Verdict::Deny(DenyReason::NoRule)));
    let wrong = lab.logged(|d| d.resource.as_ref().is_some_and(|r| r.as_str() == "x200/put.bin")).await;
    assert_eq!(
        (wrong.action, wrong.verdict),
        (Action::RequestUpdate, Verdict::Deny(DenyReason::PathInvalid))
    );
    let nothing = lab
        .logged(|d| d.resource.as_ref().is_some_and(|r| r.as_str() == "/metrics") && d.action == Action::Call)
        .await;
    assert_eq!((nothing.action, nothing.verdict), (Action::Call, Verdict::Deny(DenyReason::PathInvalid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_streamed_and_recorded_first() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let folder = lab.data().join("updates/x200");
    std::fs::create_dir_all(&folder).unwrap();
    let firmware: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    std::fs::write(folder.join("fw.bin"), &firmware).unwrap();
    let mut http = client(&lab, &lab.device("pump-01"), &gateway);
    let answer = http.request(Method::GET, "/updates/x200/fw.bin", &[], "").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, firmware.as_slice()));
    let decision = lab.logged(|d| d.action == Action::RequestUpdate).await;
    assert_eq!(
        (decision.verdict, decision.resource.unwrap().as_str().to_owned()),
        (Verdict::Allow, "x200/fw.bin".into())
    );
    http.request(Method::POST, "/publish/plant/pump-01/t", &[], "21.5").await.unwrap();
    http.request(Method::POST, "/publish/x", &[], "21.5").await.unwrap();
    let policy = Some(touchmark_policy_cedar::PolicyBundle::starter().version());
    for verdict in [Verdict::Allow, Verdict::Deny(DenyReason::NoRule)] {
        let published = lab.logged(|d| d.action == Action::Publish && d.verdict == verdict).await;
        assert_eq!((decision.policy, published.policy), (policy, policy), "{verdict:?}");
    }
}

/// Where a request begins is in doubt without exactly one Host field, so nothing of it is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_its_host_once() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let device = lab.device("pump-01");
    let rows = [
        ("one", "Host: x\r\n", 204),
        ("none", "", 400),
        ("two", "Host: x\r\nHost: y\r\n", 400),
        ("the same twice", "Host: x\r\nHost: x\r\n", 400),
    ];
    for (name, host, status) in rows {
        let head = "POST /publish/plant/pump-01/t HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n";
        let answer = raw(&lab, &device, &gateway, &format!("{head}{host}\r\nx")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        assert_eq!(answer.contains("host-invalid"), status == 400, "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_by_http_wait_for_their_turn() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |config| config.publish_rate = 1).await;
    let mut http = client(&lab, &lab.device("pump-01"), &gateway);
    let begin = std::time::Instant::now();
    for _ in 0..2 {
        let answer = http.request(Method::POST, "/publish/plant/pump-01/t", &[], "21.5").await.unwrap();
        assert_eq!(answer.status.as_u16(), 204);
    }
    assert!(begin.elapsed().as_millis() >= 500, "the second one a second later: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_behind_sees_exactly_one_identity_made_here() {
    let lab = Lab::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (url, heard) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(&seen));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut octets = [0; 4096];
                let read = stream.read(&mut octets).await.unwrap();
                heard.lock().unwrap().push(String::from_utf8_lossy(&octets[..read]).into_owned());
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                    .await
                    .unwrap();
            });
        }
    });
    let gateway = gateway(&lab, |config| config.upstream_http = Some(url)).await;
    let device = lab.device("pump-01");
    let tricks = [
        "touchmark-identity: spiffe://lab.touchmark.internal/d/admin",
        "Touchmark-Identity: spiffe://lab.touchmark.internal/d/admin\r\nTOUCHMARK-IDENTITY: x",
        "touchmark_identity: spiffe://lab.touchmark.internal/d/admin",
        "Connection: touchmark-identity, close\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=1",
        "X-Client-Cert: x\r\nX-SSL-Client-S-DN: CN=admin\r\nX-Forwarded-Client-Cert: x\r\nCookie: a=b",
    ];
    for trick in tricks {
        let request = format!(
            "POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\n{trick}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        );
        let answer = raw(&lab, &device, &gateway, &request).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{trick}: {answer}");
        let heard = seen.lock().unwrap().pop().unwrap();
        let headers: Vec<&str> = heard.split("\r\n\r\n").next().unwrap().lines().skip(1).collect();
        let names: Vec<&str> = headers.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(
            names,
            ["host", "user-agent", "content-type", "touchmark-identity", "content-length"],
            "{trick}"
        );
        assert!(
            heard.contains("touchmark-identity: spiffe://lab.touchmark.internal/d/pump-01\r\n"),
            "{trick}"
        );
    }
    let smuggle = "POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n";
    raw(&lab, &device, &gateway, smuggle).await;
    assert!(seen.lock().unwrap().iter().all(|heard| heard.starts_with("POST /publish/plant/pump-01/t ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_and_a_message_reaches_the_broker() {
    let lab = Lab::new();
    let broker = Broker::start(&lab).await;
    let gateway = gateway(&lab, |config| config.upstream_mqtt = Some(broker.address())).await;
    assert_eq!(gateway.ready().sink, None);
    let mut behind = crate::mqtt::tests::client::Client::behind(&broker, "service").await;
    behind.subscribe(&["plant/#"]).await;
    let device = lab.device("pump-01");
    let mut http = client(&lab, &device, &gateway);
    let answer =
        http.request(Method::POST, "/publish/plant/pump-01/t", &[], vec![b'x'; 256 * 1024 + 1]).await;
    assert!(answer.is_err() || answer.unwrap().status.as_u16() == 413);
    let mut http = client(&lab, &device, &gateway);
    let answer = http.request(Method::POST, "/publish/plant/pump-01/t", &[], "over http").await.unwrap();
    assert_eq!(answer.status.as_u16(), 204);
    assert_eq!(behind.message().await, ("plant/pump-01/t".into(), "over http".into()));
    drop(broker);
    let answer = http.request(Method::POST, "/publish/plant/pump-01/t", &[], "lost").await.unwrap();
    assert_eq!(answer.status.as_u16(), 502, "what was not taken is not claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_alive_connection_keeps_no_right_alive() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let short = lab.holder("spiffe://lab.touchmark.internal/d/pump-01", &[], 3600);
    let address = gateway.ready().http.strip_prefix("https://").unwrap().to_owned();
    let mut stream = lab.client_tls(Some(&short)).connect(&address, "127.0.0.1", CAP).await.unwrap();
    let request = b"POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    stream.write_all(request).await.unwrap();
    let mut octets = [0; 512];
    let read = stream.read(&mut octets).await.unwrap();
    assert!(octets[..read].starts_with(b"HTTP/1.1 204"));
    lab.pass(core::time::Duration::from_secs(4000));
    // Either the request is denied or the connection is cut first: never a second 204.
    let _ = stream.write_all(request).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut rest)).await.unwrap();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 403"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_late_is_decided_when_it_is_there() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let short = lab.holder("spiffe://lab.touchmark.internal/d/pump-01", &[], 3600);
    let address = gateway.ready().http.strip_prefix("https://").unwrap().to_owned();
    let mut stream = lab.client_tls(Some(&short)).connect(&address, "127.0.0.1", CAP).await.unwrap();
    stream
        .write_all(b"POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
        .await
        .unwrap();
    // The session is there, so its request was permitted and waits for its body.
    lab.logged(|d| d.action == Action::Connect && d.verdict == Verdict::Allow).await;
    lab.pass(core::time::Duration::from_secs(4000));
    let _ = stream.write_all(b"x").await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 403"), "{answer}");
    let mut sink = plain(gateway.ready().sink.as_ref().unwrap());
    let all = sink.request(Method::GET, "/messages?after=0", &[], "").await.unwrap();
    assert!(all.body.is_empty(), "nothing went on");
}

/// A wrong method is a denial like any other: beyond the allowance it is not even told.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_methods_and_long_paths_fill_no_log() {
    let lab = Lab::new();
    let gateway = gateway(&lab, |_| {}).await;
    let device = lab.device("pump-01");
    let long = format!("/publish/x/{}", "y".repeat(900));
    let mut statuses = std::collections::BTreeMap::new();
    // On one connection as long as it lasts: a handshake takes longer than the allowance to grow again.
    let mut http = client(&lab, &device, &gateway);
    for n in 0..240 {
        let path = if n % 2 == 0 { "/publish/plant/pump-01/t" } else { &long };
        match http.request(Method::DELETE, path, &[], "").await {
            Ok(answer) => *statuses.entry(answer.status.as_u16()).or_insert(0) += 1,
            Err(_) => {
                *statuses.entry(0).or_insert(0) += 1;
                http = client(&lab, &device, &gateway);
            }
        }
    }
    assert!(statuses.get(&405).is_some_and(|told| *told >= 40), "{statuses:?}");
    assert!(statuses.get(&429).or(statuses.get(&0)).is_some(), "{statuses:?}");
    lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::PathInvalid)).await;
    let denied = lab.decisions().into_iter().filter(|d| d.verdict != Verdict::Allow);
    let longest = denied.filter_map(|d| d.resource.map(|r| r.as_str().len())).max();
    assert!(longest.is_some_and(|octets| octets <= 128), "{longest:?}");
}

/// The right is judged when it is used: a body that is still on its way is not passed on.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_revoked_in_the_middle_of_its_body_is_cut() {
    let lab = Lab::new();
    let running = lab.run(None);
    let address = serve_http(&lab, &running);
    has_update(&lab, vec![7; 8 * 1024 * 1024]);
    let head = "POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n";
    let rows: &[(&str, Vec<u8>)] = &[
        ("an upload", [head.as_bytes(), &[b'x'; 100_000]].concat()),
        ("a chunked upload", b"POST /publish/plant/pump-01/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec()),
        ("a download", b"GET /updates/x200/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("a kept-alive connection", b"POST /publish/plant/pump-01/ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx".to_vec()),
    ];
    for (name, octets) in rows {
        let device = lab.device("pump-01");
        let tls = lab.client_tls(Some(&device));
        let mut stream = tls.connect(&address.to_string(), "127.0.0.1", CAP).await.unwrap();
        stream.write_all(octets).await.unwrap();
        stream.flush().await.unwrap();
        running.live(1).await;
        if *name == "a kept-alive connection" {
            let mut read = [0; 512];
            assert!(stream.read(&mut read).await.unwrap() > 0, "{name}");
        }
        running.fold(&lab, &lab.publish(vec![lab.revoke(&device)])).await;
        running.live(0).await;
        // The rest of the upload, or another request, after the fact.
        let _ = stream.write_all(&[b'x'; 100_000]).await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut rest)).await.expect("the end");
        assert!(rest.len() < 8 * 1024 * 1024, "{name}: {} octets after the revocation", rest.len());
        assert!(!String::from_utf8_lossy(&rest).contains(" 204 "), "{name}");
        assert!(running.sink.last("plant/pump-01/t").is_none(), "{name}: nothing went on");
    }
}

/// A large file takes minutes: the right to it is judged with each piece.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_with_the_right_to_it() {
    const OCTETS: usize = 16 * 1024 * 1024;
    let lab = Lab::new();
    let running = lab.run(None);
    let address = serve_http(&lab, &running);
    has_update(&lab, vec![7; OCTETS]);
    for (name, more, whole) in [
        (
            "another right goes",
            "@id(\"deaf\") forbid (principal, action == Action::\"subscribe\", resource);",
            true,
        ),
        (
            "its own goes",
            "@id(\"old\") forbid (principal, action == Action::\"requestUpdate\", resource);",
            false,
        ),
    ] {
        let device = lab.device("pump-01");
        let tls = lab.client_tls(Some(&device));
        let mut stream = tls.connect(&address.to_string(), "127.0.0.1", CAP).await.unwrap();
        stream
            .write_all(b"GET /updates/x200/fw.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut begun = vec![0; 64 * 1024];
        stream.read_exact(&mut begun).await.unwrap();
        let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
        bundle.files[0].1 += "\n";
        bundle.files[0].1 += more;
        touchmark_policy_cedar::CompiledPolicy::compile(&bundle).unwrap();
        running.fold(&lab, &lab.publish(vec![policy(&bundle)])).await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut rest)).await.expect("the end");
        assert_eq!(begun.len() + rest.len() > OCTETS, whole, "{name}: {} octets", rest.len());
    }
}

/// R46: an update that cannot be written down is not given out.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_given_out_and_no_message_passed_on_without_its_record() {
    let lab = Lab::new();
    let running = lab.run(None);
    let address = serve_http(&lab, &running);
    has_update(&lab, b"secret");
    let base: BaseUrl = format!("https://{address}").parse().unwrap();
    let mut https = Vec::new();
    for _ in 0..2 {
        let mut http =
            HttpClient::new(base.clone(), Some(lab.client_tls(Some(&lab.device("pump-01"))))).unwrap();
        let answer = http.request(Method::GET, "/updates/x200/fw.bin", &[], "").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b"secret"[..]));
        https.push(http);
    }
    running.log.close().await;
    for (http, method, path) in
        [(0, Method::GET, "/updates/x200/fw.bin"), (1, Method::POST, "/publish/plant/pump-01/t")]
    {
        let answer = https[http].request(method, path, &[], "x").await.unwrap();
        let problem: touchmark_api::Problem = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((problem.status, problem.code.as_str()), (Some(503), "log-unavailable"), "{path}");
    }
    assert!(running.sink.last("plant/pump-01/t").is_none());
}

/// R45: the holder of a dead certificate hammers the HTTP port, and its replacement does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_certificate_locks_its_replacement_out_of_the_http_port_neither() {
    let lab = Lab::new();
    let running = lab.run(None);
    let address = serve_http(&lab, &running);
    let (old, new) = (lab.device("pump-01"), lab.device("pump-01"));
    running.fold(&lab, &lab.publish(vec![lab.revoke(&old)])).await;
    let base: BaseUrl = format!("https://{address}").parse().unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut hammering = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (base, tls, stop) = (base.clone(), lab.client_tls(Some(&old)), Arc::clone(&stop));
        hammering.spawn(async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut http = HttpClient::new(base.clone(), Some(tls.clone())).unwrap();
                if let Ok(answer) = http.request(Method::POST, "/publish/plant/pump-01/t", &[], "x").await {
                    assert_eq!(answer.status.as_u16(), 403);
                }
            }
        });
    }
    lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::Revoked)).await;
    for n in 0..41 {
        let mut http = HttpClient::new(base.clone(), Some(lab.client_tls(Some(&new)))).unwrap();
        let answer = http.request(Method::POST, "/publish/plant/pump-01/t", &[], "x").await.unwrap();
        assert_eq!(answer.status.as_u16(), 204, "{n}");
    }
    // Connections without a request are few as well.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(lab.client_tls(Some(&old)).connect(&address.to_string(), "127.0.0.1", CAP).await);
        assert!(running.admission.arrivals.held().1 <= 4 + 1, "{:?}", running.admission.arrivals.held());
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    hammering.join_all().await;
}
