//! What every HTTP port says to requests that are not as RFC 9112 wants them, and how it writes its answers.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use touchmark_api::Ready;
use touchmark_dial::{ClientIdentity, ClientTls};
use touchmark_tests::{Device, Lab, PATIENCE, device_token, plain};

/// The HTTP ports of an authority and a gateway, each with somebody who may connect.
struct Ports {
    lab: Lab,
    runtime: tokio::runtime::Runtime,
    device: ClientTls,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Port {
    Est,
    Api,
    Public,
    Gateway,
    Sink,
}

const PORTS: [(Port, &str); 5] = [
    (Port::Est, "/.well-known/est/cacerts"),
    (Port::Api, "/v1/status"),
    (Port::Public, "/healthz"),
    (Port::Gateway, "/updates/x200/firmware.bin"),
    (Port::Sink, "/messages"),
];

impl Ports {
    fn start() -> Self {
        let mut lab = Lab::start();
        lab.start_gateway(&[]);
        let token = lab.operator().token(&device_token("lab", "pump-01"));
        let (key, chain) = Device::new(&lab).enrol(None, &token);
        let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let identity = ClientIdentity::from_der(chain, key.pkcs8());
        let anchors = std::fs::read(lab.gateway_anchors()).unwrap();
        let device = ClientTls::from_pem(&anchors, Some(identity), Default::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { lab, runtime, device }
    }

    fn sink(&self) -> String {
        let ready = std::fs::read(self.lab.data().join("endpoints.json")).unwrap();
        serde_json::from_slice::<Ready>(&ready).unwrap().sink.unwrap()
    }

    /// Sends octets, and gives what comes back until the end.
    fn say(&self, port: Port, text: &str) -> String {
        let operator = self.lab.data().join("operator");
        let (operator, key) = (operator.join("operator.pem"), operator.join("operator.key"));
        let (base, tls) = match port {
            Port::Public => return plain(self.lab.public(), text.as_bytes()).text(),
            Port::Sink => return plain(&self.sink(), text.as_bytes()).text(),
            Port::Est => (self.lab.est(), ClientTls::from_pem_files(&self.lab.anchors(), None).unwrap()),
            Port::Api => {
                let identity = Some((operator.as_path(), key.as_path()));
                (self.lab.api(), ClientTls::from_pem_files(&self.lab.anchors(), identity).unwrap())
            }
            Port::Gateway => (self.lab.http(), self.device.clone()),
        };
        let address = base.rsplit('/').next().unwrap();
        self.runtime.block_on(async {
            let mut stream = tls.connect(address, "localhost", Duration::from_secs(30)).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            // However it ends: what came before counts.
            let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
            String::from_utf8_lossy(&heard).into_owned()
        })
    }
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

/// RFC 9112 §3.2: a request names its host once, or gets 400.
#[test]
fn a_request_without_one_valid_host_is_refused_on_every_port() {
    let ports = Ports::start();
    let rows: &[(&str, &str, bool)] = &[
        ("one host", "GET {} HTTP/1.1\r\nHost: lab\r\n", true),
        ("a host with a port", "GET {} HTTP/1.1\r\nHost: [::1]:7443\r\n", true),
        ("HTTP/1.0 without", "GET {} HTTP/1.0\r\n", true),
        ("absolute form", "GET https://lab{} HTTP/1.1\r\nHost: lab\r\n", true),
        ("none", "GET {} HTTP/1.1\r\n", false),
        ("none, absolute form", "GET https://lab{} HTTP/1.1\r\n", false),
        ("absolute form with a user", "GET https://root@lab{} HTTP/1.1\r\nHost: lab\r\n", false),
        ("two", "GET {} HTTP/1.1\r\nHost: lab\r\nHost: lab\r\n", false),
        ("two, written differently", "GET {} HTTP/1.1\r\nHost: lab\r\nhOST: other\r\n", false),
        ("two in HTTP/1.0", "GET {} HTTP/1.0\r\nHost: lab\r\nHost: other\r\n", false),
        ("a list", "GET {} HTTP/1.1\r\nHost: lab, other\r\n", false),
        ("empty", "GET {} HTTP/1.1\r\nHost:\r\n", false),
        ("a path", "GET {} HTTP/1.1\r\nHost: lab/x\r\n", false),
        ("a user", "GET {} HTTP/1.1\r\nHost: root@lab\r\n", false),
    ];
    for (port, path) in PORTS {
        for (name, request, good) in rows {
            let request = format!("{}Connection: close\r\n\r\n", request.replace("{}", path));
            let answer = ports.say(port, &request);
            let expected = if *good && port == Port::Gateway {
                "403"
            } else if *good {
                "200"
            } else {
                "400"
            };
            assert_eq!(status(&answer), expected, "{port:?}, {name}: {answer}");
        }
        // What follows such a request on the connection is not answered.
        let two = format!("GET {path} HTTP/1.1\r\n\r\nGET {path} HTTP/1.1\r\nHost: lab\r\n\r\n");
        let answer = ports.say(port, &two);
        let answers = answer.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        assert_eq!(answers, 1, "{port:?}: {answer}");
    }
}

/// What says who asks is said once, and a body is what it looks like: nothing here unpacks one.
#[test]
fn two_credentials_and_encoded_bodies_are_refused_before_anybody_looks_at_them() {
    let ports = Ports::start();
    let rows: &[(&str, &str, &str)] = &[
        ("one credential", "Authorization: Basic YTpi\r\n", "200"),
        ("no encoding", "Content-Encoding: identity\r\n", "200"),
        ("two credentials", "Authorization: Basic YTpi\r\nauthorization: Basic YTpj\r\n", "400"),
        ("packed", "Content-Encoding: gzip\r\n", "415"),
    ];
    let authority = |(port, _): &(Port, &str)| !matches!(port, Port::Gateway | Port::Sink);
    for (port, path) in PORTS.into_iter().filter(authority) {
        for (name, field, expected) in rows {
            let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n{field}Connection: close\r\n\r\n");
            let answer = ports.say(port, &request);
            assert_eq!(status(&answer), *expected, "{port:?}, {name}: {answer}");
        }
    }
}

/// Some EST clients compare names of header fields by octets: they are written as in the RFC's examples.
#[test]
fn names_of_header_fields_are_written_in_title_case() {
    let ports = Ports::start();
    let enrol = "/.well-known/est/simpleenroll";
    let more = [
        (Port::Est, "POST", enrol),
        (Port::Est, "DELETE", enrol),
        (Port::Est, "GET", "/nowhere"),
        (Port::Api, "GET", "/v1/devices/nobody"),
        (Port::Public, "GET", "/ca/lab.pem"),
        (Port::Public, "GET", "/log/checkpoint"),
        (Port::Gateway, "GET", "/nowhere"),
    ];
    let plain = PORTS.map(|(port, path)| (port, "GET", path));
    for (port, method, path) in plain.into_iter().chain(more) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = ports.say(port, &request);
        let head = answer.split("\r\n\r\n").next().unwrap();
        let names: Vec<&str> =
            head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        assert!(names.len() > 1, "{port:?} {path}: {answer}");
        for name in names {
            let title = name.split('-').all(|word| {
                let mut letters = word.chars();
                letters.next().is_some_and(|first| first.is_ascii_uppercase())
                    && letters.all(|letter| !letter.is_ascii_uppercase())
            });
            assert!(title, "{port:?} {path}: {name}");
        }
    }
}

/// RFC 9110 §15.5.6: a 405 lists the methods that there are.
#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let ports = Ports::start();
    let rows = [
        (Port::Est, "/.well-known/est/cacerts", "GET"),
        (Port::Est, "/.well-known/est/lab/cacerts", "GET"),
        (Port::Est, "/.well-known/est/simpleenroll", "POST"),
        (Port::Est, "/.well-known/est/simplereenroll", "POST"),
        (Port::Est, "/.well-known/est/csrattrs", "GET"),
        (Port::Est, "/.well-known/touchmark/confirm", "POST"),
        (Port::Est, touchmark_enrol::renewal::RENEWAL_PATH, "GET"),
        (Port::Api, "/v1/status", "GET"),
        (Port::Api, "/v1/log", "GET"),
        (Port::Api, "/v1/decisions", "GET,POST"),
        (Port::Api, "/v1/explain/pump-01", "GET"),
        (Port::Api, "/v1/tokens", "GET,POST"),
        (Port::Api, "/v1/tokens/x/void", "POST"),
        (Port::Api, "/v1/environments", "GET,POST"),
        (Port::Api, "/v1/environments/lab", "GET"),
        (Port::Api, "/v1/environments/lab/policy", "GET,PUT"),
        (Port::Api, "/v1/makers", "GET,POST"),
        (Port::Api, "/v1/makers/x/withdraw", "POST"),
        (Port::Api, "/v1/devices", "GET,POST"),
        (Port::Api, "/v1/devices/pump-01", "GET"),
        (Port::Api, "/v1/devices/pump-01/certificates", "GET"),
        (Port::Api, "/v1/devices/pump-01/revoke", "POST"),
        (Port::Api, "/v1/certificates/x", "GET"),
        (Port::Api, "/v1/certificates/x/revoke", "POST"),
        (Port::Api, "/v1/feed", "GET"),
        (Port::Api, "/v1/feed/acknowledgement", "POST"),
        (Port::Api, "/v1/gateways/self", "POST"),
        (Port::Public, "/healthz", "GET"),
        (Port::Public, "/crl/x/0.crl", "GET"),
        (Port::Public, "/ca/lab.pem", "GET"),
        (Port::Public, "/log/checkpoint", "GET"),
    ];
    for (port, path, methods) in rows {
        for wrong in ["DELETE", "PATCH"] {
            let answer = ports
                .say(port, &format!("{wrong} {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"));
            assert_eq!(status(&answer), "405", "{port:?} {wrong} {path}: {answer}");
            let allow = answer.lines().find_map(|line| line.strip_prefix("Allow: ")).unwrap_or_default();
            let allow: Vec<&str> =
                allow.split(',').map(str::trim).filter(|method| *method != "HEAD").collect();
            assert_eq!(allow.join(","), methods, "{port:?} {wrong} {path}: {answer}");
        }
    }
}
