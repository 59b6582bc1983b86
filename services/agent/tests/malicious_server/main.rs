//! A server that means harm, or is broken: each of its tricks ends in a named failure within the deadline, and
//! costs no more octets than the bounds allow.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod pki;
mod server;

use core::time::Duration;
use pki::{Authority, DAY_S, Leaf, Pki, now, now_s};
use rustls::version::{TLS12, TLS13};
use server::{Server, Tls, config, say};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use touchmark_agent::lifecycle::{Answer, Call, FirstProof, Input, RenewedBy, ServerMoment, Trouble};
use touchmark_agent::transport::{Caller, Credentials};
use touchmark_enrol::est::write_certs_only;
use touchmark_identity::Timestamp;
use touchmark_x509::{Certificate, Signer as _};

/// A time that no honest exchange on this machine needs.
const GENEROUS: Duration = Duration::from_secs(30);
/// For those who never come to an end.
const SHORT: Duration = Duration::from_millis(1500);

fn ask(server: &str, anchors: &[Certificate], call: Call, moment: ServerMoment, allowed: Duration) -> Input {
    let caller = Caller { server: server.parse().unwrap(), environment: "lab".parse().unwrap(), allowed };
    let with = Credentials {
        anchors,
        moment,
        identity: None,
        token: None,
        request_der: b"request",
        by: RenewedBy::Itself,
    };
    let begun = Instant::now();
    let input = caller.call(call, &with);
    // Scheduling on a busy machine is no fault of the deadline.
    assert!(begun.elapsed() < allowed + GENEROUS, "{:?} for {allowed:?}", begun.elapsed());
    input
}

fn at_now() -> ServerMoment {
    ServerMoment::At(now())
}

fn trouble(input: &Input) -> Option<(Trouble, &str)> {
    match input {
        Input::Answered { answer: Answer::Unreachable { why, says }, .. } => Some((*why, says)),
        _ => None,
    }
}

