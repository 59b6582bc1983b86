//! A renewal in two phases: a successor for a new key by EST (`simplereenroll`, RFC 7030 §4.2.2), a first proof
//! with the new pair, and only then the swap. `device rotate` and `device connect --renew auto` are both this.
//!
//! In: the folder of a credential, the EST server. Out: the old and the new certificate. Cut off at any point it is
//! run again and goes on: the same request is the same certificate, and the old pair stays until the new is proven.

mod refusal;

use crate::credential::{CredentialDir, Held, Pending, Renewal};
use crate::enrolment::words;
use crate::failure::{Exit, Failure};
use crate::home;
use core::time::Duration;
use refusal::{Refused, Turn};
use touchmark_dial::{DialFault, HttpClient, Method, Request, Response, StatusCode, TlsReason};
use touchmark_enrol::est;
use touchmark_enrol::renewal::{CONFIRM_PATH, RENEWAL_HEADER, RENEWAL_PATH, RenewalHint, RenewalWindow};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_listen::Clock;
use touchmark_x509::Certificate;
use touchmark_x509::path::{Purpose, validate};
use touchmark_x509::signer::Signer as _;

/// Times a server is asked again whose connections break; the request stays the same, so nothing is issued twice.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// Longest that a busy server's own word about when to come back is followed, in one wait and in all.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(30);
const BUSY_MAX: Duration = Duration::from_secs(120);
/// One exchange: far more than a server that lives needs.
const EXCHANGE_MAX: Duration = Duration::from_secs(15);
/// Who set the renewal going, for the authority's records.
const MANNER_HEADER: &str = "Touchmark-Renewal-Manner";

/// Who set a renewal going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A program, by itself.
    Automatic,
    /// A person.
    Manual,
}

impl Manner {
    fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
        }
    }
}

/// Whose credential is renewed, and where.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Base URL of EST.
    pub est: String,
    pub environment: EnvironmentName,
    pub name: Name,
    pub manner: Manner,
}

/// A credential that was replaced by its successor.
#[derive(Debug)]
pub struct Rotated {
    pub old: Certificate,
    pub new: Certificate,
    /// When the authority wants to see the device next.
    pub window: Option<RenewalWindow>,
    /// It goes back to an attempt that was cut off.
    pub resumed: bool,
}

