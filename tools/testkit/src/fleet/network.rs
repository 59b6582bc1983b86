//! What lies between an agent and the authority: latency, loss, outages, a client's patience, the server's queue.

use super::invariant::Invariant;
use super::run::{Fleet, Happens};
use super::scenario::Driver;
use super::server::{Denied, QUEUE_MAX, Request, answer};
use core::time::Duration;
use touchmark_agent::lifecycle::{Answer, Call, Input, LocalFault, Trouble};
use touchmark_agent::transport::EXCHANGE_TIME;
use touchmark_identity::{DeviceId, Fingerprint, Timestamp, Validity};

/// One way, least and most.
const LATENCY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(150));
/// Until a device knows that nobody takes its connection.
const NOBODY: Duration = Duration::from_secs(3);
/// The server's own certificate lives so long, and is renewed after two thirds of it.
const SERVER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// A device that knows the time to this knows it: the Date has whole seconds, and takes its way.
const KNOWS_THE_TIME: Duration = Duration::from_secs(10);

/// What reaches a device.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) device: usize,
    pub(super) boot: u32,
    pub(super) answer: Answer,
    pub(super) server_time: Option<Timestamp>,
}

impl Fleet {
    /// A device asks.
    pub(super) fn ask(&mut self, device: usize, call: Call) {
        let asking = &self.devices[device];
        let boot = asking.boot;
        if call == Call::Confirm && self.scenario.driver == Driver::TakesConfirmationForGranted {
            let reply = Reply { device, boot, answer: Answer::Confirmed, server_time: None };
            return self.timeline.add(self.now, Happens::Replied(reply));
        }
        if !asking.believes(server_certificate(self.now), self.now) {
            return self.unanswered(device, Trouble::TlsExpired, NOBODY);
        }
        let peer = match call {
            Call::Renew | Call::Hint | Call::Anchors => asking.held.as_ref().map(|held| held.fingerprint),
            Call::Confirm => match asking.store.successor() {
                Ok(Some(pair)) => Some(pair.chain.leaf().fingerprint()),
                Ok(None) | Err(_) => return self.step(device, gone("the new pair")),
            },
            Call::Enrol { .. } => None,
        };
        let csr = match call {
            Call::Renew | Call::Enrol { .. } => match asking.store.request() {
                Ok(Some(csr)) => csr,
                Ok(None) | Err(_) => return self.step(device, gone("the request")),
            },
            Call::Anchors | Call::Confirm | Call::Hint => Vec::new(),
        };
        let (name, password) = (asking.name.clone(), asking.password.clone());
        if !self.server.up {
            return self.unanswered(device, Trouble::Connect, NOBODY);
        }
        if self.network.hits(self.scenario.chances.request_lost) {
            return self.unanswered(device, Trouble::Timeout, EXCHANGE_TIME);
        }
        let request = Request { device, boot, call, sent_at: self.now, peer, csr, name, password };
        let at = self.now.plus(self.latency());
        self.timeline.add(at, Happens::Arrives(request));
    }

    pub(super) fn arrives(&mut self, request: Request) {
        if !self.server.up {
            return self.unanswered_since(&request, Trouble::Connect, NOBODY);
        }
        self.summary.requests.count(request.call);
        if request.call == Call::Renew {
            self.devices[request.device].asked_at.get_or_insert(self.now);
        }
        match self.server.enter(self.now) {
            Some(at) => self.timeline.add(at, Happens::Served(request)),
            None => self.unanswered_since(&request, Trouble::Connect, NOBODY),
        }
    }

    pub(super) fn served(&mut self, request: &Request) {
        if !self.server.up {
            self.server.leave(false, self.now);
            return self.unanswered_since(request, Trouble::Connect, NOBODY);
        }
        let (answer, given, denied) = answer(&mut self.authority, request, self.now);
        let fresh = given.as_ref().is_some_and(|given| given.fresh);
        let by_the_rules = denied == Some(Denied::ByTheRules);
        self.summary.refused += u64::from(by_the_rules);
        self.summary.sent_away += u64::from(denied == Some(Denied::Paced));
        if let Some(device) =
            request.peer.filter(|_| request.call == Call::Renew).and_then(|peer| self.device_of(&peer))
        {
            let seen = self.seen.entry(device).or_default();
            seen.0 += u64::from(fresh);
            seen.1 += u64::from(by_the_rules);
        }
        if let Some(given) = &given {
            self.count_given(request, given.fresh);
        }
        // Questions change no identity.
        if !matches!(request.call, Call::Anchors | Call::Hint) {
            self.judge_identity(request, given.is_some());
        }
        let done = self.server.leave(fresh, self.now);
        if self.network.hits(self.scenario.chances.answer_lost) {
            return self.unanswered_since(request, Trouble::Timeout, EXCHANGE_TIME);
        }
        let arrives = done.plus(self.latency());
        // The client may have lost its patience.
        if arrives > request.sent_at.plus(EXCHANGE_TIME) {
            return self.unanswered_since(request, Trouble::Timeout, EXCHANGE_TIME);
        }
        // A Date has whole seconds.
        let server_time = Some(Timestamp::from_unix_s(done.unix_s()));
        let (device, boot) = (request.device, request.boot);
        self.timeline.add(arrives, Happens::Replied(Reply { device, boot, answer, server_time }));
    }

