//! Asking for certificates: EST with a token, EST with the connection's own certificate, or cfssl's sign call.
//!
//! Keys and requests are made before the window; answers are judged after it. Each is for a key of its own.

use super::http::{Answer, exchange, request};
use super::tally::{Count, Tally};
use super::tls::{Client, PATIENCE, Stream, Target, cut};
use super::{ready, tell};
use crate::fault::{Outcome, While as _};
use crate::stock::{self, Identity};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use touchmark_enrol::est::{EstPost, choose, enrol_request, parse_certs_response, renew_request};
use touchmark_identity::{Name, Secret};
use touchmark_x509::request::certification_request;
use touchmark_x509::{KeyAlgorithm, Signer as _, SoftwareKey};

/// Handshakes under way while connections are opened that the window then uses.
const CONNECTING_AT_ONCE: usize = 32;

/// How a certificate is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Way {
    /// EST `simpleenroll`: a prefix token's password, for devices named `PREFIX` and a number.
    Token { prefix: String, password: String },
    /// EST `simplereenroll`: each connection renews the device whose certificate it shows.
    Renew,
    /// cfssl's `POST /api/v1/cfssl/sign`.
    Cfssl,
}

/// One window of enrolments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EnrolJob {
    pub(crate) target: Target,
    pub(crate) way: Way,
    /// File and place of the identities that connections show; without one they show none.
    pub(crate) identities: Option<(PathBuf, usize)>,
    pub(crate) connections: usize,
    /// Requests under way at the same time; fewer than connections where those wait for their turn.
    pub(crate) at_once: usize,
    /// A connection of its own for each request.
    pub(crate) fresh: bool,
    pub(crate) seconds: f64,
    /// Never more requests than these.
    pub(crate) most: usize,
    /// Where the identities go that were enrolled.
    pub(crate) out: Option<PathBuf>,
}

/// One request, and what is needed to judge its answer.
struct Shot {
    name: String,
    key: SoftwareKey,
    bytes: Vec<u8>,
}

impl EnrolJob {
    pub(super) async fn run(self) -> Outcome<()> {
        let shown = match &self.identities {
            Some((file, skip)) => stock::read(file, *skip, self.connections)?,
            None => Vec::new(),
        };
        let clients = self.target.clients()?;
        let place = |n: usize| shown.get(n % shown.len().max(1));
        let clients: Vec<Client> =
            (0..self.connections).map(|n| clients.client(place(n))).collect::<Outcome<_>>()?;
        let names = (0..self.most).map(|n| match &self.way {
            Way::Token { prefix, .. } => format!("{prefix}{n:06}"),
            // Shot n goes out on connection n modulo their number.
            Way::Renew => place(n % self.connections).map(|one| one.name.clone()).unwrap_or_default(),
            Way::Cfssl => format!("bench-{n:06}"),
        });
        let shots: Arc<Vec<Shot>> = Arc::new(self.prepare(names.collect())?);
        let streams = if self.fresh {
            clients.iter().map(|_| None).collect()
        } else {
            connected(&clients, matches!(self.way, Way::Renew)).await?
        };
        let turns = Arc::new(Semaphore::new(self.at_once));
        ready()?;
        let begun = Instant::now();
        let until = begun + Duration::from_secs_f64(self.seconds);
        let mut tasks = JoinSet::new();
        for (n, (client, mut stream)) in clients.into_iter().zip(streams).enumerate() {
            let (shots, step, turns) = (shots.clone(), self.connections, turns.clone());
            tasks.spawn(async move {
                let (mut count, mut answers) = (Count::default(), Vec::new());
                let mut buffer = Vec::new();
                for at in (n..shots.len()).step_by(step) {
                    let Some(shot) = shots.get(at) else { break };
                    let Ok(_turn) = turns.acquire().await else { break };
                    if Instant::now() >= until || !count.errors.is_empty() {
                        break;
                    }
                    let since = Instant::now();
                    let asked = tokio::time::timeout(PATIENCE, ask(&client, &mut stream, shot, &mut buffer));
                    match asked.await.unwrap_or_else(|_| Err("no answer in time".into())) {
                        Ok((answer, octets)) => {
                            count.done(since.elapsed());
                            count.octets += octets;
                            answers.push((at, answer));
                        }
                        Err(fault) => count.errors.push(fault.to_string()),
                    }
                }
                (count, answers, stream)
            });
        }
        let (mut count, mut answers, mut open) = (Count::default(), Vec::new(), Vec::new());
        while let Some(ended) = tasks.join_next().await {
            let (one, heard, stream) = ended?;
            count.add(one);
            answers.extend(heard);
            open.push(stream);
        }
        let elapsed = begun.elapsed();
        let anchors = std::fs::read_to_string(&self.target.anchors).while_("the anchors")?;
        let anchors = touchmark_x509::Certificate::from_pem_many(&anchors)?;
        let mut enrolled = Vec::new();
        for (at, answer) in answers {
            match shots.get(at).map(|shot| self.judge(shot, &answer, &anchors)) {
                Some(Ok(identity)) => enrolled.push(identity),
                Some(Err(fault)) => count.errors.push(fault.to_string()),
                None => {}
            }
        }
        if let Some(out) = &self.out {
            stock::append(out, &enrolled)?;
        }
        tell(&Tally::of(count, elapsed))
    }

