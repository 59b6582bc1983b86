//! `scripted` (hidden): one device as a process of its own, told what to do by lines on stdin.
//!
//! Lines: `enroll USERNAME PASSWORD`, `connect [CLIENT-ID]`, `publish TOPIC PAYLOAD`, `every MS TOPIC`, `ping`,
//! `disconnect`; the end of stdin ends it. Each thing that happens is one JSON object on stdout.

use clap::Args;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_listen::Clock;
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_touchmark::client::Client;
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::home;
use touchmark_touchmark::mqtt_session::{Denial, Session, Target, Verdict};
use touchmark_touchmark::output::{Format, Output};
use touchmark_touchmark::token::TokenSecret;

#[derive(Debug, Args)]
pub(crate) struct Run {
    name: Name,
    #[arg(long)]
    env: EnvironmentName,
    #[arg(long)]
    est: String,
    /// `host:port`
    #[arg(long)]
    mqtt: String,
    #[arg(long)]
    anchors: PathBuf,
    /// Folder of its credential
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    v311: bool,
}

/// What a device process reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Happened {
    Enrolled {
        fingerprint: String,
        serial: String,
        ms: u64,
    },
    Connected {
        ms: u64,
        session: u64,
    },
    Published {
        topic: String,
        ms: u64,
    },
    Denied {
        action: String,
        code: String,
        reason: String,
    },
    Closed {
        at_ms: u64,
        code: String,
        reason: String,
    },
    /// Answer to `ping`: which connection this is, and what it published.
    Alive {
        session: u64,
        published: u64,
    },
    Failed {
        code: String,
        why: String,
    },
}

/// A line that could not be obeyed is answered, not obeyed in part.
enum Order {
    Enroll(String),
    Connect(Option<String>),
    Publish(String, String),
    Every(Duration, String),
    Ping,
    Disconnect,
}

impl Order {
    fn read(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "enroll" => Self::Enroll(rest.replacen(' ', "\n", 1)),
            "connect" => Self::Connect((!rest.is_empty()).then(|| rest.to_owned())),
            "publish" => rest.split_once(' ').map(|(t, p)| Self::Publish(t.to_owned(), p.to_owned()))?,
            "every" => {
                let (ms, topic) = rest.split_once(' ')?;
                Self::Every(Duration::from_millis(ms.parse().ok().filter(|ms| *ms > 0)?), topic.to_owned())
            }
            "ping" => Self::Ping,
            "disconnect" => Self::Disconnect,
            _ => return None,
        })
    }
}

struct Device {
    order: Run,
    output: Output,
    session: Option<Session>,
    sessions: u64,
    published: u64,
    every: Option<(Interval, String)>,
}

#[expect(clippy::disallowed_methods, reason = "it belongs to stdin of one command, and ends with it")]
pub(crate) async fn run(order: Run) -> Result<Exit, Failure> {
    let (lines, mut received) = mpsc::channel(64);
    // A thread, since a read of stdin cannot be cut off.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let output = Output { format: Format::Ndjson, quiet: true, colour: false };
    let mut device = Device { order, output, session: None, sessions: 0, published: 0, every: None };
    loop {
        let next = {
            let Device { session, every, .. } = &mut device;
            tokio::select! {
                line = received.recv() => match line {
                    Some(line) => Next::Line(line),
                    None => break,
                },
                denial = ended(session) => Next::Ended(denial),
                topic = tick(every) => Next::Tick(topic),
            }
        };
        let done = match next {
            Next::Line(line) => device.obey(&line).await,
            Next::Ended(denial) => device.closed(denial),
            Next::Tick(topic) if device.session.is_some() => device.publish(&topic, "20.5", false).await,
            Next::Tick(_) => Ok(()),
        };
        if let Err(failure) = done {
            device
                .output
                .json_line(&Happened::Failed { code: failure.code().to_owned(), why: failure.brief() })?;
        }
    }
    if let Some(session) = device.session.take() {
        session.disconnect().await;
    }
    Ok(Exit::Ok)
}

enum Next {
    Line(String),
    Ended(Denial),
    Tick(String),
}

