//! The socket: who may, what is refused, and that no line is too long and no connection too many.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../malicious_server/pki.rs"]
mod pki;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use touchmark_agent::lifecycle::{Chain, Wish};
use touchmark_agent::socket::{
    BadSocket, Board, Foreign, LINE_OCTETS_MAX, MESSAGE_OCTETS_MAX, Post, Published, Socket, Users,
};
use touchmark_agent::store::Pair;
use touchmark_x509::Certificate;

/// A user that owns nothing here.
const STRANGER: u32 = 65_534;
/// The agent's own user, which nobody in these tests is.
const OWN: u32 = 4_000_000;

struct Served {
    folder: tempfile::TempDir,
    wished: Receiver<Wish>,
    chain_pem: String,
}

impl Served {
    /// A socket for one environment, in which these users may use the key.
    fn start(users: Vec<u32>) -> Self {
        Self::signing(users, Vec::new())
    }

    /// One that signs these, too.
    fn signing(users: Vec<u32>, signs: Vec<Foreign>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, chain) = pki::Pki::new().holder(&pki::Leaf::device("pump-01"));
        let chain_pem = chain.iter().map(Certificate::to_pem).collect();
        let pair = Pair { key, chain: Chain::from_stored(chain).unwrap() };
        let published = Published { pair: Some(Arc::new(pair)), ..Published::default() };
        let (wishes, wished) = sync_channel(1);
        let post = Post {
            environment: "lab".parse().unwrap(),
            identity: "pump-01".parse().unwrap(),
            users: Users::allowing(users),
            signs,
            wishes,
            published: Mutex::new(published),
        };
        let socket = Socket::bind(&folder.path().join("s")).unwrap();
        let board = Arc::new(Board::new(vec![post], OWN));
        std::thread::spawn(move || socket.serve(&board));
        Self { folder, wished, chain_pem }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Asks by the built program, as another user.
    fn ask_as(&self, uid: u32, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark-agent"));
        command.args(words).arg("--socket").arg(self.path()).uid(uid).gid(uid);
        command.output().unwrap()
    }
}

fn own_uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&Path::new("/proc/self").metadata().unwrap())
}

