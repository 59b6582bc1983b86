//! Property values and slots: how each kind of property is read, bounded, and written (MQTT 5.0 §2.2.2).

use core::num::{NonZeroU16, NonZeroU32};

use bytes::{BufMut, BytesMut};

use crate::encode::{Written, counted, put_binary, put_text, put_variable_byte_integer};
use crate::reader::{Reader, VARIABLE_BYTE_INTEGER_MAX};
use crate::{Binary, Fault, Text, TopicName};

/// Most user properties, and most subscription identifiers, in one packet.
///
/// Each costs at least 2 octets on the wire and 32 in memory; without a bound a packet would grow many times.
pub const REPEATED_PROPERTIES_MAX: usize = 64;

/// A name and a value of the application's own (§3.1.2.11.8 and others). Names may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserProperty<'a> {
    /// Name.
    pub name: Text<'a>,
    /// Value.
    pub value: Text<'a>,
}

/// Subscription Identifier: 1 to 268 435 455 (§3.8.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionIdentifier(u32);

impl SubscriptionIdentifier {
    /// An identifier in range.
    pub fn new(value: u32) -> Option<Self> {
        (1..=VARIABLE_BYTE_INTEGER_MAX).contains(&value).then_some(Self(value))
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

/// Topic Alias: a number that stands for a topic in one direction of one connection (§3.3.2.3.4). Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicAlias(pub NonZeroU16);

/// One property's value on the wire.
pub(crate) trait Value<'a>: Sized {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault>;
    fn write(&self, out: &mut BytesMut);
}

/// Where a property is kept: once (`Option`) or several times (`Vec`).
pub(crate) trait Slot<'a>: Default {
    fn fill(&mut self, reader: &mut Reader<'a>, property: &'static str) -> Result<(), Fault>;
    fn put(&self, identifier: u8, out: &mut BytesMut);
}

impl<'a, V: Value<'a>> Slot<'a> for Option<V> {
    fn fill(&mut self, reader: &mut Reader<'a>, property: &'static str) -> Result<(), Fault> {
        if self.is_some() {
            return Err(Fault::ProtocolError { what: "a property that may stand once stands twice" });
        }
        *self = Some(V::read(reader, property)?);
        Ok(())
    }

    fn put(&self, identifier: u8, out: &mut BytesMut) {
        if let Some(value) = self {
            out.put_u8(identifier);
            value.write(out);
        }
    }
}

impl<'a, V: Value<'a>> Slot<'a> for Vec<V> {
    fn fill(&mut self, reader: &mut Reader<'a>, property: &'static str) -> Result<(), Fault> {
        if self.len() >= REPEATED_PROPERTIES_MAX {
            return Err(Fault::TooMany { what: "repeated properties", max: REPEATED_PROPERTIES_MAX });
        }
        self.push(V::read(reader, property)?);
        Ok(())
    }

    fn put(&self, identifier: u8, out: &mut BytesMut) {
        for value in self {
            out.put_u8(identifier);
            value.write(out);
        }
    }
}

/// The octet 0 or 1; anything else is a protocol error wherever the standard has such an octet.
impl<'a> Value<'a> for bool {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        match reader.octet(property)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::ProtocolError { what: "a property that is 0 or 1 has another value" }),
        }
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl<'a> Value<'a> for u16 {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        reader.two_octets(property)
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u16(*self);
    }
}

impl<'a> Value<'a> for u32 {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        reader.four_octets(property)
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u32(*self);
    }
}

/// Receive Maximum.
impl<'a> Value<'a> for NonZeroU16 {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        let value = reader.two_octets(property)?;
        Self::new(value).ok_or(Fault::ProtocolError { what: "receive maximum 0" })
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u16(self.get());
    }
}

/// Maximum Packet Size.
impl<'a> Value<'a> for NonZeroU32 {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        let value = reader.four_octets(property)?;
        Self::new(value).ok_or(Fault::ProtocolError { what: "maximum packet size 0" })
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.get());
    }
}

impl<'a> Value<'a> for Text<'a> {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        reader.text(property)
    }
    fn write(&self, out: &mut BytesMut) {
        put_text(out, *self);
    }
}

impl<'a> Value<'a> for Binary<'a> {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        reader.binary(property)
    }
    fn write(&self, out: &mut BytesMut) {
        put_binary(out, *self);
    }
}

/// Response Topic [MQTT-3.3.2-14].
impl<'a> Value<'a> for TopicName<'a> {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        reader.text(property).and_then(TopicName::from_text)
    }
    fn write(&self, out: &mut BytesMut) {
        put_text(out, self.text());
    }
}

impl<'a> Value<'a> for TopicAlias {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        let alias = reader.two_octets(property)?;
        NonZeroU16::new(alias).map(Self).ok_or(Fault::TopicAliasInvalid { alias })
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u16(self.0.get());
    }
}

impl<'a> Value<'a> for SubscriptionIdentifier {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        let value = reader.variable_byte_integer(property)?;
        Self::new(value).ok_or(Fault::ProtocolError { what: "subscription identifier 0" })
    }
    fn write(&self, out: &mut BytesMut) {
        put_variable_byte_integer(out, self.0);
    }
}

impl<'a> Value<'a> for UserProperty<'a> {
    fn read(reader: &mut Reader<'a>, property: &'static str) -> Result<Self, Fault> {
        Ok(Self { name: reader.text(property)?, value: reader.text(property)? })
    }
    fn write(&self, out: &mut BytesMut) {
        put_text(out, self.name);
        put_text(out, self.value);
    }
}

/// The properties of one packet: read from and written to their counted block.
pub(crate) trait PropertySet<'a>: Default + PartialEq {
    fn read(&mut self, identifier: u8, reader: &mut Reader<'a>) -> Result<(), Fault>;
    fn write(&self, out: &mut BytesMut);

    fn parse(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mut block = reader.counted("properties")?;
        let mut set = Self::default();
        while !block.is_empty() {
            // Identifiers are Variable Byte Integers; every known one fits one octet (§2.2.2.2).
            let identifier = u8::try_from(block.variable_byte_integer("property identifier")?);
            set.read(identifier.unwrap_or(u8::MAX), &mut block)?;
        }
        Ok(set)
    }

    fn encode(&self, out: &mut BytesMut) -> Written {
        counted(out, |out| {
            self.write(out);
            Ok(())
        })
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