type Trick = Box<dyn Fn(&mut Tls) + Send + Sync>;
type Row = (&'static str, Call, Duration, Trick, Trouble);

/// Says `start`, and then `piece` until nobody listens any more; counts the octets.
fn endless(start: &'static [u8], piece: &'static [u8], sent: &Arc<AtomicUsize>) -> Trick {
    let sent = Arc::clone(sent);
    Box::new(move |tls| {
        let mut next = start;
        while tls.write_all(next).is_ok() {
            sent.fetch_add(next.len(), Ordering::SeqCst);
            next = piece;
        }
    })
}

fn fixed(text: impl Into<Vec<u8>>) -> Trick {
    let text = text.into();
    Box::new(move |tls| {
        let _ = tls.write_all(&text);
    })
}

#[test]
fn every_bad_answer_is_a_named_failure_within_bounds() {
    const PIECE: &[u8] = &[b'a'; 16 * 1024];
    let pki = Pki::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let enrol = Call::Enrol { proof: FirstProof::Token };
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunk: &'static [u8] = b"4000\r\n";
    let chunks: &'static [u8] = Vec::leak([PIECE, b"\r\n", chunk].concat());
    let many: Vec<Certificate> =
        (0..100).map(|_| pki.holder(&Leaf::device("pump-01")).1[0].clone()).collect();
    let ders: Vec<&[u8]> = many.iter().map(Certificate::der).collect();
    let bag = write_certs_only(&ders, None).bytes;
    let with_length = |body: &[u8]| {
        let head = format!("{ok}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let giant = vec![b'A'; 4 * 1024 * 1024];
    let drip: Trick = Box::new(|tls| {
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
        while tls.write_all(b"A").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let silent: Trick = Box::new(|tls| {
        // Until the other end gives up.
        let _ = std::io::Read::read(tls, &mut [0]);
    });
    let cut: Trick = Box::new(|tls| {
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let location = "Location: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n";
    let rows: Vec<Row> = vec![
        (
            "endless head",
            enrol,
            GENEROUS,
            endless(b"HTTP/1.1 200 OK\r\nx: ", PIECE, &sent),
            Trouble::TooLarge,
        ),
        (
            "endless fields",
            enrol,
            GENEROUS,
            endless(ok.as_bytes(), b"field: value\r\n", &sent),
            Trouble::TooLarge,
        ),
        (
            "endless interim answers",
            enrol,
            GENEROUS,
            endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", &sent),
            Trouble::TooLarge,
        ),
        (
            "endless chunks",
            enrol,
            GENEROUS,
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n", chunks, &sent),
            Trouble::TooLarge,
        ),
        (
            "endless body",
            Call::Anchors,
            GENEROUS,
            endless(b"HTTP/1.1 200 OK\r\n\r\n", PIECE, &sent),
            Trouble::TooLarge,
        ),
        (
            "endless trailers",
            enrol,
            GENEROUS,
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n", &sent),
            Trouble::TooLarge,
        ),
        ("a giant body", enrol, GENEROUS, fixed(with_length(&giant)), Trouble::TooLarge),
        ("100 certificates", enrol, GENEROUS, fixed(with_length(&bag)), Trouble::Protocol),
        ("no certificates", enrol, GENEROUS, fixed(with_length(b"<html>")), Trouble::Protocol),
        ("an empty body", Call::Renew, GENEROUS, fixed(with_length(b"")), Trouble::Protocol),
        ("a slow drip", enrol, SHORT, drip, Trouble::Timeout),
        ("silence", enrol, SHORT, silent, Trouble::Timeout),
        ("half an answer", enrol, GENEROUS, cut, Trouble::Protocol),
        ("another protocol", enrol, GENEROUS, fixed("220 smtp.example ESMTP\r\n\r\n"), Trouble::Protocol),
        (
            "a redirect",
            enrol,
            GENEROUS,
            fixed(format!("HTTP/1.1 302 Found\r\n{location}")),
            Trouble::Redirect,
        ),
        (
            "a permanent redirect",
            Call::Anchors,
            GENEROUS,
            fixed(format!("HTTP/1.1 308 Permanent Redirect\r\n{location}")),
            Trouble::Redirect,
        ),
        (
            "a page for a confirmation",
            Call::Confirm,
            GENEROUS,
            fixed(with_length(b"fine")),
            Trouble::Protocol,
        ),
        (
            "nonsense for a hint",
            Call::Hint,
            GENEROUS,
            fixed(with_length(b"{\"start\":\"../x\"}")),
            Trouble::Protocol,
        ),
        (
            "a compressed body",
            enrol,
            GENEROUS,
            fixed("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
            Trouble::Protocol,
        ),
    ];
    for (name, call, allowed, trick, expected) in rows {
        sent.store(0, Ordering::SeqCst);
        let tls = config(&pki.holder(&Leaf::server()), &[], &[&TLS13]);
        let server = Server::tls(tls, move |_, tls| trick(tls));
        let input = ask(&server.address(), &pki.anchors(), call, at_now(), allowed);
        let (why, says) = trouble(&input).unwrap_or_else(|| panic!("{name}: {input:?}"));
        assert_eq!(why, expected, "{name}: {says}");
        assert!(!says.contains("elsewhere.example"), "{name}: the server's words are no part of it: {says}");
        // What the kernel's buffers take counts too.
        let octets = sent.load(Ordering::SeqCst);
        assert!(octets < 8 * 1024 * 1024, "{name}: {octets} octets were taken");
    }
}

/// R43: a server is believed only under a pinned anchor, as the authority, for its own name, in its time.
#[test]
fn a_server_that_is_not_ours_is_refused_by_name() {
    let pki = Pki::new();
    let strangers = Pki::new();
    let leaf = Leaf::server();
    let elsewhere = Leaf { dns: vec!["elsewhere.example".into()], ip: vec![], ..leaf.clone() };
    let expired = Leaf { validity_s: (-3 * 86_400, -86_400), ..leaf.clone() };
    let device = Leaf { dns: leaf.dns.clone(), ip: leaf.ip.clone(), ..Leaf::device("pump-01") };
    // What a thief of a gateway's pair has: the same host, a service's identity, and both usages.
    let service = |path: &str| Leaf { path: path.into(), ..leaf.clone() };
    let giant = Leaf { scope: vec!["s".repeat(30_000), "t".repeat(30_000)], ..leaf.clone() };
    let many = {
        let (key, mut chain) = pki.holder(&leaf);
        chain.extend((0..9).map(|_| Authority::new("noise", Some(&pki.root)).certificate));
        (key, chain)
    };
    // Each is below the limit of one certificate; together they are beyond that of a handshake message.
    let giants = {
        let (key, chain) = pki.holder(&giant);
        (key, vec![chain[0].clone(), chain[0].clone()])
    };
    let own_authority = {
        let own = Authority::new("localhost", None);
        (own.key, vec![own.certificate])
    };
    let rows = [
        ("strangers' anchor", strangers.holder(&leaf), Trouble::TlsUntrusted),
        ("self-made authority", own_authority, Trouble::TlsUntrusted),
        ("another name", pki.holder(&elsewhere), Trouble::TlsUntrusted),
        ("expired", pki.holder(&expired), Trouble::TlsExpired),
        ("a device's certificate", pki.holder(&device), Trouble::TlsUntrusted),
        ("a gateway's certificate", pki.holder(&service("s/gateway")), Trouble::TlsUntrusted),
        ("another service's", pki.holder(&service("s/authority-2")), Trouble::TlsUntrusted),
        ("an operator of that name", pki.holder(&service("o/authority")), Trouble::TlsUntrusted),
        ("a device of that name", pki.holder(&service("d/authority")), Trouble::TlsUntrusted),
        ("giant certificates", giants, Trouble::Protocol),
        ("ten certificates", many, Trouble::TlsUntrusted),
    ];
    for (name, holder, expected) in rows {
        let server = Server::tls(config(&holder, &[], &[&TLS13]), |request, _| {
            panic!("a question was put to a stranger: {request:?}")
        });
        let input = ask(&server.address(), &pki.anchors(), Call::Anchors, at_now(), GENEROUS);
        let (why, says) = trouble(&input).unwrap_or_else(|| panic!("{name}: {input:?}"));
        assert_eq!(why, expected, "{name}: {says}");
    }
}

#[test]
fn what_speaks_no_tls_1_3_is_refused_by_name() {
    let pki = Pki::new();
    let old = config(&pki.holder(&Leaf::server()), &[], &[&TLS12]);
    let plain = Server::raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let closed = Server::raw(drop);
    let silent = Server::raw(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let endless = Server::raw(|mut stream| while stream.write_all(&[0x16; 4096]).is_ok() {});
    let old = Server::tls(old, |_, tls| say(tls, "200 OK", "", b""));
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("https://{}", listener.local_addr().unwrap())
    };
    let rows = [
        ("plain HTTP", plain.address(), GENEROUS, &[Trouble::Protocol][..]),
        // A reset instead of an orderly end is the kernel's choice.
        ("closed at once", closed.address(), GENEROUS, &[Trouble::Protocol, Trouble::Connect]),
        ("silence", silent.address(), SHORT, &[Trouble::Timeout]),
        ("endless handshake", endless.address(), GENEROUS, &[Trouble::Protocol]),
        ("TLS 1.2", old.address(), GENEROUS, &[Trouble::TlsAlert(70)]),
        ("nobody", nobody, GENEROUS, &[Trouble::Connect]),
        ("no such name", "https://nowhere.invalid:1".into(), GENEROUS, &[Trouble::Dns]),
    ];
    for (name, address, allowed, expected) in rows {
        let input = ask(&address, &pki.anchors(), Call::Anchors, at_now(), allowed);
        let (why, says) = trouble(&input).unwrap_or_else(|| panic!("{name}: {input:?}"));
        assert!(expected.contains(&why), "{name}: {why:?} {says}");
    }
}

/// The device's clock, against a server's certificate that began a minute ago and ends in five days.
#[test]
fn a_wrong_clock_finds_the_server_and_an_old_certificate_does_not_come_back() {
    let pki = Pki::new();
    let server = Server::tls(config(&pki.holder(&Leaf::server()), &[], &[&TLS13]), |_, tls| {
        say(tls, "403 Forbidden", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"no (device-banned)\n");
    });
    let moment = |days: i64| {
        let seconds = i64::try_from(now_s()).unwrap() + days * i64::try_from(DAY_S).unwrap();
        Timestamp::from_unix_s(u64::try_from(seconds.max(0)).unwrap())
    };
    let doubted = |now, floor| ServerMoment::AtOrAfter { now, floor };
    let rows = [
        ("now", ServerMoment::At(moment(0)), true),
        ("three days behind", ServerMoment::At(moment(-3)), true),
        ("1970", ServerMoment::At(moment(-100_000)), true),
        ("ten days ahead", ServerMoment::At(moment(10)), false),
        ("ten years ahead, in doubt", doubted(moment(3650), moment(-1)), true),
        ("ten days ahead, in doubt, yet it was later than the end", doubted(moment(10), moment(9)), false),
        ("1970, in doubt", doubted(moment(-100_000), moment(-2)), true),
    ];
    for (name, moment, trusted) in rows {
        let input = ask(&server.address(), &pki.anchors(), Call::Hint, moment, GENEROUS);
        match input {
            Input::Answered { answer: Answer::Refused { status, code, .. }, server_time } => {
                assert!(trusted, "{name}");
                assert_eq!((status, code.as_str()), (403, "device-banned"), "{name}");
                assert_eq!(server_time, Some(Timestamp::from_unix_s(784_111_777)), "{name}");
            }
            Input::Answered { answer: Answer::Unreachable { why: Trouble::TlsExpired, .. }, server_time } => {
                assert!(!trusted, "{name}");
                assert_eq!(server_time, None, "{name}: a stranger's clock is no clock");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn good_answers_are_understood_in_every_call() {
    let pki = Pki::new();
    let (device_key, device) = pki.holder(&Leaf::device("pump-01"));
    let bag = write_certs_only(&[device[0].der(), device[1].der()], None).bytes;
    let mut in_bag = device.clone();
    // A set in DER has one order.
    in_bag.sort_by(|a, b| a.der().cmp(b.der()));
    let (leaf, answered_bag) = (device[0].clone(), bag.clone());
    let tls = config(&pki.holder(&Leaf::server()), &pki.anchors(), &[&TLS13]);
    let server = Server::tls(tls, move |request, tls| {
        let shown = request.client.as_deref() == Some(leaf.der());
        match request.line() {
            "POST /.well-known/est/lab/simpleenroll" => {
                assert!(request.head.contains("\r\nAuthorization: Basic cHVtcC0wMTpzZWNyZXQ=\r\n"));
                assert!(!shown, "a token is enough");
                let headers = "Touchmark-Renewal: start=100, end=200\r\nRetry-After: 7\r\n";
                say(tls, "200 OK", headers, &answered_bag);
            }
            "POST /.well-known/est/lab/simplereenroll" => {
                assert!(shown && request.body.starts_with(b"cmVxdWVzdA=="), "{request:?}");
                say(tls, "503 Busy", "Retry-After: 9\r\n", b"busy (est-unavailable)\n");
            }
            "POST /.well-known/touchmark/confirm" => {
                assert!(shown && request.body.is_empty());
                let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
            "GET /.well-known/touchmark/renewal" => {
                assert!(shown);
                say(tls, "200 OK", "", br#"{"start":300,"end":400,"retry_after":5}"#);
            }
            "GET /.well-known/est/lab/cacerts" => say(tls, "200 OK", "", &answered_bag),
            other => panic!("{other}"),
        }
    });
    let address = server.address();
    let caller =
        Caller { server: address.parse().unwrap(), environment: "lab".parse().unwrap(), allowed: GENEROUS };
    let identity = touchmark_agent::transport::ClientIdentity::new(&device, &device_key).unwrap();
    let password = touchmark_identity::Secret::new("secret".to_owned());
    let anchors = pki.anchors();
    let answer = |call: Call| {
        let token = matches!(call, Call::Enrol { .. }).then_some(("pump-01", &password));
        let identity = token.is_none().then(|| identity.clone());
        let with = Credentials {
            anchors: &anchors,
            moment: at_now(),
            identity,
            token,
            request_der: b"request",
            by: RenewedBy::Itself,
        };
        match caller.call(call, &with) {
            Input::Answered { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    };
    match answer(Call::Enrol { proof: FirstProof::Token }) {
        Answer::Certificates { certificates, hint } => {
            assert_eq!(certificates, in_bag);
            assert_eq!(hint.unwrap().window.to_header(), "start=100, end=200");
        }
        other => panic!("{other:?}"),
    }
    match answer(Call::Renew) {
        Answer::Refused { status: 503, code, retry_after, .. } => {
            assert_eq!((code.as_str(), retry_after), ("est-unavailable", Some(Duration::from_secs(9))));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(answer(Call::Confirm), Answer::Confirmed));
    match answer(Call::Hint) {
        Answer::Hint(hint) => assert_eq!(hint.retry_after, Some(Duration::from_secs(5))),
        other => panic!("{other:?}"),
    }
    match answer(Call::Anchors) {
        Answer::Anchors { certificates } => assert_eq!(certificates, in_bag),
        other => panic!("{other:?}"),
    }
    let other = touchmark_agent::transport::ClientIdentity::new(&device, &pki::key());
    assert!(other.is_err(), "a key of somebody else's certificate");
    assert_eq!(device_key.public_key(), device[0].public_key());
}
