//! One frame read back: a leaf of the gateway's Merkle log.
//!
//! `version, gateway, log epoch, first sequence, time of the first record (ms), count`, then the records. Each begins
//! with an octet: kind in the low three bits, flags above. Times are differences to the record before. Texts, rules,
//! hashes and sessions stand once and are an index after that. Numbers are LEB128, texts stand behind their length.
//! A frame is held against its canonical form, so equal records are equal octets.

use crate::builder::{
    ACT, ACTION_BITS, EPOCH_OPENED, ESCAPE, POLICY_CHANGED, REFUSED, SESSION_CLOSED, SESSION_OPENED,
    WITH_COUNT, WITH_POLICY,
};
use crate::octets::Octets;
use crate::record::{
    Act, AddressFamily, CloseCause, EpochOpened, FeedPosition, PolicyChanged, PresentedCertificate, Proof,
    Record, Refused, SessionClosed, SessionId, SessionOpened, Verdict,
};
use crate::{BadFrame, FrameBuilder, FrameFull, Resource, Tls};
use core::num::NonZeroU32;
use core::str::FromStr;
use std::sync::Arc;
use touchmark_identity::{Fingerprint, Name, SerialNumber, Timestamp};
use touchmark_policy::{Action, DenyReason, PolicyVersion, RuleId};

/// The form written here. Version 1, which knew no counts and no policies of acts, is read as well.
pub const FRAME_VERSION: u64 = 2;

/// Longest frame: a leaf of the log's tiles holds at most 65,535 octets.
pub const FRAME_OCTETS_MAX: usize = 60_000;

/// Records that one gateway wrote together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The form it was read from.
    pub version: u64,
    /// Who decided.
    pub gateway: Name,
    /// The gateway's log epoch.
    pub log_epoch: u32,
    /// The sequence number of the first decision here.
    pub first_sequence: u64,
    /// In the order in which they were written.
    pub records: Vec<Record>,
}

impl Frame {
    /// Whether frames of this version are read here.
    pub fn reads_version(version: u64) -> bool {
        (1..=FRAME_VERSION).contains(&version)
    }

    /// Reads a frame wholly.
    ///
    /// # Errors
    /// [`BadFrame`] when these are not the octets that a gateway writes for some records.
    pub fn decode(octets: &[u8]) -> Result<Self, BadFrame> {
        if octets.len() > FRAME_OCTETS_MAX {
            return Err(BadFrame::TooLarge { octets: octets.len() });
        }
        let mut from = Octets::new(octets);
        let version = from.number()?;
        if !Self::reads_version(version) {
            return Err(BadFrame::UnknownVersion(version));
        }
        let gateway = parsed(from.text(Name::OCTETS_MAX)?)?;
        let log_epoch = from.small("a log epoch over 32 bits")?;
        let first_sequence = from.number()?;
        let last_ms = from.number()?;
        let count = from.small::<usize>("more records than octets")?;
        if count > from.len() {
            return Err(BadFrame::CutShort);
        }
        if count == 0 {
            return Err(BadFrame::Empty);
        }
        let mut reading = Reading {
            version,
            from,
            last_ms,
            session: None,
            sessions: vec![],
            texts: vec![],
            rules: vec![],
            hashes: vec![],
        };
        let records = (0..count).map(|_| reading.record()).collect::<Result<_, _>>()?;
        let frame = Self { version, gateway, log_epoch, first_sequence, records };
        match frame.encode() {
            Ok(canonical) if canonical == octets => Ok(frame),
            _ => Err(BadFrame::NotCanonical),
        }
    }

    /// The one form of these records.
    ///
    /// # Errors
    /// [`FrameFull`] when they are more than a frame holds.
    pub fn encode(&self) -> Result<Vec<u8>, FrameFull> {
        let (gateway, epoch) = (self.gateway.clone(), self.log_epoch);
        let mut builder = FrameBuilder::of_version(self.version, gateway, epoch, self.first_sequence);
        for record in &self.records {
            builder.push(record)?;
        }
        Ok(builder.finish())
    }

    /// Each record with its sequence number, or the first of them, if it is a decision.
    pub fn numbered(&self) -> impl Iterator<Item = (Option<u64>, &Record)> {
        self.records.iter().scan(self.first_sequence, |next, record| {
            let sequence = record.is_decision().then_some(*next);
            *next = next.saturating_add(record.numbers());
            Some((sequence, record))
        })
    }