    pub(super) fn replied(&mut self, reply: Reply) {
        let Reply { device, boot, answer, server_time } = reply;
        if !self.is_on(device, boot) {
            return;
        }
        let authenticated = server_time.is_some();
        self.trace(device, if authenticated { 4 } else { 5 });
        self.step(device, Input::Answered { answer, server_time });
        self.count_round_trip(device);
    }

    fn unanswered(&mut self, device: usize, why: Trouble, after: Duration) {
        let boot = self.devices[device].boot;
        self.hears_nothing(device, boot, why, self.now.plus(after));
    }

    fn unanswered_since(&mut self, request: &Request, why: Trouble, after: Duration) {
        let at = request.sent_at.plus(after).max(self.now);
        self.hears_nothing(request.device, request.boot, why, at);
    }

    fn hears_nothing(&mut self, device: usize, boot: u32, why: Trouble, at: Timestamp) {
        self.summary.unanswered += 1;
        let answer = Answer::Unreachable { why, says: why.code().to_owned() };
        self.timeline.add(at, Happens::Replied(Reply { device, boot, answer, server_time: None }));
    }

    fn device_of(&self, peer: &Fingerprint) -> Option<DeviceId> {
        self.authority.row_of(peer).and_then(|row| row.device)
    }

    fn latency(&mut self) -> Duration {
        self.network.span(LATENCY.0, LATENCY.1)
    }

    fn count_given(&mut self, request: &Request, fresh: bool) {
        match request.call {
            Call::Renew if fresh => {
                self.summary.renewed += 1;
                if let Some(aftermath) = &mut self.aftermath {
                    let minute = self.now.since(aftermath.since).as_secs() / 60;
                    *aftermath.minutes.entry(minute).or_default() += 1;
                }
            }
            Call::Enrol { .. } if fresh => self.summary.enrolled += 1,
            _ => {}
        }
        if let Some(asked_at) = self.devices[request.device].asked_at.take() {
            self.waits_ms.push(u64::try_from(self.now.since(asked_at).as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// P23: a device with a wrong clock and good trust knows the time after a few answers.
    fn count_round_trip(&mut self, device: usize) {
        let asked = &mut self.devices[device];
        let Some(so_far) = asked.round_trips else { return };
        let clock = asked.clock(self.now);
        let Some(lifecycle) = &asked.lifecycle else { return };
        let known = lifecycle.report(clock).now;
        let apart = known.since(self.now).max(self.now.since(known));
        asked.round_trips = (apart > KNOWS_THE_TIME).then_some(so_far + 1);
        self.summary.round_trips_most = self.summary.round_trips_most.max(so_far + 1);
    }

    /// The queue stays within its limit, and no more have a place than there are identities.
    pub(super) fn judge_queue(&mut self) {
        if self.server.queued_most > QUEUE_MAX || self.authority.waiting_most > self.devices.len() {
            self.violated(Invariant::QueueBounded, usize::MAX, "too many wait");
        }
    }
}

fn gone(what: &str) -> Input {
    Input::Failed(LocalFault::Disk { says: format!("{what} is no longer there") })
}

/// The server's certificate at this moment; its own renewals are not simulated.
fn server_certificate(now: Timestamp) -> Validity {
    let life_s = SERVER_LIFE.as_secs();
    let since_s = now.since(super::Scenario::start()).as_secs();
    let begun_s = super::Scenario::start().unix_s() - 3600 + since_s / (life_s * 2 / 3) * (life_s * 2 / 3);
    Validity::new(begun_s, begun_s + life_s).expect("it ends after it begins")
}