impl Rotation {
    /// Renews. When this returns, the new pair is in force on disk and the authority has seen it at work.
    pub async fn run(
        &self,
        directory: &CredentialDir,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<Rotated, Failure> {
        let what = || format!("{} in {} at {}", self.name, self.environment, self.est);
        let held = directory.hold().await?;
        let old = directory.certificate()?;
        let (new, window, resumed) = match held.begin_renewal(&self.name)? {
            Renewal::Unconfirmed(new) if new.validity().not_after() > Clock::system().now() => {
                tell(format!(
                    "going on: certificate {} came in an attempt that was cut off",
                    new.fingerprint()
                ));
                (new, None, true)
            }
            Renewal::Unconfirmed(_) => {
                // It died before anybody proved it: a device that slept.
                held.give_up()?;
                let Renewal::Requested(pending) = held.begin_renewal(&self.name)? else {
                    return Err(
                        Failure::internal("a successor that was given up is still there").what(what())
                    );
                };
                self.successor(directory, &held, &old, pending, tell).await.map_err(|f| f.what(what()))?
            }
            Renewal::Requested(pending) => {
                self.successor(directory, &held, &old, pending, tell).await.map_err(|f| f.what(what()))?
            }
        };
        self.confirm(&held, &new).await.map_err(|failure| failure.what(what()))?;
        tell("confirmed: the authority has seen the new key at work".to_owned());
        held.finish_renewal()?;
        tell("in force: key and chain have taken the place of the old ones".to_owned());
        drop(held);
        let window = match window {
            Some(window) => Some(window),
            None => self.window(directory).await,
        };
        Ok(Rotated { old, new, window, resumed })
    }

    /// Asks for the successor and keeps it beside the pair in force.
    async fn successor(
        &self,
        directory: &CredentialDir,
        held: &Held<'_>,
        old: &Certificate,
        pending: Pending,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<(Certificate, Option<RenewalWindow>, bool), Failure> {
        tell(match pending.resumed {
            true => "going on: with the key and request of an attempt that was cut off".to_owned(),
            false => "made: a new key beside the old one (key.pem.new, 0600)".to_owned(),
        });
        let post = est::renew_request(Some(&self.environment), &pending.request_der);
        let mut request = Request::new(Method::POST, post.path).body(post.body);
        for (name, value) in post.headers {
            request = request.header(name, value)?;
        }
        request = request.header(MANNER_HEADER, self.manner.as_str())?.timeout(EXCHANGE_MAX);
        let mut client = HttpClient::new(self.est.parse()?, Some(directory.tls()?.to_authority(None)?))?;
        let answer = match ask(&mut client, &request, StatusCode::OK, tell).await {
            Ok(answer) => answer,
            Err(asked) => return Err(given_up(held, asked, Turn::Renewal, &self.name)?),
        };
        let window = answer.header(RENEWAL_HEADER).and_then(|value| RenewalWindow::from_header(value).ok());
        let bad = |why: String| {
            Failure::new(Exit::Unreachable, "est-answer", "the answer holds no successor for us").why(why)
        };
        let anchors = Certificate::from_pem_many(&home::read(&directory.anchors())?)
            .map_err(|fault| bad(fault.to_string()))?;
        let enrolled = est::parse_certs_response(&answer.body)
            .and_then(|bag| est::choose(&bag, &anchors, &pending.key.public_key().spki_hash()))
            .map_err(|fault| bad(fault.to_string()))?;
        if enrolled.leaf.spiffe_id().ok() != old.spiffe_id().ok() {
            return Err(bad("it names another identity".to_owned()));
        }
        validate(&enrolled.leaf, &enrolled.chain, &anchors, Clock::system().now(), Purpose::Client)
            .map_err(|fault| bad(fault.to_string()))?;
        let mut chain = vec![enrolled.leaf.clone()];
        chain.extend(enrolled.chain);
        held.keep_unconfirmed(&chain)?;
        tell(format!(
            "issued: certificate {} until {}, kept beside the old one",
            enrolled.leaf.fingerprint(),
            enrolled.leaf.validity().not_after()
        ));
        Ok((enrolled.leaf, window, pending.resumed))
    }

    /// The first proof with the new pair; said twice it is still said once.
    async fn confirm(&self, held: &Held<'_>, new: &Certificate) -> Result<(), Failure> {
        let mut client =
            HttpClient::new(self.est.parse()?, Some(held.unconfirmed_tls()?.to_authority(None)?))?;
        let request = Request::post(CONFIRM_PATH, "text/plain", new.fingerprint().to_string())?;
        let request = request.timeout(EXCHANGE_MAX);
        match ask(&mut client, &request, StatusCode::NO_CONTENT, &mut |_| {}).await {
            Ok(_) => Ok(()),
            Err(asked) => Err(given_up(held, asked, Turn::Confirmation, &self.name)?),
        }
    }

    /// When the authority wants to see this credential next; without an answer the device decides alone.
    pub async fn window(&self, directory: &CredentialDir) -> Option<RenewalWindow> {
        let tls = directory.tls().ok()?.to_authority(None).ok()?;
        let mut client = HttpClient::new(self.est.parse().ok()?, Some(tls)).ok()?;
        let answer = client.send(Request::get(RENEWAL_PATH).timeout(EXCHANGE_MAX)).await.ok()?.ok().ok()?;
        RenewalHint::from_json(&answer.body).ok().map(|hint| hint.window)
    }
}

/// Throws the new key away where it is the reason of the refusal; everything else goes on with it next time.
fn given_up(held: &Held<'_>, asked: DialFault, turn: Turn, name: &Name) -> Result<Failure, Failure> {
    let refused = Refused::read(asked, turn, name);
    if refused.key_is_spent {
        held.give_up()?;
    }
    Ok(refused.failure)
}

/// Sends one request until it is answered, as patiently as a server that restarts or is busy deserves.
async fn ask(
    client: &mut HttpClient,
    request: &Request,
    wanted: StatusCode,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<Response, DialFault> {
    let (mut attempt, mut waited) = (0, Duration::ZERO);
    loop {
        let (fault, pause) = match client.send(request.clone()).await {
            Ok(answer) if answer.status == wanted => return Ok(answer),
            Ok(answer)
                if answer.status == StatusCode::SERVICE_UNAVAILABLE
                    || answer.status == StatusCode::TOO_MANY_REQUESTS =>
            {
                let asked = answer.header("retry-after").and_then(|text| text.parse().ok());
                let pause = Duration::from_secs(asked.unwrap_or(1)).min(BUSY_WAIT_MAX);
                let fault = refused(answer);
                let says = match &fault {
                    DialFault::Status { problem, .. } => words(problem),
                    _ => Default::default(),
                };
                if waited + pause > BUSY_MAX || Failure::at_authoritys_machine(says.1, says.0).is_some() {
                    return Err(fault);
                }
                waited += pause;
                tell(format!("not now, and again in {} s: {}", pause.as_secs(), says.0));
                (fault, pause)
            }
            Ok(answer) => return Err(refused(answer)),
            // A server that dies breaks connections in every state; asking again is safe. One that is silent stays so.
            Err(
                fault @ (DialFault::Unreachable { .. }
                | DialFault::Protocol { .. }
                | DialFault::Tls { reason: TlsReason::Protocol(_), .. }),
            ) => {
                attempt += 1;
                (fault, PAUSE * attempt)
            }
            Err(fault) => return Err(fault),
        };
        if attempt >= ATTEMPTS {
            return Err(fault);
        }
        tokio::time::sleep(pause).await;
    }
}

fn refused(answer: Response) -> DialFault {
    let status = answer.status;
    let unexpected = || DialFault::Unexpected { why: format!("status {status} without what was asked for") };
    answer.ok().err().unwrap_or_else(unexpected)
}