    /// The number that the next frame of this epoch begins with.
    pub fn next_sequence(&self) -> u64 {
        let numbers = self.records.iter().map(Record::numbers);
        numbers.fold(self.first_sequence, u64::saturating_add)
    }
}

/// A frame half read, with what its indices point to.
struct Reading<'b> {
    version: u64,
    from: Octets<'b>,
    last_ms: u64,
    session: Option<SessionId>,
    sessions: Vec<SessionId>,
    texts: Vec<Arc<str>>,
    rules: Vec<RuleId>,
    hashes: Vec<[u8; 32]>,
}

const BAD_INDEX: BadFrame = BadFrame::Malformed("an index of nothing");

impl Reading<'_> {
    fn record(&mut self) -> Result<Record, BadFrame> {
        let head = self.from.octet()?;
        Ok(match head & 0x07 {
            EPOCH_OPENED => Record::EpochOpened(EpochOpened {
                at: self.time()?,
                previous_epoch_clean: flag(head, 3),
                status: self.status(flag(head, 4))?,
            }),
            SESSION_OPENED => Record::SessionOpened(self.session_opened(head)?),
            ACT => Record::Act(self.act(head)?),
            SESSION_CLOSED => Record::SessionClosed(self.session_closed(head)?),
            REFUSED => Record::Refused(self.refused()?),
            POLICY_CHANGED => {
                Record::PolicyChanged(PolicyChanged { at: self.time()?, policy: PolicyVersion(self.hash()?) })
            }
            _ => return Err(BadFrame::Malformed("an unknown kind of record")),
        })
    }

    fn session_opened(&mut self, head: u8) -> Result<SessionOpened, BadFrame> {
        let more = self.from.octet()?;
        let session = self.named_session()?;
        let at = self.time()?;
        let (verdict, rule) = self.verdict(flag(head, 3))?;
        let resource = self.resource()?;
        let handle = parsed(&self.text()?)?;
        let environment = parsed(&self.text()?)?;
        let certificate = if flag(head, 7) { Some(self.certificate()?) } else { None };
        let policy = if flag(more, 0) { Some(PolicyVersion(self.hash()?)) } else { None };
        let status = self.status(flag(more, 1))?;
        let tls = if flag(more, 2) { Some(self.tls()?) } else { None };
        let proof = Proof::ALL
            .into_iter()
            .find(|proof| proof.number() == head >> 4 & 0x03)
            .ok_or(BadFrame::Malformed("an unknown proof"))?;
        let peer_address_family = if flag(head, 6) { AddressFamily::V6 } else { AddressFamily::V4 };
        Ok(SessionOpened {
            session,
            at,
            verdict,
            rule,
            resource,
            certificate,
            handle,
            environment,
            policy,
            status,
            tls,
            proof,
            peer_address_family,
        })
    }

    fn act(&mut self, head: u8) -> Result<Act, BadFrame> {
        let (number, more) = match head >> 5 {
            ESCAPE if self.version == 1 => (self.from.octet()?, 0),
            ESCAPE => {
                let octet = self.from.octet()?;
                (octet & ACTION_BITS, octet & !ACTION_BITS)
            }
            number => (number, 0),
        };
        let action = Action::from_number(number).ok_or(BadFrame::Malformed("an unknown action"))?;
        let session = self.session(flag(head, 4))?;
        let at = self.time()?;
        let (verdict, rule) = self.verdict(flag(head, 3))?;
        let resource = self.resource()?;
        let count = match more & WITH_COUNT {
            0 => 1,
            _ => self.from.small("a count over 32 bits")?,
        };
        let count = NonZeroU32::new(count).ok_or(BadFrame::Malformed("a count of nothing"))?;
        let policy = match more & WITH_POLICY {
            0 => None,
            _ => Some(PolicyVersion(self.hash()?)),
        };
        Ok(Act { session, at, action, resource, verdict, rule, policy, count })
    }

    fn session_closed(&mut self, head: u8) -> Result<SessionClosed, BadFrame> {
        let session = self.session(flag(head, 4))?;
        let at = self.time()?;
        let why = match head >> 5 {
            0 => CloseCause::Peer,
            1 => CloseCause::Lost,
            2 => CloseCause::Idle,
            3 => CloseCause::Shutdown,
            4 => CloseCause::Cut(self.reason()?),
            _ => return Err(BadFrame::Malformed("an unknown end of a session")),
        };
        Ok(SessionClosed { session, at, why })
    }

    fn refused(&mut self) -> Result<Refused, BadFrame> {
        let second = (self.last_ms / 1000).cast_signed().wrapping_add(self.from.difference()?);
        Ok(Refused {
            at_second: second.cast_unsigned(),
            reason: self.reason()?,
            count: self.from.small("a count over 32 bits")?,
        })
    }

    fn time(&mut self) -> Result<Timestamp, BadFrame> {
        let ms = self.last_ms.cast_signed().wrapping_add(self.from.difference()?).cast_unsigned();
        let at = Timestamp::from_unix_ms(ms);
        if at.unix_ms() != ms {
            return Err(BadFrame::Malformed("a moment after the year 9999"));
        }
        self.last_ms = ms;
        Ok(at)
    }

    fn verdict(&mut self, denied: bool) -> Result<(Verdict, Option<RuleId>), BadFrame> {
        let verdict = if denied { Verdict::Deny(self.reason()?) } else { Verdict::Allow };
        let rule = match self.from.number()? {
            0 => None,
            1 => {
                let rule = RuleId::new(self.from.text(RuleId::OCTETS_MAX)?)
                    .map_err(|_| BadFrame::Malformed("not a rule's id"))?;
                self.rules.push(rule.clone());
                Some(rule)
            }
            index => Some(seen(&self.rules, index - 2)?),
        };
        Ok((verdict, rule))
    }

    fn reason(&mut self) -> Result<DenyReason, BadFrame> {
        let unknown = "an unknown reason";
        DenyReason::from_number(self.from.small(unknown)?).ok_or(BadFrame::Malformed(unknown))
    }

    fn session(&mut self, same: bool) -> Result<SessionId, BadFrame> {
        if same { self.session.ok_or(BAD_INDEX) } else { self.named_session() }
    }

    fn named_session(&mut self) -> Result<SessionId, BadFrame> {
        let session = match self.from.number()? {
            0 => {
                let session = SessionId(self.from.number()?);
                self.sessions.push(session);
                session
            }
            index => seen(&self.sessions, index - 1)?,
        };
        self.session = Some(session);
        Ok(session)
    }

    fn text(&mut self) -> Result<Arc<str>, BadFrame> {
        match self.from.number()? {
            0 => {
                let text: Arc<str> = self.from.text(Resource::OCTETS_MAX)?.into();
                self.texts.push(Arc::clone(&text));
                Ok(text)
            }
            index => seen(&self.texts, index - 1),
        }
    }

    fn resource(&mut self) -> Result<Resource, BadFrame> {
        self.text().map(Resource::from_stored)
    }

    fn hash(&mut self) -> Result<[u8; 32], BadFrame> {
        match self.from.number()? {
            0 => {
                let hash = self.from.fixed()?;
                self.hashes.push(hash);
                Ok(hash)
            }
            index => seen(&self.hashes, index - 1),
        }
    }

    fn certificate(&mut self) -> Result<PresentedCertificate, BadFrame> {
        Ok(PresentedCertificate {
            fingerprint: Fingerprint(self.from.fixed()?),
            issuer: Fingerprint(self.hash()?),
            serial: SerialNumber::of_stranger(self.from.octets(SerialNumber::OCTETS)?)
                .map_err(|_| BadFrame::Malformed("not a serial number"))?,
        })
    }

    fn status(&mut self, present: bool) -> Result<Option<FeedPosition>, BadFrame> {
        if !present {
            return Ok(None);
        }
        Ok(Some(FeedPosition { epoch: self.from.number()?, seq: self.from.number()? }))
    }

    fn tls(&mut self) -> Result<Tls, BadFrame> {
        let mut number = || self.from.fixed().map(u16::from_be_bytes);
        Ok(Tls { version: number()?, cipher_suite: number()?, group: number()? })
    }
}

fn flag(octet: u8, bit: u8) -> bool {
    octet >> bit & 1 == 1
}

fn seen<T: Clone>(seen: &[T], index: u64) -> Result<T, BadFrame> {
    usize::try_from(index).ok().and_then(|index| seen.get(index)).cloned().ok_or(BAD_INDEX)
}

fn parsed<T: FromStr>(text: &str) -> Result<T, BadFrame> {
    text.parse().map_err(|_| BadFrame::Malformed("not a name"))
}
