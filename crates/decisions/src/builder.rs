//! Packs records into one frame. The form is described in `frame.rs`, which reads it back.
//!
//! In: records in the order in which they happened. Out: sequence numbers at once, the octets at the end.
//! What stands in the frame already (a topic, a rule, an issuer, a session) is named by its index.

use crate::octets::{write_difference, write_number, write_octets};
use crate::record::{
    Act, AddressFamily, CloseCause, EpochOpened, FeedPosition, PolicyChanged, Record, Refused, SessionClosed,
    SessionId, SessionOpened, Verdict,
};
use crate::{DecisionId, FRAME_OCTETS_MAX, FRAME_VERSION};
use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Arc;
use touchmark_identity::{Name, Timestamp};
use touchmark_policy::RuleId;

pub(crate) const EPOCH_OPENED: u8 = 0;
pub(crate) const SESSION_OPENED: u8 = 1;
pub(crate) const ACT: u8 = 2;
pub(crate) const SESSION_CLOSED: u8 = 3;
pub(crate) const REFUSED: u8 = 4;
pub(crate) const POLICY_CHANGED: u8 = 5;

/// An action or cause whose number does not fit three bits stands in an octet of its own.
pub(crate) const ESCAPE: u8 = 7;
/// That octet from version 2 on: the action's number, and whether a count and a policy follow.
pub(crate) const ACTION_BITS: u8 = 0x1f;
pub(crate) const WITH_COUNT: u8 = 0x40;
pub(crate) const WITH_POLICY: u8 = 0x80;

/// No record takes more: a longest resource, two names, a rule, four hashes and a dozen numbers.
const RECORD_OCTETS_MAX: usize = 2_048;
/// No header takes more: a longest name and five numbers.
const HEADER_OCTETS_MAX: usize = 128;

/// The frame has no room: finish it, and push the record into the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame is full")]
pub struct FrameFull;

/// One frame in the making.
#[derive(Debug)]
pub struct FrameBuilder {
    version: u64,
    gateway: Name,
    epoch: u32,
    first_sequence: u64,
    next_sequence: u64,
    base: Option<Timestamp>,
    count: u64,
    body: Vec<u8>,
    seen: Seen,
}

impl FrameBuilder {
    /// Begins a frame whose first decision has `first_sequence`.
    pub fn new(gateway: Name, epoch: u32, first_sequence: u64) -> Self {
        Self::of_version(FRAME_VERSION, gateway, epoch, first_sequence)
    }

