//! SUBSCRIBE and SUBACK (MQTT 5.0 §3.8, §3.9).

use bytes::{BufMut, BytesMut};

use crate::encode::{Unencodable, Written, legal, packet_of, put_text, sayable};
use crate::property::PropertySet;
use crate::reader::Reader;
use crate::{
    AcknowledgementProperties, Fault, PacketId, PacketType, ProtocolVersion, QoS, ReasonCode,
    SubscribeProperties, TopicFilter,
};

/// Most filters in one SUBSCRIBE or UNSUBSCRIBE, and so most codes in an answer.
///
/// Each filter costs a decision and a log entry; clients send a handful, brokers' own bridges a few dozen.
pub const FILTERS_PER_PACKET_MAX: usize = 256;

/// A client asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What SUBACK repeats.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: SubscribeProperties<'a>,
    /// What is asked for, in order; one at least [MQTT-3.8.3-2].
    pub subscriptions: Vec<Subscription<'a>>,
}

/// One filter and how its messages shall come (§3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Which topics.
    pub filter: TopicFilter<'a>,
    /// Highest QoS wanted.
    pub qos: QoS,
    /// Not the client's own messages; 5.0 only.
    pub no_local: bool,
    /// Keep the retain flag as it was published; 5.0 only.
    pub retain_as_published: bool,
    /// Whether retained messages come at once; 5.0 only.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription (§3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// At every SUBSCRIBE, as in 3.1.1.
    #[default]
    Send,
    /// Only when the subscription is new.
    SendIfNew,
    /// Never.
    DoNotSend,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::parse(&mut reader)?;
        let properties = match version {
            ProtocolVersion::V311 => SubscribeProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(&mut reader)?,
        };
        let mut subscriptions = Vec::new();
        while !reader.is_empty() {
            room_for_one_more(subscriptions.len(), "topic filters")?;
            subscriptions.push(Subscription::parse(version, &mut reader)?);
        }
        if subscriptions.is_empty() {
            return Err(Fault::ProtocolError { what: "SUBSCRIBE without a topic filter" });
        }
        Ok(Self { packet_id, properties, subscriptions })
    }

    /// Writes the packet.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { packet_id, properties, subscriptions } = self;
        sayable(version, !properties.is_empty(), "properties of SUBSCRIBE")?;
        if subscriptions.is_empty() {
            return Err(Unencodable::Empty { what: "SUBSCRIBE" });
        }
        packet_of(out, PacketType::Subscribe, |out| {
            out.put_u16(packet_id.get());
            if version == ProtocolVersion::V5 {
                properties.encode(out)?;
            }
            subscriptions.iter().try_for_each(|subscription| subscription.encode(version, out))
        })
    }
}

impl<'a> Subscription<'a> {
    const NO_LOCAL: u8 = 0b0100;
    const RETAIN_AS_PUBLISHED: u8 = 0b1000;

    /// A filter with the options that 3.1.1 has too.
    pub fn new(filter: TopicFilter<'a>, qos: QoS) -> Self {
        Self {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
        }
    }

    fn parse(version: ProtocolVersion, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let filter = reader.text("topic filter").and_then(TopicFilter::from_text)?;
        let options = reader.octet("subscription options")?;
        let reserved = match version {
            ProtocolVersion::V311 => 0b1111_1100,
            ProtocolVersion::V5 => 0b1100_0000,
        };
        if options & reserved != 0 {
            return Err(Fault::Malformed { what: "reserved bits of subscription options" });
        }
        let qos =
            QoS::from_bits(options & 0b11).ok_or(Fault::Malformed { what: "subscription with QoS 3" })?;
        let retain_handling = match options >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Fault::ProtocolError { what: "retain handling 3" }),
        };
        let no_local = options & Self::NO_LOCAL != 0;
        // [MQTT-3.8.3-4]
        if no_local && filter.share_name().is_some() {
            return Err(Fault::ProtocolError { what: "shared subscription with no local" });
        }
        let retain_as_published = options & Self::RETAIN_AS_PUBLISHED != 0;
        Ok(Self { filter, qos, no_local, retain_as_published, retain_handling })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let mut options = self.qos.bits();
        options |= if self.no_local { Self::NO_LOCAL } else { 0 };
        options |= if self.retain_as_published { Self::RETAIN_AS_PUBLISHED } else { 0 };
        options |= match self.retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1 << 4,
            RetainHandling::DoNotSend => 2 << 4,
        };
        sayable(version, options & !0b11 != 0, "subscription options beside QoS")?;
        put_text(out, self.filter.text());
        out.put_u8(options);
        Ok(())
    }
}

/// A server answers SUBSCRIBE, one code per filter, in order [MQTT-3.8.4-6].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// Which SUBSCRIBE.
    pub packet_id: PacketId,
    /// Properties; empty in 3.1.1.
    pub properties: AcknowledgementProperties<'a>,
    /// Granted QoS or refusal; 3.1.1 knows one refusal, read as [`ReasonCode::UnspecifiedError`].
    pub reasons: Vec<ReasonCode>,
}

impl<'a> Suback<'a> {
    pub(crate) fn parse(version: ProtocolVersion, body: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(body);
        let packet_id = PacketId::parse(&mut reader)?;
        let properties = match version {
            ProtocolVersion::V311 => AcknowledgementProperties::default(),
            ProtocolVersion::V5 => PropertySet::parse(&mut reader)?,
        };
        let mut reasons = Vec::new();
        while !reader.is_empty() {
            room_for_one_more(reasons.len(), "reason codes")?;
            let reason = ReasonCode::parse(reader.octet("reason code")?, PacketType::Suback)?;
            if version == ProtocolVersion::V311 && reason > ReasonCode::UnspecifiedError {
                return Err(Fault::Malformed { what: "suback return code" });
            }
            reasons.push(reason);
        }
        if reasons.is_empty() {
            return Err(Fault::Malformed { what: "SUBACK without a code" });
        }
        Ok(Self { packet_id, properties, reasons })
    }

    /// Writes the packet. For 3.1.1 every refusal becomes its one code, 0x80.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) -> Written {
        let Self { packet_id, properties, reasons } = self;
        sayable(version, !properties.is_empty(), "properties of SUBACK")?;
        if reasons.is_empty() {
            return Err(Unencodable::Empty { what: "SUBACK" });
        }
        packet_of(out, PacketType::Suback, |out| {
            out.put_u16(packet_id.get());
            if version == ProtocolVersion::V5 {
                properties.encode(out)?;
            }
            for reason in reasons {
                legal(*reason, PacketType::Suback)?;
                out.put_u8(match version {
                    ProtocolVersion::V311 if reason.is_error() => ReasonCode::UnspecifiedError.octet(),
                    _ => reason.octet(),
                });
            }
            Ok(())
        })
    }
}

pub(crate) fn room_for_one_more(held: usize, what: &'static str) -> Result<(), Fault> {
    if held < FILTERS_PER_PACKET_MAX {
        Ok(())
    } else {
        Err(Fault::TooMany { what, max: FILTERS_PER_PACKET_MAX })
    }
}
