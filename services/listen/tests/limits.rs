//! What a port does with clients that stall, crowd it, or are still there at the end.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod lab;

use core::time::Duration;
use lab::{CAP, Lab, Port, Seen};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use touchmark_listen::{Drained, Limits, PortPolicy, StopSwitch, WhenFull, bind, serve_plain};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_handshake_ends() {
    let lab = Lab::new();
    let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
    let mut port = Port::start(lab.tls(PortPolicy::Device), limits);
    for (name, start) in [("no octet", &[][..]), ("half a hello", &[0x16, 3, 1, 2, 0, 1])] {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        match port.next().await {
            Seen::Refused(code) => assert_eq!(code, "handshake-timeout", "{name}"),
            seen @ Seen::Accepted(..) => panic!("{name}: {seen:?}"),
        }
        // A reset is an end as good as any.
        let _ = timeout(CAP, stream.read_to_end(&mut Vec::new())).await.expect("the port closes");
    }
}

/// The first octets that a client of the lab sends, its ClientHello.
async fn hello_octets(lab: &Lab) -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = lab.s_client(address, "");
    let heard = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut octets = vec![0; 16 * 1024];
        let read = stream.read(&mut octets).await.unwrap();
        octets.truncate(read);
        octets
    };
    tokio::join!(client, heard).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_never_held_while_the_peer_has_the_next_word() {
    let lab = Lab::new();
    let hello = hello_octets(&lab).await;
    assert_eq!(hello[0], 0x16);
    let rows: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("one octet", &hello[..1]),
        ("a record's head", &hello[..5]),
        ("all but the last octet", &hello[..hello.len() - 1]),
        ("a whole ClientHello, and nothing to our answer", &hello),
    ];
    for (name, octets) in rows {
        let limits = Limits { handshakes_max: 1, ..Limits::default() };
        let mut port = Port::start(lab.tls(PortPolicy::Enrolment), limits);
        let mut stalling = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(port.address).await.unwrap();
            stream.write_all(octets).await.unwrap();
            if octets.len() == hello.len() {
                stream.read_u8().await.expect("the server's answer");
            }
            stalling.push(stream);
        }
        assert!(lab.s_client(port.address, "").await.contains("hello"), "{name}");
        assert!(matches!(port.next().await, Seen::Accepted(..)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_finds_no_slot_is_told_apart_from_a_slow_one() {
    let lab = Lab::new();
    let limits = Limits { handshakes_max: 0, handshake_timeout: SHORT, ..Limits::default() };
    let mut port = Port::start(lab.tls(PortPolicy::Enrolment), limits);
    assert!(!lab.s_client(port.address, "").await.contains("hello"));
    assert!(matches!(port.next().await, Seen::Refused("handshakes-busy")));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_waited_for_shorter_than_a_handshake() {
    let lab = Lab::new();
    let mut port = Port::start(lab.tls(PortPolicy::Device), Limits::default());
    for (name, octets, most) in [("silent", &[][..], 4), ("one octet", &[0x16][..], 8)] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(octets).await.unwrap();
        assert!(matches!(port.next().await, Seen::Refused("handshake-timeout")), "{name}");
        assert!(begun.elapsed() < Duration::from_secs(most), "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_without_an_end_is_cut_by_its_length() {
    let lab = Lab::new();
    let mut port = Port::start(lab.tls(PortPolicy::Device), Limits::default());
    // A ClientHello of 56 KiB, which the library would gather, in records of 16 KiB, of 64 octets, and of one.
    for record in [16 * 1024, 64, 1] {
        let mut octets = vec![0x16, 3, 1, 0, 4, 1, 0, 0xe0, 0];
        while octets.len() < 36 * 1024 {
            octets.extend([0x16, 3, 1, (record >> 8) as u8, record as u8]);
            octets.extend(std::iter::repeat_n(0, record));
        }
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let _ = stream.write_all(&octets).await;
        match port.next().await {
            Seen::Refused(code) => assert_eq!(code, "hello-too-long", "{record}"),
            seen @ Seen::Accepted(..) => panic!("{record}: {seen:?}"),
        }
        let _ = timeout(CAP, stream.read_to_end(&mut Vec::new())).await.expect("the port closes");
    }
}

/// Everybody here comes from one address, as devices behind one router do: the good among them are served.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_unfinished_handshakes_end_for_the_good_ones_of_the_same_address() {
    let lab = Lab::new();
    for octets in [&[][..], &[0x16][..]] {
        let limits = Limits { unfinished_max: 64, ..Limits::default() };
        let mut port = Port::start(lab.tls(PortPolicy::Enrolment), limits);
        let mut held = Vec::new();
        for round in 0..10 {
            for _ in 0..100 {
                let mut stream = TcpStream::connect(port.address).await.unwrap();
                let _ = stream.write_all(octets).await;
                held.push(stream);
            }
            assert!(lab.s_client(port.address, "").await.contains("hello"), "round {round}");
        }
        let (mut good, mut displaced) = (0, 0);
        while good < 10 || displaced < 600 {
            match port.next().await {
                Seen::Accepted(..) => good += 1,
                Seen::Refused("handshake-displaced") => displaced += 1,
                Seen::Refused("handshake-timeout") => {}
                seen => panic!("{seen:?}"),
            }
        }
        assert_eq!(good, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_requests_gives_the_place_of_the_oldest_to_the_newest() {
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let address = bound.address();
    let (_switch, stop) = StopSwitch::new();
    let limits = Limits { connections_max: 4, when_full: WhenFull::Displace, ..Limits::default() };
    tokio::spawn(serve_plain(bound, limits, stop, |mut stream, _, _| async move {
        let _ = stream.write_all(b"x").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }));
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        timeout(CAP, stream.read_u8()).await.expect("served").unwrap();
        held.push(stream);
    }
    // From one address at most half of the places.
    let over = held.drain(..48);
    for mut stream in over {
        let ended = timeout(CAP, stream.read_u8()).await.expect("it ended for a newer one");
        assert!(ended.is_err());
    }
    for mut stream in held {
        assert!(timeout(SHORT, stream.read_u8()).await.is_err(), "the newest stay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_wait_and_are_served_later() {
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let address = bound.address();
    let (switch, stop) = StopSwitch::new();
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let running = tokio::spawn(serve_plain(bound, limits, stop, |mut stream, _, _| async move {
        let _ = stream.write_all(b"x").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.read_u8().await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(timeout(SHORT, second.read_u8()).await.is_err(), "waits while the first is there");
    drop(first);
    timeout(CAP, second.read_u8()).await.expect("served after it").unwrap();
    drop(second);
    switch.stop();
    assert_eq!(running.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_connections_and_then_cuts_them() {
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let address = bound.address();
    let (switch, stop) = StopSwitch::new();
    let limits = Limits { drain: SHORT, ..Limits::default() };
    let running = tokio::spawn(serve_plain(bound, limits, stop, |mut stream, _, mut stop| async move {
        let kind = stream.read_u8().await.unwrap_or(0);
        stream.write_all(b"x").await.unwrap();
        if kind == b'p' {
            stop.stopped().await;
        } else {
            std::future::pending::<()>().await;
        }
    }));
    for kind in [b'p', b's', b's'] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[kind]).await.unwrap();
        stream.read_u8().await.unwrap();
        // Kept open beyond this loop: only the port may end them.
        std::mem::forget(stream);
    }
    switch.stop();
    assert_eq!(timeout(CAP, running).await.unwrap().unwrap(), Drained { cut: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_panics_takes_nothing_with_it() {
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let address = bound.address();
    let (_switch, stop) = StopSwitch::new();
    let limits = Limits { connections_max: 1, ..Limits::default() };
    tokio::spawn(serve_plain(bound, limits, stop, |mut stream, _, _| async move {
        assert_ne!(stream.read_u8().await.unwrap_or(0), b'!', "as the test wants it");
        let _ = stream.write_all(b"x").await;
    }));
    for byte in [b'!', b'!', b'a'] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[byte]).await.unwrap();
        let answered = timeout(CAP, stream.read_u8()).await.unwrap();
        assert_eq!(answered.is_ok(), byte == b'a');
    }
}

/// Runs [`descriptors_run_out_child`] in a process that may open few files.
#[test]
fn a_port_without_descriptors_neither_spins_nor_ends() {
    let this = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$0\" --exact descriptors_run_out_child --ignored --nocapture"])
        .arg(this)
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_port_without_descriptors_neither_spins_nor_ends, in a process of its own"]
async fn descriptors_run_out_child() {
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let address = bound.address();
    let (_switch, stop) = StopSwitch::new();
    tokio::spawn(serve_plain(bound, Limits::default(), stop, |mut stream, _, _| async move {
        let _ = stream.write_all(b"x").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }));
    cpu_ticks();
    // A connection costs two descriptors here; the last ones are connected, and cannot be accepted.
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect(address).await {
        held.push(stream);
    }
    let before = cpu_ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = cpu_ticks() - before;
    assert!(spent < 30, "{spent} ticks of 10 ms in a second of waiting");
    held.clear();
    // Served again as soon as there is room; the first tries may still find none.
    let served = async {
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await
                && stream.read_u8().await.is_ok()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(CAP, served).await.expect("the port goes on");
}

/// User and system time of this process; the file is opened for want of descriptors only before they run out.
fn cpu_ticks() -> u64 {
    use std::io::{Read, Seek};
    use std::sync::{Mutex, OnceLock};
    static STAT: OnceLock<Mutex<std::fs::File>> = OnceLock::new();
    let stat = STAT.get_or_init(|| Mutex::new(std::fs::File::open("/proc/self/stat").unwrap()));
    let mut file = stat.lock().unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