    pub(crate) fn of_version(version: u64, gateway: Name, epoch: u32, first_sequence: u64) -> Self {
        Self {
            version,
            gateway,
            epoch,
            first_sequence,
            next_sequence: first_sequence,
            base: None,
            count: 0,
            body: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Adds a record; a decision gets its sequence number, several together the first of theirs.
    ///
    /// # Errors
    /// [`FrameFull`] when the record might not fit; nothing was added.
    pub fn push(&mut self, record: &Record) -> Result<Option<u64>, FrameFull> {
        let end = self.body.len().saturating_add(RECORD_OCTETS_MAX).saturating_add(HEADER_OCTETS_MAX);
        let next_sequence = self.next_sequence.checked_add(record.numbers()).ok_or(FrameFull)?;
        if end > FRAME_OCTETS_MAX {
            return Err(FrameFull);
        }
        if self.base.is_none() {
            self.base = Some(record.at());
            self.seen.last_ms = record.at().unix_ms();
        }
        let out = &mut self.body;
        match record {
            Record::EpochOpened(opened) => self.seen.epoch_opened(opened, out),
            Record::SessionOpened(opened) => self.seen.session_opened(opened, out),
            Record::Act(act) => self.seen.act(act, self.version, out),
            Record::SessionClosed(closed) => self.seen.session_closed(closed, out),
            Record::Refused(refused) => self.seen.refused(refused, out),
            Record::PolicyChanged(changed) => self.seen.policy_changed(changed, out),
        }
        self.count += 1;
        let sequence = record.is_decision().then_some(self.next_sequence);
        self.next_sequence = next_sequence;
        Ok(sequence)
    }

    /// The full name of a decision of this frame.
    pub fn decision_id(&self, sequence: u64) -> DecisionId {
        DecisionId { gateway: self.gateway.clone(), epoch: self.epoch, sequence }
    }

    /// The number that the next decision gets, here or as the next frame's first.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether nothing was pushed; such a frame is not worth writing, and is not readable.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets that [`FrameBuilder::finish`] would give now.
    pub fn bytes_len(&self) -> usize {
        self.header().len().saturating_add(self.body.len())
    }

    /// The frame.
    pub fn finish(self) -> Vec<u8> {
        let mut frame = self.header();
        frame.extend_from_slice(&self.body);
        frame
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_OCTETS_MAX);
        write_number(&mut out, self.version);
        write_octets(&mut out, self.gateway.as_str().as_bytes());
        write_number(&mut out, u64::from(self.epoch));
        write_number(&mut out, self.first_sequence);
        write_number(&mut out, self.base.map_or(0, Timestamp::unix_ms));
        write_number(&mut out, self.count);
        out
    }
}

/// What the frame holds already, by index.
#[derive(Debug, Default)]
struct Seen {
    last_ms: u64,
    session: Option<SessionId>,
    sessions: HashMap<SessionId, u64>,
    texts: HashMap<Arc<str>, u64>,
    rules: HashMap<RuleId, u64>,
    /// The rule of the last record that had one: mostly that of the next as well.
    rule: Option<(RuleId, u64)>,
    hashes: HashMap<[u8; 32], u64>,
}

impl Seen {
    fn epoch_opened(&mut self, opened: &EpochOpened, out: &mut Vec<u8>) {
        let flags = u8::from(opened.previous_epoch_clean) << 3 | u8::from(opened.status.is_some()) << 4;
        out.push(EPOCH_OPENED | flags);
        self.time(opened.at, out);
        status(opened.status, out);
    }

