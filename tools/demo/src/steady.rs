//! A device that publishes at a steady rate while its credential is renewed under it.
//!
//! In: what to publish and the folder of the credential. Out: a [`Report`] that says what was acknowledged and how
//! long the longest silence was. When the files change, a second session is opened with the new certificate first,
//! publishing moves there, and the old session ends once everything it owes is acknowledged: make before break.

pub(crate) mod flight;
mod link;
mod report;

use core::time::Duration;
use flight::{Counts, Flight, LinkId, Message};
use link::{Heard, Link};
pub(crate) use report::Report;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::mpsc;
use touchmark_identity::{Fingerprint, Name};
use touchmark_listen::Clock;
use touchmark_mqtt::ProtocolVersion;
use touchmark_touchmark::client::Attempt;
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::mqtt_session::{Denial, PATIENCE, Parts, Session, Target};
use touchmark_touchmark::output::Output;
use touchmark_x509::Certificate;

/// How often the files and the sessions are looked at: a new certificate is in use that much later.
const LOOK: Duration = Duration::from_millis(100);
/// Keep alive is 60 s: a ping every 20 s survives two lost ones.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Until an old session's last acknowledgements are given up, and its messages sent again.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Between attempts to open a session.
const REOPEN: Duration = Duration::from_millis(250);
/// A device that is refused so often in a row, and has no session, is not wanted.
const REFUSALS_MAX: u32 = 5;
/// Certificates that the report names.
const CERTIFICATES_MAX: usize = 1_000;

/// What is published, and how long.
pub(crate) struct Plan {
    pub(crate) name: Name,
    /// Topic and payload; `{n}` in a payload is the message's number.
    pub(crate) publications: Vec<(String, String)>,
    pub(crate) every: Duration,
    pub(crate) stay: Option<Duration>,
    pub(crate) version: ProtocolVersion,
    /// Somebody renews the credential meanwhile: then one that has ended is not the end.
    pub(crate) renews: bool,
}

/// An attempt to open a session, back from its task.
struct Opened {
    certificate: Fingerprint,
    outcome: Result<Result<Parts, Denial>, Failure>,
}

struct Running<'a> {
    plan: &'a Plan,
    directory: &'a CredentialDir,
    address: &'a str,
    output: &'a Output,
    flight: Flight,
    links: BTreeMap<LinkId, Link>,
    serving: Option<LinkId>,
    /// Since when each of the others only waits for its acknowledgements.
    draining: BTreeMap<LinkId, Instant>,
    sessions: u32,
    opening: bool,
    reopen_at: Instant,
    refusals: u32,
    certificates: Vec<String>,
    renewals: u64,
    renewals_failed: u64,
    last_refusal: Option<Denial>,
    heard: mpsc::Sender<Heard>,
    opened: mpsc::Sender<Opened>,
}

/// Publishes until the plan's end or Ctrl-C, then waits for the last acknowledgements.
pub(crate) async fn run(
    plan: &Plan,
    directory: &CredentialDir,
    address: &str,
    mut renewed: mpsc::Receiver<Attempt>,
    output: &Output,
) -> Result<Report, Failure> {
    let (heard, mut hearing) = mpsc::channel(1_024);
    let (opened, mut opening) = mpsc::channel(4);
    let mut running = Running::new(plan, directory, address, output, heard, opened);
    let mut ticks = tokio::time::interval(plan.every);
    let mut looks = tokio::time::interval(LOOK);
    let mut pings = tokio::time::interval(PING_EVERY);
    let end = tokio::time::sleep(plan.stay.unwrap_or(Duration::MAX));
    tokio::pin!(end);
    let mut ending: Option<Instant> = None;
    loop {
        tokio::select! {
            Some(heard) = hearing.recv() => running.hear(heard),
            Some(opened) = opening.recv() => running.opened(opened)?,
            Some(attempt) = renewed.recv() => running.renewed(attempt),
            _ = looks.tick() => running.look()?,
            _ = pings.tick() => running.ping()?,
            // Late ticks are made up for: the rate is what was asked for.
            _ = ticks.tick(), if ending.is_none() && running.sessions > 0 => running.flight.produce(Instant::now()),
            () = &mut end, if ending.is_none() => ending = Some(Instant::now()),
            _ = tokio::signal::ctrl_c(), if ending.is_none() => ending = Some(Instant::now()),
        }
        running.pump()?;
        running.let_go();
        let unwanted =
            running.serving.is_none() && running.refusals >= REFUSALS_MAX && !running.may_come_back();
        let patient = ending.is_none_or(|since| since.elapsed() < PATIENCE);
        let done = ending.is_some() && running.flight.open_messages() == 0;
        if unwanted || done || !patient {
            break;
        }
    }
    Ok(running.close().await)
}

