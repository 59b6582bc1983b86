//! The HTTP client against a server that answers by script, and counts what it is asked.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use core::time::Duration;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use touchmark_dial::{BaseUrl, BlockingHttp, DialFault, HttpClient, Method, Request};

/// One request's turn.
#[derive(Clone, Debug)]
enum Turn {
    /// Answer and keep the connection.
    Answer(String),
    /// Answer and close it, with or without having said so.
    AnswerAndClose(String),
    /// Close before answering.
    Close,
    /// Read, and never answer.
    Stall,
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// What a scripted server saw: the number of the connection and the whole request.
type Asked = Arc<Mutex<Vec<(usize, String)>>>;

/// Waits until the server at `address` has closed every connection, and the client's system knows it.
fn until_closed(address: SocketAddr) {
    let listing = || std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    // Of the columns the third is the far end, the fourth the state: 01 is ESTABLISHED.
    let open = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().take(4).collect();
        columns.len() == 4 && columns[2].ends_with(&port) && columns[3] == "01"
    };
    while listing().lines().any(open) {
        std::thread::yield_now();
    }
}

async fn scripted(turns: Vec<Turn>) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let turns = Arc::new(Mutex::new(VecDeque::from(turns)));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let (turns, log) = (Arc::clone(&turns), Arc::clone(&log));
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(request) = read_request(&mut stream).await {
                    log.lock().unwrap().push((connection, request));
                    let turn = turns.lock().unwrap().pop_front().unwrap_or(Turn::Close);
                    match turn {
                        Turn::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                        Turn::AnswerAndClose(text) => {
                            stream.write_all(text.as_bytes()).await.unwrap();
                            return;
                        }
                        Turn::Close => return,
                        Turn::Stall => std::future::pending().await,
                    }
                }
            });
        }
    });
    (address, asked)
}

async fn read_request(stream: &mut BufReader<tokio::net::TcpStream>) -> Option<String> {
    let mut text = String::new();
    let mut body = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            body = length.trim().parse().unwrap();
        }
        text += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut octets = vec![0; body];
    stream.read_exact(&mut octets).await.ok()?;
    Some(text + &String::from_utf8_lossy(&octets))
}

fn client(address: SocketAddr) -> HttpClient {
    HttpClient::new(format!("http://{address}").parse().unwrap(), None).unwrap()
}

fn connections(asked: &Asked) -> Vec<usize> {
    asked.lock().unwrap().iter().map(|(connection, _)| *connection).collect()
}

#[tokio::test]
async fn one_connection_is_kept_and_a_closed_one_replaced() {
    use Turn::{Answer, AnswerAndClose};
    let fine = || answer("200 OK", "", "x");
    let (address, asked) = scripted(vec![
        Answer(fine()),
        AnswerAndClose(answer("200 OK", "connection: close\r\n", "x")),
        AnswerAndClose(fine()),
        Answer(fine()),
        Answer(fine()),
    ])
    .await;
    let mut http = client(address);
    for _ in 0..4 {
        assert_eq!(http.send(Request::get("/")).await.unwrap().body, "x");
    }
    // Second announced its end, third just closed: both are noticed before, or healed after.
    assert_eq!(connections(&asked), [0, 0, 1, 2]);
    let mut other = http.clone();
    other.send(Request::get("/")).await.unwrap();
    assert_eq!(connections(&asked), [0, 0, 1, 2, 3], "a clone dials for itself");
}

#[tokio::test]
async fn only_a_get_is_repeated_after_it_was_sent() {
    use Turn::{Answer, Close};
    for (name, method, repeated) in [("GET", Method::GET, true), ("POST", Method::POST, false)] {
        let fine = || answer("200 OK", "", "");
        let (address, asked) = scripted(vec![Answer(fine()), Close, Answer(fine())]).await;
        let mut http = client(address);
        http.send(Request::get("/")).await.unwrap();
        let second = http.send(Request::new(method, "/").body("once")).await;
        assert_eq!(second.is_ok(), repeated, "{name}: {second:?}");
        assert_eq!(asked.lock().unwrap().len(), if repeated { 3 } else { 2 }, "{name}");
        if let Err(fault) = second {
            assert!(matches!(fault, DialFault::Unreachable { .. }), "{name}: {fault:?}");
        }
    }
    let (address, asked) = scripted(vec![Close, Close]).await;
    assert!(client(address).send(Request::get("/")).await.is_err());
    assert_eq!(asked.lock().unwrap().len(), 1, "a fresh connection that closes is not tried again");
}

