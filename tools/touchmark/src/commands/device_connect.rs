//! `touchmark device connect`: what the gateway allows one device, act by act, with the decision behind each.
//!
//! Exit 4 if anything was denied, or the session was ended for good; 8 if it ended otherwise. Decision ids come from the authority, once the gateway has sent its log
//! there; on a machine without the operator's certificate they stay `no data`.

use crate::failure::{Exit, Failure, printable};
use crate::home::{self, Home};
use crate::management::{Management, segment};
use crate::mqtt_session::{Denial, Session, Target, Verdict, publication};
use crate::output::{Output, Tone};
use crate::span;
use clap::{Args, ValueEnum};
use core::time::Duration;
use serde::Serialize;
use touchmark_api::{Decision, DecisionQuery, or_no_data};
use touchmark_dial::{DialFault, HttpClient, Request};
use touchmark_identity::{EnvironmentName, Name, Timestamp};
use touchmark_listen::Clock;
use touchmark_mqtt::{ProtocolVersion, QoS};

/// The gateway sends its log several times a second; later than this something is wrong with it.
const DECISIONS_AWAITED: Duration = Duration::from_secs(3);
const DECISIONS_PAUSE: Duration = Duration::from_millis(150);

#[derive(Debug, Args)]
pub(crate) struct Connect {
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// Publish this payload to this topic (repeatable)
    #[arg(long, value_name = "TOPIC=PAYLOAD", value_parser = publication)]
    publish: Vec<(String, String)>,
    /// Subscribe, and print what comes until Ctrl-C (repeatable)
    #[arg(long, value_name = "FILTER")]
    subscribe: Vec<String>,
    /// How surely
    #[arg(long, value_enum, default_value = "1")]
    qos: Level,
    /// Speak MQTT 3.1.1 instead of 5.0
    #[arg(long)]
    v311: bool,
    /// Ask the gateway's HTTP listener for an update file (repeatable)
    #[arg(long, value_name = "MODEL/FILE")]
    request_update: Vec<String>,
    /// With --subscribe: end after this time
    #[arg(long = "for", value_name = "SPAN", value_parser = span::parse)]
    stay: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
}

impl From<Level> for QoS {
    fn from(level: Level) -> Self {
        match level {
            Level::Zero => Self::AtMostOnce,
            Level::One => Self::AtLeastOnce,
        }
    }
}

/// One act and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    pub(crate) action: &'static str,
    pub(crate) resource: String,
    /// `allow` or `deny`.
    pub(crate) verdict: &'static str,
    /// How a refusal came: `connack 0x87 NotAuthorized`; or what lies behind the gateway answered: `http 404`.
    pub(crate) code: String,
    /// In the gateway's words.
    pub(crate) reason: String,
    /// `dec_...`
    pub(crate) decision: Option<String>,
    /// The rule that decided.
    pub(crate) rule: Option<String>,
}

impl Act {
    pub(crate) fn new(action: &'static str, resource: &str, denial: Option<&Denial>) -> Self {
        Self {
            action,
            resource: resource.to_owned(),
            verdict: if denial.is_some() { "deny" } else { "allow" },
            code: denial.map(|denial| denial.code.clone()).unwrap_or_default(),
            reason: denial.map(|denial| denial.reason.clone()).unwrap_or_default(),
            decision: None,
            rule: None,
        }
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.verdict == "deny"
    }

    /// For people.
    pub(crate) fn line(&self, output: &Output) -> String {
        let mark = if self.is_denied() {
            output.paint(Tone::Bad, "✗ deny ")
        } else {
            output.paint(Tone::Good, "✓ allow")
        };
        let mut text = format!("{mark} {} {}", self.action, printable(&self.resource));
        if !self.code.is_empty() {
            let reason = if self.reason.is_empty() { "no reason was given" } else { &self.reason };
            text += &format!("\n        {} ({})", self.code, printable(reason));
        }
        let rule = match (&self.decision, &self.rule) {
            (Some(_), None) => "no rule matched".to_owned(),
            (_, _) => format!("rule {}", or_no_data(self.rule.as_ref())),
        };
        let decision = or_no_data(self.decision.as_ref());
        text + &output.paint(Tone::Dim, &format!("\n        decision {decision}, {rule}"))
    }
}