impl<'a> Running<'a> {
    fn new(
        plan: &'a Plan,
        directory: &'a CredentialDir,
        address: &'a str,
        output: &'a Output,
        heard: mpsc::Sender<Heard>,
        opened: mpsc::Sender<Opened>,
    ) -> Self {
        Self {
            plan,
            directory,
            address,
            output,
            flight: Flight::new(plan.publications.len()),
            links: BTreeMap::new(),
            serving: None,
            draining: BTreeMap::new(),
            sessions: 0,
            opening: false,
            reopen_at: Instant::now(),
            refusals: 0,
            certificates: Vec::new(),
            renewals: 0,
            renewals_failed: 0,
            last_refusal: None,
            heard,
            opened,
        }
    }

    /// Sends what may be sent.
    fn pump(&mut self) -> Result<(), Failure> {
        let Some(id) = self.serving else { return Ok(()) };
        let Some(link) = self.links.get(&id) else { return Ok(()) };
        while link.has_room()
            && let Some((packet_id, Message { number, topic })) = self.flight.take(id)
        {
            // The number of topics is the number of publications.
            let Some((topic, payload)) = self.plan.publications.get(topic) else { continue };
            link.publish(topic, &payload.replace("{n}", &number.to_string()), packet_id)?;
        }
        Ok(())
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Answered { link, id, refusal } => {
                self.flight.answered(link, id, refusal.is_some(), Instant::now());
                if refusal.is_some() {
                    self.last_refusal = refusal;
                }
            }
            Heard::Ended { link, denial } => {
                if self.links.contains_key(&link) {
                    self.output.note(&format!("session {} ended: {} {}", link.0, denial.code, denial.reason));
                    self.last_refusal = Some(denial);
                }
                self.end(link);
            }
        }
    }

    /// The session is over; what it owes is sent again.
    fn end(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.draining.remove(&link);
        self.flight.over(link);
        if self.serving == Some(link) {
            self.serving = None;
        }
    }

    /// Looks whether another session is due: there is none, or the files hold another certificate.
    #[expect(clippy::disallowed_methods, reason = "it belongs to one session or child of a command")]
    fn look(&mut self) -> Result<(), Failure> {
        let late: Vec<_> = self.draining.iter().filter(|(_, since)| since.elapsed() > DRAIN_MAX).collect();
        let late: Vec<LinkId> = late.into_iter().map(|(link, _)| *link).collect();
        late.into_iter().for_each(|link| self.end(link));
        if self.opening || Instant::now() < self.reopen_at {
            return Ok(());
        }
        // Read in the moment of a swap: the next look finds it.
        let Ok(current) = self.directory.certificate() else { return Ok(()) };
        let certificate = current.fingerprint();
        let serving = self.serving.and_then(|id| self.links.get(&id));
        if serving.is_some_and(|link| link.certificate == certificate) {
            return Ok(());
        }
        let target = Target { tls: self.directory.tls()?, address: self.address.to_owned() };
        let (client_id, version) = (self.client_id(), self.plan.version);
        let opened = self.opened.clone();
        self.opening = true;
        tokio::spawn(async move {
            let outcome = Session::open(&target, &client_id, version).await;
            let outcome = outcome.map(|greeted| greeted.map(Session::into_parts));
            // Nobody waits any more: then nobody needs it.
            let _ = opened.send(Opened { certificate, outcome }).await;
        });
        Ok(())
    }

    /// The certificate is past its end, and its renewal was not refused yet.
    fn may_come_back(&self) -> bool {
        let ended = |one: Certificate| one.validity().not_after() < Clock::system().now();
        self.plan.renews && self.renewals_failed == 0 && self.directory.certificate().is_ok_and(ended)
    }

    /// Two sessions of one device at a time must differ, or the broker ends the older one.
    fn client_id(&self) -> String {
        match self.sessions {
            0 => self.plan.name.to_string(),
            sessions => format!("{}/{}", self.plan.name, sessions + 1),
        }
    }

    fn opened(&mut self, Opened { certificate, outcome }: Opened) -> Result<(), Failure> {
        self.opening = false;
        self.reopen_at = Instant::now() + REOPEN;
        let parts = match outcome {
            Ok(Ok(parts)) => parts,
            Ok(Err(denial)) => {
                self.refusals += 1;
                self.output.note(&format!("refused: {} {}", denial.code, denial.reason));
                self.last_refusal = Some(denial);
                return Ok(());
            }
            // Before there was a session it is the answer; later it is weather.
            Err(failure) if self.sessions == 0 => return Err(failure),
            Err(failure) => {
                self.output.note(&format!("no session: {}", failure.brief()));
                return Ok(());
            }
        };
        self.refusals = 0;
        self.sessions += 1;
        let id = LinkId(self.sessions);
        self.flight.open(id, parts.receive_maximum);
        self.links.insert(id, Link::start(id, certificate, parts, self.heard.clone()));
        if self.certificates.len() < CERTIFICATES_MAX {
            self.certificates.push(certificate.to_string());
        }
        let before = self.serving.replace(id);
        let mut text = format!("session {} with certificate {certificate}", id.0);
        if let Some(before) = before {
            self.draining.insert(before, Instant::now());
            text += &format!(
                "; session {} has {} to see acknowledged",
                before.0,
                self.flight.outstanding(before)
            );
        }
        self.output.note(&text);
        Ok(())
    }

    fn renewed(&mut self, attempt: Attempt) {
        match attempt {
            Attempt::Renewed(new) => {
                self.renewals += 1;
                self.output.note(&format!(
                    "renewed: {} until {}",
                    new.fingerprint(),
                    new.validity().not_after()
                ));
            }
            Attempt::Failed(failure) => {
                self.renewals_failed += 1;
                self.output.note(&format!(
                    "not renewed, tried again later: {} ({})",
                    failure.brief(),
                    failure.code()
                ));
            }
        }
    }

    fn ping(&self) -> Result<(), Failure> {
        self.serving.and_then(|id| self.links.get(&id)).map_or(Ok(()), Link::ping)
    }

    /// Old sessions that owe nothing any more say good-bye.
    fn let_go(&mut self) {
        let free: Vec<_> =
            self.draining.keys().copied().filter(|link| self.flight.outstanding(*link) == 0).collect();
        for id in free {
            self.draining.remove(&id);
            self.flight.over(id);
            if let Some(link) = self.links.remove(&id) {
                link.goodbye();
            }
        }
    }

    async fn close(mut self) -> Report {
        let cut = self.serving.is_none();
        let Counts { sent, acknowledged, repeated, denied, longest_gap } = self.flight.counts(Instant::now());
        for (_, link) in core::mem::take(&mut self.links) {
            // It ends by itself, at the latest with this process.
            let _ = link.goodbye().await;
        }
        Report {
            device: self.plan.name.to_string(),
            mqtt: self.address.to_owned(),
            version: self.plan.version.to_string(),
            sent,
            acknowledged,
            repeated,
            denied,
            unacknowledged: self.flight.open_messages() as u64,
            sessions: self.sessions,
            renewals: self.renewals,
            renewals_failed: self.renewals_failed,
            longest_gap_ms: u64::try_from(longest_gap.as_millis()).unwrap_or(u64::MAX),
            certificates: self.certificates,
            last_refusal: self.last_refusal,
            cut,
        }
    }
}