#[tokio::test]
async fn a_request_is_written_as_asked() {
    let (address, asked) = scripted(vec![Turn::Answer(answer("204 No Content", "", ""))]).await;
    let mut http = client(address);
    let request = Request::post("/a?b=c", "application/x", "body").unwrap();
    let request = request.header("authorization", "Basic c2VjcmV0").unwrap();
    assert!(!format!("{request:?}").contains("c2VjcmV0"), "credentials are not printed");
    http.send(request).await.unwrap();
    let text = asked.lock().unwrap()[0].1.clone();
    assert!(text.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{text}");
    for line in [
        &format!("host: {address}"),
        "user-agent: touchmark/",
        "content-type: application/x",
        "authorization: Basic c2VjcmV0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.ends_with("\r\n\r\nbody"), "{text}");
}

#[tokio::test]
async fn each_way_to_fail_has_its_fault() {
    use Turn::{Answer, AnswerAndClose, Close, Stall};
    let problem = r#"{"title":"Refused","detail":"token used","code":"token-used"}"#;
    type Expected = fn(&DialFault) -> bool;
    let rows: Vec<(&str, Turn, Expected)> = vec![
        ("closed", Close, |fault| matches!(fault, DialFault::Unreachable { .. })),
        ("stalled", Stall, |fault| matches!(fault, DialFault::Timeout { .. })),
        ("half an answer", AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".into()), |fault| {
            matches!(fault, DialFault::Unreachable { .. })
        }),
        ("not HTTP", Answer("220 ready\r\n\r\n".into()), |fault| matches!(fault, DialFault::Protocol { .. })),
        ("too long, announced", Answer(answer("200 OK", "", &"x".repeat(101))), |fault| {
            matches!(fault, DialFault::TooLarge { octets_max: 100 })
        }),
        (
            "too long, in chunks",
            Answer(format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
                "x".repeat(0x65)
            )),
            |fault| matches!(fault, DialFault::TooLarge { octets_max: 100 }),
        ),
        ("endless head", Answer(format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(300_000))), |fault| {
            matches!(fault, DialFault::Protocol { .. })
        }),
        (
            "refused with reasons",
            Answer(answer("403 Forbidden", "content-type: application/problem+json\r\n", problem)),
            |fault| matches!(fault, DialFault::Status { status: 403, problem } if problem.code == "token-used"),
        ),
        (
            "refused in plain text",
            Answer(answer("404 Not Found", "content-type: text/plain\r\n", "no such page")),
            |fault| matches!(fault, DialFault::Status { status: 404, problem } if problem.detail.as_deref() == Some("no such page")),
        ),
        ("redirected", Answer(answer("302 Found", "location: http://127.0.0.1:1/\r\n", "")), |fault| {
            matches!(fault, DialFault::Status { status: 302, .. })
        }),
        ("not JSON", Answer(answer("200 OK", "", "<html>")), |fault| {
            matches!(fault, DialFault::Unexpected { .. })
        }),
        ("other JSON", Answer(answer("200 OK", "", "[1]")), |fault| {
            matches!(fault, DialFault::Unexpected { .. })
        }),
    ];
    for (name, turn, expected) in rows {
        let (address, asked) = scripted(vec![turn]).await;
        let request = Request::get("/").timeout(Duration::from_secs(2)).response_octets_max(100);
        let fault = match client(address).send(request).await {
            Ok(response) => response.json::<u64>().unwrap_err(),
            Err(fault) => fault,
        };
        assert!(expected(&fault), "{name}: {fault:?}");
        assert!(!fault.to_string().is_empty(), "{name}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{name}: asked once");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = client(nobody).send(Request::get("/")).await.unwrap_err();
    assert!(matches!(fault, DialFault::Unreachable { .. }), "{fault:?}");
    for path in ["", "x", "/a b", "http://other/"] {
        let fault = client(nobody).send(Request::get(path)).await.unwrap_err();
        assert!(matches!(fault, DialFault::BadRequest { .. }), "{path}: {fault:?}");
    }
    assert!(Request::get("/").header("a", "b\r\nc: d").is_err(), "no header can be smuggled in");
    assert!(matches!("nonsense".parse::<BaseUrl>(), Err(DialFault::BadTarget { .. })));
}

#[tokio::test]
async fn a_client_goes_on_after_a_request_that_timed_out() {
    let (address, asked) = scripted(vec![Turn::Stall, Turn::Answer(answer("200 OK", "", "x"))]).await;
    let mut http = client(address);
    let poll = Request::get("/").timeout(Duration::from_millis(50));
    assert!(matches!(http.send(poll).await, Err(DialFault::Timeout { .. })));
    assert_eq!(http.send(Request::get("/")).await.unwrap().body, "x");
    assert_eq!(connections(&asked), [0, 1], "never on the half-used connection");
}

#[tokio::test]
async fn values_travel_as_json() {
    let (address, asked) = scripted(vec![
        Turn::Answer(answer("200 OK", "", r#"{"a":1}"#)),
        Turn::Answer(answer("201 Created", "", "[2]")),
        Turn::Answer(answer("204 No Content", "", "")),
    ])
    .await;
    let mut http = client(address);
    assert_eq!(http.get_json::<Value>("/").await.unwrap(), json!({"a": 1}));
    assert_eq!(http.post_json::<_, Vec<u8>>("/", &json!({"b": 2})).await.unwrap(), [2]);
    http.send_json::<_, ()>(Method::DELETE, "/x", &()).await.unwrap();
    let asked = asked.lock().unwrap();
    assert!(asked[1].1.contains("content-type: application/json") && asked[1].1.ends_with(r#"{"b":2}"#));
}

#[test]
fn the_blocking_client_works_without_a_runtime_of_the_caller() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fine = || Turn::Answer(answer("200 OK", "", "7"));
    let (address, asked) =
        runtime.block_on(scripted(vec![fine(), Turn::AnswerAndClose(answer("200 OK", "", "7")), fine()]));
    let mut http = BlockingHttp::new(client(address)).unwrap();
    for _ in 0..2 {
        assert_eq!(http.get_json::<u8>("/").unwrap(), 7);
    }
    until_closed(address);
    assert_eq!(http.post_json::<_, u8>("/", &1).unwrap(), 7, "a closed connection is noticed before a POST");
    assert_eq!(connections(&asked), [0, 0, 1]);
}

#[tokio::test]
async fn a_client_can_work_in_a_task_of_its_own() {
    let (address, _) = scripted(vec![Turn::Answer(answer("200 OK", "", "7"))]).await;
    let mut http = client(address);
    let polled = tokio::spawn(async move { http.get_json::<u8>("/").await });
    assert_eq!(polled.await.unwrap().unwrap(), 7);
}