/// Everything that one connection did.
#[derive(Debug, Serialize)]
struct Report<'a> {
    device: &'a str,
    environment: &'a str,
    mqtt: &'a str,
    version: String,
    acts: Vec<Act>,
}

pub(crate) async fn run(order: Connect, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let target = Target::of(home, &order.env, &order.name).await?;
    let version = if order.v311 { ProtocolVersion::V311 } else { ProtocolVersion::V5 };
    let since = Clock::system().now();
    let (mut acts, mut cut) = (Vec::new(), None);
    let only_updates =
        order.publish.is_empty() && order.subscribe.is_empty() && !order.request_update.is_empty();
    if !only_updates {
        match Session::open(&target, order.name.as_str(), version).await? {
            Ok(session) => {
                acts.push(Act::new("connect", order.name.as_str(), None));
                if let Some(kept) = perform(&order, session, &mut acts).await? {
                    cut = listen(kept, order.stay, output).await?;
                }
            }
            Err(denial) => acts.push(Act::new("connect", order.name.as_str(), Some(&denial))),
        }
    }
    for file in &order.request_update {
        acts.push(request_update(home, &target, file).await?);
    }
    if let Some(end) = cut.take_if(|end| !end.decided) {
        cut = Some(why_it_ended(&target, order.name.as_str(), version, end).await);
    }
    find_decisions(home, order.name.as_str(), since, &mut acts).await;
    let denied = acts.iter().any(Act::is_denied);
    let mqtt = target.address.as_str();
    let report = Report {
        device: order.name.as_str(),
        environment: order.env.as_str(),
        mqtt,
        version: version.to_string(),
        acts,
    };
    output.one(&report, order.name.as_str(), |report| {
        let lines: Vec<_> = report.acts.iter().map(|act| act.line(output)).collect();
        format!("{} at {} (MQTT {})\n{}", report.device, report.mqtt, report.version, lines.join("\n"))
    })?;
    match cut {
        Some(end) => Err(ended(&end, &order.name)),
        None if denied => Ok(Exit::Denied),
        None => Ok(Exit::Ok),
    }
}

/// What the gateway says to the next connection, where the end of this one said nothing: MQTT 3.1.1 has no words for it.
async fn why_it_ended(target: &Target, name: &str, version: ProtocolVersion, end: Denial) -> Denial {
    match Session::open(target, name, version).await {
        Ok(Err(denial)) if denial.decided => denial,
        Ok(Err(_)) | Err(_) => end,
        Ok(Ok(session)) => {
            session.disconnect().await;
            end
        }
    }
}

/// A session that was to stay and did not.
fn ended(end: &Denial, name: &Name) -> Failure {
    let why = if end.reason.is_empty() { end.code.clone() } else { format!("{}: {}", end.code, end.reason) };
    let (exit, code, fix) = match end.decided {
        true => (
            Exit::Denied,
            "session-ended",
            format!("touchmark explain {name}   (what became of this device?)"),
        ),
        false => (
            Exit::Unreachable,
            "session-broken",
            "connect again; if nobody answers: touchmark gateway list".to_owned(),
        ),
    };
    Failure::new(exit, code, "the gateway ended the session")
        .what(format!("session of {name}"))
        .why(why)
        .fix(fix)
}

/// Publishes and subscribes; gives the session back while it is worth listening to.
async fn perform(
    order: &Connect,
    mut session: Session,
    acts: &mut Vec<Act>,
) -> Result<Option<Session>, Failure> {
    let qos = order.qos.into();
    for (topic, payload) in &order.publish {
        let verdict = session.publish(topic, payload.as_bytes(), qos).await?;
        if note(acts, "publish", topic, &verdict) {
            return Ok(None);
        }
    }
    let mut subscribed = false;
    for filter in &order.subscribe {
        let verdict = session.subscribe(filter, qos).await?;
        if note(acts, "subscribe", filter, &verdict) {
            return Ok(None);
        }
        subscribed |= verdict == Verdict::Allowed;
    }
    if subscribed {
        return Ok(Some(session));
    }
    session.disconnect().await;
    Ok(None)
}

/// Whether the connection is over.
fn note(acts: &mut Vec<Act>, action: &'static str, resource: &str, verdict: &Verdict) -> bool {
    let (denial, over) = match verdict {
        Verdict::Allowed => (None, false),
        Verdict::Denied(denial) => (Some(denial), false),
        Verdict::Closed(denial) => (Some(denial), true),
    };
    acts.push(Act::new(action, resource, denial));
    over
}

