//! Connections that are not what the port is for: plaintext, floods, silence, paths that want out.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod flood;
mod http_edge;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use touchmark_dial::{ClientTls, Request};
use touchmark_tests::{
    Device, Enrolment, Heard, Key, Lab, Meter, device_token, plain, refusal_is_recorded, same_as_promised,
};

/// Silent connections at once.
const SILENT: usize = 200;
/// The product gives a silent client 10 s.
const SILENCE_ENDS: Duration = Duration::from_secs(20);

fn get(url: &str, path: &str) -> Heard {
    plain(url, format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").as_bytes())
}

/// R3: whoever speaks no TLS to a TLS port gets no octet of an answer, and is counted.
#[test]
fn plaintext_on_a_tls_port_is_refused_and_recorded() {
    let lab = Lab::start();
    let rows: &[(&str, Vec<u8>)] = &[
        ("HTTP request without TLS", b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: lab\r\n\r\n".to_vec()),
        ("MQTT CONNECT without TLS", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x".to_vec()),
        ("zeros without TLS", vec![0; 4096]),
    ];
    for (name, octets) in rows {
        for (port, cause) in [(lab.est(), "est/handshake"), (lab.api(), "api/handshake")] {
            let heard = plain(port, octets);
            assert!(heard.closed && heard.octets.is_empty(), "{name} at {port}: {heard:?}");
            refusal_is_recorded(&lab, cause, "plaintext");
        }
    }
    let tested = rows.iter().map(|(name, _)| (*name, "connection closed".to_owned(), "plaintext"));
    same_as_promised("Ports", tested);
}

/// The public port serves tiles, heads, CRLs and anchors, and not one octet of anything else.
#[test]
fn no_path_leads_out_of_what_is_public() {
    let lab = Lab::start();
    assert_eq!(&get(lab.public(), "/log/checkpoint").text()[..12], "HTTP/1.1 200");
    let secret = std::fs::read_to_string(lab.data().join("operator/operator.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let paths = [
        "/log/../authority.db",
        "/log/../operator/operator.key",
        "/log/tile/../../operator/operator.key",
        "/log/%2e%2e/operator/operator.key",
        "/log/..%2foperator%2foperator.key",
        "/log/%2e%2e%2foperator%2foperator.key",
        "/log/..\\operator\\operator.key",
        "/log//etc/passwd",
        "/log/%2fetc%2fpasswd",
        "/log/checkpoint%00.png",
        "/log/.lock",
        "/log/.checkpoint.next",
        "/log/tile/0/000.p/../../../../operator/operator.key",
        "/log/",
        "/crl/../operator/operator.key",
        "/crl/..%2foperator/operator.key",
        "/crl/%2e%2e/operator.crl",
        "/ca/../operator/operator.key",
        "/ca/..%2foperator%2foperator.key.pem",
        "/operator/operator.key",
        "/../../../../etc/passwd",
        "/v1/status",
        "/.well-known/est/cacerts",
    ];
    for path in paths {
        let text = get(lab.public(), path).text();
        let status = text.get(9..12).unwrap_or("none");
        assert!(["400", "404"].contains(&status), "{path}: {text}");
        assert!(!text.contains(secret) && !text.contains("root:"), "{path}: {text}");
    }
    let absolute =
        plain(lab.public(), b"GET file:///etc/passwd HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    assert!(!absolute.text().contains("root:"), "{}", absolute.text());
}

/// A head that is too long, or too many headers, is cut off; it costs the connection and nothing else.
#[test]
fn header_floods_are_cut_off() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let mut device = Device::new(&lab);
    device.enrol(None, &operator.token(&device_token("lab", "warm")));
    let rows = [
        ("one long header", Request::get("/.well-known/est/cacerts").header("x-flood", &"a".repeat(100_000))),
        ("many headers", {
            let request = Request::get("/.well-known/est/cacerts");
            (0..500).try_fold(request, |request, n| request.header(&format!("x-flood-{n}"), "a"))
        }),
        ("a long path", Ok(Request::get(format!("/.well-known/est/{}", "a".repeat(60_000))))),
    ];
    for (name, request) in rows {
        let request = request.unwrap();
        let meter = Meter::begin(lab.authority());
        for _ in 0..20 {
            // Cut off without an answer is as good: the head was not read to its end.
            if let Ok(answer) = Device::new(&lab).request(request.clone()) {
                assert!([414, 431].contains(&answer.status.as_u16()), "{name}: {}", answer.status);
            }
        }
        let cost = meter.end(20);
        println!("{name:<20} {cost:?}");
        assert!(cost.memory_kib <= 10 * 1024, "{name}: {cost:?}");
    }
    device.enrol(None, &operator.token(&device_token("lab", "after")));
}

/// Clients that connect and say nothing, or never end their head or body, are cut; meanwhile others are served.
#[test]
fn silent_clients_are_cut_and_stop_nobody() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let address = lab.est().rsplit('/').next().unwrap();
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| TcpStream::connect(address).unwrap()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tls = ClientTls::from_pem_files(&lab.anchors(), None).unwrap();
    // The beginning of a request, and that of the answer: nothing, or the words for what is late.
    let unfinished = [
        ("GET /.well-known/est/cacerts HTTP/1.1\r\nHost: lab\r\n", ""),
        (
            "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000\r\n\r\nMII",
            "HTTP/1.1 408 Request Timeout",
        ),
    ];
    let begun = Instant::now();
    let stalled = unfinished.map(|(text, answer)| {
        let (tls, address) = (tls.clone(), address.to_owned());
        let task = runtime.spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = tls.connect(&address, "localhost", Duration::from_secs(30)).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            // However it ends: it ends.
            let _ = stream.read_to_end(&mut heard).await;
            (begun.elapsed(), String::from_utf8_lossy(&heard).into_owned())
        });
        (task, answer)
    });
    let mut device = Device::new(&lab);
    let good = Enrolment::new(
        None,
        &Key::new().request("pump-01"),
        &operator.token(&device_token("lab", "pump-01")),
    );
    let asked = Instant::now();
    assert_eq!(device.send(&good).unwrap().status, 200);
    let good_after = asked.elapsed();
    assert!(good_after < Duration::from_secs(1), "{good_after:?} beside {SILENT} silent connections");

    for (stalled, answer) in stalled {
        let (after, heard) = runtime.block_on(stalled).unwrap();
        println!("cut after {after:?}: {heard:?}");
        assert!(after < SILENCE_ENDS, "{after:?}");
        assert!(heard.starts_with(answer) && !heard.starts_with("HTTP/1.1 200"), "{heard}");
    }
    for stream in &mut silent {
        stream.set_read_timeout(Some(SILENCE_ENDS)).unwrap();
        let _ = stream.write_all(b"");
        assert!(stream.read(&mut [0; 1]).is_ok_and(|octets| octets == 0), "a silent connection is closed");
    }
    assert!(begun.elapsed() < SILENCE_ENDS, "{:?}", begun.elapsed());
}