fn say(stream: &mut UnixStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn what_is_public_is_for_all_and_the_key_for_the_named() {
    let root = own_uid() == 0;
    // Without root's rights there is one user to be: named in one run, a stranger in the other.
    let user = if root { STRANGER } else { own_uid() };
    for (users, may) in [(vec![], false), (vec![user], true)] {
        let served = Served::start(users);
        assert_eq!(served.path().metadata().unwrap().permissions().mode() & 0o777, 0o660);
        std::fs::set_permissions(served.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if root {
            assert_eq!(served.ask_as(user, &["certificate"]).status.code(), Some(8), "not of the group");
        }
        std::fs::set_permissions(served.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
        let certificate = served.ask_as(user, &["certificate", "lab"]);
        assert_eq!(
            String::from_utf8(certificate.stdout).unwrap(),
            served.chain_pem,
            "the certificate is no secret"
        );
        for words in [&["sign", "lab"], &["renew", "lab"]] {
            let output = served.ask_as(user, words);
            let says = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(if may { 0 } else { 4 }), "{words:?}: {says}");
            assert_eq!(says.contains("error[user-not-allowed]"), !may, "{words:?}: {says}");
        }
        assert_eq!(served.wished.try_recv().is_ok(), may, "a stranger's wish wakes nobody");
    }
}

/// Whoever may sign a message may not connect as the device, nor renew to a key of its own, unless that was configured.
#[test]
fn what_would_prove_the_identity_elsewhere_is_signed_only_where_configured() {
    use base64::Engine as _;
    let handshake = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", &[7; 32]].concat();
    let rows = [
        ("a handshake", handshake.clone(), vec![], false),
        ("a handshake, configured", handshake.clone(), vec![Foreign::Tls], true),
        ("a handshake, something else configured", handshake, vec![Foreign::Request], false),
        ("a message", b"21.5".to_vec(), vec![], true),
    ];
    for (name, octets, signs, signed) in rows {
        let served = Served::signing(vec![own_uid()], signs);
        let message = base64::engine::general_purpose::STANDARD.encode(octets);
        let asked = format!(r#"{{"op":"sign","algorithm":"ecdsa-sha256","message":"{message}"}}"#);
        let answer = say(&mut served.connect(), &asked);
        assert_eq!(answer.contains("\"signature\""), signed, "{name}: {answer}");
        assert_eq!(answer.contains("\"not-a-message\""), !signed, "{name}: {answer}");
    }
}

#[test]
fn bad_questions_are_refused_by_code_and_the_conversation_goes_on() {
    let served = Served::start(vec![own_uid()]);
    let long = "A".repeat(MESSAGE_OCTETS_MAX / 3 * 4 + 8);
    let rows = [
        ("no JSON", "hello".to_owned(), "bad-request"),
        ("empty", String::new(), "bad-request"),
        ("not UTF-8's friend", "\u{0}".to_owned(), "bad-request"),
        ("unknown op", r#"{"op":"key"}"#.to_owned(), "bad-request"),
        (
            "another environment",
            r#"{"op":"certificate","environment":"plant"}"#.to_owned(),
            "environment-unknown",
        ),
        ("a path", r#"{"op":"certificate","environment":"../lab"}"#.to_owned(), "environment-unknown"),
        ("no base64", r#"{"op":"sign","algorithm":"ecdsa-sha256","message":"!"}"#.to_owned(), "bad-request"),
        (
            "another algorithm",
            r#"{"op":"sign","algorithm":"ed25519","message":"eA=="}"#.to_owned(),
            "bad-request",
        ),
        (
            "a long message",
            format!(r#"{{"op":"sign","algorithm":"ecdsa-sha256","message":"{long}"}}"#),
            "bad-request",
        ),
        ("before the thread has begun", r#"{"op":"status"}"#.to_owned(), "starting"),
    ];
    let mut stream = served.connect();
    for (name, line, code) in rows {
        let answer = say(&mut stream, &line);
        let says: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(says["ok"], false, "{name}: {answer}");
        assert_eq!(says["code"], code, "{name}: {answer}");
    }
    let good = say(&mut stream, r#"{"op":"sign","algorithm":"ecdsa-sha256","message":"eA=="}"#);
    assert!(good.starts_with("{\"ok\":true,\"signature\":\""), "{good}");
    assert!(!good.contains("PRIVATE"));
}

#[test]
fn a_line_without_end_and_a_crowd_are_bounded() {
    let served = Served::start(vec![]);
    let mut endless = served.connect();
    // The agent hangs up somewhere in between.
    let sent = (0..1000).take_while(|_| endless.write_all(&[b'a'; 4096]).is_ok()).count();
    assert!(sent * 4096 < LINE_OCTETS_MAX + 1024 * 1024, "{sent} pieces were taken");

    let crowd: Vec<UnixStream> = (0..40).map(|_| served.connect()).collect();
    let mut turned_away = 0;
    for mut stream in &crowd {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut answer = [0; 64];
        if let Ok(count) = stream.read(&mut answer) {
            assert!(String::from_utf8_lossy(&answer[..count]).contains("\"busy\""));
            turned_away += 1;
        }
    }
    assert!((24..=25).contains(&turned_away), "{turned_away} of 40 found no place");
    drop(crowd);
    let begun = std::time::Instant::now();
    while !say_or_nothing(&served).contains("\"ok\":true") {
        assert!(begun.elapsed() < Duration::from_secs(60), "places are given back");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn say_or_nothing(served: &Served) -> String {
    let mut stream = served.connect();
    let mut answer = String::new();
    let _ = stream.write_all(b"{\"op\":\"certificate\"}\n");
    let _ = BufReader::new(stream).read_line(&mut answer);
    answer
}

#[test]
fn a_dead_socket_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead listener leaves its name behind");
    let living = Socket::bind(&path).unwrap();
    assert!(matches!(Socket::bind(&path), Err(BadSocket::Taken { .. })));
    drop(living);
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for way in [&file, &link] {
        assert!(matches!(Socket::bind(way), Err(BadSocket::InTheWay { .. })), "{}", way.display());
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert!(matches!(Socket::bind(Path::new("/nowhere/s")), Err(BadSocket::System { .. })));
}