/// Prints what comes until the time is over or Ctrl-C; gives the end of the session, if it was not ours.
async fn listen(
    mut session: Session,
    stay: Option<Duration>,
    output: &Output,
) -> Result<Option<Denial>, Failure> {
    output.note("subscribed; Ctrl-C ends");
    let until = tokio::time::sleep(stay.unwrap_or(Duration::MAX));
    tokio::pin!(until);
    // Keep alive is 60 s: a ping every 20 s survives two lost ones.
    let mut ticks = tokio::time::interval(Duration::from_secs(20));
    loop {
        tokio::select! {
            () = &mut until => break,
            _ = tokio::signal::ctrl_c() => break,
            _ = ticks.tick() => {
                if let Verdict::Closed(denial) = session.ping().await? {
                    return Ok(Some(denial));
                }
            }
            message = session.message() => match message {
                Ok(message) if output.is_machine() => output.json_line(&message)?,
                Ok(message) => {
                    output.line(&format!("{} {}", printable(&message.topic), printable(&message.payload)));
                }
                Err(denial) => return Ok(Some(denial)),
            }
        }
    }
    session.disconnect().await;
    Ok(None)
}

async fn request_update(home: &Home, target: &Target, file: &str) -> Result<Act, Failure> {
    let base = home::address(home.ready()?.http, "HTTP listener")?;
    let path: Vec<String> = file.split('/').map(segment).collect();
    let mut client = HttpClient::new(base.parse()?, Some(target.tls.clone()))?;
    let answer = client.send(Request::get(format!("/updates/{}", path.join("/")))).await?;
    let status = answer.status;
    let Err(fault) = answer.ok() else { return Ok(Act::new("request-update", file, None)) };
    let refusal = Denial::new(format!("http {status}"), &fault.to_string());
    let mut act = Act::new("request-update", file, Some(&refusal));
    if is_from_behind(&fault) {
        // The gateway permitted it; what the service behind it answered is another matter.
        act.verdict = "allow";
    }
    Ok(act)
}

/// Whether the gateway permitted the act, and what lies behind it did not serve it.
fn is_from_behind(fault: &DialFault) -> bool {
    const BEHIND: [&str; 3] = ["update-unknown", "upstream-failed", "updates-busy"];
    match fault {
        DialFault::Status { problem, .. } => BEHIND.contains(&problem.code.as_str()),
        _ => false,
    }
}

/// Waits, for a while, until the authority knows the decisions behind these acts.
pub(crate) async fn find_decisions(home: &Home, device: &str, since: Timestamp, acts: &mut [Act]) {
    let Ok(mut management) = Management::open(home) else { return };
    let query = DecisionQuery { device: device.parse().ok(), since: Some(since), ..DecisionQuery::default() };
    let searching = async {
        loop {
            // Its own fault is no fault of the device's: the answer then is `no data`.
            let Ok(mut decisions) = management.decisions(&query).await else { return };
            decisions.reverse();
            // In the order of both, each decision once: the same act may have been tried twice.
            let mut taken: Vec<String> = acts.iter().filter_map(|act| act.decision.clone()).collect();
            for act in acts.iter_mut().filter(|act| act.decision.is_none()) {
                let fits = |decision: &&Decision| {
                    matches(act, decision) && !taken.contains(&decision.id.to_string())
                };
                if let Some(found) = decisions.iter().find(fits) {
                    taken.push(found.id.to_string());
                    act.decision = Some(found.id.to_string());
                    act.rule.clone_from(&found.rule);
                    if act.reason.is_empty() {
                        act.reason.clone_from(&found.reason);
                    }
                }
            }
            if acts.iter().all(|act| act.decision.is_some()) {
                return;
            }
            tokio::time::sleep(DECISIONS_PAUSE).await;
        }
    };
    // Without all of them the rest stays `no data`.
    let _ = tokio::time::timeout(DECISIONS_AWAITED, searching).await;
}

fn matches(act: &Act, decision: &Decision) -> bool {
    decision.action == act.action
        && decision.verdict == act.verdict
        && decision.resource.as_ref() == Some(&act.resource)
}
