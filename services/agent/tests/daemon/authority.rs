//! A small authority in this process: EST and the native calls, over the real codecs, doing what a test says.

use crate::pki::{Authority, Leaf, Pki};
use crate::server::{Request, Server, Tls, config, say};
use rustls::version::TLS13;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use touchmark_enrol::est::{read_csr, write_ca_certs, write_certs_only};
use touchmark_x509::{Certificate, PublicKey};

/// What is answered to a request for a key.
pub(crate) type Issue = Box<dyn Fn(&Pki, &PublicKey) -> Vec<Certificate> + Send>;

/// What the authority knows and does.
pub(crate) struct Books {
    pub(crate) issue: Issue,
    /// Every question, in order: `POST /path`.
    pub(crate) asked: Vec<String>,
    /// By request: asked again, answered again.
    issued: BTreeMap<Vec<u8>, Vec<Certificate>>,
    /// Leaves that were used, DER.
    pub(crate) confirmed: Vec<Vec<u8>>,
}

/// The authority and where it is.
pub(crate) struct Est {
    pub(crate) pki: Arc<Pki>,
    pub(crate) books: Arc<Mutex<Books>>,
    server: Server,
}

/// `secret` for `pump-01`.
pub(crate) const BASIC: &str = "Authorization: Basic cHVtcC0wMTpzZWNyZXQ=";

impl Est {
    pub(crate) fn start(leaf: Leaf) -> Self {
        let pki = Arc::new(Pki::new());
        let books = Arc::new(Mutex::new(Books {
            issue: Box::new(move |pki, key| good(pki, key, &leaf)),
            asked: Vec::new(),
            issued: BTreeMap::new(),
            confirmed: Vec::new(),
        }));
        let (for_answers, kept) = (Arc::clone(&pki), Arc::clone(&books));
        let tls = config(&pki.holder(&Leaf::server()), &pki.anchors(), &[&TLS13]);
        let server = Server::tls(tls, move |request, tls| {
            answer(&for_answers, &mut kept.lock().unwrap(), &request, tls);
        });
        Self { pki, books, server }
    }

    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    pub(crate) fn anchors_pem(&self) -> String {
        self.pki.anchors().iter().map(Certificate::to_pem).collect()
    }

    pub(crate) fn issue_with(&self, issue: impl Fn(&Pki, &PublicKey) -> Vec<Certificate> + Send + 'static) {
        self.books.lock().unwrap().issue = Box::new(issue);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.books.lock().unwrap().asked.clone()
    }

    pub(crate) fn confirmed(&self) -> Vec<Vec<u8>> {
        self.books.lock().unwrap().confirmed.clone()
    }
}

pub(crate) fn good(pki: &Pki, key: &PublicKey, leaf: &Leaf) -> Vec<Certificate> {
    vec![leaf.issue(&pki.issuing, key), pki.issuing.certificate.clone()]
}

/// The requested key, in an authority's certificate.
pub(crate) fn as_authority(pki: &Pki, key: &PublicKey) -> Vec<Certificate> {
    vec![Authority::certify("pump-01", key, &pki.root)]
}

fn answer(pki: &Pki, books: &mut Books, request: &Request, tls: &mut Tls) {
    let line = request.line().to_owned();
    let (_, operation) = line.rsplit_once('/').unwrap();
    books.asked.push(line.clone());
    match operation {
        "cacerts" => {
            let all = [pki.issuing.certificate.der(), pki.root.certificate.der()];
            say(tls, "200 OK", "", &write_ca_certs(&all, None).bytes);
        }
        "simpleenroll" if !request.head.contains(BASIC) => say(tls, "401 Unauthorized", "", b""),
        "simplereenroll" if request.client.is_none() => say(tls, "401 Unauthorized", "", b""),
        "simpleenroll" | "simplereenroll" => {
            let csr =
                read_csr(Some("application/pkcs10"), &request.body).unwrap().prove_possession().unwrap();
            let issue = &books.issue;
            let issued =
                books.issued.entry(request.body.clone()).or_insert_with(|| issue(pki, csr.public_key()));
            let ders: Vec<&[u8]> = issued.iter().map(Certificate::der).collect();
            say(tls, "200 OK", "", &write_certs_only(&ders, None).bytes);
        }
        "confirm" => {
            books.confirmed.extend(request.client.clone());
            let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        _ => say(tls, "404 Not Found", "", b"no such path (est-unknown-path)\n"),
    }
}
