//! A strict cursor over DER for what this crate writes itself: keys, CRLs, certs-only bags.
//!
//! In: untrusted bytes, bounded by the caller. Out: slices of them. Definite minimal lengths and one-octet tags
//! only; no trailing octets where [`Reader::finish`] is called.

use super::calendar::{civil_from_days, days_from_civil};
use super::{BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, UTC_TIME};
use touchmark_identity::Timestamp;

/// Longest length field, without its first octet: 4 GiB is more than any bound above this module.
const LENGTH_OCTETS_MAX: usize = 4;

/// Octets that are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDer;

/// Reads elements one after another; every slice it lends lies in the input.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Tag of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Content of the next element, which must carry `tag`.
    pub(crate) fn content(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        if self.peek() == Some(tag) { self.element().map(|(content, _)| content) } else { Err(NotDer) }
    }

    /// Content of the next element if it carries `tag`; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, NotDer> {
        if self.peek() == Some(tag) { self.content(tag).map(Some) } else { Ok(None) }
    }

    /// A reader over the content of the next element, which must carry `tag`.
    pub(crate) fn enter(&mut self, tag: u8) -> Result<Reader<'a>, NotDer> {
        self.content(tag).map(Reader::new)
    }

    /// The next element with its tag and length, which must carry `tag`.
    pub(crate) fn whole(&mut self, tag: u8) -> Result<&'a [u8], NotDer> {
        if self.peek() == Some(tag) { self.element().map(|(_, whole)| whole) } else { Err(NotDer) }
    }

    /// Octets of a BIT STRING without unused bits.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], NotDer> {
        self.content(BIT_STRING)?
            .split_first()
            .filter(|(unused, _)| **unused == 0)
            .map(|(_, o)| o)
            .ok_or(NotDer)
    }

    /// Magnitude of a positive INTEGER or zero, without a sign octet, in minimal form.
    pub(crate) fn magnitude(&mut self) -> Result<&'a [u8], NotDer> {
        match self.content(INTEGER)? {
            [] => Err(NotDer),
            [first, ..] if first & 0x80 != 0 => Err(NotDer),
            [0, second, ..] if second & 0x80 == 0 => Err(NotDer),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            content => Ok(content),
        }
    }

    /// A non-negative INTEGER of at most 64 bits.
    pub(crate) fn unsigned(&mut self) -> Result<u64, NotDer> {
        let magnitude = self.magnitude()?;
        if magnitude.len() > 8 {
            return Err(NotDer);
        }
        Ok(magnitude.iter().fold(0, |value, octet| (value << 8) | u64::from(*octet)))
    }

    /// A BOOLEAN DEFAULT FALSE. An encoded FALSE is let pass: CAs in the field write it.
    pub(crate) fn default_false(&mut self) -> Result<bool, NotDer> {
        match self.optional(BOOLEAN)? {
            None | Some([0]) => Ok(false),
            Some([0xff]) => Ok(true),
            Some(_) => Err(NotDer),
        }
    }

    /// A Time in the form of RFC 5280 §4.1.2.5, from 1970 on.
    pub(crate) fn time(&mut self) -> Result<Timestamp, NotDer> {
        match self.peek() {
            Some(UTC_TIME) => {
                let (year, rest) = decimal_pair(self.content(UTC_TIME)?)?;
                moment(if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            Some(GENERALIZED_TIME) => {
                let (century, rest) = decimal_pair(self.content(GENERALIZED_TIME)?)?;
                let (year, rest) = decimal_pair(rest)?;
                moment(century * 100 + year, rest)
            }
            _ => Err(NotDer),
        }
    }

    /// Nothing may follow.
    pub(crate) fn finish(self) -> Result<(), NotDer> {
        if self.rest.is_empty() { Ok(()) } else { Err(NotDer) }
    }

    /// The next element: its content, and itself with tag and length.
    fn element(&mut self) -> Result<(&'a [u8], &'a [u8]), NotDer> {
        let (header, length) = match self.rest {
            // A tag number above 30 occurs nowhere in what we read.
            [tag, ..] if tag & 0x1f == 0x1f => return Err(NotDer),
            [_, short, ..] if *short < 0x80 => (2, usize::from(*short)),
            [_, long, rest @ ..] => {
                let count = usize::from(*long & 0x7f);
                let octets = rest.get(..count).filter(|_| (1..=LENGTH_OCTETS_MAX).contains(&count));
                let octets = octets.filter(|o| o.first().is_some_and(|first| *first != 0)).ok_or(NotDer)?;
                let length = octets.iter().fold(0, |value, octet| (value << 8) | usize::from(*octet));
                if length < 0x80 {
                    return Err(NotDer);
                }
                (2 + count, length)
            }
            _ => return Err(NotDer),
        };
        let end = header.checked_add(length).ok_or(NotDer)?;
        let (whole, rest) = self.rest.split_at_checked(end).ok_or(NotDer)?;
        let content = whole.get(header..).ok_or(NotDer)?;
        self.rest = rest;
        Ok((content, whole))
    }
}

fn decimal_pair(digits: &[u8]) -> Result<(u64, &[u8]), NotDer> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Ok((u64::from(tens - b'0') * 10 + u64::from(ones - b'0'), rest))
        }
        _ => Err(NotDer),
    }
}

/// A year and the `MMDDHHMMSSZ` after it.
fn moment(year: u64, rest: &[u8]) -> Result<Timestamp, NotDer> {
    let (month, rest) = decimal_pair(rest)?;
    let (day, rest) = decimal_pair(rest)?;
    let (hour, rest) = decimal_pair(rest)?;
    let (minute, rest) = decimal_pair(rest)?;
    let (second, rest) = decimal_pair(rest)?;
    let in_range =
        year >= 1970 && (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 60;
    if rest != b"Z" || !in_range {
        return Err(NotDer);
    }
    let days = days_from_civil(year, month, day);
    // 30 February and its like come back as another day.
    if civil_from_days(days) != (year, month, day) {
        return Err(NotDer);
    }
    Ok(Timestamp::from_unix_s(days * 86_400 + hour * 3600 + minute * 60 + second))
}