async fn ended(session: &mut Option<Session>) -> Denial {
    match session {
        Some(session) => loop {
            if let Err(denial) = session.message().await {
                return denial;
            }
        },
        None => std::future::pending().await,
    }
}

async fn tick(every: &mut Option<(Interval, String)>) -> String {
    match every {
        Some((interval, topic)) => {
            interval.tick().await;
            topic.clone()
        }
        None => std::future::pending().await,
    }
}

impl Device {
    fn say(&self, happened: &Happened) -> Result<(), Failure> {
        self.output.json_line(happened)
    }

    async fn obey(&mut self, line: &str) -> Result<(), Failure> {
        match Order::read(line) {
            Some(Order::Enroll(token)) => self.enroll(&token).await,
            Some(Order::Connect(client_id)) => self.connect(client_id).await,
            Some(Order::Publish(topic, payload)) => self.publish(&topic, &payload, true).await,
            Some(Order::Every(period, topic)) => {
                let mut interval = tokio::time::interval(period);
                interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                self.every = Some((interval, topic));
                Ok(())
            }
            Some(Order::Ping) => self.ping().await,
            Some(Order::Disconnect) => {
                if let Some(session) = self.session.take() {
                    session.disconnect().await;
                }
                Ok(())
            }
            None => Err(Failure::usage("this line is no order").why(line)),
        }
    }

    fn directory(&self) -> CredentialDir {
        CredentialDir::new(self.order.dir.clone())
    }

    async fn enroll(&mut self, token: &str) -> Result<(), Failure> {
        let token = TokenSecret::parse(token)?;
        let started = Instant::now();
        let anchors_pem = home::read(&self.order.anchors)?;
        let (est, environment) = (self.order.est.clone(), self.order.env.clone());
        let client = Client { est, environment, name: self.order.name.clone() };
        let certificate = client.enrol(token, &anchors_pem, &self.directory()).await?;
        self.say(&Happened::Enrolled {
            fingerprint: certificate.fingerprint().to_string(),
            serial: certificate.serial().to_string(),
            ms: ms(started),
        })
    }

    async fn connect(&mut self, client_id: Option<String>) -> Result<(), Failure> {
        let started = Instant::now();
        let target = Target { tls: self.directory().tls()?, address: self.order.mqtt.clone() };
        let version = if self.order.v311 { ProtocolVersion::V311 } else { ProtocolVersion::V5 };
        let client_id = client_id.unwrap_or_else(|| self.order.name.to_string());
        match Session::open(&target, &client_id, version).await? {
            Ok(session) => {
                self.session = Some(session);
                self.sessions += 1;
                self.say(&Happened::Connected { ms: ms(started), session: self.sessions })
            }
            Err(Denial { code, reason, .. }) => {
                self.say(&Happened::Denied { action: "connect".to_owned(), code, reason })
            }
        }
    }

    async fn publish(&mut self, topic: &str, payload: &str, loud: bool) -> Result<(), Failure> {
        let started = Instant::now();
        let Some(session) = &mut self.session else {
            return Err(Failure::new(Exit::Conflict, "not-connected", "not connected"));
        };
        match session.publish(topic, payload.as_bytes(), QoS::AtLeastOnce).await? {
            Verdict::Allowed => {
                self.published += 1;
                if loud {
                    self.say(&Happened::Published { topic: topic.to_owned(), ms: ms(started) })?;
                }
                Ok(())
            }
            Verdict::Denied(Denial { code, reason, .. }) => {
                self.say(&Happened::Denied { action: "publish".to_owned(), code, reason })
            }
            Verdict::Closed(denial) => self.closed(denial),
        }
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        let Some(session) = &mut self.session else {
            return Err(Failure::new(Exit::Conflict, "not-connected", "not connected"));
        };
        match session.ping().await? {
            Verdict::Allowed => {
                self.say(&Happened::Alive { session: self.sessions, published: self.published })
            }
            Verdict::Denied(denial) | Verdict::Closed(denial) => self.closed(denial),
        }
    }

    fn closed(&mut self, denial: Denial) -> Result<(), Failure> {
        let at_ms = Clock::system().now().unix_ms();
        self.session = None;
        let Denial { code, reason, .. } = denial;
        self.say(&Happened::Closed { at_ms, code, reason })
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