    /// Keys and requests, on both cores: nobody is measured yet.
    fn prepare(&self, names: Vec<String>) -> Outcome<Vec<Shot>> {
        let half = names.len().div_ceil(2).max(1);
        let parts: Vec<Outcome<Vec<Shot>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = names
                .chunks(half)
                .map(|names| scope.spawn(|| names.iter().map(|name| self.shot(name)).collect()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread broke".into())))
                .collect()
        });
        let mut shots = Vec::with_capacity(names.len());
        for part in parts {
            shots.extend(part?);
        }
        Ok(shots)
    }

    fn shot(&self, name: &str) -> Outcome<Shot> {
        let key = SoftwareKey::generate(KeyAlgorithm::P256)?;
        let csr = certification_request(name, None, &key)?;
        let bytes = match &self.way {
            Way::Token { password, .. } => {
                let (name, password): (Name, _) = (name.parse()?, Secret::new(password.clone()));
                est(enrol_request(None, &csr, Some((name.as_str(), &password))))
            }
            Way::Renew => est(renew_request(None, &csr)),
            Way::Cfssl => cfssl(&csr),
        };
        Ok(Shot { name: name.to_owned(), key, bytes })
    }

    /// What stands above a certificate is not in the answer: it is among the anchors.
    fn judge(
        &self,
        shot: &Shot,
        answer: &Answer,
        anchors: &[touchmark_x509::Certificate],
    ) -> Outcome<Identity> {
        if answer.status != 200 {
            let words = String::from_utf8_lossy(&answer.body);
            return Err(format!("{}: status {}: {}", shot.name, answer.status, words.trim()).into());
        }
        let chain = match &self.way {
            Way::Token { .. } | Way::Renew => {
                let certificates = parse_certs_response(&answer.body)?;
                let enrolled = choose(&certificates, anchors, &shot.key.public_key().spki_hash())?;
                core::iter::once(&enrolled.leaf)
                    .chain(&enrolled.chain)
                    .map(|one| one.der().to_vec())
                    .collect()
            }
            Way::Cfssl => {
                let answer: serde_json::Value = serde_json::from_slice(&answer.body)?;
                let pem = answer.pointer("/result/certificate").and_then(|pem| pem.as_str());
                let pem = pem.while_("cfssl gave no certificate")?;
                let [leaf] = &touchmark_x509::Certificate::from_pem_many(pem)?[..] else {
                    return Err("cfssl gave something else than one certificate".into());
                };
                if leaf.spki_hash() != shot.key.public_key().spki_hash() {
                    return Err("cfssl's certificate is for another key".into());
                }
                vec![leaf.der().to_vec()]
            }
        };
        Ok(Identity { name: shot.name.clone(), key: shot.key.to_pkcs8().expose().clone(), chain })
    }
}

/// All of them connected, some at a time. `used`: each certificate was in use before the window, as one is that is
/// renewed after weeks; otherwise its confirmation would be counted with its renewal.
async fn connected(clients: &[Client], used: bool) -> Outcome<Vec<Option<Stream>>> {
    let mut streams = Vec::with_capacity(clients.len());
    for some in clients.chunks(CONNECTING_AT_ONCE) {
        let mut tasks = JoinSet::new();
        for (n, client) in some.iter().cloned().enumerate() {
            tasks.spawn(async move {
                let mut stream = client.connect().await?;
                if used {
                    let hello = request("GET", "/.well-known/est/cacerts", &[], &[]);
                    exchange(&mut stream, &hello, &mut Vec::new()).await?;
                }
                Outcome::Ok((n, stream))
            });
        }
        let first = streams.len();
        streams.resize_with(first + some.len(), || None);
        while let Some(ended) = tasks.join_next().await {
            let (n, stream) = ended??;
            if let Some(place) = streams.get_mut(first + n) {
                *place = Some(stream);
            }
        }
    }
    Ok(streams)
}

/// The answer, and the octets on the wire that it took.
async fn ask(
    client: &Client,
    stream: &mut Option<Stream>,
    shot: &Shot,
    buffer: &mut Vec<u8>,
) -> Outcome<(Answer, u64)> {
    if let Some(stream) = stream {
        let before = stream.get_ref().0.octets();
        let answer = exchange(stream, &shot.bytes, buffer).await?;
        return Ok((answer, stream.get_ref().0.octets() - before));
    }
    let mut fresh = client.connect().await?;
    let answer = exchange(&mut fresh, &shot.bytes, buffer).await;
    let octets = fresh.get_ref().0.octets();
    cut(fresh);
    Ok((answer?, octets))
}

fn est(post: EstPost) -> Vec<u8> {
    let mut headers: Vec<(String, String)> =
        post.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if let Some(value) = &post.authorization {
        headers.push(("Authorization".to_owned(), value.expose().clone()));
    }
    request("POST", &post.path, &headers, &post.body)
}

fn cfssl(csr: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(csr);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| core::str::from_utf8(line).ok()).collect();
    let pem = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        lines.join("\n")
    );
    let body = serde_json::json!({ "certificate_request": pem }).to_string();
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    request("POST", "/api/v1/cfssl/sign", &headers, body.as_bytes())
}