    fn session_opened(&mut self, opened: &SessionOpened, out: &mut Vec<u8>) {
        let SessionOpened {
            session,
            at,
            verdict,
            rule,
            resource,
            certificate,
            handle,
            environment,
            policy,
            status: feed,
            tls,
            proof,
            peer_address_family,
        } = opened;
        let v6 = *peer_address_family == AddressFamily::V6;
        let denied = verdict.reason().is_some();
        out.push(
            SESSION_OPENED
                | u8::from(denied) << 3
                | proof.number() << 4
                | u8::from(v6) << 6
                | u8::from(certificate.is_some()) << 7,
        );
        out.push(u8::from(policy.is_some()) | u8::from(feed.is_some()) << 1 | u8::from(tls.is_some()) << 2);
        self.session(*session, out);
        self.time(*at, out);
        self.verdict(*verdict, rule.as_ref(), out);
        self.text(resource.as_str(), || resource.shared(), out);
        self.text(handle.as_str(), || handle.as_str().into(), out);
        self.text(environment.as_str(), || environment.as_str().into(), out);
        if let Some(certificate) = certificate {
            out.extend_from_slice(certificate.fingerprint.as_bytes());
            self.hash(certificate.issuer.as_bytes(), out);
            write_octets(out, certificate.serial.der_content());
        }
        if let Some(policy) = policy {
            self.hash(policy.as_bytes(), out);
        }
        status(*feed, out);
        if let Some(tls) = tls {
            for number in [tls.version, tls.cipher_suite, tls.group] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn act(&mut self, act: &Act, version: u64, out: &mut Vec<u8>) {
        let same = self.session == Some(act.session);
        let number = act.action.number();
        let denied = act.verdict.reason().is_some();
        // Frames of version 1 were read from such, and hold neither.
        let (several, policy) = match version {
            1 => (false, None),
            _ => (act.count.get() > 1, act.policy),
        };
        let escaped = number >= ESCAPE || several || policy.is_some();
        let short = if escaped { ESCAPE } else { number };
        out.push(ACT | u8::from(denied) << 3 | u8::from(same) << 4 | short << 5);
        if escaped {
            let more = if several { WITH_COUNT } else { 0 } | if policy.is_some() { WITH_POLICY } else { 0 };
            out.push(number | more);
        }
        if !same {
            self.session(act.session, out);
        }
        self.time(act.at, out);
        self.verdict(act.verdict, act.rule.as_ref(), out);
        self.text(act.resource.as_str(), || act.resource.shared(), out);
        if several {
            write_number(out, u64::from(act.count.get()));
        }
        if let Some(policy) = policy {
            self.hash(policy.as_bytes(), out);
        }
    }

    fn session_closed(&mut self, closed: &SessionClosed, out: &mut Vec<u8>) {
        let same = self.session == Some(closed.session);
        out.push(SESSION_CLOSED | u8::from(same) << 4 | cause_number(closed.why) << 5);
        if !same {
            self.session(closed.session, out);
        }
        self.time(closed.at, out);
        if let CloseCause::Cut(reason) = closed.why {
            write_number(out, u64::from(reason.number()));
        }
    }

    fn refused(&mut self, refused: &Refused, out: &mut Vec<u8>) {
        out.push(REFUSED);
        let second = refused.at_second.cast_signed();
        write_difference(out, second.wrapping_sub((self.last_ms / 1000).cast_signed()));
        write_number(out, u64::from(refused.reason.number()));
        write_number(out, u64::from(refused.count));
    }

    fn policy_changed(&mut self, changed: &PolicyChanged, out: &mut Vec<u8>) {
        out.push(POLICY_CHANGED);
        self.time(changed.at, out);
        self.hash(changed.policy.as_bytes(), out);
    }

    fn time(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        write_difference(out, at.unix_ms().cast_signed().wrapping_sub(self.last_ms.cast_signed()));
        self.last_ms = at.unix_ms();
    }

    /// Reason if denied (the flag says so), then the rule: 0 for none, else its index and one.
    fn verdict(&mut self, verdict: Verdict, rule: Option<&RuleId>, out: &mut Vec<u8>) {
        if let Some(reason) = verdict.reason() {
            write_number(out, u64::from(reason.number()));
        }
        match rule {
            None => write_number(out, 0),
            Some(rule) => {
                if let Some((last, index)) = &self.rule
                    && last == rule
                {
                    return write_number(out, index + 2);
                }
                let next = self.rules.len() as u64;
                let index = match self.rules.get(rule) {
                    Some(index) => {
                        write_number(out, index + 2);
                        *index
                    }
                    None => {
                        write_number(out, 1);
                        write_octets(out, rule.as_str().as_bytes());
                        self.rules.insert(rule.clone(), next);
                        next
                    }
                };
                self.rule = Some((rule.clone(), index));
            }
        }
    }

    fn session(&mut self, session: SessionId, out: &mut Vec<u8>) {
        self.session = Some(session);
        if index(&mut self.sessions, session, out) {
            write_number(out, session.0);
        }
    }

    fn text(&mut self, text: &str, shared: impl FnOnce() -> Arc<str>, out: &mut Vec<u8>) {
        if let Some(index) = self.texts.get(text) {
            return write_number(out, index + 1);
        }
        write_number(out, 0);
        write_octets(out, text.as_bytes());
        let next = self.texts.len() as u64;
        self.texts.insert(shared(), next);
    }

    fn hash(&mut self, hash: &[u8; 32], out: &mut Vec<u8>) {
        if index(&mut self.hashes, *hash, out) {
            out.extend_from_slice(hash);
        }
    }
}

/// Writes the index and one, or 0 for something new, which the caller then writes out.
fn index<K: Eq + Hash>(seen: &mut HashMap<K, u64>, key: K, out: &mut Vec<u8>) -> bool {
    let next = seen.len() as u64;
    match seen.get(&key) {
        Some(index) => {
            write_number(out, index + 1);
            false
        }
        None => {
            write_number(out, 0);
            seen.insert(key, next);
            true
        }
    }
}

fn status(status: Option<FeedPosition>, out: &mut Vec<u8>) {
    if let Some(FeedPosition { epoch, seq }) = status {
        write_number(out, epoch);
        write_number(out, seq);
    }
}

fn cause_number(cause: CloseCause) -> u8 {
    match cause {
        CloseCause::Peer => 0,
        CloseCause::Lost => 1,
        CloseCause::Idle => 2,
        CloseCause::Shutdown => 3,
        CloseCause::Cut(_) => 4,
    }
}
