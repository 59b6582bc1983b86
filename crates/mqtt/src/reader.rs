//! A cursor over one packet's octets: every read is bounds-checked and names the field that it reads.

use crate::{Binary, Fault, Text};

/// Largest value of a Variable Byte Integer: four octets of seven bits (MQTT 5.0 §1.5.5).
pub(crate) const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// What is left of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn take_rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends a packet: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::Malformed { what: "trailing octets" }) }
    }

    pub(crate) fn take(&mut self, octets: usize, field: &'static str) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(octets).ok_or(Fault::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn octet(&mut self, field: &'static str) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Fault::Truncated { field })?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated { field })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn two_octets(&mut self, field: &'static str) -> Result<u16, Fault> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn four_octets(&mut self, field: &'static str) -> Result<u32, Fault> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A Variable Byte Integer: at most four octets, and no more than the value needs [MQTT-1.5.5-1].
    pub(crate) fn variable_byte_integer(&mut self, field: &'static str) -> Result<u32, Fault> {
        match variable_byte_integer(self.rest)? {
            Some((value, octets)) => {
                self.take(octets, field)?;
                Ok(value)
            }
            None => Err(Fault::Truncated { field }),
        }
    }

    /// A UTF-8 Encoded String (MQTT 5.0 §1.5.4).
    pub(crate) fn text(&mut self, field: &'static str) -> Result<Text<'a>, Fault> {
        let octets = self.two_octets(field)?;
        Text::from_octets(self.take(usize::from(octets), field)?)
    }

    /// Binary Data (MQTT 5.0 §1.5.6).
    pub(crate) fn binary(&mut self, field: &'static str) -> Result<Binary<'a>, Fault> {
        let octets = self.two_octets(field)?;
        Binary::new(self.take(usize::from(octets), field)?)
    }

    /// The octets that a leading Variable Byte Integer counts: a property block.
    pub(crate) fn counted(&mut self, field: &'static str) -> Result<Reader<'a>, Fault> {
        let octets = self.variable_byte_integer(field)?;
        let octets = usize::try_from(octets).map_err(|_| Fault::Truncated { field })?;
        self.take(octets, field).map(Reader::new)
    }
}

/// Reads a Variable Byte Integer from the front: its value and length, or `None` when more octets are needed.
pub(crate) fn variable_byte_integer(octets: &[u8]) -> Result<Option<(u32, usize)>, Fault> {
    let mut value = 0u32;
    for (index, octet) in octets.iter().take(4).enumerate() {
        value |= u32::from(octet & 0x7f) << (7 * index);
        if octet & 0x80 == 0 {
            if index > 0 && *octet == 0 {
                return Err(Fault::Malformed { what: "length with more octets than it needs" });
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if octets.len() >= 4 {
        Err(Fault::Malformed { what: "length of more than four octets" })
    } else {
        Ok(None)
    }
}
