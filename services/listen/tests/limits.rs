//! What a port does with clients that stall, crowd it, or are still there at the end.
#![allow(clippy::unwrap_used)]

mod lab;

use core::time::Duration;
use lab::{CAP, Lab, Port, Seen};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use touchmark_listen::{Drained, Limits, PortPolicy, StopSwitch, bind, serve_plain};

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

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_take_no_handshake_slot() {
    let lab = Lab::new();
    let limits = Limits { handshakes_max: 1, ..Limits::default() };
    let mut port = Port::start(lab.tls(PortPolicy::Enrolment), limits);
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(port.address).await.unwrap());
    }
    assert!(lab.s_client(port.address, "").await.contains("hello"));
    assert!(matches!(port.next().await, Seen::Accepted(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_finds_no_slot_is_told_apart_from_a_slow_one() {
    let lab = Lab::new();
    let limits = Limits { handshakes_max: 1, handshake_timeout: Duration::from_secs(1), ..Limits::default() };
    let mut port = Port::start(lab.tls(PortPolicy::Enrolment), limits);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        streams.push(stream);
    }
    let mut codes = Vec::new();
    for _ in 0..2 {
        match port.next().await {
            Seen::Refused(code) => codes.push(code),
            seen @ Seen::Accepted(..) => panic!("{seen:?}"),
        }
    }
    codes.sort_unstable();
    // The second may get the slot in the moment in which the first gives up.
    assert!(
        matches!(codes.as_slice(), [_, "handshakes-busy"] | ["handshake-timeout", "handshake-timeout"]),
        "{codes:?}"
    );
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
