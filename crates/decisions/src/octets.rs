//! The small pieces of a frame: unsigned LEB128 numbers, zigzag differences, octets behind their length.
//!
//! A number spelled too long is read; the frame as a whole is then refused, since it is held against its
//! one canonical form.

use crate::BadFrame;

/// Longest spelling of a u64.
const NUMBER_OCTETS_MAX: usize = 10;

pub(crate) fn write_number(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// A signed difference, small in either direction.
pub(crate) fn write_difference(out: &mut Vec<u8>, value: i64) {
    write_number(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(crate) fn write_octets(out: &mut Vec<u8>, octets: &[u8]) {
    write_number(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// What is left to read.
pub(crate) struct Octets<'b>(&'b [u8]);

impl<'b> Octets<'b> {
    pub(crate) fn new(octets: &'b [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn octet(&mut self) -> Result<u8, BadFrame> {
        let (first, rest) = self.0.split_first().ok_or(BadFrame::CutShort)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, BadFrame> {
        let mut value = 0_u64;
        for position in 0..NUMBER_OCTETS_MAX {
            let octet = self.octet()?;
            let part = u64::from(octet & 0x7f);
            let shift = 7 * position as u32;
            if position == NUMBER_OCTETS_MAX - 1 && part > 1 {
                break;
            }
            value |= part << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BadFrame::Malformed("a number over 64 bits"))
    }

    pub(crate) fn difference(&mut self) -> Result<i64, BadFrame> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A number that fits a smaller type.
    pub(crate) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, BadFrame> {
        T::try_from(self.number()?).map_err(|_| BadFrame::Malformed(what))
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], BadFrame> {
        let (octets, rest) = self.0.split_first_chunk::<N>().ok_or(BadFrame::CutShort)?;
        self.0 = rest;
        Ok(*octets)
    }

    pub(crate) fn octets(&mut self, max: usize) -> Result<&'b [u8], BadFrame> {
        let length = self.small::<usize>("a length over memory")?;
        if length > max {
            return Err(BadFrame::Malformed("a text over its limit"));
        }
        let (octets, rest) = self.0.split_at_checked(length).ok_or(BadFrame::CutShort)?;
        self.0 = rest;
        Ok(octets)
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<&'b str, BadFrame> {
        core::str::from_utf8(self.octets(max)?).map_err(|_| BadFrame::Malformed("a text that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_differences_read_back_at_their_bounds() {
        let mut out = Vec::new();
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
        let differences = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
        numbers.iter().for_each(|number| write_number(&mut out, *number));
        differences.iter().for_each(|difference| write_difference(&mut out, *difference));
        let mut read = Octets::new(&out);
        numbers.iter().for_each(|number| assert_eq!(read.number(), Ok(*number)));
        differences.iter().for_each(|difference| assert_eq!(read.difference(), Ok(*difference)));
        assert_eq!(read.number(), Err(BadFrame::CutShort));
    }

    #[test]
    fn a_number_that_does_not_end_or_does_not_fit_is_refused() {
        for (name, octets) in
            [("no end", [0xff; 11]), ("65 bits", [255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0])]
        {
            assert_eq!(
                Octets::new(&octets).number(),
                Err(BadFrame::Malformed("a number over 64 bits")),
                "{name}"
            );
        }
    }
}
